import Configuration
import Foundation

extension RunRecord.Start {
  init(_ event: JSONValue) {
    time = event["time"]?.string ?? ""
    version = event["version"]?.string ?? ""
    hosts = (event["hosts"]?.array ?? []).compactMap(\.string)
    ranks = event["ranks"]?.integer ?? hosts.count
    threads = event["threads"]?.integer ?? 1
    sequenceRanks = event["grid"]?["sequence"]?.integer ?? 1
    dataGroups = event["grid"]?["data"]?.integer ?? 1
    parameters = event["parameters"]?.integer ?? 0
    trainable = event["trainable_parameters"]?.integer ?? parameters
    tokensPerStep = event["tokens_per_step"]?.integer ?? 0
    stepsDone = event["steps_done"]?.integer ?? 0
    expectedMemory = event["expected_memory_bytes"]?.integer
    (precision, library) = (
      event["precision"]?.string ?? "fp32", event["products"]?.string ?? "openblas"
    )
    products = "\(library), \(precision)"
    oneDNN = event["onednn"]?.string
    parallelThreads = event["parallel_threads"]?.integer ?? ranks * threads
    sgemmPeak = event["sgemm_peak_gigaflops"]?.number
    blasCore = event["blas_core"]?.string ?? ""
    (model, data) = (event["about"]?["model"]?.string, event["about"]?["data"]?.string)
    tokens = event["about"]?["tokens"]?.string
    recallChance = event["recall_chance"]?.number
    configuration = event["configuration"] ?? [:]
  }

  /// Steps of the whole run; nil where the run file does not tell.
  package var steps: Int? { configuration["training"]?["steps"]?.integer }

  /// The run file as keys and values, by key.
  package var keys: [String: String] {
    var keys: [String: String] = [:]
    func add(_ value: JSONValue, _ name: String) {
      guard let fields = value.object, !fields.isEmpty || name.isEmpty else {
        keys[name] = value.string ?? value.text
        return
      }
      for (key, value) in fields { add(value, name.isEmpty ? key : "\(name).\(key)") }
    }
    add(configuration, "")
    return keys
  }
}

extension RunRecord.Step {
  /// - Parameter ranks: How many the run has.
  init(_ event: JSONValue, ranks: Int) {
    func number(_ key: String) -> Double { event[key]?.number ?? .nan }
    self.number = event["step"]?.integer ?? 0
    time = Moment.seconds(event["time"]?.string)
    loss = number("loss")
    gradientNorm = number("grad_norm")
    learningRate = number("learning_rate")
    tokensPerSecond = number("tokens_per_second")
    seconds = number("seconds")
    gigaflops = number("gigaflops")
    tokens = event["tokens"]?.integer ?? 0
    terms = (event["terms"]?.object ?? [:]).mapValues {
      ($0["weight"]?.number ?? 1) * ($0["mean"]?.number ?? .nan)
    }
    compute = RankFigure(event["compute_seconds"])
    stateWait = RankFigure(event["state_wait_seconds"])
    reduce = RankFigure(event["reduce_seconds"])
    data = RankFigure(event["data_seconds"])
    memory = RankFigure(event["peak_memory_bytes"])
    // Of these, no page shows each rank's.
    func summary(_ key: String) -> RankFigure {
      RankFigure(event[key], ranks: ranks, keepsValues: false)
    }
    processor = event["processor_seconds"] == nil ? nil : summary("processor_seconds")
    stateBytes = summary("state_bytes_sent")
    haloBytes = summary("halo_bytes_sent")
    gradientBytes = summary("gradient_bytes_sent")
    weightBytes = summary("weight_bytes_sent")
    hidden = event["reduction_hidden"]?.number
    recallInside = event["recall_inside"]?.number
    recallCrossing = event["recall_crossing"]?.number
  }

  /// Seconds of the ranks' parts, their mean.
  private var named: Double { [compute, stateWait, reduce, data].reduce(0) { $0 + $1.mean } }

  /// Mean seconds of the ranks: rank 0's, or all of their parts where these are more.
  package var whole: Double { max(seconds, named) }

  /// Seconds that no part accounts for, over all ranks.
  package var unnamed: Double { whole - named }
}

extension RunRecord.Evaluation {
  init(_ event: JSONValue) {
    step = event["step"]?.integer ?? 0
    time = Moment.seconds(event["time"]?.string)
    loss = event["loss"]?.number ?? .nan
    bitsPerByte = event["bits_per_byte"]?.number
    perplexity = event["perplexity"]?.number
    recallInside = event["recall_inside"]?.number
    recallCrossing = event["recall_crossing"]?.number
    (tokens, bytes) = (event["tokens"]?.integer ?? 0, event["bytes"]?.integer)
    seconds = event["seconds"]?.number ?? .nan
  }
}

extension RunRecord.Note {
  init(_ kind: String, _ event: JSONValue, stepsDone: Int) {
    self.kind = kind
    time = event["time"]?.string ?? ""
    step = event["step"]?.integer ?? stepsDone
    func of(_ key: String) -> String {
      event[key].map { $0.string ?? $0.text } ?? ""
    }
    text =
      switch kind {
      case "warning": of("message")
      case "checkpoint": of("path")
      case "resume":
        ([of("path")] + (event["changes"]?.array ?? []).compactMap(\.string))
          .joined(separator: "; ")
      case "stage": "\(of("stage")) of \(of("stages")): \(of("kind"))"
      case "skip":
        "the update is left out: \(of("cause")) is no finite number"
          + (event["tensor"] == nil ? "" : ", in \(of("tensor"))")
          + (event["rank"] == nil ? "" : ", on rank \(of("rank"))")
      case "spike":
        "\(of("quantity")) \(of("value")) stands out of a median of \(of("median")); \(of("action"))"
      default: event.text
      }
  }
}

/// Times as a log writes them.
enum Moment {
  /// Seconds since 1970 of `2026-11-21T08:42:13Z`; 0 for what is none.
  static func seconds(_ text: String?) -> Double {
    let numbers = (text ?? "").split { !$0.isNumber }.compactMap { Int32($0) }
    guard numbers.count >= 6 else { return 0 }
    var parts = tm()
    (parts.tm_year, parts.tm_mon, parts.tm_mday) = (numbers[0] - 1900, numbers[1] - 1, numbers[2])
    (parts.tm_hour, parts.tm_min, parts.tm_sec) = (numbers[3], numbers[4], numbers[5])
    return Double(timegm(&parts))
  }
}
