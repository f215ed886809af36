import Configuration
import Files
import Foundation
import Models
import Tensors

/// An adapter in a folder as PEFT writes it: `adapter_config.json` and `adapter_model.safetensors`.
package struct AdapterFolder {
  /// Where it lies.
  package let path: String
  /// Which projections have an adapter.
  package let lora: LoRA
  /// What a user should know of it, a line each.
  package let notices: [String]
  private let base: String?
  private let file: SafetensorsFile

  static let configurationName = "adapter_config.json"
  static let weightsName = "adapter_model.safetensors"
  /// What stands before the names of tensors.
  static let prefix = "base_model.model."

  /// Whether a folder holds an adapter and no model.
  static func isOne(_ path: String) -> Bool {
    FileSystem.exists("\(path)/\(configurationName)") && !FileSystem.exists("\(path)/config.json")
  }

  /// Opens a folder; reads no weights.
  ///
  /// - Throws: `CheckpointError` for adapters of another kind than LoRA, and for options that change what is computed.
  package init(path: String) throws(CheckpointError) {
    self.path = path
    let configuration = "\(path)/\(Self.configurationName)"
    guard FileSystem.exists(configuration) else {
      throw .notAnAdapter(path: path, missing: Self.configurationName)
    }
    let keys = AdapterKeys(try JSONValue(file: configuration), path: configuration)
    lora = try keys.lora()
    base = keys.base
    notices = keys.notices
    let weights = "\(path)/\(Self.weightsName)"
    guard FileSystem.exists(weights) else {
      let pickle = "adapter_model.bin"
      guard !FileSystem.exists("\(path)/\(pickle)") else {
        throw .unsupported(
          path: "\(path)/\(pickle)",
          reason: "it is a pickle, which can run programs and is never opened; load it in PEFT and "
            + "save it anew, which writes \(Self.weightsName)")
      }
      throw .notAnAdapter(path: path, missing: Self.weightsName)
    }
    file = try SafetensorsFile(path: weights)
  }

  /// The folder of the model that it was trained on: where the configuration says, from the adapter's folder or else from
  /// the current one.
  func basePath() throws(CheckpointError) -> String {
    let given = base ?? ""
    for candidate in [given.hasPrefix("/") ? given : "\(path)/\(given)", given]
    where !given.isEmpty && FileSystem.exists(candidate + "/config.json") {
      return candidate
    }
    throw .unsupported(
      path: path,
      reason: given.isEmpty
        ? "it names no base model; give the model's folder, and this one as its adapter"
        : "its base model \(given) is no folder here; give the model's folder, and this one as its "
          + "adapter")
  }

  /// A tensor as the file names it; nil where it does not hold it.
  ///
  /// PEFT keeps the base's own head and embedding where these have an adapter or have grown; then they count.
  private func stored(_ tensor: WeightTensor) -> StoredTensor? {
    file.tensor(Self.prefix + tensor.name)
      ?? tensor.module.flatMap { file.tensor("\(Self.prefix)\($0).base_layer.weight") }
  }

  /// Everything of a model that the file holds.
  private func held(of model: LanguageModel) -> [WeightTensor] {
    (model.adapterTensors + model.tensors).filter { stored($0) != nil }
  }

  /// Checks that it holds what a model's adapters are made of, and nothing that the model has no place for.
  func check(_ model: LanguageModel) throws(CheckpointError) {
    let needed = Set((model.adapterTensors + model.savedTensors).map(\.name))
    let wrong = (model.adapterTensors + model.tensors).compactMap { tensor -> String? in
      guard let found = stored(tensor) else {
        return needed.contains(tensor.name) ? "\(tensor.name) \(tensor.shape) is missing" : nil
      }
      guard found.shape == tensor.shape.dimensions else {
        return "\(tensor.name) is \(found.shape) but must be \(tensor.shape)"
      }
      return found.type.isFloatingPoint ? nil : "\(tensor.name) holds \(found.type.rawValue)"
    }
    guard wrong.isEmpty else {
      throw .foreignAdapter(path: path, reason: listed(wrong))
    }
    let names = Set(held(of: model).compactMap { stored($0)?.name })
    let left = file.tensors.map(\.name).filter { !names.contains($0) }
    guard left.isEmpty else {
      throw .foreignAdapter(path: path, reason: "the model has no place for \(listed(left))")
    }
  }

  /// Reads what lies in a range of the parameters' index space, which must be finite.
  ///
  /// - Parameter numbers: The range's first number.
  func read(
    _ range: Range<Int>, of model: LanguageModel, into numbers: UnsafeMutablePointer<Float>
  ) throws {
    try ModelFolder.forEachPiece(of: model, held(of: model)) { tensor, offset, part in
      let wanted = part.clamped(to: range)
      guard !wanted.isEmpty else { return }
      let first = offset + wanted.lowerBound - part.lowerBound
      let place = numbers + wanted.lowerBound - range.lowerBound
      try file.readFloats(
        stored(tensor)?.name ?? tensor.name, elements: first..<first + wanted.count, into: place)
      let read = UnsafeBufferPointer(start: place, count: wanted.count)
      if let wrong = read.first(where: { !$0.isFinite }) {
        throw CheckpointError.notFinite(path: path, name: tensor.name, value: wrong)
      }
    }
  }
}
