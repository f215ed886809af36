import Checkpoints
import Foundation
@testable import MessagePassing
import TemporaryFolders
import Tensors
import Testing

@testable import Training

@Suite("Runs with steps that do harm")
struct SkippedRunTests {
  init() { BLAS.setThreads(1) }

  /// Trains on ranks that are threads; `before` is called on each rank before a step, with the steps done.
  private func train(
    _ small: SmallRun, ranks: Int,
    before: @Sendable (TrainingRun, _ done: Int) -> Void
  ) throws {
    try ThreadCommunicator.run(ranks: ranks, deadline: 60) { communicator in
      let session = try TrainingSession(
        small.configuration,
        world: World(
          communicator: communicator, host: Host(ranks: ranks, index: communicator.rank)),
        workspace: Workspace())
      _ = try session.train {
        before(session.run, session.done)
        return false
      }
      try session.run.store.settle(polling: session.workspace.poll)
    }
  }

  private func events(_ name: String, in folder: String) throws -> [Substring] {
    try String(contentsOfFile: folder + "/log.jsonl", encoding: .utf8).split(separator: "\n")
      .filter { $0.hasPrefix(#"{"event":"\#(name)""#) }
  }

  @Test(
    "After max_skips steps without finite numbers the run ends; its last good checkpoint stays",
    arguments: [1, 3])
  func ends(ranks: Int) throws {
    let folder = try TemporaryFolder()
    let run = folder.path + "/run"
    let small = try SmallRun(
      "training.steps=20", "training.max_skips=3", "checkpoint.every=2", "checkpoint.keep=1",
      "evaluation.every=0", "log.directory=\(run)")
    let error = try #require(throws: TrainingError.self) {
      try train(small, ranks: ranks) { run, done in
        if done == 5 { run.store.kept[0].values[3] = .nan }
      }
    }
    #expect(ExitReason(error) == .numerical)
    #expect("\(error)".contains("in 3 steps in a row"))
    #expect(try CheckpointFolder(path: run + "/checkpoints").latest()?.state.step == 4)
    #expect(!FileManager.default.fileExists(atPath: run + "/model"))
    let skips = try events("skip", in: run)
    #expect(skips.count == 3)
    // Step 6 is the sixth batch of four sequences.
    #expect(skips[0].contains(#""step":6,"cause":"loss","rank":0,"#))
    #expect(skips[0].contains(#""sequences":[20,23],"in_a_row":1"#))
    #expect(try events("step", in: run).count == 8)
    #expect(try events("end", in: run)[0].contains("\(error)"))
  }

  @Test(
    "A run whose update leaves no finite weight saves nothing of it",
    arguments: [1, 2])
  func weights(ranks: Int) throws {
    let folder = try TemporaryFolder()
    let run = folder.path + "/run"
    let small = try SmallRun(
      "training.steps=20", "checkpoint.every=1", "checkpoint.keep=1", "evaluation.every=0",
      "log.directory=\(run)", "parallel.sharding=optimizer")
    let error = try #require(throws: TrainingError.self) {
      try train(small, ranks: ranks) { run, done in
        if done == 5 { run.optimizer.states[1].numbers.pointer[0] = .nan }
      }
    }
    #expect(ExitReason(error) == .numerical && "\(error)".hasPrefix("step 6: the update"))
    #expect(try CheckpointFolder(path: run + "/checkpoints").latest()?.state.step == 5)
  }

  @Test(
    "A rewind gives back the last checkpoint's weights and state, and goes on with the step after the spike",
    arguments: [(1, "none"), (3, "none"), (2, "optimizer"), (2, "parameters")])
  func rewind(ranks: Int, sharding: String) throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/run"
    let small = try SmallRun(
      "training.steps=8", "checkpoint.every=2", "checkpoint.keep=0", "evaluation.every=0",
      "log.directory=\(path)", "training.on_spike=rewind", "training.spike_window=32",
      "parallel.sharding=\(sharding)")
    try train(small, ranks: ranks) { run, done in
      guard done == 5 else { return }
      run.vigilance = StepGuard(
        small.configuration.training,
        memory: StepGuard.Memory(
          losses: (0..<32).map { 0.1 + 0.001 * Double($0 % 5) },
          norms: [Double](repeating: 1e9, count: 32)))
    }
    let spikes = try events("spike", in: path)
    #expect(spikes.count == 3)
    #expect(spikes[0].contains(#""step":6,"quantity":"loss""#))
    #expect(spikes[0].contains(#""action":"rewind","in_a_row":1,"checkpoint_step":4"#))
    // What the run has after its rewinds at steps 6, 7 and 8, by hand.
    try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let (one, other) = (try small.make(on: world), try small.make(on: world))
      let checkpoints = try [8, 6, 4].map {
        try Checkpoint(path: "\(path)/checkpoints/\(CheckpointFolder.name($0))")
      }
      try one.read(checkpoints[0])
      try other.read(checkpoints[1])
      #expect(one.weights == other.weights)
      try other.read(checkpoints[2])
      #expect(other.optimizer.stateStart == 0 && one.weights == other.weights)
      // Four updates, and four steps left out.
      #expect(one.optimizer.stateStart == 4)
    }
  }

  @Test(
    "A run with spikes that goes on from its checkpoint has the same spikes and ends with the same bits",
    arguments: ["skip", "rewind"])
  func resumes(action: String) throws {
    let folder = try TemporaryFolder()
    let (first, second) = (folder.path + "/first", folder.path + "/second")
    // With so low a threshold every few steps are spikes.
    let keys = [
      "training.steps=40", "checkpoint.every=10", "checkpoint.keep=0", "evaluation.every=0",
      "training.on_spike=\(action)", "training.spike_window=8", "training.spike_threshold=1",
    ]
    try train(SmallRun(keys + ["log.directory=\(first)"]), ranks: 2) { _, _ in }
    try train(
      SmallRun(
        keys + ["log.directory=\(second)", "training.resume=\(first)/checkpoints/step-00000020"]),
      ranks: 2
    ) { _, _ in }
    let files = try [first, second].map {
      try Data(contentsOf: URL(fileURLWithPath: $0 + "/model/model.safetensors"))
    }
    #expect(files[0] == files[1])
    func spikes(_ folder: String) throws -> [String] {
      try events("spike", in: folder).map { String($0[$0.range(of: #""step""#)!.lowerBound...]) }
    }
    let (before, after) = (try spikes(first), try spikes(second))
    #expect(
      before.count > after.count && !after.isEmpty && before.suffix(after.count) == after[...])
  }
}
