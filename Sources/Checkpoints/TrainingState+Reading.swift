import Configuration
import Files
import Tensors

extension TrainingState {
  /// Where the numbers of a range of the index space are to be read to.
  package struct Destination {
    /// Which numbers.
    let quantity: Quantity
    /// Of which parameters.
    let range: Range<Int>
    /// Room for them.
    let numbers: UnsafeMutablePointer<Float>

    package init(
      _ quantity: Quantity, _ range: Range<Int>, _ numbers: UnsafeMutablePointer<Float>
    ) {
      (self.quantity, self.range, self.numbers) = (quantity, range, numbers)
    }
  }

  /// What a checkpoint says beside its numbers.
  package init(of path: String) throws(CheckpointError) {
    let json = try JSONValue(file: path + "/state.json")
    guard let step = json["step"]?.integer, let seed = json["seed"]?.integer else {
      throw .damaged(path: path + "/state.json", reason: "it has no step or seed")
    }
    self.init(
      step: step, seed: seed, version: json["version"]?.string ?? "",
      rule: json["optimizer"]?.string ?? Self.formerRule,
      stateStart: json["state_start"]?.integer ?? 0, products: json["products"]?.string)
    guard let stage = json["stage"] else { return }
    guard let number = stage["number"]?.integer, number > 0, let start = stage["start"]?.integer,
      let losses = stage["losses"]?.array
    else { throw .damaged(path: path + "/state.json", reason: "its stage has no number or start") }
    let numbers = losses.compactMap(\.number)
    guard numbers.count == losses.count else {
      throw .damaged(path: path + "/state.json", reason: "a loss of its stage is no number")
    }
    self.stage = Stage(index: number - 1, start: start, losses: numbers)
  }

  /// Reads parts of a checkpoint of the same model.
  ///
  /// Where parameters are trained now that were not before, nothing is read but weights: what a rule keeps begins anew for
  /// all, so that they are alike.
  ///
  /// - Parameters:
  ///   - rule: The update rule that goes on with it.
  ///   - quantities: What the rule keeps, and the weights.
  /// - Returns: What it says beside its numbers, and how many parameters are new to training: tensors without a state.
  /// - Throws: `CheckpointError` where it is another rule's, or that lists every missing tensor and wrong shape.
  package static func read(
    _ path: String, table: ParameterTable, rule: String = formerRule,
    quantities: [Quantity] = Quantity.ofAdamW, into destinations: [Destination]
  ) throws(CheckpointError) -> (state: TrainingState, newlyTrained: Int) {
    var state = try TrainingState(of: path)
    guard state.rule == rule else {
      throw .unsupported(
        path: path,
        reason:
          "it holds the state of the update rule \(state.rule), but this run's is \(rule); set "
          + "optimizer.name=\(state.rule), or start a run from its model folder with model.from")
    }
    let file = try SafetensorsFile(path: path + "/state.safetensors")
    var newlyTrained: Set<String> = []
    let wrong = quantities.flatMap { quantity in
      quantity.entries(of: table).compactMap { entry -> String? in
        let name = quantity.name(of: entry.name, in: file)
        guard let found = file.tensor(name) else {
          guard quantity == .weight else {
            newlyTrained.insert(entry.name)
            return nil
          }
          return "\(name) is missing"
        }
        return found.shape == entry.shape.dimensions
          ? nil : "\(name) is \(found.shape) but the model's is \(entry.shape)"
      }
    }
    guard wrong.isEmpty else {
      throw .damaged(
        path: path, reason: "it does not fit this model: " + wrong.joined(separator: ", "))
    }
    if !newlyTrained.isEmpty { state.stateStart = state.step }
    for destination in destinations
    where newlyTrained.isEmpty || destination.quantity == .weight {
      for (entry, part) in table.pieces(of: destination.range) {
        let first = part.lowerBound - entry.range.lowerBound
        try file.readFloats(
          destination.quantity.name(of: entry.name, in: file), elements: first..<first + part.count,
          into: destination.numbers + part.lowerBound - destination.range.lowerBound)
      }
    }
    return (state, newlyTrained.count)
  }

  /// Reads what some streams of tokens carry.
  ///
  /// - Parameters:
  ///   - streams: Which of the streams.
  ///   - count: Number of all streams.
  ///   - position: Tokens of each that have been read.
  /// - Throws: `CheckpointError` where the checkpoint has none, or those of other streams.
  package static func readStreams(
    _ path: String, _ streams: Range<Int>, of count: Int, position: Int
  ) throws(CheckpointError) -> [[String: (shape: [Int], numbers: [Float])]] {
    let file = path + "/" + streamsName
    guard FileSystem.exists(file) else {
      throw .unsupported(
        path: path,
        reason:
          "it was written without data.carry, so the states in the middle of this run's streams "
          + "are not known; go on with data.carry=false, or from the start")
    }
    let tensors = try SafetensorsFile(path: file)
    let names = tensors.tensors.map(\.name).filter { $0.hasPrefix("streams.") }
    let known = (names.compactMap { Int($0.split(separator: ".")[1]) }.max() ?? -1) + 1
    let read = try tensors.readIntegers("position").first ?? 0
    guard known == count, read == position else {
      throw .unsupported(
        path: path,
        reason: "\(known) streams had read \(read) tokens each, but by this run file it would be "
          + "\(count) and \(position); use the same training.batch and sequence.length")
    }
    return try streams.map { stream throws(CheckpointError) in
      let prefix = "streams.\(stream)."
      var parts: [String: (shape: [Int], numbers: [Float])] = [:]
      for name in names where name.hasPrefix(prefix) {
        parts[String(name.dropFirst(prefix.count))] = (
          tensors.tensor(name)!.shape, try tensors.readFloats(name)
        )
      }
      return parts
    }
  }
}
