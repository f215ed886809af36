import Corpora
import MessagePassing
import Models
import SequenceParallel
import Tensors

/// The rehearsals of one run, each made once, when it is first asked for.
///
/// They serve the dry run, the banner, the choice of an exchange and the grouping of segments.
package final class Rehearsals {
  /// What the run file says.
  package let configuration: RunConfiguration
  /// Ranks of the world.
  package let ranks: Int

  /// What is rehearsed.
  enum Work: Hashable {
    /// A step of a rank, whose process hosts so many.
    case step(rank: Int, hosting: Int, ExchangeKind, ExpertGroup.Load)
    /// What leaves the first segments of a rank.
    case segments(rank: Int, ExchangeKind)
  }

  /// What has been rehearsed, in order.
  private(set) var made: [Work] = []

  private let corpus: any TrainingCorpus
  private let model: LanguageModel
  private let teacher: LanguageModel?
  private let objective: (any Objective)?
  private let products: ProductSettings?
  private var steps: [Work: Rehearsal] = [:]
  private var segments: [Work: SegmentRehearsal] = [:]

  /// Nothing is rehearsed yet.
  ///
  /// - Parameters:
  ///   - teacher: The model whose distributions are learnt; nil for none.
  ///   - objective: What is minimised; nil for what the run file says.
  ///   - products: What computes products; nil for what the run file says.
  package init(
    _ configuration: RunConfiguration, corpus: any TrainingCorpus, model: LanguageModel,
    teacher: LanguageModel? = nil, objective: (any Objective)? = nil, ranks: Int,
    products: ProductSettings? = nil
  ) {
    (self.configuration, self.corpus, self.model, self.objective, self.ranks) =
      (configuration.stage(0), corpus, model, objective, ranks)
    (self.teacher, self.products) = (teacher, products)
  }

  /// A step of a rank.
  ///
  /// - Parameters:
  ///   - each: Ranks that a process hosts; more than one where they are virtual.
  ///   - load: How many tokens come to experts that are dealt.
  func step(
    rank: Int, hosting each: Int = 1, exchange: ExchangeKind, load: ExpertGroup.Load = .expected
  ) throws -> Rehearsal {
    let work = Work.step(rank: rank, hosting: each, exchange, load)
    if let known = steps[work] { return known }
    made.append(work)
    let (run, world) = try run(rank, hosting: each, exchange, load: load)
    let rehearsal = try Rehearsal(of: run, rank: rank, world: world)
    steps[work] = rehearsal
    return rehearsal
  }

  /// What every layer carries in one pass of a micro-batch; no exchange changes it.
  package func loads() throws -> [ExchangeSurvey.Load] {
    // Whichever exchange has been rehearsed already tells.
    let known = ExchangeKind.allCases.lazy.compactMap { self.segments[.segments(rank: 0, $0)] }
    return try (known.first ?? segments(rank: 0, exchange: .chain)).loads
  }

  /// How many segments `sequence.carry_bytes` lets a rank hold, the same on all ranks.
  func groupSize(exchange: ExchangeKind) throws -> Int {
    let segments = configuration.sequence.segments
    guard segments > 1 else { return 1 }
    let sequence = try GridPlace(configuration, rank: 0, ranks: ranks).sequence
    let bytes = try [0, sequence / 2, sequence - 1].map {
      try self.segments(rank: $0, exchange: exchange).heldBytes
    }.max()!
    return max(1, min(segments, configuration.sequence.carryBytes / max(bytes, 1)))
  }

  private func segments(rank: Int, exchange: ExchangeKind) throws -> SegmentRehearsal {
    let work = Work.segments(rank: rank, exchange)
    if let known = segments[work] { return known }
    made.append(work)
    let survey = ExchangeSurvey(of: exchange.make())
    let heldBytes = try run(rank, exchange, survey: survey).run.heldBytes()
    let rehearsal = SegmentRehearsal(heldBytes: heldBytes, loads: survey.loads)
    segments[work] = rehearsal
    return rehearsal
  }

  private func run(
    _ rank: Int, hosting each: Int = 1, _ exchange: ExchangeKind, survey: ExchangeSurvey? = nil,
    load: ExpertGroup.Load = .expected
  ) throws -> (run: TrainingRun, world: RehearsalCommunicator) {
    let world = try GridPlace(configuration, rank: rank, ranks: ranks)
      .rehearsal(of: rank, hosting: each)
    let run = try TrainingRun(
      configuration, corpus: corpus, model: model, teacher: teacher, objective: objective,
      world: world,
      workspace: Workspace(
        executor: .rehearsing, products: try products ?? configuration.products()),
      exchange: exchange, survey: survey,
      rehearsals: self, load: load)
    return (run, world)
  }
}

/// What a rank holds of a segment between its passes, and what its layers carry.
private struct SegmentRehearsal {
  /// Bytes that it holds of a segment that is not the first; of the whole where there are no segments.
  let heldBytes: Int
  /// What every layer carries.
  let loads: [ExchangeSurvey.Load]
}
