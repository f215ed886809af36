import Configuration
import Foundation

/// The log of one run, read back: `log.jsonl` as `Docs/Log.md` describes it.
struct JobLog: Sendable, Equatable {
  /// The `start` event.
  struct Start: Sendable, Equatable {
    /// Version of the program.
    var version: String
    /// Host of each rank.
    var hosts: [String]
    /// Threads of a rank.
    var threads: Int
    /// Threads of all ranks that can run at once.
    var parallelThreads: Int
    /// Ranks that share a sequence, and groups with different ones.
    var sequenceRanks, dataGroups: Int
    /// Weights of the model.
    var parameters: Int
    /// Tokens of a step.
    var tokensPerStep: Int
    /// CPU family whose kernels OpenBLAS chose.
    var blasCore: String
    /// Speed of matrix products on a thread, in GFLOP/s; nil where it was not measured.
    var sgemmPeak: Double?
  }

  /// A `step` event; lists are in rank order.
  struct Step: Sendable, Equatable {
    /// Number, from 1.
    var number: Int
    /// Mean loss of a target, in nats; NaN where the log has null.
    var loss: Double
    /// Seconds on rank 0.
    var seconds: Double
    /// Operations a second over all ranks, in units of 10⁹.
    var gigaflops: Double
    /// Seconds of computing, waiting for states, waiting for sums, and reading tokens.
    var compute, stateWait, reduce, data: [Double]
    /// Seconds of computing for which each rank had a core; nil in logs of earlier releases.
    var processor: [Double]?
    /// Bytes sent: states, headers and halos, gradients, weights.
    var stateBytes, haloBytes, gradientBytes, weightBytes: [Int]
    /// Share of the sums over ranks in which ranks did not wait for them; nil on one rank.
    var hidden: Double?
    /// Most resident bytes so far.
    var peakMemory: [Int]
  }

  /// What the run said when it started.
  let start: Start
  /// The steps by number.
  let steps: [Step]
  /// Why the run ended; nil where it was killed.
  let end: String?

  /// Puts a log together.
  init(start: Start, steps: [Step], end: String?) {
    (self.start, self.steps, self.end) = (start, steps, end)
  }

  /// Reads a file.
  ///
  /// - Throws: `JobError.log`.
  init(path: String) throws(JobError) {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw .log(path: path, reason: "there is no such file; the run wrote no log")
    }
    try self.init(text: text, path: path)
  }

  /// Reads the text of a log.
  ///
  /// - Parameters:
  ///   - text: An event a line; a last line that is not whole is left out.
  ///   - path: The file, for errors.
  init(text: String, path: String) throws(JobError) {
    var (start, end): (Start?, String?) = (nil, nil)
    var steps: [Int: Step] = [:]
    let isWhole = text.hasSuffix("\n")
    let lines = text.split(separator: "\n")
    for (index, line) in lines.enumerated() {
      guard let json = try? JSONValue(Data(line.utf8)) else {
        if index == lines.count - 1, !isWhole { break }
        throw .log(path: path, reason: "line \(index + 1) is not JSON")
      }
      let event = EventReader(json: json, place: "line \(index + 1)", path: path)
      switch json["event"]?.string {
      case "start": start = try event.start()
      case "step":
        let step = try event.step(ranks: start?.hosts.count)
        steps[step.number] = step
      case "end": end = json["reason"]?.string
      default: break
      }
    }
    guard let start else { throw .log(path: path, reason: "it has no start event") }
    self.start = start
    self.steps = steps.values.sorted { $0.number < $1.number }
    self.end = end
  }
}

/// Reads the fields of an event; one that is missing is named.
private struct EventReader {
  let json: JSONValue
  let place: String
  let path: String

  func start() throws(JobError) -> JobLog.Start {
    let grid = EventReader(json: json["grid"] ?? .null, place: place, path: path)
    return JobLog.Start(
      version: try text("version"), hosts: try list("hosts", \.string),
      threads: try integer("threads"), parallelThreads: try integer("parallel_threads"),
      sequenceRanks: try grid.integer("sequence"), dataGroups: try grid.integer("data"),
      parameters: try integer("parameters"), tokensPerStep: try integer("tokens_per_step"),
      blasCore: try text("blas_core"), sgemmPeak: json["sgemm_peak_gigaflops"]?.number)
  }

  func step(ranks: Int?) throws(JobError) -> JobLog.Step {
    let step = JobLog.Step(
      number: try integer("step"), loss: json["loss"]?.number ?? .nan,
      seconds: try number("seconds"), gigaflops: try number("gigaflops"),
      compute: try list("compute_seconds", \.number),
      stateWait: try list("state_wait_seconds", \.number),
      reduce: try list("reduce_seconds", \.number), data: try list("data_seconds", \.number),
      processor: json["processor_seconds"] == nil ? nil : try list("processor_seconds", \.number),
      stateBytes: try list("state_bytes_sent", \.integer),
      haloBytes: try list("halo_bytes_sent", \.integer),
      gradientBytes: try list("gradient_bytes_sent", \.integer),
      weightBytes: try list("weight_bytes_sent", \.integer),
      hidden: json["reduction_hidden"]?.number, peakMemory: try list("peak_memory_bytes", \.integer)
    )
    guard step.peakMemory.count == ranks else {
      throw .log(
        path: path,
        reason: "\(place) has figures of \(step.peakMemory.count) ranks, the run has \(ranks ?? 0)")
    }
    return step
  }

  func integer(_ key: String) throws(JobError) -> Int { try field(key, \.integer) }
  func number(_ key: String) throws(JobError) -> Double { try field(key, \.number) }
  func text(_ key: String) throws(JobError) -> String { try field(key, \.string) }

  func list<Item>(_ key: String, _ item: (JSONValue) -> Item?) throws(JobError) -> [Item] {
    let values = try field(key, \.array)
    let items = values.compactMap(item)
    guard items.count == values.count else { throw missing(key) }
    return items
  }

  private func field<Item>(_ key: String, _ item: (JSONValue) -> Item?) throws(JobError) -> Item {
    guard let value = json[key].flatMap(item) else { throw missing(key) }
    return value
  }

  private func missing(_ key: String) -> JobError {
    .log(path: path, reason: "\(place) has no '\(key)' of the right kind")
  }
}
