import Configuration
import Foundation
import Glibc
import Synchronization
import TemporaryFolders
import Tensors
import Testing

@testable import MessagePassing
@testable import Training

@Suite("A run's folder has one writer")
struct RunLockTests {
  private let folder: TemporaryFolder

  init() throws {
    BLAS.setThreads(1)
    folder = try TemporaryFolder()
  }

  private var file: String { folder.path + "/writer.json" }

  /// Leaves a lock of somebody, whose last sign of life is some seconds old.
  private func leave(_ owner: RunLock.Owner, age: Int = 0) throws {
    try leave(owner.json.text, age: age)
  }

  private func leave(_ text: String, age: Int) throws {
    try text.write(toFile: file, atomically: false, encoding: .utf8)
    var times = [timespec(), timespec()]
    for index in 0..<2 { times[index].tv_sec = time(nil) - age }
    utimensat(AT_FDCWD, file, times, 0)
  }

  private func owner(_ change: (inout RunLock.Owner) -> Void) -> RunLock.Owner {
    var owner = RunLock.Owner.current
    change(&owner)
    return owner
  }

  @Test("A second writer is refused by a sentence that names the first, until that is done")
  func one() throws {
    let first = try RunLock(folder.path)
    let error = #expect(throws: TrainingError.self) { _ = try RunLock(folder.path) }
    let text = try #require(error).description
    #expect(text.hasPrefix("\(folder.path) is written to by process \(getpid()) on "))
    #expect(text.contains("which runs") && text.contains("training.name"))
    #expect(ExitReason(error!) == .configuration)
    #expect(first.isHeld)
    first.release()
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    try RunLock(folder.path).release()
  }

  @Test("A lock is taken over where its process is gone: no such number, or another start")
  func stale() throws {
    try leave(owner { $0.process = 1 << 22 + 7 })
    try RunLock(folder.path).release()
    try leave(owner { $0.started -= 1 })
    let lock = try RunLock(folder.path)
    #expect(lock.isHeld && lock.holder == .current(since: lock.holder?.since ?? 0))
    lock.release()
  }

  @Test("Another host's lock holds as long as there are signs of life; a damaged one as well")
  func hosts() throws {
    let other = owner { ($0.host, $0.boot, $0.process) = ("node7", "another", 12) }
    try leave(other, age: 20)
    let error = #expect(throws: TrainingError.self) { _ = try RunLock(folder.path) }
    let text = try #require(error).description
    #expect(text.contains("process 12 on node7, whose last sign of life is 2"))
    #expect(text.contains("start again in "))
    try leave(other, age: 100)
    try RunLock(folder.path).release()
    try leave("{\"host\":", age: 20)
    #expect(throws: TrainingError.self) { _ = try RunLock(folder.path) }
    try leave("{\"host\":", age: 100)
    try RunLock(folder.path).release()
  }

  @Test("Of many that take a stale lock over at once, one gets it")
  func race() throws {
    for _ in 0..<20 {
      try leave(owner { $0.started -= 1 })
      let held = Mutex<[RunLock]>([])
      let path = folder.path
      DispatchQueue.concurrentPerform(iterations: 8) { _ in
        if let lock = try? RunLock(path) { held.withLock { $0.append(lock) } }
      }
      let all = held.withLock { $0 }
      #expect(all.count == 1 && all.allSatisfy(\.isHeld))
      for lock in all { lock.release() }
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }

  /// A run of one rank in a folder below.
  private func session(_ overrides: String..., overwrite: Bool = false) throws -> TrainingSession {
    let small = try SmallRun(
      ["training.steps=6", "evaluation.every=0", "log.directory=\(folder.path)/run"] + overrides)
    var options = TrainingOptions()
    options.overwrites = overwrite
    return try TrainingSession(
      small.configuration, options,
      world: World(communicator: SoloCommunicator(), host: Host(ranks: 1, index: 0)),
      workspace: Workspace())
  }

  private func log() throws -> String {
    try String(contentsOfFile: folder.path + "/run/log.jsonl", encoding: .utf8)
  }

  @Test("Neither --overwrite nor going on replaces a run that still writes")
  func live() throws {
    let first = try session()
    var refused: [String] = []
    _ = try first.train {
      if first.done == 2 {
        for (resume, overwrite) in [("none", true), ("auto", false), ("none", false)] {
          do {
            _ = try session("training.resume=\(resume)", overwrite: overwrite)
          } catch { refused.append("\(error)") }
        }
      }
      return false
    }
    #expect(refused.count == 3 && refused.allSatisfy { $0.contains("which runs") })
    #expect(try log().contains(#""reason":"finished","steps":6"#))
    // Now it is done.
    _ = try session(overwrite: true).train()
  }

  @Test(
    "A log, or a whole folder, that is removed while the run writes is noticed, and made anew",
    arguments: [true, false])
  func removed(whole: Bool) throws {
    let run = try session("checkpoint.every=5")
    _ = try run.train {
      if run.done == 3 {
        try? FileManager.default.removeItem(
          atPath: folder.path + (whole ? "/run" : "/run/log.jsonl"))
      }
      return false
    }
    let lines = try log().split(separator: "\n")
    #expect(lines[0].hasPrefix(#"{"event":"start""#) && lines[0].contains(#""steps_done":4"#))
    #expect(
      lines[1].hasPrefix(#"{"event":"warning""#)
        && lines[1].contains("was removed, moved or replaced"))
    #expect(lines.count { $0.hasPrefix(#"{"event":"step""#) } == 3)
    #expect(FileManager.default.fileExists(atPath: folder.path + "/run/model/model.safetensors"))
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/run/writer.json"))
  }

  @Test("A run whose folder was taken by another ends, and writes nothing more there")
  func lost() throws {
    let run = try session()
    let path = folder.path + "/run/writer.json"
    let other = owner { ($0.host, $0.boot) = ("node7", "another") }
    let error = #expect(throws: TrainingError.self) {
      _ = try run.train {
        if run.done == 3 {
          try? FileManager.default.removeItem(atPath: path)
          try? other.json.text.write(toFile: path, atomically: false, encoding: .utf8)
        }
        return false
      }
    }
    #expect("\(try #require(error))".contains("was taken by process \(getpid()) on node7"))
    #expect(FileManager.default.fileExists(atPath: path))
  }
}

extension RunLock.Owner {
  /// This process, which took a folder then.
  static func current(since: Double) -> Self {
    var owner = current
    owner.since = since
    return owner
  }
}
