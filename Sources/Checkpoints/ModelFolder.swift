import Autodiff
import Configuration
import Foundation
import Models
import Tensors

/// A model in a Hugging Face folder: `config.json` and `model.safetensors`.
public struct ModelFolder {
  /// Where it lies.
  public let path: String
  /// The model that its `config.json` describes.
  public let model: LanguageModel
  /// All of `config.json`, keys that this program does not know included.
  public let configuration: JSONValue
  private let source: SafetensorsFolder

  /// Opens a folder and checks that it holds every tensor in the right shape; reads no weights.
  ///
  /// - Throws: `CheckpointError` that lists every missing tensor and every wrong shape.
  public init(path: String) throws {
    self.path = path
    let file = path + "/config.json"
    guard FileManager.default.fileExists(atPath: file) else {
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

  /// Reads all weights into a store.
  public func read(into store: any ParameterStore) throws {
    for tensor in model.tensors {
      var offset = 0
      for part in tensor.parts {
        let count = model.table[part].shape.count
        try source.readFloats(
          tensor.name, elements: offset..<offset + count,
          into: store.value(part))
        offset += count
      }
    }
  }

  /// Writes a model as a folder that appears under its name only when it is complete.
  ///
  /// - Parameters:
  ///   - extra: Keys of an earlier `config.json` that are kept where this program has none of its own.
  ///   - values: The numbers of a parameter.
  public static func write(
    _ model: LanguageModel, to path: String, keeping extra: JSONValue? = nil,
    values: (Parameter) throws -> UnsafePointer<Float>
  ) throws {
    let folder = try AtomicFolder(destination: path)
    var keys = extra?.object ?? [:]
    keys.merge(model.architecture.configuration) { $1 }
    keys["torch_dtype"] = nil
    keys["dtype"] = "float32"
    try AtomicFile.write(JSONValue.object(keys).encoded, to: folder.path + "/config.json")
    let writer = try SafetensorsFolderWriter(
      path: folder.path,
      tensors: model.tensors.map {
        TensorDescription($0.name, shape: $0.shape.dimensions)
      })
    for tensor in model.tensors {
      var offset = 0
      for part in tensor.parts {
        let count = model.table[part].shape.count
        try writer.write(
          tensor.name, UnsafeBufferPointer(start: try values(part), count: count), at: offset)
        offset += count
      }
    }
    try writer.finish()
    try folder.commit()
  }
}
