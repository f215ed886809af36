import Checkpoints
import Foundation
import TemporaryFolders
import Tensors
import Testing

@testable import MessagePassing
@testable import Training

/// Runs that are asked to stop before their end.
@Suite("A stop that is asked for")
struct StopTests {
  init() { BLAS.setThreads(1) }

  /// Trains on ranks that are threads; gives how each ended.
  @discardableResult
  private func train(
    _ keys: [String], into folder: String, ranks: Int = 2,
    until isAsked: @escaping @Sendable (_ rank: Int, _ asked: Int) -> Bool = { _, _ in false }
  ) throws -> [TrainingEnd] {
    let small = try SmallRun(keys + ["log.directory=\(folder)"])
    return try ThreadCommunicator.run(ranks: ranks, deadline: 60) { communicator in
      let session = try TrainingSession(
        small.configuration,
        world: World(
          communicator: communicator, host: Host(ranks: ranks, index: communicator.rank)),
        workspace: Workspace())
      var asked = 0
      return try session.train {
        asked += 1
        return isAsked(communicator.rank, asked)
      }
    }
  }

  private func weights(_ folder: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: folder + "/model/model.safetensors"))
  }

  @Test(
    "A step of many micro-batches is given up behind one, and the run goes on with the same bits")
  func withinStep() throws {
    let temporary = try TemporaryFolder()
    defer { withExtendedLifetime(temporary) {} }
    let folder = temporary.path
    let (whole, parts) = (folder + "/whole", folder + "/parts")
    let keys = [
      "training.steps=3", "training.batch=8", "training.accumulation=4", "evaluation.every=0",
    ]
    try train(keys, into: whole)
    // Asked once a step.
    let ends = try train(keys, into: parts) { rank, asked in rank == 1 && asked >= 2 }
    #expect(ends == [.stopped, .stopped])
    let log = try String(contentsOfFile: parts + "/log.jsonl", encoding: .utf8)
    #expect(log.contains(#""reason":"stopped by a signal","steps":1,"#))
    try train(keys + ["training.resume=auto"], into: parts)
    #expect(try weights(parts) == weights(whole))
  }

  @Test("An evaluation that was due when a run stopped is done before its next step")
  func evaluation() throws {
    let temporary = try TemporaryFolder()
    defer { withExtendedLifetime(temporary) {} }
    let folder = temporary.path
    let keys = ["training.steps=4", "evaluation.every=2", "evaluation.tokens=\(4 * 61)"]
    // Asked once a step and once an evaluation.
    try train(keys, into: folder) { rank, asked in rank == 0 && asked == 2 }
    try train(keys + ["training.resume=auto"], into: folder)
    let log = try String(contentsOfFile: folder + "/log.jsonl", encoding: .utf8)
    let events = log.split(separator: "\n").compactMap { line -> String? in
      guard
        let json = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
        let event = json["event"] as? String, ["step", "evaluation"].contains(event)
      else { return nil }
      return "\(event) \(json["step"] ?? "")"
    }
    #expect(
      events == ["step 1", "step 2", "evaluation 2", "step 3", "step 4", "evaluation 4"])
  }

  @Test("Minutes that are over and an allocation that ends ask for a stop, and say so")
  func reasons() {
    let now = Date(timeIntervalSince1970: 1_000_000)
    #expect(StopRequest(maxMinutes: 0, environment: [:]).reason(now: now) == nil)
    #expect(StopRequest(maxMinutes: 60, environment: [:]).reason(now: now) == nil)
    #expect(
      StopRequest(maxMinutes: 60, environment: [:]).reason(
        now: now, uptime: ProcessInfo.processInfo.systemUptime + 3600)
        == "stopped by training.max_minutes")
    var request = StopRequest(maxMinutes: 0, environment: ["SLURM_JOB_END_TIME": "1000090"])
    #expect(request.reason(now: now) == nil)
    request.reserve = 90
    #expect(request.reason(now: now) == "stopped before the end of the Slurm allocation")
  }
}
