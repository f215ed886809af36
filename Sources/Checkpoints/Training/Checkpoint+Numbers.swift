import Files
import Models
import Tensors

extension Checkpoint {
  /// Where the numbers of a range of the index space are to be read to.
  package struct Destination {
    /// Which numbers.
    let quantity: TrainingState.Quantity
    /// Of which parameters.
    let range: Range<Int>
    /// Room for them.
    let numbers: UnsafeMutablePointer<Float>

    package init(
      _ quantity: TrainingState.Quantity, _ range: Range<Int>,
      _ numbers: UnsafeMutablePointer<Float>
    ) {
      (self.quantity, self.range, self.numbers) = (quantity, range, numbers)
    }
  }

  /// Reads parts of the weights, and of what the update rule keeps.
  ///
  /// Where parameters are trained now that were not before, nothing is read but weights: what a rule keeps begins anew for
  /// all, so that they are alike.
  ///
  /// - Parameters:
  ///   - model: The model that goes on with it.
  ///   - rule: The update rule that does.
  ///   - quantities: What the rule keeps.
  /// - Returns: The steps that were done when the rule's state began, and how many parameters are new to training:
  ///   tensors without a state.
  /// - Throws: `CheckpointError` where it is another rule's, that lists every missing tensor and wrong shape, or for a
  ///   number that is not finite.
  package func read(
    of model: LanguageModel, rule: String = TrainingState.formerRule,
    quantities: [TrainingState.Quantity], into destinations: [Destination]
  ) throws(CheckpointError) -> (stateStart: Int, newlyTrained: Int) {
    guard state.rule == rule else {
      throw .unsupported(
        path: path,
        reason:
          "it holds the state of the update rule \(state.rule), but this run's is \(rule); set "
          + "optimizer.name=\(state.rule), or start a run from its weights with model.from")
    }
    let tensors = try Tensors(of: model, quantities: quantities, in: self)
    for destination in destinations
    where tensors.newlyTrained == 0 || destination.quantity == .weight {
      for place in tensors.places[destination.quantity] ?? [] {
        let part = place.range.clamped(to: destination.range)
        guard !part.isEmpty else { continue }
        let first = place.offset + part.lowerBound - place.range.lowerBound
        let numbers = destination.numbers + part.lowerBound - destination.range.lowerBound
        try place.file.readFloats(
          place.name, elements: first..<first + part.count, into: numbers)
        let read = UnsafeBufferPointer(start: numbers, count: part.count)
        // 0 · x is not 0 for what is not finite; one sum vectorises where a search does not.
        if read.reduce(0, { $0 + 0 * $1 }) != 0, let wrong = read.first(where: { !$0.isFinite }) {
          throw .notFinite(path: path, name: place.name, value: wrong)
        }
      }
    }
    return (
      tensors.newlyTrained > 0 ? state.step : state.stateStart, tensors.newlyTrained
    )
  }

  /// Where the numbers of a model's parameters lie in a checkpoint.
  private struct Tensors {
    /// Numbers of the index space that lie one after another in a tensor.
    struct Place {
      let range: Range<Int>
      let file: SafetensorsFile
      let name: String
      /// The place of the first number in the tensor.
      let offset: Int
    }
    var places: [TrainingState.Quantity: [Place]] = [:]
    /// Tensors that are trained now, and without a state.
    private(set) var newlyTrained = 0

    init(
      of model: LanguageModel, quantities: [TrainingState.Quantity], in checkpoint: Checkpoint
    ) throws(CheckpointError) {
      var wrong: [String] = []
      var untrained: Set<String> = []
      /// Notes the places of a tensor's pieces, or what is wrong with it.
      func place(
        _ quantity: TrainingState.Quantity, _ name: String, _ shape: Shape,
        _ file: SafetensorsFile?,
        _ pieces: [Range<Int>]
      ) -> Bool {
        guard let file, let found = file.tensor(name) else { return false }
        guard found.shape == shape.dimensions, found.type == .float32 else {
          wrong.append(
            "\(name) is \(found.type.rawValue) \(found.shape) but the model's is F32 \(shape)")
          return true
        }
        var offset = 0
        for range in pieces {
          places[quantity, default: []].append(
            Place(range: range, file: file, name: name, offset: offset))
          offset += range.count
        }
        return true
      }
      let former = try checkpoint.isFormer ? FormerState(of: checkpoint.path) : nil
      if let former {
        for entry in model.table.entries {
          let name = former.name(of: .weight, entry.name)
          if !place(.weight, name, entry.shape, former.file, [entry.range]) {
            wrong.append("\(name) is missing")
          }
        }
      } else {
        let weights = try SafetensorsFolder(path: checkpoint.modelPath)
        let adapter = "\(checkpoint.path)/\(AdapterFolder.weightsName)"
        let adapters =
          try model.lora != nil && FileSystem.exists(adapter) ? SafetensorsFile(path: adapter) : nil
        func add(_ tensor: WeightTensor, _ name: String, _ file: SafetensorsFile?) {
          let pieces = tensor.pieces.map { piece in
            let first = model.table[piece.parameter].range.lowerBound
            return first + piece.elements.lowerBound..<first + piece.elements.upperBound
          }
          if !place(.weight, name, tensor.shape, file, pieces) {
            wrong.append("\(name) is missing")
          }
        }
        for tensor in model.tensors { add(tensor, tensor.name, weights.file(with: tensor.name)) }
        for tensor in model.adapterTensors {
          add(tensor, AdapterFolder.prefix + tensor.name, adapters)
        }
      }
      let states = "\(checkpoint.path)/\(CheckpointLayout.optimizerName)"
      var file = former?.file
      if file == nil, FileSystem.exists(states) { file = try SafetensorsFile(path: states) }
      for quantity in quantities where quantity != .weight {
        for entry in quantity.entries(of: model.table) {
          let name = former?.name(of: quantity, entry.name) ?? quantity.name(of: entry.name)
          if !place(quantity, name, entry.shape, file, [entry.range]) {
            untrained.insert(entry.name)
          }
        }
      }
      guard wrong.isEmpty else {
        throw .damaged(
          path: checkpoint.path,
          reason: "it does not fit this model: " + wrong.joined(separator: ", "))
      }
      newlyTrained = untrained.count
    }
  }

  /// Reads what some streams of tokens carry.
  ///
  /// - Parameters:
  ///   - streams: Which of the streams.
  ///   - count: Number of all streams.
  ///   - position: Tokens of each that have been read.
  /// - Throws: `CheckpointError` where the checkpoint has none, or those of other streams.
  package func readStreams(
    _ streams: Range<Int>, of count: Int, position: Int
  ) throws(CheckpointError) -> [[String: (shape: [Int], numbers: [Float])]] {
    let file = path + "/" + CheckpointWriter.streamsName
    guard FileSystem.exists(file) else {
      throw .unsupported(
        path: path,
        reason:
          "it was written without data.carry, so the states in the middle of this run's streams "
          + "are not known; go on with data.carry=false, or from the start")
    }
    let tensors = try SafetensorsFile(path: file)
    var ofStream: [Int: [(part: String, name: String)]] = [:]
    for tensor in tensors.tensors where tensor.name.hasPrefix("streams.") {
      let parts = tensor.name.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3, let stream = Int(parts[1]), (0..<Int.max).contains(stream) else {
        throw .damaged(path: file, reason: "its tensor \(tensor.name) is of no stream")
      }
      ofStream[stream, default: []].append((String(parts[2]), tensor.name))
    }
    let known = (ofStream.keys.max() ?? -1) + 1
    let read = try tensors.readIntegers("position").first ?? 0
    guard known == count, read == position else {
      throw .unsupported(
        path: path,
        reason: "\(known) streams had read \(read) tokens each, but by this run file it would be "
          + "\(count) and \(position); use the same training.batch and sequence.length")
    }
    return try streams.map { stream throws(CheckpointError) in
      var parts: [String: (shape: [Int], numbers: [Float])] = [:]
      for (part, name) in ofStream[stream] ?? [] {
        let numbers = try tensors.readFloats(name)
        if let wrong = numbers.first(where: { !$0.isFinite }) {
          throw .notFinite(path: file, name: name, value: wrong)
        }
        parts[part] = (tensors.tensor(name)!.shape, numbers)
      }
      return parts
    }
  }
}
