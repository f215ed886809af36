import Corpora
import Foundation
import Measurement
import MessagePassing
import Models
import Reporting
import Tensors
import Training

/// `lasp-train benchmark`: the speed of training steps on synthetic tokens, beside the machine's own.
package enum Benchmark {
  /// Measures on every rank; rank 0 prints.
  ///
  /// - Parameter configuration: The model, the length and the steps; its data are synthetic.
  package static func run(_ configuration: RunConfiguration) throws {
    try RankProgram.run(configuration) { world, workspace in
      let benchmark = try StepBenchmark(
        configuration, world: world.communicator, workspace: workspace)
      let report = try benchmark.run()
      if world.communicator.rank == 0 { print(report, terminator: "") }
    }
  }
}

/// Times whole training steps.
struct StepBenchmark {
  private let configuration: RunConfiguration
  private let training: TrainingRun
  private let world: any Communicator
  private let workspace: Workspace

  init(_ configuration: RunConfiguration, world: any Communicator, workspace: Workspace) throws {
    self.configuration = configuration
    self.world = world
    self.workspace = workspace
    let model = LanguageModel(
      Architectures.make(
        configuration.model, vocabulary: max(2, configuration.model.vocabulary)))
    let corpus = SyntheticTokens(
      vocabulary: model.vocabulary, length: configuration.sequence.length,
      batch: configuration.training.batch,
      seed: UInt64(bitPattern: Int64(configuration.training.seed)))
    training = try TrainingRun(
      configuration, corpus: corpus, model: model, world: world, workspace: workspace,
      exchange: configuration.parallel.exchange.kind ?? .chain)
    training.initializeWeights()
  }

  private func step(_ step: Int) throws {
    if let skipped = try training.step(step).skipped { throw TrainingError.notFinite(skipped) }
  }

  /// Runs a step that is not counted and then the steps; between them the machine itself is measured.
  func run() throws -> String {
    var floors = StepFloors(workspace)
    let counters = workspace.counters
    var (seconds, onCore): ([Double], [Double]) = ([], [])
    var parts = [[Double]](repeating: [], count: TimeCategory.allCases.count)
    let progress = world.rank == 0 ? ProgressDisplay("benchmark", output: .standard()) : nil
    let steps = configuration.training.steps
    try step(0)
    progress?.show(1, of: Double(steps + 1))
    let before = workspace.pool.statistics.allocations
    for step in 1...steps {
      try world.synchronize(for: "all ranks before a benchmark step")
      floors.measure()
      try world.synchronize(for: "all ranks before a benchmark step")
      counters.reset()
      let (start, core) = (Clock.seconds, Clock.threadSeconds)
      try self.step(step)
      seconds.append(Clock.seconds - start)
      onCore.append(Clock.threadSeconds - core)
      for part in TimeCategory.allCases { parts[part.rawValue].append(counters.seconds(part)) }
      progress?.show(Double(step + 1), of: Double(steps + 1))
    }
    progress?.end()
    try training.store.settle(polling: workspace.poll)
    return report(
      seconds: seconds.median, onCore: onCore.median, floors: floors, parts: parts.map(\.median),
      allocations: workspace.pool.statistics.allocations - before)
  }

  private func report(
    seconds: Double, onCore: Double, floors: StepFloors, parts: [Double], allocations: Int
  ) -> String {
    let model = training.model
    let tokens = configuration.training.batch * configuration.sequence.length
    let operations = model.operations(
      sequences: configuration.training.batch, length: configuration.sequence.length)
    let gigaflops = operations / seconds * 1e-9
    let workers = Double(workspace.team.size * world.size)
    var lines = [
      "\(Format.grouped(model.table.count)) parameters, "
        + "\(configuration.training.batch) × \(Format.grouped(configuration.sequence.length)) tokens, "
        + "\(Format.number(world.size, of: "rank")) × \(Format.number(workspace.team.size, of: "thread")), "
        + "median of \(Format.number(configuration.training.steps, of: "step"))",
      "",
      line("step", String(format: "%.3f s, on a core for %.3f s", seconds, onCore)),
      line("tokens", String(format: "%.0f a second", Double(tokens) / seconds)),
      line("speed", String(format: "%.1f GFLOP/s", gigaflops)),
      line(
        "sgemm peak",
        String(format: "%.1f GFLOP/s a thread, OpenBLAS for ", floors.sgemmPeak) + BLAS.coreName),
      line(
        "product peak",
        String(format: "%.1f GFLOP/s a thread, ", floors.productPeak)
          + (workspace.productSettings.map { "\($0)" } ?? "")),
      line("memory", String(format: "%.1f GB/s a rank", floors.bandwidth)),
      line(
        "ratio", String(format: "%.3f of the sgemm peak", gigaflops / (floors.sgemmPeak * workers))),
      line("allocations", "\(allocations) in the counted steps"),
      "",
      line("", Format.right("time", 11) + Format.right("share", 7) + Format.right("floor", 14)),
    ]
    let total = parts.reduce(0, +)
    for part in TimeCategory.allCases where parts[part.rawValue] > 0.0005 * total {
      let own = parts[part.rawValue]
      var cells = String(format: "%8.1f ms %5.1f%%", own * 1e3, own / total * 100)
      if let floor = floors.floor(part) {
        cells += String(format: " %10.1f ms, \(floor.of)", floor.seconds * 1e3)
      }
      lines.append(line(part.name, cells))
    }
    lines += [
      "",
      "floor: operations, those of projections and head at the product peak and all others at the sgemm peak, or bytes that are",
      "read or written once, at the memory's speed: whichever takes longer.",
    ]
    return lines.joined(separator: "\n") + "\n"
  }

  private func line(_ name: String, _ text: String) -> String { Format.left(name, 18) + text }
}
