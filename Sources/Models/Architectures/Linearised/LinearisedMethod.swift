import Configuration

/// A way to make a linear model of a pretrained Transformer: what stands in for its softmax, and the keys that say it.
///
/// A method is one file with a type that conforms to this, and a line in `Architectures`.
protocol LinearisedMethod: Sendable {
  /// Its own keys in the run file.
  associatedtype Keys: LinearisedKeys

  /// Its name in run files.
  static var name: String { get }
  /// What people are told about it.
  static var card: ModelCard { get }
  /// `model_type` in `config.json` of what is made of a Transformer of some family.
  static func modelType(of base: PretrainedBase) -> String
  /// `architectures` in `config.json`, without `ForCausalLM`.
  static func className(of base: PretrainedBase) -> String

  /// What a run file describes, for heads of a Transformer.
  init(_ keys: Keys, heads: HeadSplit)
  /// What a `config.json` describes.
  init(_ keys: ModelKeys, heads: HeadSplit)
  /// Its own keys of `config.json`.
  var configuration: [String: JSONValue] { get }
  /// Why it does not fit those heads, and what to do, with the key of `config.json` that says it; nil where it does.
  func problem(_ heads: HeadSplit) -> (key: String, reason: String)?
  /// Builds what stands in for one layer's softmax, and adds its parameters.
  func substitute(
    _ settings: AttentionSettings, heads: HeadSplit, at place: MixerPlace,
    _ builder: inout ModelBuilder
  ) -> any AttentionSubstitute
}

/// The keys of a run file that only some methods have.
protocol LinearisedKeys: ConfigurationSection {
  /// Of what family the Transformer is.
  var base: PretrainedBase { get }
}

extension LinearisedMethod {
  /// The method's name and the family's, `lolcats_llama`.
  static func modelType(of base: PretrainedBase) -> String { "\(name)_\(base.rawValue)" }
  /// The method's name and the family's.
  static func className(of base: PretrainedBase) -> String {
    name.prefix(1).uppercased() + name.dropFirst() + base.className
  }
}

/// The families of pretrained Transformers that linear models are made of.
enum PretrainedBase: String, KeyChoice {
  case llama, mistral, qwen2, qwen3

  /// The Transformers of the family.
  var type: any LinearisableTransformer.Type {
    switch self {
    case .llama: PretrainedTransformer<Llama>.self
    case .mistral: PretrainedTransformer<Mistral>.self
    case .qwen2: PretrainedTransformer<Qwen2>.self
    case .qwen3: PretrainedTransformer<Qwen3>.self
    }
  }

  /// Its name in those of classes.
  var className: String { rawValue.prefix(1).uppercased() + rawValue.dropFirst() }
}

/// A Transformer whose layers something else can stand in for.
protocol LinearisableTransformer: LlamaArchitecture {
  /// What a layer's attention is.
  func attention(of layer: Int) -> AttentionSettings
}

extension PretrainedTransformer: LinearisableTransformer {}
