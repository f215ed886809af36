import Configuration

/// A family of models: its run-file keys, its `config.json`, its tensors' names and its blocks.
///
/// A new family is one file that conforms to this, and a line in `Architectures`.
package protocol Architecture: Sendable {
  /// The mixers it provides, as `model.mixer` and `model.layers` name them.
  static var mixers: [String] { get }
  /// `model_type` in `config.json`.
  static var modelType: String { get }
  /// All that its models may have as `model_type`: where that also says of what they were made.
  static var modelTypes: [String] { get }
  /// Its own keys in the run file, a section in `model` that `ModelSection.subsections` holds; nil for none.
  static var section: (any ConfigurationSection.Type)? { get }
  /// Sections of other families that its models may have, too.
  static var borrowedSections: [any ConfigurationSection.Type] { get }

  /// Whether experts can stand in the place of its channel mixers.
  static var takesExperts: Bool { get }

  /// What people are told about it.
  static var card: ModelCard { get }
  /// The run file's keys that several families have, and of which it reads these.
  static var sharedKeys: Set<String> { get }

  /// Keys of a `config.json` that such models do not look at, whatever they say.
  static var ignoredKeys: Set<String> { get }
  /// Beginnings of the names of tensors that such models have and that nothing here computes with: they are kept as they are.
  static var keptTensors: [String] { get }
  /// What is wrong with a run file's description of a model of this family.
  static func problems(_ section: ModelSection) -> [KeyProblem]
  /// The model that a run file describes.
  init(_ section: ModelSection, vocabulary: Int)
  /// The model that a `config.json` describes.
  init(_ keys: ModelKeys) throws(ModelError)
  /// The `config.json` of this model, without unknown keys.
  var configuration: [String: JSONValue] { get }

  /// Width of the residual stream, number of blocks, number of tokens.
  var dimension: Int { get }
  /// Number of blocks.
  var depth: Int { get }
  /// Number of tokens.
  var vocabulary: Int { get }
  /// Standard deviation of the initial weights.
  var initialDeviation: Double { get }
  /// What embeddings are multiplied by.
  var embeddingScale: Float { get }
  /// Epsilon of the norms.
  var normEpsilon: Float { get }
  /// Whether the head uses the embedding's weights.
  var tiesEmbedding: Bool { get }
  /// What logits are kept within, `c tanh(z / c)`; nil for what they are.
  var logitSoftCap: Float? { get }
  /// File names of the tensors outside the blocks; no name for a norm without a weight.
  var outerNames: (embedding: String, norm: String?, head: String) { get }

  /// What the gradient of each position's largest logit gets beside the loss's: its logit times this, over all
  /// positions; 0 for nothing.
  var largestLogitPenalty: Double { get }

  /// The weight of the mean of `(log Σ exp(logits))²` over all positions in the loss; 0 for nothing.
  var logSumPenalty: Double { get }

  /// Keys of a `config.json` that say nothing where this one's configuration leaves them out, and are not handed on then.
  static var omittedKeys: Set<String> { get }

  /// What other programs store beside its weights though it follows from its keys.
  var constants: [ConstantTensor] { get }

  /// What a user should know of how its keys were read, a clause each.
  var notices: [String] { get }

  /// The Transformer that something stands in for the attention of; nil where it is none.
  var transformer: (any Architecture)? { get }

  /// Another name that files may have for a tensor; nil for none.
  func otherName(of tensor: String) -> String?
  /// Adds weights that several blocks read, each in a region that the builder opens for it.
  func addShared(_ builder: inout ModelBuilder)
  /// Builds the norm before the head, and adds its parameters.
  func outerNorm(_ builder: inout ModelBuilder) -> any Normalization
  /// Builds one block and adds its parameters.
  func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block
}

extension Architecture {
  /// No.
  package static var takesExperts: Bool { false }
  /// One.
  package static var modelTypes: [String] { [modelType] }
  /// None.
  package static var borrowedSections: [any ConfigurationSection.Type] { [] }
  /// None.
  package static var ignoredKeys: Set<String> { [] }
  /// None.
  package static var keptTensors: [String] { [] }
  /// None.
  package static var sharedKeys: Set<String> { [] }
  /// Nothing.
  package var largestLogitPenalty: Double { 0 }
  /// Nothing.
  package var logSumPenalty: Double { 0 }
  /// None.
  package static var omittedKeys: Set<String> { [] }
  /// None.
  package var constants: [ConstantTensor] { [] }
  /// None.
  package var notices: [String] { [] }
  /// None.
  package var transformer: (any Architecture)? { nil }
  /// None.
  package func otherName(of tensor: String) -> String? { nil }
  /// None.
  package func addShared(_ builder: inout ModelBuilder) {}
  /// None.
  package static var section: (any ConfigurationSection.Type)? { nil }

  /// None.
  package var logitSoftCap: Float? { nil }

  /// A root-mean-square norm of the outer name, or one without a weight where there is no name.
  package func outerNorm(_ builder: inout ModelBuilder) -> any Normalization {
    outerNames.norm.map { builder.norm($0, width: dimension, epsilon: normEpsilon) }
      ?? Norm(weight: nil, epsilon: normEpsilon)
  }
}
