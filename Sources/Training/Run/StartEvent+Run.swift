import Corpora
import Models
import Reporting
import SequenceParallel
import Tensors

extension StartEvent {
  /// What a run says of itself.
  ///
  /// - Parameter steps: Steps of all of its stages, as far as is known.
  init(
    _ configuration: RunConfiguration, _ setup: RunSetup, steps: Int, frozen: Int, folder: String,
    hosts: [String],
    processes: Int, launchRanks: [Int], threads: Int, parallelThreads: Int, grid: GridPlace,
    stepsDone: Int, expectedMemoryBytes: Int?, products: ProductSettings
  ) {
    let parameters = setup.model.table.count
    let tokensPerStep = configuration.training.batch * configuration.sequence.length
    let peak = MachinePeak.measure(seconds: 0.15)
    self.init(
      configuration: configuration.json, steps: steps,
      batch: configuration.training.batch, length: configuration.sequence.length,
      model: configuration.model.summary(parameters: parameters, setup.model),
      data: configuration.data.summary(
        chance: setup.chance, tokensAreBytes: setup.corpus.tokensAreBytes),
      tokens: setup.corpus.extent.map {
        $0.summary(steps: steps, of: tokensPerStep)
      },
      areRanksVirtual: configuration.parallel.reproducible > 0, folder: folder, hosts: hosts,
      processes: processes, launchRanks: launchRanks, threads: threads,
      parallelThreads: parallelThreads, sequenceRanks: grid.sequence, dataGroups: grid.data,
      shardLengths: SequenceLayout.evenShards(
        tokens: configuration.sequence.length, ranks: grid.sequence),
      parameters: parameters, frozenParameters: frozen, stepsDone: stepsDone,
      recallChance: setup.chance,
      teacher: setup.teacher.map {
        "\(Format.grouped($0.model.table.count)) parameters, from \($0.path)"
      },
      task: configuration.data.task,
      expectedMemoryBytes: expectedMemoryBytes, blasCore: BLAS.coreName,
      sgemmPeak: peak.gigaflops, slowKernels: peak.complaint,
      products: Products(
        precision: products.precision.rawValue, library: products.library.rawValue,
        oneDNN: OneDNN.version))
    vocabulary = setup.model.vocabulary
  }
}

extension ModelSection {
  /// The model in a few words; of one from a folder, what lies there.
  ///
  /// - Parameter model: The model, where it is known.
  package func summary(parameters: Int, _ model: LanguageModel? = nil) -> String {
    let weights =
      (model.map { "vocabulary \(Format.grouped($0.vocabulary)), " } ?? "")
      + "\(Format.grouped(parameters)) parameters"
    if let from {
      let shape =
        model.map {
          "\(type(of: $0.architecture).mixers.joined(separator: "/")), "
            + "\(Format.number($0.blocks.count, of: "block")), width \($0.dimension), "
        } ?? ""
      return "\(shape)\(weights), from \(from)"
    }
    var mixers: [String] = []
    for mixer in mixerOfLayer where !mixers.contains(mixer) { mixers.append(mixer) }
    return "\(mixers.joined(separator: " + ")), \(Format.number(depth, of: "block")), width "
      + "\(dimension), \(Format.number(heads, of: "head")), \(weights)"
  }
}

extension CorpusExtent {
  /// How much there is, and how often a run reads it.
  ///
  /// - Parameters:
  ///   - steps: Steps of the run.
  ///   - tokensPerStep: Tokens of each.
  func summary(steps: Int, of tokensPerStep: Int) -> String {
    let epoch = Double(tokens) / Double(tokensPerStep)
    return "\(Format.grouped(tokens)) to train on, "
      + (heldOut > 0 ? "\(Format.grouped(heldOut)) held out" : "none held out")
      + "; \(Format.digits(epoch)) steps an epoch, \(Self.epochs(Double(steps) / epoch)) epochs"
  }

  private static func epochs(_ value: Double) -> String {
    value < 0.00995 ? String(format: "%.3g", value) : Format.digits(value)
  }
}

extension DataSection {
  /// The data in a few words.
  ///
  /// - Parameter chance: Share of right answers by guessing in a generated task; nil for files.
  func summary(chance: Double?, tokensAreBytes: Bool) -> String {
    guard let first = path.first else {
      let chance = chance.map { ", chance \(Format.percent($0))" } ?? ""
      return "\(task) task, made on the fly\(chance)"
    }
    let more = path.count > 1 ? " and \(path.count - 1) more" : ""
    return Format.shortened(first.path, 60) + more + (tokensAreBytes ? ", bytes" : "")
  }
}
