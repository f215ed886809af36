import Checkpoints
import Files
import Foundation
import Synchronization
import TemporaryFolders
import Tensors
import Testing

@testable import MessagePassing
@testable import Training

@Suite("Checkpoints are written while the run goes on")
struct BackgroundCheckpointTests {
  init() { BLAS.setThreads(1) }

  /// Trains on ranks that are threads; gives how each ended.
  @discardableResult
  private func train(
    _ small: SmallRun, ranks: Int,
    prepare: @escaping @Sendable (TrainingSession) -> Void = { _ in },
    until isAsked: @escaping @Sendable (TrainingSession) -> Bool = { _ in false }
  ) throws -> [TrainingEnd] {
    try ThreadCommunicator.run(ranks: ranks, deadline: 60) { communicator in
      let session = try TrainingSession(
        small.configuration,
        world: World(
          communicator: communicator, host: Host(ranks: ranks, index: communicator.rank)),
        workspace: Workspace())
      prepare(session)
      let end = try session.train { isAsked(session) }
      try session.run.store.settle(polling: session.workspace.poll)
      return end
    }
  }

  private func small(_ folder: String, _ more: [String]) throws -> SmallRun {
    try SmallRun(
      [
        "training.steps=8", "checkpoint.every=3", "checkpoint.keep=0", "evaluation.every=0",
        "log.directory=\(folder)",
      ] + more)
  }

  private func log(_ folder: String) throws -> String {
    try String(contentsOfFile: folder + "/log.jsonl", encoding: .utf8)
  }

  @Test(
    "What ranks write together beside the run is byte for byte what rank 0 writes while it stands still",
    arguments: [
      (1, []), (3, []), (3, ["parallel.sharding=optimizer"]), (2, ["parallel.sharding=gradients"]),
      (3, ["parallel.sharding=parameters", "optimizer.name=muon"]),
      (2, ["lora.rank=2", "lora.targets=[out_proj]", "parallel.sharding=optimizer"]),
    ] as [(Int, [String])])
  func bytes(ranks: Int, more: [String]) throws {
    let folder = try TemporaryFolder()
    let file = try TextFile((0..<900).map { UInt8(($0 * $0 + $0 / 7) % 11) })
    let keys = more + ["data.path=\(file.path)", "data.carry=true", "sequence.length=20"]
    let folders = ["true", "false"].map { folder.path + "/" + $0 }
    for path in folders {
      let beside = path.hasSuffix("true")
      try train(small(path, keys + ["checkpoint.background=\(beside)"]), ranks: ranks)
    }
    for step in [3, 6] {
      let checkpoints = try folders.map {
        try Checkpoint(path: "\($0)/checkpoints/\(CheckpointFolder.name(step))")
      }
      for checkpoint in checkpoints { try checkpoint.verify() }
      let names = try FileManager.default.subpathsOfDirectory(atPath: checkpoints[0].path).sorted()
      #expect(
        try names == FileManager.default.subpathsOfDirectory(atPath: checkpoints[1].path).sorted())
      for name in names where name.hasSuffix(".safetensors") {
        let contents = try checkpoints.map {
          try Data(contentsOf: URL(fileURLWithPath: "\($0.path)/\(name)"))
        }
        #expect(contents[0] == contents[1], "\(name) after step \(step)")
      }
      #expect(names.contains("optimizer.safetensors") && names.contains("streams.safetensors"))
    }
    #expect(try log(folders[0]).contains(#""stall_seconds":"#))
  }

  @Test("The run goes on while a rank still writes, and its end waits for it", arguments: [0, 2])
  func overlaps(slow: Int) throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/run"
    let gate = DispatchSemaphore(value: 0)
    try train(small(path, ["checkpoint.every=4"]), ranks: 3) { session in
      guard session.world.rank == slow else { return }
      session.beforeWriting = { gate.wait() }
    } until: { session in
      // Three steps more were done while it was written; the next one waits for it.
      if session.world.rank == slow, session.done == 7 {
        #expect(session.inFlight?.step == 4)
        for _ in 0..<9 { gate.signal() }
      }
      return false
    }
    let checkpoints = try CheckpointFolder(path: path + "/checkpoints").items()
    #expect(checkpoints.map(\.step) == [4, 8])
    for item in checkpoints { try item.checkpoint.get().verify() }
    #expect(try log(path).contains(#""reason":"finished""#))
  }

  @Test(
    "A writer that fails, on whichever rank, costs its checkpoint and not the run: the one before stays",
    arguments: [0, 1], ["none", "optimizer"])
  func fails(rank: Int, sharding: String) throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/run"
    let writes = Mutex(0)
    let run = try small(
      path, ["checkpoint.every=2", "checkpoint.keep=1", "parallel.sharding=\(sharding)"])
    let ends = try train(run, ranks: 2) { session in
      guard session.world.rank == rank else { return }
      session.beforeWriting = {
        // The second of the run.
        let number = writes.withLock {
          $0 += 1
          return $0
        }
        if number == 2 { throw FileError("write", "state", code: ENOSPC) }
      }
    } until: { session in
      // Each is done before the next is due.
      try? session.finishCheckpoint()
      return false
    }
    #expect(ends == [.finished, .finished])
    let text = try log(path)
    #expect(text.contains("the checkpoint after step 4 could not be written: rank \(rank) ("))
    #expect(text.contains("step-00000002 stays; the run goes on"))
    let left = try FileManager.default.contentsOfDirectory(atPath: path + "/checkpoints")
    #expect(left.allSatisfy { $0.hasPrefix("step-") } && !left.contains("step-00000004"))
    #expect(try CheckpointFolder(path: path + "/checkpoints").latest()?.state.step ?? 0 >= 6)
  }

  @Test("Where a rank does not see the folder, rank 0 writes all, and says so")
  func blind() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/run"
    try train(small(path, ["parallel.sharding=parameters"]), ranks: 3) { session in
      if session.world.rank == 2 { session.sees = { _ in false } }
    }
    for item in try CheckpointFolder(path: path + "/checkpoints").items() {
      try item.checkpoint.get().verify()
    }
    #expect(try log(path).contains("1 of 3 ranks do not see "))
    #expect(
      try CheckpointFolder(path: path + "/checkpoints").items().map(\.step).prefix(2) == [3, 6])
  }

  @Test("A disk that never comes back ends the run on all ranks, naming the rank that waits for it")
  func standsStill() throws {
    let folder = try TemporaryFolder()
    let gate = DispatchSemaphore(value: 0)
    // The writers end before their numbers go.
    defer { for _ in 0..<9 { gate.signal() } }
    let error = #expect(throws: TrainingError.self) {
      try train(small(folder.path + "/run", []), ranks: 3) { session in
        guard session.world.rank == 1 else { return }
        session.diskPatience = 0
        session.beforeWriting = { gate.wait() }
      }
    }
    #expect("\(error!)".hasPrefix("rank 1 ("))
    #expect("\(error!)".contains("could not finish writing the checkpoint after step 3"))
    #expect(ExitReason(error!) == .resources)
  }

  @Test("A stop while a checkpoint is written waits for it, and leaves one of the last step")
  func stops() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/run"
    let ends = try train(small(path, []), ranks: 2) { session in
      session.beforeWriting = { usleep(20_000) }
    } until: {
      $0.world.rank == 1 && $0.done == 4
    }
    #expect(ends == [.stopped, .stopped])
    #expect(try CheckpointFolder(path: path + "/checkpoints").items().map(\.step) == [3, 5])
  }
}
