import Autodiff
import Configuration
import Files
import Foundation
import Models
import Tensors

/// A model in a Hugging Face folder: `config.json` and `model.safetensors`.
package struct ModelFolder {
  /// Where it lies.
  package let path: String
  /// The model that its `config.json` describes.
  package private(set) var model: LanguageModel
  /// All of `config.json`, keys that this program does not know included.
  package let configuration: JSONValue
  /// What a user should know of it, a line each: what it holds that the model does not take, how names were read.
  package private(set) var notices: [String]
  /// Files beside the weights that a user of the model needs, such as its tokenizer's.
  package let companions: [MappedFile]
  /// The model's adapter, where it was opened with one.
  package let adapter: AdapterFolder?
  /// What became of its tensors, where it was opened to be made linear.
  package let exchange: TensorExchange?
  /// Tensors that it holds beside weights though they follow from its keys.
  private let constants: [ConstantTensor]
  private let source: SafetensorsFolder
  private let names: TensorNames

  /// Opens a folder and checks that it holds every tensor in the right shape; reads no weights.
  ///
  /// - Parameters:
  ///   - given: A model's folder, or an adapter's, which says where its model lies.
  ///   - adapter: The folder of an adapter of the model.
  ///   - lora: New adapters that the model gets; their weights are read from nowhere.
  ///   - linearisation: What becomes of the Transformer that it holds; nil to leave it as it is.
  ///   - training: How its experts are trained, where that is not as its `config.json` says; nil where it is.
  ///   - inherited: Names of tensors that came from a Transformer when the model was made of it.
  /// - Throws: `CheckpointError` that names missing tensors and wrong shapes, a handful of them; `AdapterError` for new
  ///   adapters that the model cannot have, `LinearisationError` for a method that does not fit.
  package init(
    path given: String, adapter: String? = nil, adapting lora: LoRA? = nil,
    linearising linearisation: Linearisation? = nil, training: ExpertTraining? = nil,
    inheriting inherited: [String] = []
  ) throws {
    let path = try Self.modelPath(given)
    if path != given, let adapter {
      throw CheckpointError.unsupported(
        path: given,
        reason:
          "it is an adapter, and \(adapter) is to be one beside it; name a model, or one adapter")
    }
    let adapter = try (adapter ?? (path != given ? given : nil)).map { try AdapterFolder(path: $0) }
    if let adapter, lora != nil {
      throw CheckpointError.unsupported(
        path: adapter.path,
        reason:
          "it is trained on as it is, and there are to be new adapters beside; leave lora away")
    }
    (self.path, self.adapter) = (path, adapter)
    let file = path + "/config.json"
    guard FileSystem.exists(file) else {
      if let pickle = Pickles.path(at: path) { throw CheckpointError.pickle(path: pickle) }
      throw CheckpointError.notAModelFolder(path: path, missing: "config.json")
    }
    let configuration = try JSONValue(file: file)
    let (read, unknown, _) = try Self.read(configuration, training, file: file)
    let architecture = try linearisation.map { try $0(read) } ?? read
    var model = try Self.model(architecture, adapter, adapting: lora)
    let source = try SafetensorsFolder(path: path)
    let names = try TensorNames(source.tensors.map(\.name), path: source.path)
      .renamed(for: model)
    let exchange = linearisation.map {
      TensorExchange($0, from: LanguageModel(read), to: model)
    }
    let inherited = Set(inherited)
    model.inherited =
      exchange?.copiedParameters
      ?? model.tensors.filter { inherited.contains($0.name) }.flatMap(\.pieces).map(\.parameter)
    (self.configuration, self.model, self.source) = (configuration, model, source)
    (self.exchange, self.names) = (exchange, exchange.map { names.renamed(by: $0) } ?? names)
    let wrong = (exchange?.from ?? model).tensors.compactMap { wanted -> String? in
      guard let found = names.stored[wanted.name].flatMap(source.tensor) else {
        return "\(wanted.name) \(wanted.shape) is missing"
      }
      guard found.shape == wanted.shape.dimensions else {
        return "\(wanted.name) is \(found.shape) but must be \(wanted.shape)"
      }
      return found.type.isFloatingPoint ? nil : "\(wanted.name) holds \(found.type.rawValue)"
    }
    guard wrong.isEmpty else {
      throw CheckpointError.mismatch(path: source.path, reason: listed(wrong))
    }
    constants = read.constants.filter { names.stored[$0.name] != nil }
    try ConstantTensor.check(constants, by: names, in: source)
    var left = try names.left(over: exchange?.from ?? model, path: source.path)
    let kept = exchange == nil ? type(of: architecture).keptTensors : []
    let further = left.filter { name in kept.contains(where: name.hasPrefix) }
    left.removeAll(where: further.contains)
    self.model.kept = try further.map { name in
      guard let tensor = names.stored[name].flatMap(source.tensor), tensor.type.isFloatingPoint
      else {
        throw CheckpointError.mismatch(path: source.path, reason: "\(name) holds no floating point")
      }
      return KeptTensor(name: name, shape: Shape(tensor.shape))
    }
    try adapter?.check(model)
    var notices = adapter?.notices ?? []
    if !names.wrappers.isEmpty {
      notices.append(
        "names of tensors in \(path) are read without \(listed(names.wrappers)), which other tools add"
      )
    }
    if !unknown.isEmpty {
      notices.append("\(file) has keys that are not known here: \(listed(unknown))")
    }
    if !further.isEmpty {
      notices.append(
        "\(path) has tensors that take no part in anything and are kept as they are: "
          + listed(further))
    }
    if !left.isEmpty {
      notices.append("\(path) has tensors that the model does not take: \(listed(left))")
    }
    self.notices = notices + read.notices.map { "\(file): \($0)" }
    companions = try checkpointFiles { () throws(FileError) in
      var files: [MappedFile] = []
      for name in try FileSystem.names(in: path).sorted() where Self.goesAlong(name) {
        files.append(try MappedFile(path: "\(path)/\(name)"))
      }
      return files
    }
  }

  /// Opens a folder as `init(path:)` does; where it is a checkpoint, what it holds is compared with what was written first.
  ///
  /// - Throws: `CheckpointError.damaged` that names the file, too.
  package init(
    verifying path: String, adapter: String? = nil, adapting lora: LoRA? = nil,
    linearising linearisation: Linearisation? = nil, training: ExpertTraining? = nil
  ) throws {
    let notice =
      try Checkpoint.knowsItsFiles(path) ? try Checkpoint(path: path).verifyModel() : nil
    try self.init(
      path: path, adapter: adapter, adapting: lora, linearising: linearisation, training: training)
    if let notice { notices.append(notice) }
  }

  /// Whether a file of a model's folder belongs to every copy of the model: tokenizer, templates, how to generate.
  static func goesAlong(_ name: String) -> Bool {
    let names: Set = [
      "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
      "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "spiece.model",
      "sentencepiece.bpe.model", "tiktoken.model", "generation_config.json",
      "preprocessor_config.json", "processor_config.json",
    ]
    return names.contains(name) || name.hasPrefix("chat_template.")
      || name.hasPrefix("tokenization_")
  }

  private static func read(
    _ configuration: JSONValue, _ training: ExpertTraining? = nil, file: String
  ) throws(CheckpointError) -> (any Architecture, unknown: [String], unread: [String]) {
    do throws(ModelError) {
      if let training { return try training.read(configuration) }
      let (architecture, unknown) = try Architectures.read(configuration)
      return (architecture, unknown, [])
    } catch {
      throw .unsupported(path: file, reason: error.description)
    }
  }

  /// The architecture that a folder's `config.json` describes, or that of the model of an adapter's folder.
  package static func architecture(in given: String) throws -> any Architecture {
    let file = try modelPath(given) + "/config.json"
    return try read(JSONValue(file: file), file: file).0
  }

  /// What a run says of a folder's experts that its model has no place for: keys of `model.experts`.
  package static func unread(_ training: ExpertTraining, in given: String) throws -> [String] {
    let file = try modelPath(given) + "/config.json"
    return try read(JSONValue(file: file), training, file: file).unread
  }

  /// The folder of the model itself: what is given, or what an adapter's folder names.
  package static func modelPath(_ given: String) throws(CheckpointError) -> String {
    AdapterFolder.isOne(given) ? try AdapterFolder(path: given).basePath() : given
  }

  private static func model(
    _ architecture: any Architecture, _ adapter: AdapterFolder?, adapting lora: LoRA?
  ) throws -> LanguageModel {
    if let lora { return try LanguageModel(architecture, adapting: lora) }
    guard let adapter else { return LanguageModel(architecture) }
    do throws(AdapterError) {
      return try LanguageModel(architecture, adapting: adapter.lora)
    } catch {
      throw CheckpointError.foreignAdapter(path: adapter.path, reason: error.description)
    }
  }

  /// Reads all weights.
  package func read(into store: WholeParameters) throws {
    try read(0..<model.table.count, into: store.values.pointer)
  }

  /// Reads the weights of a range of the parameters' index space, which must be finite; those of new adapters, and of
  /// what a Transformer does not have, are left as they are.
  ///
  /// - Parameter numbers: Room for them.
  package func read(_ range: Range<Int>, into numbers: UnsafeMutablePointer<Float>) throws {
    try Self.forEachPiece(of: model, model.tensors) { tensor, offset, part in
      let wanted = part.clamped(to: range)
      guard !wanted.isEmpty, exchange?.isFresh(tensor) != true else { return }
      let first = offset + wanted.lowerBound - part.lowerBound
      try source.readFloats(
        names.stored[tensor.name] ?? tensor.name, elements: first..<first + wanted.count,
        into: numbers + wanted.lowerBound - range.lowerBound)
      let read = UnsafeBufferPointer(
        start: numbers + wanted.lowerBound - range.lowerBound, count: wanted.count)
      // 0 · x is not 0 for what is not finite; one sum vectorises where a search does not.
      if read.reduce(0, { $0 + 0 * $1 }) != 0, let wrong = read.first(where: { !$0.isFinite }) {
        throw CheckpointError.notFinite(path: path, name: tensor.name, value: wrong)
      }
    }
    try adapter?.read(range, of: model, into: numbers)
  }

  /// Goes through the parameters of tensors in the order of the file: each with its tensor, where it begins
  /// in the tensor, and its range in the index space.
  static func forEachPiece(
    of model: LanguageModel, _ tensors: [WeightTensor],
    _ body: (WeightTensor, Int, Range<Int>) throws -> Void
  ) throws {
    for tensor in tensors {
      var offset = 0
      for piece in tensor.pieces {
        let first = model.table[piece.parameter].range.lowerBound
        let range = first + piece.elements.lowerBound..<first + piece.elements.upperBound
        try body(tensor, offset, range)
        offset += range.count
      }
    }
  }

  /// What a folder hands on to those that are written of the model.
  package struct Origin {
    /// The folder.
    package let path: String
    let configuration: JSONValue
    let companions: [MappedFile]
    /// Names of tensors that it holds beside weights though they follow from its keys.
    let constants: Set<String>
    /// Tensors that go along as they are.
    let kept: KeptTensors
  }

  /// What this folder hands on.
  ///
  /// - Throws: `CheckpointError.unsupported` for a key that is to be kept and that JSON has no word for.
  package func origin() throws(CheckpointError) -> Origin {
    let own = model.architecture.configuration
    let omitted = type(of: model.architecture).omittedKeys
    let keys = (configuration.object ?? [:]).filter { !omitted.contains($0.key) }
    let wrong = keys.filter { own[$0.key] == nil && !$0.value.isFinite }
    guard wrong.isEmpty else {
      throw .unsupported(
        path: path + "/config.json",
        reason:
          "\(listed(wrong.keys.sorted())) cannot be written to the new model's, as JSON has no "
          + "numbers that are not finite; remove it")
    }
    // Keys of another skeleton say nothing of the new model.
    let kept: JSONValue = .object(exchange?.isOfOneSkeleton == false ? [:] : keys)
    return Origin(
      path: path, configuration: kept, companions: companions,
      constants: Set(constants.map(\.name)),
      kept: KeptTensors(model.kept, in: source, names))
  }

  /// Writes a model as a folder that appears under its name only when it is complete.
  ///
  /// - Parameters:
  ///   - earlier: The folder that the model began from: its `config.json`'s keys are kept where this program has
  ///     none of its own, its companions and the tensors that are kept go along.
  ///   - format: How weights are stored.
  ///   - shardBytes: A file gets no further tensor that would make its data longer than this.
  ///   - tokenizer: Files that go along in the place of the companions.
  ///   - weights: Calls the function that it gets with all weights, range by range of the parameters' index
  ///     space, ascending.
  /// - Throws: `CheckpointError` when it cannot be written; what `weights` throws.
  package static func write(
    _ model: LanguageModel, to path: String, keeping earlier: Origin? = nil,
    tokenizer: TokenizerFiles? = nil, as format: WeightFormat = .fp32,
    shardBytes: Int = SafetensorsShards.usualBytes,
    weights: ((Range<Int>, UnsafePointer<Float>) throws -> Void) throws -> Void
  ) throws {
    let folder = try checkpointFiles { () throws(FileError) in
      let folder = try AtomicFolder(destination: path)
      for (name, content) in description(
        of: model, keeping: earlier, tokenizer: tokenizer, as: format)
      {
        try AtomicFile.write(content, to: "\(folder.path)/\(name)")
      }
      return folder
    }
    let constants = model.architecture.constants.filter {
      earlier?.constants.contains($0.name) == true
    }
    let writer = try SafetensorsFolderWriter(
      path: folder.path,
      tensors: model.tensors.map { $0.description(as: format.type) }
        // Others compute with what is stored: it is not rounded.
        + constants.map { TensorDescription($0.name, shape: $0.shape.dimensions) }
        + (earlier?.kept.descriptions(as: format.type) ?? []),
      shardBytes: shardBytes)
    try weights { range, numbers in
      try forEachPiece(of: model, model.tensors) { tensor, offset, part in
        let here = part.clamped(to: range)
        guard !here.isEmpty else { return }
        try writer.write(
          tensor.name,
          UnsafeBufferPointer(
            start: numbers + here.lowerBound - range.lowerBound, count: here.count),
          at: offset + here.lowerBound - part.lowerBound)
      }
    }
    for constant in constants { try constant.write(to: writer) }
    try earlier?.kept.forEachPiece { name, offset, numbers throws(CheckpointError) in
      try writer.write(name, numbers, at: offset)
    }
    try writer.finish()
    try checkpointFiles { () throws(FileError) in try folder.commit() }
  }
}

extension ModelFolder {
  /// The files of a model's folder beside its weights: `config.json`, and what goes along.
  ///
  /// - Parameters:
  ///   - earlier: The folder that the model began from.
  ///   - tokenizer: Files that go along in the place of the companions.
  static func description(
    of model: LanguageModel, keeping earlier: Origin?, tokenizer: TokenizerFiles?,
    as format: WeightFormat = .fp32
  ) -> [(name: String, content: Data)] {
    var keys = earlier?.configuration.object ?? [:]
    keys.merge(model.architecture.configuration) { $1.keeping($0) }
    keys["torch_dtype"] = nil
    keys["dtype"] = .string(format.name)
    return [("config.json", JSONValue.object(keys).encoded)]
      + companions(of: earlier, or: tokenizer)
  }

  /// What goes along with a model: the files of a tokenizer where one is given, else those of the folder that it began from.
  static func companions(
    of earlier: Origin?, or tokenizer: TokenizerFiles?
  ) -> [(name: String, content: Data)] {
    (tokenizer?.files
      ?? (earlier?.companions ?? []).map { (name: FileSystem.name(of: $0.path), file: $0) })
      .map { ($0.name, $0.file.data) }
  }
}

extension JSONValue {
  /// This value, and what only the other has of the keys of objects.
  fileprivate func keeping(_ other: JSONValue) -> JSONValue {
    guard let mine = object, let others = other.object else { return self }
    return .object(mine.merging(others) { $0.keeping($1) })
  }

  /// Whether all numbers in it are.
  fileprivate var isFinite: Bool {
    switch self {
    case .array(let values): values.allSatisfy(\.isFinite)
    case .object(let fields): number?.isFinite ?? fields.values.allSatisfy(\.isFinite)
    default: number?.isFinite ?? true
    }
  }
}
