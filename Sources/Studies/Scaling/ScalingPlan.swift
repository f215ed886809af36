import Configuration
import MessagePassing
import Reporting
import SequenceParallel
import Training

/// All that will be measured, checked before the first job starts.
struct ScalingPlan: Sendable {
  /// What was asked for.
  let scaling: Scaling
  /// What is fixed while ranks grow.
  let studies: [ScalingStudy]
  /// Every case of the studies once, by ranks within a study.
  let cases: [ScalingCase]
  /// Weights of the model.
  let parameters: Int
  /// The model in a few words.
  let model: String
  /// The communication model of each case.
  let traffic: [ScalingCase: StateTraffic]

  /// Makes the cases, and checks that each can run.
  ///
  /// - Throws: `ScalingError`, `ConfigurationError`, or what the data lacks.
  init(_ scaling: Scaling) throws {
    try Self.check(scaling)
    let common = try Self.load(scaling, [])
    let sizes: [(ScalingStudy.Kind, Int)] =
      scaling.tokens.map { (.weak, $0) } + scaling.lengths.map { (.strong, $0) }
    studies = try sizes.map { kind, tokens in
      ScalingStudy(
        kind: kind, tokens: tokens,
        cases: try Set(scaling.ranks).sorted().flatMap {
          try Self.cases(kind, tokens, ranks: $0, scaling, common)
        })
    }
    var (cases, traffic): ([ScalingCase], [ScalingCase: StateTraffic]) = ([], [:])
    var parameters = 0
    for scalingCase in studies.flatMap(\.cases) where traffic[scalingCase] == nil {
      let configuration = try Self.load(scaling, scalingCase.overrides)
      _ = try GridPlace(configuration, rank: 0, ranks: scalingCase.ranks)
      let setup = try RunSetup(configuration)
      parameters = setup.model.table.count
      traffic[scalingCase] = try StateTraffic(configuration, setup, ranks: scalingCase.ranks)
      cases.append(scalingCase)
    }
    (self.scaling, self.cases) = (scaling, cases)
    (self.parameters, self.traffic) = (parameters, traffic)
    model = common.model.summary(parameters: parameters)
  }

  /// The job of a case.
  func job(_ scalingCase: ScalingCase, repetition: Int) -> RankJob {
    let own = ["training.steps=\(scaling.steps)", "log.every=1000000"].map { Override($0) }
    return RankJob(
      name: "\(scalingCase.name)-\(repetition)", ranks: scalingCase.ranks,
      runFile: scaling.runFile, overrides: scaling.overrides + scalingCase.overrides + own)
  }

  /// Bytes of states that the rank that sends most of them sends a step, by the communication model.
  func modelBytes(_ scalingCase: ScalingCase) -> Int {
    traffic[scalingCase]?.mostBytes(scalingCase.exchange ?? .chain) ?? 0
  }

  /// How many jobs there are.
  var jobs: Int { cases.count * scaling.repetitions }

  private static func load(
    _ scaling: Scaling, _ own: [Override]
  ) throws(ConfigurationError) -> RunConfiguration {
    try RunConfiguration.load(file: scaling.runFile, overrides: scaling.overrides + own)
  }

  /// The cases of a study for a number of ranks: one for each exchange, or one where nothing is exchanged.
  ///
  /// `training.batch` is that of a sequence group in weak scaling, of all ranks in strong scaling.
  private static func cases(
    _ kind: ScalingStudy.Kind, _ tokens: Int, ranks: Int, _ scaling: Scaling,
    _ common: RunConfiguration
  ) throws -> [ScalingCase] {
    let grid = try common.parallel.grid(ranks: ranks)
    let batch = common.training.batch
    return (grid.sequence == 1 ? [nil] : scaling.exchanges.map(Optional.some)).map {
      ScalingCase(
        ranks: ranks, sequenceRanks: grid.sequence,
        length: kind == .weak ? tokens * grid.sequence : tokens,
        batch: kind == .weak ? batch * grid.data : batch, exchange: $0)
    }
  }

  /// Keys that the measurement sets itself, and what to do instead.
  private static let owned = [
    "sequence.length": "give --tokens and --lengths", "parallel.exchange": "give --exchanges",
    "training.steps": "give --steps", "training.name": "give --output",
    "training.resume": "leave it out", "log.directory": "give --output",
    "log.every": "leave it out",
  ]

  private static func check(_ scaling: Scaling) throws(ScalingError) {
    for override in scaling.overrides {
      if let cure = owned[override.key] {
        throw ScalingError.request("--\(override.key): scaling sets this key itself; \(cure)")
      }
    }
    if scaling.tokens.isEmpty, scaling.lengths.isEmpty {
      throw ScalingError.request(
        "--tokens and --lengths are both none: there is nothing to measure")
    }
    if scaling.repetitions < 1 {
      throw ScalingError.request("--repetitions: \(scaling.repetitions) is not 1 or more")
    }
    if scaling.warmup < 0 || scaling.steps <= scaling.warmup {
      throw ScalingError.request(
        "--steps: \(scaling.steps) leave none after the \(scaling.warmup) of --warmup; give more")
    }
  }
}
