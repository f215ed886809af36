import Checkpoints
import Configuration
import Foundation
import SequenceParallel
import Tensors
import Testing

@testable import MessagePassing
@testable import Training

@Suite("The trainer")
struct TrainerTests {
  init() { BLAS.setThreads(1) }

  /// Trains on ranks that are threads; gives how each rank ended.
  @discardableResult
  private func train(
    _ small: SmallRun, ranks: Int, until isAsked: @Sendable (_ rank: Int, _ asked: Int) -> Bool
  ) throws -> [TrainingEnd] {
    try ThreadCommunicator.run(ranks: ranks, deadline: 60) { communicator in
      let world = World(
        communicator: communicator, host: Host(ranks: ranks, index: communicator.rank))
      let session = try TrainingSession(
        small.configuration, world: world, workspace: Workspace())
      var asked = 0
      return try session.train {
        asked += 1
        return isAsked(communicator.rank, asked)
      }
    }
  }

  /// Trains to the end; gives the bytes of the final weights.
  private func train(_ small: SmallRun, ranks: Int, into folder: String) throws -> Data {
    #expect(try train(small, ranks: ranks) { _, _ in false }.allSatisfy { $0 == .finished })
    return try Data(contentsOf: URL(fileURLWithPath: folder + "/model/model.safetensors"))
  }

  @Test("A run that goes on from its checkpoint ends with the same bits", arguments: [1, 3])
  func resumes(ranks: Int) throws {
    let folder = NSTemporaryDirectory() + "lasp-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let (first, second) = (folder + "/first", folder + "/second")
    let keys = [
      "training.steps=6", "checkpoint.every=2", "evaluation.every=3", "checkpoint.keep=0",
      "log.tensorboard=true", "log.ranks=summary",
    ]
    let through = try train(
      SmallRun(keys + ["log.directory=\(first)"]), ranks: ranks, into: first)
    let resumed = try train(
      SmallRun(
        keys + ["log.directory=\(second)", "training.resume=\(first)/checkpoints/step-00000004"]),
      ranks: ranks, into: second)
    #expect(resumed == through)
    // What was interrupted goes on by itself, in its own folder.
    let checkpoints = first + "/checkpoints"
    try FileManager.default.removeItem(atPath: checkpoints + "/step-00000006")
    try FileManager.default.removeItem(atPath: first + "/model")
    let again = try train(
      SmallRun(keys + ["log.directory=\(first)", "training.resume=auto"]), ranks: ranks,
      into: first)
    #expect(again == through)
  }

  @Test("One rank that is asked to stop stops all, with a checkpoint from which the run goes on")
  func stops() throws {
    let folder = NSTemporaryDirectory() + "lasp-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let (whole, parts) = (folder + "/whole", folder + "/parts")
    let keys = ["training.steps=6", "evaluation.every=0"]
    let through = try train(SmallRun(keys + ["log.directory=\(whole)"]), ranks: 3, into: whole)
    let ends = try train(SmallRun(keys + ["log.directory=\(parts)"]), ranks: 3) { rank, asked in
      rank == 2 && asked == 4
    }
    #expect(ends == [.stopped, .stopped, .stopped])
    #expect(try CheckpointFolder(path: parts + "/checkpoints").latest()?.state.step == 4)
    #expect(!FileManager.default.fileExists(atPath: parts + "/model"))
    let log = try String(contentsOfFile: parts + "/log.jsonl", encoding: .utf8)
    #expect(log.contains(#""reason":"stopped by a signal","steps":4,"#))
    let resumed = try train(
      SmallRun(keys + ["log.directory=\(parts)", "training.resume=auto"]), ranks: 3, into: parts)
    #expect(resumed == through)
  }

  @Test("A rank that is asked to stop in an evaluation ends it on all, and the run goes on later")
  func stopsInEvaluation() throws {
    let folder = NSTemporaryDirectory() + "lasp-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let (whole, parts) = (folder + "/whole", folder + "/parts")
    // Evaluations of 5 steps after steps 3 and 6; a rank is asked once a step of either kind.
    let keys = ["training.steps=6", "evaluation.every=3", "evaluation.tokens=\(5 * 4 * 61)"]
    let through = try train(SmallRun(keys + ["log.directory=\(whole)"]), ranks: 4, into: whole)
    let grid = ["parallel.data=2", "parallel.sequence=2", "log.directory=\(parts)"]
    let ends = try train(SmallRun(keys + grid), ranks: 4) { rank, asked in
      rank == 3 && asked == 5
    }
    #expect(ends == [.stopped, .stopped, .stopped, .stopped])
    #expect(try CheckpointFolder(path: parts + "/checkpoints").latest()?.state.step == 3)
    let log = try String(contentsOfFile: parts + "/log.jsonl", encoding: .utf8)
    #expect(!log.contains(#""event":"evaluation""#))
    let resumed = try train(
      SmallRun(keys + ["log.directory=\(parts)", "training.resume=auto"]), ranks: 4, into: parts)
    #expect(resumed.count == through.count)
  }

  @Test("All tokens of a task without an end are refused by the key before the first step")
  func endlessEvaluation() throws {
    let run = try SmallRun("evaluation.tokens=0")
    #expect {
      _ = try RunSetup(run.configuration)
    } throws: { error in
      error is ConfigurationError && "\(error)".contains("evaluation.tokens")
        && "\(error)".contains("no end")
    }
    #expect(throws: Never.self) {
      _ = try RunSetup(SmallRun("evaluation.tokens=0", "evaluation.every=0").configuration)
    }
  }

  @Test("The banner's memory is that of the exchange that auto took")
  func expectedMemory() throws {
    // A shard of few tokens and wide states, where a gather holds the states of all ranks.
    let keys = [
      "sequence.length=16", "model.dimension=64", "model.heads=1", "parallel.reproducible=4",
      "parallel.sequence=4",
    ]
    func memory(_ exchange: String) throws -> Int {
      let run = try SmallRun(keys + ["parallel.exchange=\(exchange)"])
      return try ThreadCommunicator.run(ranks: 4, deadline: 60) { world in
        let setup = try RunSetup(run.configuration)
        let rehearsals = setup.rehearsals(run.configuration, ranks: 4)
        let choice = try ExchangeChoice(measuring: rehearsals, world: world)
        return try TrainingSession.runMemory(rehearsals, choice, processes: 4)
      }[0]
    }
    let named = try Dictionary(
      uniqueKeysWithValues: ExchangeKind.allCases.map { ($0, try memory($0.rawValue)) })
    #expect(Set(named.values).count > 1)
    let auto = try SmallRun(keys + ["parallel.exchange=auto"]).configuration
    let taken = try ExchangeChoice(planning: RunSetup(auto).rehearsals(auto, ranks: 4))
    #expect(taken.kind != .chain)
    #expect(try memory("auto") == named[taken.kind])
  }
}
