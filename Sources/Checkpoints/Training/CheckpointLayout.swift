import Files
import Foundation
import Models
import Tensors

/// Which files a checkpoint of a model consists of, and where in them each number lies: the same on every rank, so that
/// each may write its own.
///
/// Weights are as in a model's folder, `model.safetensors` or its shards; with adapters the model is a folder in it, `model`, and
/// the adapters are beside it, so that the checkpoint is an adapter's folder. What the update rule keeps is in
/// `optimizer.safetensors`, by the parameters' own names, as `first_moment.<name>`.
package struct CheckpointLayout: Sendable {
  /// The model.
  package let model: LanguageModel
  /// What the update rule keeps.
  package let quantities: [TrainingState.Quantity]
  /// The files.
  let files: [File]
  private let weights: [Place]
  private let states: [TrainingState.Quantity: [Place]]
  /// Where tensors begin that go along with the model: in which file, and at which byte.
  private let kept: [String: (file: Int, offset: Int)]

  /// A file of numbers.
  struct File: Sendable {
    /// From the checkpoint's folder.
    let name: String
    /// What stands before the numbers.
    let header: Data
    /// All of its bytes.
    let size: Int
  }

  /// Where numbers of the index space lie in a file.
  private struct Place {
    let range: Range<Int>
    let file: Int
    /// Of the first number, in bytes.
    let offset: Int
  }

  /// The folder of the model, from that of a checkpoint of a run with adapters.
  static let modelName = "model"
  static let optimizerName = "optimizer.safetensors"

  /// Plans the files.
  ///
  /// - Parameters:
  ///   - quantities: What the update rule keeps.
  ///   - shardBytes: A file of the model gets no further tensor that would make its data longer than this.
  package init(
    _ model: LanguageModel, quantities: [TrainingState.Quantity] = [],
    shardBytes: Int = SafetensorsShards.usualBytes
  ) {
    (self.model, self.quantities) = (model, quantities)
    var files: [File] = []
    var places: [Place] = []
    var kept: [String: (file: Int, offset: Int)] = [:]
    /// Adds a file with some tensors, and says where their numbers lie.
    func add(_ name: String, _ tensors: [(description: TensorDescription, tensor: WeightTensor?)]) {
      let header = SafetensorsHeader(
        metadata: ["format": "pt"],
        placing: tensors.map { ($0.description.name, ElementType.float32, $0.description.shape) })
      let text = header.encoded
      for (stored, (description, tensor)) in zip(header.tensors, tensors) {
        var offset = text.count + stored.range.lowerBound
        guard let tensor else {
          kept[description.name] = (files.count, offset)
          continue
        }
        for piece in tensor.pieces {
          let first = model.table[piece.parameter].range.lowerBound
          let range = first + piece.elements.lowerBound..<first + piece.elements.upperBound
          places.append(Place(range: range, file: files.count, offset: offset))
          offset += ElementType.float32.size * range.count
        }
      }
      files.append(File(name: name, header: text, size: text.count + header.dataBytes))
    }
    let folder = model.lora == nil ? "" : "\(Self.modelName)/"
    let byName = Dictionary(uniqueKeysWithValues: model.tensors.map { ($0.name, $0) })
    let shards = SafetensorsShards(
      model.tensors.map(\.description) + model.kept.map { $0.description(as: .float32) },
      bytes: shardBytes)
    for shard in shards.files {
      add(folder + shard.name, shard.tensors.map { ($0, byName[$0.name]) })
    }
    if model.lora != nil {
      add(
        AdapterFolder.weightsName,
        (model.adapterTensors + model.savedTensors).map {
          (
            TensorDescription(AdapterFolder.prefix + $0.name, shape: $0.shape.dimensions), $0
          )
        })
    }
    weights = places.sorted { ($0.range.lowerBound, $0.file) < ($1.range.lowerBound, $1.file) }
    let entries = quantities.flatMap { quantity in
      quantity.entries(of: model.table).map { (quantity: quantity, entry: $0) }
    }
    var states: [TrainingState.Quantity: [Place]] = [:]
    if !entries.isEmpty {
      let header = SafetensorsHeader(
        metadata: ["format": "pt"],
        placing: entries.map {
          ($0.quantity.name(of: $0.entry.name), ElementType.float32, $0.entry.shape.dimensions)
        })
      let text = header.encoded
      for (stored, (quantity, entry)) in zip(header.tensors, entries) {
        states[quantity, default: []].append(
          Place(
            range: entry.range, file: files.count, offset: text.count + stored.range.lowerBound))
      }
      files.append(
        File(name: Self.optimizerName, header: text, size: text.count + header.dataBytes))
    }
    (self.files, self.states, self.kept) = (files, states, kept)
    index =
      shards.index.map { [(folder + SafetensorsFolder.indexName, $0)] } ?? []
  }

  /// The index of the model's shards, where there are several.
  let index: [(name: String, content: Data)]

  /// Bytes of all files of numbers.
  package var bytes: Int { files.reduce(0) { $0 + $1.size } }

  /// Where numbers of a tensor lie that goes along with the model.
  ///
  /// - Parameter first: The first of them.
  func place(ofKept name: String, from first: Int) -> (file: File, offset: Int) {
    guard let (file, offset) = kept[name] else {
      preconditionFailure("a checkpoint was not told of a tensor \(name)")
    }
    return (files[file], offset + ElementType.float32.size * first)
  }

  /// Goes through the places of some numbers, file by file, ascending.
  ///
  /// - Parameter body: Called with the file, the place in it in bytes, and the part of the range that lies there.
  func forEachPlace(
    of quantity: TrainingState.Quantity, _ range: Range<Int>,
    _ body: (File, Int, Range<Int>) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    let places = quantity == .weight ? weights : states[quantity] ?? []
    // Places have the same range or none in common, so that their ends ascend, too.
    var (first, end) = (0, places.count)
    while first < end {
      let middle = (first + end) / 2
      if places[middle].range.upperBound <= range.lowerBound {
        first = middle + 1
      } else {
        end = middle
      }
    }
    let touched = places[first...].prefix { $0.range.lowerBound < range.upperBound }
      .filter { !$0.range.isEmpty }
      .sorted { ($0.file, $0.offset) < ($1.file, $1.offset) }
    for place in touched {
      let part = place.range.clamped(to: range)
      try body(
        files[place.file],
        place.offset + ElementType.float32.size * (part.lowerBound - place.range.lowerBound), part)
    }
  }
}

extension WeightTensor {
  /// How it is stored.
  func description(as type: ElementType) -> TensorDescription {
    TensorDescription(name, shape: shape.dimensions, type: type)
  }

  var description: TensorDescription { description(as: .float32) }
}
