import Checkpoints
@testable import Configuration
import Corpora
import Files
import Foundation
import Glibc
import Inference
import MessagePassing
import Reporting
import Testing

@testable import Training

@Suite("Exit codes")
struct ExitReasonTests {
  @Test(
    "An error's kind is its code",
    arguments: [
      (
        ConfigurationError([Problem(origin: .defaults, key: nil, message: "wrong")]),
        ExitReason.configuration
      ),
      (TrainingError.folderTaken("runs/a"), .configuration),
      (CorpusError.empty(path: "a.txt"), .data),
      (CorpusError.file(FileError("open", "a.txt", code: ENOENT)), .data),
      (CheckpointError.damaged(path: "a", reason: "short"), .checkpoint),
      (CheckpointError.file(FileError("open", "a", code: ENOENT)), .checkpoint),
      (MessagePassingError.deadline(purpose: "a state", seconds: 300), .communication),
      (TrainingError.disagreement("rank 1 has another configuration"), .communication),
      (
        TrainingError.notFinite(SkippedStep(step: 1, cause: .sum, batch: 1, inARow: 5)), .numerical
      ),
      (TrainingError.weightsNotFinite(step: 1, name: "head"), .numerical),
      (TrainingError.evaluationNotFinite(step: 1, loss: .nan), .numerical),
      (NotFiniteError("the loss", .nan), .numerical),
      (CheckpointError.notFinite(path: "a", name: "w", value: .nan), .numerical),
      (CorpusError.noTarget(paths: ["a"]), .data),
      (CheckpointError.file(FileError("write", "a", code: ENOSPC)), .resources),
      (CheckpointError.noRoom(path: "a", needed: 2 << 20, free: 1 << 20), .resources),
      (CheckpointError.noneWhole(path: "a", count: 1, reason: "short"), .checkpoint),
      (CheckpointError.noCheckpoint(path: "a"), .checkpoint),
      (FileError("write", "log.jsonl", code: EDQUOT), .resources),
      (FileError("write", "log.jsonl", code: EACCES), .failure),
      (
        MessagePassingError.interrupted(
          purpose: "a state", by: CorpusError.empty(path: "a.txt")), .data
      ),
    ] as [(any Error & Sendable, ExitReason)])
  func kinds(error: any Error & Sendable, status: ExitReason) {
    #expect(ExitReason(error) == status)
  }

  @Test("A run that a signal stopped ends as MPI lets it end well")
  func stopped() {
    #expect(ExitReason.stopped.rawValue == World.stopCode)
    #expect(TrainingEnd.stopped.exitReason == .stopped)
  }

  @Test("Docs/ExitCodes.md has a row for each code")
  func table() throws {
    let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Docs/ExitCodes.md")
    let text = try String(contentsOf: page, encoding: .utf8)
    for status in ExitReason.allCases { #expect(text.contains("\n| \(status.rawValue) | ")) }
  }
}
