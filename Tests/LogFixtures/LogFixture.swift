import Configuration
import Foundation
import Measurement
import Reporting
import TemporaryFolders

/// Events of a run on two ranks, and a folder of a test's own.
package struct LogFixture {
  /// Where the log lies.
  package let files: TemporaryFolder

  /// Makes the folder.
  package init() throws { files = try TemporaryFolder() }

  /// The lines of `log.jsonl`, each as JSON.
  package func events() throws -> [JSONValue] {
    let text = try files.text("log.jsonl")
    precondition(text.hasSuffix("\n"), "the log ends within a line")
    return try text.split(separator: "\n").map { try JSONValue(Data($0.utf8)) }
  }

  /// A run of 16 sequences of 512 tokens a step.
  package static func start(steps: Int = 300, chance: Double? = 0.25) -> StartEvent {
    var (configuration, training) = (JSONLine(), JSONLine())
    training.set("steps", steps)
    configuration.set("training", training)
    return StartEvent(
      configuration: configuration, steps: steps, batch: 16, length: 512,
      model: "tnl, 3 blocks", data: "recall task", folder: "runs/a",
      hosts: ["node1", "node1", "node2"], threads: 2, parallelThreads: 4, sequenceRanks: 3,
      dataGroups: 1, shardLengths: [170, 171, 171], parameters: 123_456, recallChance: chance,
      expectedMemoryBytes: 200 << 20, blasCore: "Haswell", sgemmPeak: 100,
      products: .init(oneDNN: "2.6.3"))
  }

  /// Sums of a step of the recall task.
  package static func sums(loss: Double = 1.386294361119890, bytes: Int = 0) -> LossSums {
    var sums = LossSums(loss: loss * 16, targets: 16)
    sums.bytes = bytes
    sums.inside = LossSums.Answers(right: 1, asked: 4)
    sums.crossing = LossSums.Answers(right: 12, asked: 12)
    return sums
  }

  /// A step of 8,192 tokens in half a second; the second rank waited for a tenth of it;
  /// a fifth of the sums of gradients was not hidden.
  package static func step(_ step: Int, loss: Double = 1.386294361119890, recall: Bool = true)
    -> StepReport
  {
    var (first, second) = (
      RankFigures(Counters(), seconds: 0.5), RankFigures(Counters(), seconds: 0.5)
    )
    (first.computeSeconds, second.computeSeconds) = (0.4, 0.35)
    (first.stateWaitSeconds, second.stateWaitSeconds) = (0, 0.05)
    (first.transferSeconds, second.transferSeconds) = (0.1, 0.15)
    (first.transferWaitSeconds, second.transferWaitSeconds) = (0.01, 0.04)
    (first.stateBytesSent, second.stateBytesSent) = (4096, 0)
    (first.peakMemoryBytes, second.peakMemoryBytes) = (100 << 20, 210 << 20)
    let sums =
      recall
      ? Self.sums(loss: loss)
      : LossSums(loss: loss, targets: 1, terms: [.init("z_loss", weight: 0.001, sum: 12.5)])
    return StepReport(
      outcome: StepOutcome(step: step, sums: sums, gradientNorm: 0.8123, learningRate: 0.005),
      tokens: 8192, seconds: 0.5, operations: 1e11, ranks: [first, second])
  }
}
