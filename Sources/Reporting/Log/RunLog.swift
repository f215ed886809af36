import Configuration
import Faults
import Files
import Foundation
import Synchronization

/// `log.jsonl`, the record of a run for programs: an event a line, as `Docs/Log.md` describes.
///
/// Only rank 0 has one. Each line is one write at the file's end: a killed run leaves whole lines.
package final class RunLog: Sendable {
  /// Where the file lies.
  package let path: String
  private let descriptor: Int32
  private let hasEnded = Atomic<Bool>(false)
  /// What it holds of each rank.
  private let detail: RankDetail

  /// Opens the log of a run that now starts.
  ///
  /// A log that goes on first drops a line that has no end, which a power cut may leave.
  ///
  /// - Parameter ranks: What it holds of each rank.
  /// - Throws: `FileError`.
  package init(path: String, ranks: RankDetail = .all) throws(FileError) {
    (self.path, detail) = (path, ranks)
    descriptor = try Self.open(path)
    try dropPartialLine()
  }

  private static func open(_ path: String) throws(FileError) -> Int32 {
    try FileSystem.checkOutput(path)
    let flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW
    let descriptor = Glibc.open(path, flags, 0o666)
    guard descriptor >= 0 else { throw FileError("write", path) }
    return descriptor
  }

  /// Whether the path still names the file that is written.
  package var isInPlace: Bool {
    var (mine, there) = (stat(), stat())
    return fstat(descriptor, &mine) == 0 && stat(path, &there) == 0
      && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev
  }

  /// Goes on in the file that the path names now, which is made where there is none.
  ///
  /// - Returns: Whether it is empty, without a `start` event.
  package func reopen() throws(FileError) -> Bool {
    let another = try Self.open(path)
    // The number stays the same, which the handler of crashes knows, too.
    dup2(another, descriptor)
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    close(another)
    try dropPartialLine()
    return lseek(descriptor, 0, SEEK_END) == 0
  }

  deinit {
    CrashHandler.record(in: -1)
    close(descriptor)
  }

  /// Has the line that a fault of any rank ends with written as this log's `end` event.
  package func recordFaults(stepsDone: Int) {
    let started = ProcessInfo.processInfo.systemUptime
    CrashHandler.record(steps: stepsDone)
    CrashHandler.record(in: descriptor)
    // It outlives the run, whose error is on its way to where the last words are said.
    LastWords.carry { line in
      try? self.end(
        reason: line, steps: CrashHandler.steps,
        seconds: ProcessInfo.processInfo.systemUptime - started)
    }
  }

  /// Writes the `start` event.
  package func start(_ event: StartEvent) throws(FileError) {
    var line = line("start")
    line.set("version", Release.version)
    line.set("folder", event.folder)
    line.set("hosts", event.hosts)
    line.set("launch_ranks", event.launchRanks)
    line.set(
      "placement",
      objects: event.placement.hosts.map { part in
        var object = JSONLine()
        object.set("host", part.host)
        object.set("ranks", [part.ranks.lowerBound, part.ranks.upperBound - 1])
        object.set(
          "sequence_groups", [part.sequenceGroups.lowerBound, part.sequenceGroups.upperBound])
        return object
      })
    line.set("ranks", event.hosts.count)
    line.set("processes", event.processes)
    line.set("threads", event.threads)
    line.set("parallel_threads", event.parallelThreads)
    var grid = JSONLine()
    grid.set("sequence", event.sequenceRanks)
    grid.set("data", event.dataGroups)
    line.set("grid", grid)
    line.set("shard_lengths", event.shardLengths)
    line.set("parameters", event.parameters)
    line.set("trainable_parameters", event.parameters - event.frozenParameters)
    line.set("tokens_per_step", event.tokensPerStep)
    var about = JSONLine()
    about.set("model", event.model)
    about.set("data", event.data)
    if let tokens = event.tokens { about.set("tokens", tokens) }
    line.set("about", about)
    if let chance = event.recallChance { line.set("recall_chance", chance) }
    line.set("steps_done", event.stepsDone)
    line.set("expected_memory_bytes", event.expectedMemoryBytes.map(JSONValue.integer) ?? .null)
    line.set("blas_core", event.blasCore)
    line.set("sgemm_peak_gigaflops", event.sgemmPeak)
    line.set("precision", event.products.precision)
    line.set("products", event.products.library)
    if let version = event.products.oneDNN { line.set("onednn", version) }
    line.set("configuration", event.configuration)
    try write(line)
  }

  /// Writes a `step` event.
  ///
  /// - Parameter chance: Share of right answers by guessing in a generated task; nil for other data.
  package func step(_ report: StepReport, chance: Double? = nil) throws(FileError) {
    let (outcome, ranks) = (report.outcome, report.ranks)
    var line = line("step")
    line.set("step", outcome.step + 1)
    line.set("loss", outcome.loss)
    line.set("grad_norm", outcome.gradientNorm)
    line.set("learning_rate", outcome.learningRate)
    if let experts = outcome.experts {
      var shares = JSONLine()
      shares.set("least", experts.least)
      shares.set("greatest", experts.greatest)
      shares.set("evenness", experts.evenness)
      shares.set("dropped", experts.dropped)
      line.set("experts", shares)
    }
    line.set("tokens", report.tokens)
    line.set("tokens_per_second", report.tokensPerSecond)
    line.set("seconds", report.seconds)
    line.set("gigaflops", report.gigaflops)
    set(outcome.sums, chance: chance, in: &line)
    set("compute_seconds", ranks.map(\.computeSeconds), in: &line)
    set("state_wait_seconds", ranks.map(\.stateWaitSeconds), in: &line)
    set("reduce_seconds", ranks.map(\.reduceSeconds), in: &line)
    set("data_seconds", ranks.map(\.dataSeconds), in: &line)
    set("processor_seconds", ranks.map(\.computeProcessorSeconds), in: &line)
    set("involuntary_switches", ranks.map(\.involuntarySwitches), in: &line)
    set("minor_faults", ranks.map(\.minorFaults), in: &line)
    set("major_faults", ranks.map(\.majorFaults), in: &line)
    if ranks.contains(where: { $0.pressure != nil }) {
      set("throttled_seconds", ranks.map { $0.pressure?.throttledSeconds ?? 0 }, in: &line)
      set("pressure_seconds", ranks.map { $0.pressure?.waitingSeconds ?? 0 }, in: &line)
      set("load", ranks.map { $0.pressure?.load ?? 0 }, in: &line)
    }
    set("state_bytes_sent", ranks.map(\.stateBytesSent), in: &line)
    set("halo_bytes_sent", ranks.map(\.haloBytesSent), in: &line)
    set("gradient_bytes_sent", ranks.map(\.gradientBytesSent), in: &line)
    set("weight_bytes_sent", ranks.map(\.weightBytesSent), in: &line)
    if ranks.contains(where: { $0.expertBytesSent > 0 }) {
      set("expert_bytes_sent", ranks.map(\.expertBytesSent), in: &line)
    }
    set("reduction_seconds", ranks.map(\.transferSeconds), in: &line)
    line.set("reduction_hidden", report.hiddenShare)
    set("peak_memory_bytes", ranks.map(\.peakMemoryBytes), in: &line)
    try write(line)
  }

  /// Writes a `trace` event: a timeline of some steps lies on the disk.
  package func trace(_ steps: ClosedRange<Int>, path: String) throws(FileError) {
    var line = line("trace")
    line.set("steps", [steps.lowerBound, steps.upperBound])
    line.set("path", path)
    try write(line)
  }

  private func set(_ key: String, _ values: [Double], in line: inout JSONLine) {
    switch detail {
    case .all: line.set(key, values)
    case .summary: line.set(key, RankSummary(values)?.json ?? JSONLine())
    }
  }

  private func set(_ key: String, _ values: [Int], in line: inout JSONLine) {
    switch detail {
    case .all: line.set(key, values)
    case .summary: line.set(key, RankSummary(values.map(Double.init))?.json ?? JSONLine())
    }
  }

  /// Writes an `evaluation` event.
  package func evaluation(_ report: EvaluationReport) throws(FileError) {
    var line = line("evaluation")
    line.set("step", report.step)
    line.set("loss", report.loss)
    if report.sums.bytes > 0 { line.set("bits_per_byte", report.bitsPerByte) }
    line.set("perplexity", report.perplexity)
    set(report.sums, chance: report.recallChance, in: &line)
    line.set("tokens", report.sums.targets)
    if report.sums.bytes > 0 { line.set("bytes", report.sums.bytes) }
    line.set("seconds", report.seconds)
    try write(line)
  }

  /// Writes a `stage` event.
  package func stage(_ event: StageEvent) throws(FileError) {
    var line = line("stage")
    line.set("stage", event.number)
    line.set("stages", event.stages)
    line.set("kind", event.kind)
    line.set("step", event.step)
    line.set("start", event.start)
    line.set("steps", event.steps)
    line.set("learning_rate", event.learningRate)
    line.set("trainable_parameters", event.trainableParameters)
    line.set("reason", event.reason.map(JSONValue.string) ?? .null)
    try write(line)
  }

  /// Writes a `checkpoint` event: a complete checkpoint lies on the disk.
  ///
  /// - Parameters:
  ///   - seconds: From its beginning until it was whole.
  ///   - stall: Seconds of these that the run stood still for it.
  package func checkpoint(
    step: Int, path: String, seconds: Double, stall: Double
  ) throws(FileError) {
    var line = line("checkpoint")
    line.set("step", step)
    line.set("path", path)
    line.set("seconds", seconds)
    line.set("stall_seconds", stall)
    try write(line)
  }

  /// Writes a `skip` event: the update of a step was left out.
  package func skip(_ skipped: SkippedStep) throws(FileError) {
    var line = line("skip")
    line.set("step", skipped.step)
    switch skipped.cause {
    case .loss(let rank, let host, _):
      line.set("cause", "loss")
      line.set("rank", rank)
      line.set("host", host)
    case .gradient(let tensor):
      line.set("cause", "gradient")
      line.set("tensor", tensor)
    case .sum: line.set("cause", "sum")
    }
    line.set("sequences", [skipped.sequences.lowerBound, skipped.sequences.upperBound - 1])
    line.set("in_a_row", skipped.inARow)
    try write(line)
  }

  /// Writes a `spike` event: a step stands out of those before it.
  ///
  /// - Parameter step: From 1.
  package func spike(_ spike: Spike, step: Int) throws(FileError) {
    var line = line("spike")
    line.set("step", step)
    line.set("quantity", spike.quantity)
    line.set("value", spike.value)
    line.set("median", spike.median)
    line.set("score", spike.score)
    line.set("action", spike.action)
    line.set("in_a_row", spike.inARow)
    if let from = spike.checkpointStep { line.set("checkpoint_step", from) }
    try write(line)
  }

  /// Writes a `resume` event: from where the run goes on, and in what it is another than before.
  package func resume(step: Int, path: String, changes: [String]) throws(FileError) {
    var line = line("resume")
    line.set("step", step)
    line.set("path", path)
    line.set("changes", changes)
    try write(line)
  }

  /// Writes a `warning` event.
  package func warning(_ message: String) throws(FileError) {
    var line = line("warning")
    line.set("message", message)
    try write(line)
  }

  /// Writes the `end` event, unless it has been written.
  ///
  /// - Parameters:
  ///   - reason: `finished`, or what ended the run early.
  ///   - steps: Steps done in all.
  ///   - seconds: Seconds since the `start` event.
  ///   - causes: What made the run slow, a sentence each.
  package func end(
    reason: String, steps: Int, seconds: Double, causes: [String] = []
  ) throws(FileError) {
    guard !hasEnded.exchange(true, ordering: .acquiringAndReleasing) else { return }
    CrashHandler.record(in: -1)
    var line = line("end")
    line.set("reason", reason)
    line.set("steps", steps)
    line.set("seconds", seconds)
    if !causes.isEmpty { line.set("slow", causes) }
    try write(line)
  }

  private func line(_ event: String) -> JSONLine {
    var line = JSONLine()
    line.set("event", event)
    line.set("time", Date().formatted(.iso8601))
    return line
  }

  private func set(_ sums: LossSums, chance: Double?, in line: inout JSONLine) {
    if !sums.terms.isEmpty {
      var terms = JSONLine()
      for term in sums.terms {
        var one = JSONLine()
        one.set("weight", term.weight)
        one.set("mean", sums.mean(term))
        terms.set(term.name, one)
      }
      line.set("terms", terms)
    }
    guard let chance else { return }
    line.set("recall_inside", sums.inside.accuracy)
    line.set("recall_crossing", sums.crossing.accuracy)
    line.set("recall_chance", chance)
  }

  private func write(_ line: JSONLine) throws(FileError) {
    var failure: FileError?
    var text = line.text + "\n"
    text.withUTF8 { bytes in
      do throws(FileError) { try write(bytes) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  private func write(_ bytes: UnsafeBufferPointer<UInt8>) throws(FileError) {
    let end = lseek(descriptor, 0, SEEK_END)
    var done = 0
    while done < bytes.count {
      let written = Glibc.write(descriptor, bytes.baseAddress! + done, bytes.count - done)
      if written < 0 {
        if errno == EINTR { continue }
        let error = FileError("write", path)
        // A full disk takes a part of the line: take it back, so that the log stays whole lines.
        if end >= 0 { ftruncate(descriptor, end) }
        throw error
      }
      done += written
    }
  }

  private func dropPartialLine() throws(FileError) {
    var end = lseek(descriptor, 0, SEEK_END)
    let length = end
    var byte: UInt8 = 0
    while end > 0, pread(descriptor, &byte, 1, end - 1) == 1, byte != UInt8(ascii: "\n") {
      end -= 1
    }
    if end < length, ftruncate(descriptor, end) != 0 { throw FileError("write", path) }
  }
}
