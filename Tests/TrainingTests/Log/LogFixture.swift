import Configuration
import Foundation
import Measurement
import Synchronization
import Testing

@testable import Training

/// Events of a run on two ranks, and a folder of a test's own that is removed with the value.
final class LogFixture {
  let folder: String

  init() throws {
    folder = NSTemporaryDirectory() + "log-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  func write(_ text: String, to name: String) throws {
    let path = URL(fileURLWithPath: "\(folder)/\(name)")
    try FileManager.default.createDirectory(
      at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: path)
  }

  func read(_ name: String) throws -> String {
    try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
  }

  func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(folder)/\(name)") }

  /// The lines of `log.jsonl`, each as JSON.
  func events() throws -> [JSONValue] {
    let text = try read("log.jsonl")
    #expect(text.hasSuffix("\n"))
    return try text.split(separator: "\n").map { try JSONValue(Data($0.utf8)) }
  }

  /// The built-in default with 16 sequences a step, and keys overridden.
  static func configuration(_ overrides: String...) throws -> RunConfiguration {
    try RunConfiguration.load(
      overrides: (["training.batch=16"] + overrides).map { Override($0) })
  }

  static func start(
    _ configuration: RunConfiguration, chance: Double? = 0.25, bytes: Bool = false
  ) -> StartEvent {
    StartEvent(
      configuration: configuration, folder: "runs/a", hosts: ["node1", "node1", "node2"],
      threads: 2, parallelThreads: 4, sequenceRanks: 3, dataGroups: 1,
      shardLengths: [170, 171, 171], parameters: 123_456, recallChance: chance,
      tokensAreBytes: bytes, expectedMemoryBytes: 200 << 20, blasCore: "Haswell", sgemmPeak: 100)
  }

  static func sums(loss: Double = 1.386294361119890) -> LossSums {
    var sums = LossSums(loss: loss * 16, targets: 16)
    sums.inside = LossSums.Answers(right: 1, asked: 4)
    sums.crossing = LossSums.Answers(right: 12, asked: 12)
    return sums
  }

  /// A step of 8,192 tokens in half a second; the second rank waited for a tenth of it;
  /// a fifth of the sums of gradients was not hidden.
  static func step(_ step: Int, loss: Double = 1.386294361119890, recall: Bool = true) -> StepReport
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
    let sums = recall ? Self.sums(loss: loss) : LossSums(loss: loss, targets: 1)
    return StepReport(
      outcome: StepOutcome(step: step, sums: sums, gradientNorm: 0.8123, learningRate: 0.005),
      tokens: 8192, seconds: 0.5, operations: 1e11, ranks: [first, second])
  }
}

/// What a console printed.
final class Captured: Sendable {
  private let texts = Mutex<(lines: [String], feet: [String])>(([], []))

  var lines: [String] { texts.withLock { $0.lines } }
  var feet: [String] { texts.withLock { $0.feet } }

  func output(terminal: Bool = false, width: Int = 100) -> TerminalOutput {
    let foot: @Sendable (String) -> Void = { text in self.texts.withLock { $0.feet.append(text) } }
    return TerminalOutput(width: width, foot: terminal ? foot : nil) { text in
      self.texts.withLock { $0.lines.append(text) }
    }
  }
}
