import Checkpoints
import Faults
import Files
import Foundation
import Measurement
import MessagePassing
import Reporting

/// A checkpoint that is being written.
struct CheckpointInFlight {
  /// Steps done when its numbers were taken.
  let step: Int
  /// When that began, by the system's uptime.
  let started: Double
  /// Seconds that the run stood still for it; nil while it does.
  var stall: Double?
  /// This rank's numbers.
  let copy: CheckpointCopy
  /// What closes it; on rank 0.
  let closing: Closing?
  /// Whether all ranks' numbers are on the disk, and rank 0 closes it.
  var isClosing = false

  /// Rank 0's part.
  ///
  /// Unchecked: the run makes it, then only the copy's thread uses it, and after that has ended the run again.
  final class Closing: @unchecked Sendable {
    let writer: CheckpointWriter
    /// When it is whole.
    var checkpoint: Checkpoint?

    init(_ writer: CheckpointWriter) { self.writer = writer }
  }
}

/// How checkpoints are written: by all ranks together, beside the run.
///
/// Concretely: rank 0 makes the folder; every rank copies what it is to write, and a thread of each brings it to the disk while
/// the run goes on. After each step all ranks sum up, by the run's own thread, who still writes; when nobody does, rank 0 gets the
/// hashes of all ranges and its thread closes the checkpoint. What fails on one rank is known to all by the same sum.
extension TrainingSession {
  /// Writes a checkpoint of the steps done and waits until it is whole, unless the last one is of this step; gives its folder, on
  /// rank 0.
  ///
  /// Collective.
  ///
  /// - Throws: `TrainingError.notSaved` on all ranks.
  @discardableResult
  func checkpoint() throws -> String? {
    saveProblem = nil
    try beginCheckpoint(waiting: true)
    try Phase.during("the checkpoint after step", done, .long) { try finishCheckpoint() }
    if let saveProblem { throw TrainingError.notSaved(step: done, reason: saveProblem) }
    return history.checkpoint?.path
  }

  /// Begins a checkpoint of the steps done, as soon as the one before is whole.
  ///
  /// Collective. What cannot be written is told of, and the run goes on.
  ///
  /// - Parameter waiting: Whether the run stands still until it is whole.
  func beginCheckpoint(waiting: Bool = false) throws {
    try Phase.during("the checkpoint after step", done, .long) {
      try begin(waiting: waiting)
    }
  }

  private func begin(waiting: Bool) throws {
    let started = ProcessInfo.processInfo.systemUptime
    // Which steps have one must not depend on how fast a disk is.
    try finishCheckpoint()
    guard history.savedStep != done else { return }
    saved = clock()
    try run.checkWeights()
    var made: CheckpointWriter?
    var problem = ""
    if let outputs {
      do {
        made = try makeWriter(outputs)
      } catch { problem = "\(error)" }
    }
    // Rank 0 alone can fail so far, and tells all.
    let answer = try world.broadcast(made.map { "1\($0.folder)" } ?? "0\(problem)")
    let folder = String(answer.dropFirst())
    guard answer.hasPrefix("1") else {
      return try fail(step: done, folder)
    }
    history.savedStep = done
    guard try allSee(folder) else {
      return try writeThroughFirst(made, started: started)
    }
    let copies = !waiting && configuration.checkpoint.background
    let numbers = try run.ownNumbers()
    let copy = try copies ? copyOnAll(numbers) : nil
    inFlight = CheckpointInFlight(
      step: done, started: started, copy: copy ?? CheckpointCopy(of: numbers),
      closing: made.map(CheckpointInFlight.Closing.init))
    try startWriting(to: folder)
    if copy == nil {
      try finishCheckpoint()
    } else {
      inFlight?.stall = ProcessInfo.processInfo.systemUptime - started
    }
  }

  /// Lets this rank's thread write its numbers.
  private func startWriting(to folder: String) throws {
    guard let flight = inFlight else { return }
    FaultPoint.reach("checkpoint")
    let (layout, position, first) = (run.checkpointLayout, run.carried, beforeWriting)
    let streams = try run.collectStreams(step: done)
    let closing = flight.closing
    flight.copy.start { forEach in
      try first()
      FaultPoint.reach("writing")
      if let closing {
        if let streams { try closing.writer.write(streams: streams, position: position) }
        try forEach { try closing.writer.write($0.0, $0.1, $0.2) }
        return []
      }
      let ranges = RangeWriter(layout, in: folder)
      try forEach { try ranges.write($0.0, $0.1, $0.2) }
      return try ranges.finish()
    }
  }

  /// Whether all ranks see a folder of rank 0's.
  private func allSee(_ folder: String) throws -> Bool {
    guard world.size > 1 else { return true }
    // Nobody has looked for the name before, so that no cache says that it is not there.
    let token = try world.broadcast(world.rank == 0 ? "\(UInt64.random(in: 0 ... .max))" : "")
    let path = "\(folder)/.seen-\(token)"
    if world.rank == 0 { close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o666)) }
    try world.synchronize(for: "the folder of a checkpoint")
    let blind = Int(try world.allReduceSum(sees(path) ? 0 : 1))
    if world.rank == 0 { unlink(path) }
    if blind > 0, !hasToldOfWriting {
      hasToldOfWriting = true
      try warn(
        "\(blind) of \(world.size) ranks do not see \(folder): rank 0 writes checkpoints alone, while the run stands still"
      )
    }
    return blind == 0
  }

  /// A copy of this rank's numbers; nil on all ranks where one has no memory for it.
  private func copyOnAll(_ numbers: [CheckpointCopy.Numbers]) throws -> CheckpointCopy? {
    let bytes = numbers.reduce(0) { $0 + 4 * $1.1.count }
    let left = HostMemory.left(processes: ranksOfHost)?.bytes ?? .max
    let copy = left / ranksOfHost > bytes ? CheckpointCopy(copying: numbers) : nil
    let without = Int(try world.allReduceSum(copy == nil ? 1 : 0))
    if without > 0, !hasToldOfWriting {
      hasToldOfWriting = true
      try warn(
        "\(without) of \(world.size) ranks have no memory for a copy (\(Format.bytes(bytes))): checkpoints are written while the "
          + "run stands still")
    }
    return without == 0 ? copy : nil
  }

  /// Does what ends with a checkpoint; gives why that could not be written, which all ranks know.
  func unsaved(_ body: () throws -> Void) throws -> TrainingError? {
    do {
      try body()
    } catch let error as TrainingError {
      guard case .notSaved = error else { throw error }
      return error
    }
    return nil
  }

  /// Brings all numbers to rank 0, which writes them.
  private func writeThroughFirst(_ writer: CheckpointWriter?, started: Double) throws {
    var problem = ""
    // What fails on rank 0 must not leave the others waiting.
    func attempt(_ body: () throws -> Void) {
      guard problem.isEmpty else { return }
      do { try body() } catch { problem = "\(error)" }
    }
    try run.collect { quantity, range, numbers in
      attempt { try writer?.write(quantity, range, numbers) }
    }
    let streams = try run.collectStreams(step: done)
    attempt { if let streams { try writer?.write(streams: streams, position: run.carried) } }
    var checkpoint: Checkpoint?
    attempt { checkpoint = try writer?.finish() }
    problem = try world.broadcast(problem)
    guard problem.isEmpty else { return try fail(step: done, problem) }
    guard let checkpoint, let outputs else { return }
    prune(outputs.folder.checkpoints, and: checkpoint.path)
    try tell(checkpoint, step: done, started: started, stall: nil)
  }

  /// Finds out how the checkpoint that is being written is getting on.
  ///
  /// Collective: one small sum while there is one; nothing where there is none.
  ///
  /// - Parameter waited: Seconds that the run has stood still for it.
  /// - Throws: `TrainingError.diskStandsStill` on all ranks, where one has waited for longer than disks may take.
  func pollCheckpoint(waited: Double = 0) throws {
    guard let flight = inFlight else { return }
    let outcome = flight.copy.outcome
    var failure: String?
    if case .failed(let reason)? = outcome { failure = reason }
    let isTooLong = outcome == nil && waited > diskPatience
    let all = try world.allReduce(
      [outcome == nil ? 1 : 0, failure == nil ? 0 : 1, isTooLong ? 1 : 0], .sum)
    if all[2] > 0 {
      let ranks = try world.allGather(
        isTooLong ? "rank \(world.rank) (\(world.hostName))" : ""
      ).filter { !$0.isEmpty }
      throw TrainingError.diskStandsStill(
        step: flight.step, rank: ranks[0], seconds: waited)
    }
    guard all[0] == 0 else { return }
    if all[1] > 0 {
      let reasons = try world.allGather(
        failure.map { "rank \(world.rank) (\(world.hostName)): \($0)" } ?? "")
      inFlight = nil
      return try fail(step: flight.step, reasons.first { !$0.isEmpty } ?? "")
    }
    if flight.isClosing {
      inFlight = nil
      if let checkpoint = flight.closing?.checkpoint {
        try tell(checkpoint, step: flight.step, started: flight.started, stall: flight.stall)
      }
      return
    }
    var mine: [WrittenRange] = []
    if case .written(let ranges)? = outcome { mine = ranges }
    let lines = try world.allGather(mine.map(\.line).joined(separator: "\n"))
    inFlight?.isClosing = true
    guard let closing = flight.closing, let outputs else { return }
    let others = lines.dropFirst().flatMap { $0.split(separator: "\n") }
      .compactMap { WrittenRange(line: $0) }
    let prune = pruning(outputs.folder.checkpoints)
    flight.copy.start { _ in
      let checkpoint = try closing.writer.finish(with: others)
      closing.checkpoint = checkpoint
      prune(checkpoint.path)
      return []
    }
  }

  /// Waits until nothing is being written.
  ///
  /// Collective: ranks sum up again and again, so that none waits for another longer than for a sum.
  func finishCheckpoint() throws {
    let began = AwakeClock.nanoseconds
    while inFlight != nil {
      if inFlight?.copy.outcome == nil { usleep(1000) }
      try pollCheckpoint(waited: Double(AwakeClock.nanoseconds - began) * 1e-9)
    }
  }

  /// Deletes the checkpoints that are not to be kept; while updates are skipped, none.
  private func pruning(_ folder: CheckpointFolder) -> @Sendable (String) -> Void {
    let isGood = run.vigilance.skipped == 0
    let section = configuration.checkpoint
    return { written in
      if isGood {
        folder.prune(keeping: section.keep, every: section.keepEvery, and: written)
      }
    }
  }

  private func prune(_ folder: CheckpointFolder, and written: String) { pruning(folder)(written) }

  /// Tells that a checkpoint is whole.
  private func tell(
    _ checkpoint: Checkpoint, step: Int, started: Double, stall: Double?
  ) throws {
    history.checkpoint = checkpoint
    let seconds = ProcessInfo.processInfo.systemUptime - started
    let stall = stall ?? seconds
    request.reserve = max(request.reserve, 60 + 3 * seconds)
    try outputs?.log.checkpoint(
      step: step, path: checkpoint.path, seconds: seconds, stall: stall)
    outputs?.console.checkpoint(
      step: step, path: checkpoint.path, seconds: seconds, stall: stall)
  }

  /// Tells that a checkpoint could not be written; the run goes on, and the one before stays.
  private func fail(step: Int, _ reason: String) throws {
    history.savedStep = nil
    saveProblem = reason
    guard let outputs else { return }
    let before = history.checkpoint.map { "; \($0.path) stays" } ?? ""
    let message =
      "the checkpoint after step \(step) could not be written: \(reason)\(before); the run goes on, and tries again later"
    // The log may lie on the same full disk.
    try? outputs.log.warning(message)
    outputs.console.warning(message)
  }
}
