import Configuration
import Foundation

/// `state.json`: what a run needs to go on, the manifest of the files beside it, and a hash of both.
extension TrainingState {
  static let fileName = "state.json"
  /// The format that is written; what has no such key is of an earlier one.
  static let format = 2

  /// The text of the file.
  ///
  /// - Returns: It, and the hash in it, by which the checkpoint is known.
  func encoded(_ manifest: CheckpointManifest) throws(CheckpointError) -> (Data, identity: String) {
    // What is hashed is what a reader finds: some numbers are written in another way than they are given.
    guard let read = try? JSONValue(JSONValue.object(object(manifest)).encoded),
      var fields = read.object
    else { preconditionFailure("the state of step \(step) is no JSON") }
    let identity = ContentHash(of: read.encoded).text
    fields["sha256"] = .string(identity)
    return (JSONValue.object(fields).encoded, identity)
  }

  private func object(_ manifest: CheckpointManifest) -> [String: JSONValue] {
    func number(_ value: Double?) -> JSONValue { value.map(JSONValue.number) ?? .null }
    var keys: [String: JSONValue] = [
      "format": .integer(Self.format),
      "step": .integer(step), "tokens": .integer(tokens), "seed": .integer(seed),
      "version": .string(version), "time": .string(Self.text(ofTime: time)),
      "serial": .integer(serial),
      "loss": number(loss), "evaluation_loss": number(evaluationLoss),
      "optimizer": .string(rule), "state_start": .integer(stateStart),
      "products": products.map { .string($0) } ?? .null,
      "inherited": .array(inherited.map(JSONValue.string)),
      "configuration": configuration, "given": .array(given.map(JSONValue.string)),
      "data": data, "schedule": schedule, "layout": layout, "files": manifest.json,
    ]
    if let stage {
      keys["stage"] = [
        "number": .integer(stage.index + 1), "start": .integer(stage.start),
        "losses": .array(stage.losses.map(JSONValue.number)),
      ]
    }
    if let parent {
      keys["parent"] = [
        "path": .string(parent.path), "step": .integer(parent.step),
        "sha256": .string(parent.identity),
      ]
    }
    if evaluationIsDue { keys["evaluation_due"] = .bool(true) }
    if let vigilance { keys["vigilance"] = vigilance }
    return keys
  }

  /// Reads `state.json` of a checkpoint, whichever release wrote it.
  ///
  /// - Returns: The manifest, and by which hash the checkpoint is known; nothing of both for an earlier format.
  static func read(
    _ path: String
  ) throws(CheckpointError) -> (TrainingState, CheckpointManifest?, identity: String) {
    let file = path + "/" + fileName
    func damaged(_ reason: String) -> CheckpointError { .damaged(path: file, reason: reason) }
    let json = try JSONValue(file: file)
    guard let step = json["step"]?.integer, (0..<most).contains(step),
      let seed = json["seed"]?.integer
    else { throw damaged("it has no step or seed") }
    var state = TrainingState(
      step: step, seed: seed, version: json["version"]?.string ?? "",
      rule: json["optimizer"]?.string ?? formerRule,
      stateStart: json["state_start"]?.integer ?? 0, products: json["products"]?.string)
    guard (0...step).contains(state.stateStart) else {
      throw damaged(
        "its optimizer began at step \(state.stateStart), which is not within the \(step) that are done"
      )
    }
    if let stage = json["stage"] {
      guard let number = stage["number"]?.integer, number > 0,
        let start = stage["start"]?.integer, (0...step).contains(start),
        let losses = stage["losses"]?.array
      else { throw damaged("its stage has no number or start") }
      let numbers = losses.compactMap(\.number)
      guard numbers.count == losses.count else {
        throw damaged("a loss of its stage is no number")
      }
      state.stage = Stage(index: number - 1, start: start, losses: numbers)
    }
    guard let format = json["format"] else { return (state, nil, "") }
    guard format.integer == Self.format else {
      throw .unsupported(
        path: path,
        reason: "it is of format \(format.text), and this release reads up to \(Self.format); "
          + "take the release that wrote it, or a later one")
    }
    var fields = json.object ?? [:]
    let hash = fields.removeValue(forKey: "sha256")?.string
    let identity = ContentHash(of: JSONValue.object(fields).encoded).text
    guard hash == identity else { throw damaged("it is not as it was written") }
    guard let manifest = json["files"].flatMap(CheckpointManifest.init) else {
      throw damaged("its list of files is none")
    }
    guard let tokens = json["tokens"]?.integer, (0..<most).contains(tokens),
      let serial = json["serial"]?.integer, (0..<most).contains(serial)
    else { throw damaged("its tokens or serial are no count") }
    (state.tokens, state.serial) = (tokens, serial)
    state.loss = json["loss"]?.number
    state.evaluationLoss = json["evaluation_loss"]?.number
    state.evaluationIsDue = json["evaluation_due"]?.bool ?? false
    state.time = json["time"]?.string.flatMap(time(of:)) ?? 0
    state.inherited = json["inherited"]?.array?.compactMap(\.string) ?? []
    state.configuration = json["configuration"] ?? [:]
    state.given = json["given"]?.array?.compactMap(\.string) ?? []
    (state.data, state.layout) = (json["data"] ?? [], json["layout"] ?? [:])
    (state.schedule, state.vigilance) = (json["schedule"] ?? [:], json["vigilance"])
    if let parent = json["parent"], let path = parent["path"]?.string,
      let step = parent["step"]?.integer, let identity = parent["sha256"]?.string
    {
      state.parent = Parent(path: path, step: step, identity: identity)
    }
    return (state, manifest, identity)
  }

  /// No count of steps, tokens or checkpoints reaches it, so that sums of them have room.
  private static let most = 1 << 60

  /// A time of day in UTC, as `2026-11-26T10:15:30Z`.
  package static func text(ofTime seconds: Double) -> String {
    var (time, parts) = (time_t(seconds), tm())
    gmtime_r(&time, &parts)
    var buffer = [CChar](repeating: 0, count: 32)
    strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
    return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
  }

  private static func time(of text: String) -> Double? {
    let numbers = text.split { !$0.isNumber }.compactMap { Int32($0) }
    guard numbers.count == 6 else { return nil }
    var parts = tm()
    (parts.tm_year, parts.tm_mon, parts.tm_mday) = (numbers[0] &- 1900, numbers[1] &- 1, numbers[2])
    (parts.tm_hour, parts.tm_min, parts.tm_sec) = (numbers[3], numbers[4], numbers[5])
    return Double(timegm(&parts))
  }
}
