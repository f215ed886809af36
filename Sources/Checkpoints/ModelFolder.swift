import Autodiff
import Configuration
import Files
import Models
import Tensors

/// A model in a Hugging Face folder: `config.json` and `model.safetensors`.
package struct ModelFolder {
  /// Where it lies.
  package let path: String
  /// The model that its `config.json` describes.
  package let model: LanguageModel
  /// All of `config.json`, keys that this program does not know included.
  package let configuration: JSONValue
  private let source: SafetensorsFolder

  /// Opens a folder and checks that it holds every tensor in the right shape; reads no weights.
  ///
  /// - Throws: `CheckpointError` that lists every missing tensor and every wrong shape.
  package init(path: String) throws {
    self.path = path
    let file = path + "/config.json"
    guard FileSystem.exists(file) else {
      throw CheckpointError.notAModelFolder(path: path, missing: "config.json")
    }
    let configuration = try JSONValue(file: file)
    let model = LanguageModel(try Self.architecture(configuration, file: file))
    let source = try SafetensorsFolder(path: path)
    (self.configuration, self.model, self.source) = (configuration, model, source)
    let wrong = model.tensors.compactMap { wanted -> String? in
      guard let found = source.tensor(wanted.name) else {
        return "\(wanted.name) \(wanted.shape) is missing"
      }
      guard found.shape == wanted.shape.dimensions else {
        return "\(wanted.name) is \(found.shape) but must be \(wanted.shape)"
      }
      return found.type.isFloatingPoint ? nil : "\(wanted.name) holds \(found.type.rawValue)"
    }
    guard wrong.isEmpty else {
      throw CheckpointError.damaged(
        path: source.path,
        reason: "it does not fit its config.json: " + wrong.joined(separator: ", "))
    }
  }

  private static func architecture(
    _ configuration: JSONValue, file: String
  ) throws(CheckpointError) -> any Architecture {
    do throws(ModelError) {
      return try Architectures.make(configuration: configuration)
    } catch {
      throw .unsupported(path: file, reason: error.description)
    }
  }

  /// Reads all weights.
  package func read(into store: WholeParameters) throws {
    try read(0..<model.table.count, into: store.values.pointer)
  }

  /// Reads the weights of a range of the parameters' index space.
  ///
  /// - Parameter numbers: Room for them.
  package func read(_ range: Range<Int>, into numbers: UnsafeMutablePointer<Float>) throws {
    try Self.forEachPiece(of: model) { tensor, offset, part in
      let wanted = part.clamped(to: range)
      guard !wanted.isEmpty else { return }
      let first = offset + wanted.lowerBound - part.lowerBound
      try source.readFloats(
        tensor.name, elements: first..<first + wanted.count,
        into: numbers + wanted.lowerBound - range.lowerBound)
    }
  }

  /// Goes through the parameters of all tensors in the order of the file: each with its tensor, where it begins
  /// in the tensor, and its range in the index space.
  private static func forEachPiece(
    of model: LanguageModel, _ body: (WeightTensor, Int, Range<Int>) throws -> Void
  ) throws {
    for tensor in model.tensors {
      var offset = 0
      for part in tensor.parts {
        let range = model.table[part].range
        try body(tensor, offset, range)
        offset += range.count
      }
    }
  }

  /// Writes a model as a folder that appears under its name only when it is complete.
  ///
  /// - Parameters:
  ///   - extra: Keys of an earlier `config.json` that are kept where this program has none of its own.
  ///   - weights: Calls the function that it gets with all weights, range by range of the parameters' index
  ///     space, ascending.
  /// - Throws: `CheckpointError` when it cannot be written; what `weights` throws.
  package static func write(
    _ model: LanguageModel, to path: String, keeping extra: JSONValue? = nil,
    weights: ((Range<Int>, UnsafePointer<Float>) throws -> Void) throws -> Void
  ) throws {
    let folder = try checkpointFiles { () throws(FileError) in
      try AtomicFolder(destination: path)
    }
    var keys = extra?.object ?? [:]
    keys.merge(model.architecture.configuration) { $1 }
    keys["torch_dtype"] = nil
    keys["dtype"] = "float32"
    try checkpointFiles { () throws(FileError) in
      try AtomicFile.write(JSONValue.object(keys).encoded, to: folder.path + "/config.json")
    }
    let writer = try SafetensorsFolderWriter(
      path: folder.path,
      tensors: model.tensors.map {
        TensorDescription($0.name, shape: $0.shape.dimensions)
      })
    try weights { range, numbers in
      try forEachPiece(of: model) { tensor, offset, part in
        let here = part.clamped(to: range)
        guard !here.isEmpty else { return }
        try writer.write(
          tensor.name,
          UnsafeBufferPointer(
            start: numbers + here.lowerBound - range.lowerBound, count: here.count),
          at: offset + here.lowerBound - part.lowerBound)
      }
    }
    try writer.finish()
    try checkpointFiles { () throws(FileError) in try folder.commit() }
  }
}
