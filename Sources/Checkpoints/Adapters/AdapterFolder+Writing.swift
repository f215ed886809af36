import Configuration
import Files
import Foundation
import Models
import Tensors

extension AdapterFolder {
  /// Writes a model's adapters as a folder that appears under its name only when it is complete.
  ///
  /// - Parameters:
  ///   - base: The folder of the model without them.
  ///   - earlier: The folder that the model began from, whose tokenizer and other companions go along.
  ///   - tokenizer: Files that go along in their place.
  ///   - weights: Calls the function that it gets with all weights, range by range of the parameters' index space.
  /// - Throws: `CheckpointError` when it cannot be written; what `weights` throws.
  package static func write(
    _ model: LanguageModel, to path: String, base: String,
    keeping earlier: ModelFolder.Origin? = nil, tokenizer: TokenizerFiles? = nil,
    weights: ((Range<Int>, UnsafePointer<Float>) throws -> Void) throws -> Void
  ) throws {
    let folder = try checkpointFiles { () throws(FileError) in
      let folder = try AtomicFolder(destination: path)
      let base = URL(fileURLWithPath: base).standardizedFileURL.path
      for (name, content) in description(
        of: model, base: base, keeping: earlier, tokenizer: tokenizer)
      {
        try AtomicFile.write(content, to: "\(folder.path)/\(name)")
      }
      return folder
    }
    let tensors = model.adapterTensors + model.savedTensors
    let writer = try SafetensorsWriter(
      path: "\(folder.path)/\(weightsName)",
      tensors: tensors.map { TensorDescription(prefix + $0.name, shape: $0.shape.dimensions) })
    try weights { range, numbers in
      try ModelFolder.forEachPiece(of: model, tensors) { tensor, offset, part in
        let here = part.clamped(to: range)
        guard !here.isEmpty else { return }
        try writer.write(
          prefix + tensor.name,
          UnsafeBufferPointer(
            start: numbers + here.lowerBound - range.lowerBound, count: here.count),
          at: offset + here.lowerBound - part.lowerBound)
      }
    }
    try writer.finish()
    try checkpointFiles { () throws(FileError) in try folder.commit() }
  }

  /// The files of an adapter's folder beside its weights: `adapter_config.json`, and what goes along.
  ///
  /// - Parameter base: The folder of the model without it, as it is written.
  static func description(
    of model: LanguageModel, base: String, keeping earlier: ModelFolder.Origin?,
    tokenizer: TokenizerFiles?
  ) -> [(name: String, content: Data)] {
    guard let lora = model.lora else { preconditionFailure("a model without adapters") }
    return [(configurationName, configuration(lora, of: model, base: base).encoded)]
      + ModelFolder.companions(of: earlier, or: tokenizer)
  }

  private static func configuration(
    _ lora: LoRA, of model: LanguageModel, base: String
  ) -> JSONValue {
    func list(_ texts: [String]) -> JSONValue { .array(texts.map(JSONValue.string)) }
    func number(_ value: Double) -> JSONValue {
      Int(exactly: value).map(JSONValue.integer) ?? .number(value)
    }
    func targets(_ targets: LoRA.Targets) -> JSONValue {
      switch targets {
      case .suffixes(let suffixes): list(suffixes)
      case .pattern(let pattern): .string(pattern)
      case .allLinear: list(model.adaptedModules)
      }
    }
    let nothing: JSONValue = .null
    return .object([
      "peft_type": "LORA", "task_type": "CAUSAL_LM",
      "base_model_name_or_path": .string(base),
      "r": .integer(lora.rank), "lora_alpha": number(lora.alpha), "lora_dropout": 0.0,
      "target_modules": targets(lora.targets),
      "exclude_modules": lora.excluded.map(targets) ?? nothing,
      "modules_to_save": lora.modulesToSave.isEmpty ? nothing : list(lora.modulesToSave),
      "bias": "none", "fan_in_fan_out": false, "use_rslora": .bool(lora.usesRootOfRank),
      "use_dora": false, "init_lora_weights": true, "inference_mode": true,
      "rank_pattern": .object(
        Dictionary(uniqueKeysWithValues: lora.ranks.map { ($0.pattern, .integer($0.rank)) })),
      "alpha_pattern": .object(
        Dictionary(uniqueKeysWithValues: lora.alphas.map { ($0.pattern, number($0.alpha)) })),
      "layers_to_transform": lora.layers.map { .array($0.map(JSONValue.integer)) } ?? nothing,
      "layers_pattern": lora.layerNames.isEmpty ? nothing : list(lora.layerNames),
    ])
  }
}
