import Configuration
import Kernels

/// The mLSTM, xLSTM's mixer: exponential input gates, a matrix memory and its normaliser, held below a running maximum.
///
/// - Source: arXiv 2405.04517, section 2.3; transformers' layout.
struct MLSTM: FlashMixer {
  typealias Layer = MLSTMMixer

  static let name = "xlstm"
  static let className = "xLSTM"
  static let card = ModelCard(
    "xLSTM (mLSTM)", recurrence: "scalar decay, exponential input gates",
    papers: ["2405.04517", "2503.13427"])
  static let depth = 32
  static let keys: Set<String> = ["bias", "expand_k", "expand_v"]
  /// Which kernels compute it and in what numbers; what the makers' program does not look at.
  static let ignoredKeys: Set<String> = [
    "mode", "chunkwise_kernel", "sequence_kernel", "step_kernel", "chunk_size",
    "return_last_states", "autocast_kernel_dtype", "inference_state_dtype",
    "max_inference_chunksize",
    "add_out_norm", "tie_word_embeddings",
  ]
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.xlstm` section.
  struct Keys: ConfigurationSection {
    static let name = "model.xlstm"
    static let documentation = "What only xLSTM has."

    @Key(
      "gate_soft_cap", .model, above: 0,
      "What input and forget gates are kept within before anything else."
    )
    var gateCap = 15.0

    @Key("output_logit_soft_cap", .model, above: 0, "What logits are kept within.")
    var logitCap = 30.0

    init() {}
  }

  /// How a folder names the projections of a layer.
  enum WeightMode: String {
    /// Each is a tensor of its own.
    case single
    /// Those of one input are one tensor.
    case fused
  }

  let heads: HeadSplit
  let keyFactor, valueFactor: Double
  let hasBias: Bool
  let epsilon: Float
  let gateCap: Double
  let mode: WeightMode

  /// Sizes, and what the skeleton of another family has not.
  static func problems(_ section: ModelSection) -> [KeyProblem] {
    sizeProblems(section)
      + section.outside(
        ["output_logit_soft_cap"], of: name, section.subsections[Keys.self].changes)
  }

  init(_ section: ModelSection) {
    (keyFactor, valueFactor) = (section.expandKey ?? 0.5, section.expandValue ?? 1)
    heads = Self.split(section.dimension, section.heads, keyFactor, valueFactor)
    hasBias = section.bias
    epsilon = 1e-6
    gateCap = section.subsections[Keys.self].gateCap
    mode = .single
  }

  init(_ keys: ModelKeys, dimension: Int) {
    keyFactor = keys.ratio("qk_dim_factor", default: 0.5)
    valueFactor = keys.ratio("v_dim_factor", default: 1)
    heads = Self.split(
      dimension, keys.positive("num_heads", default: 8), keyFactor, valueFactor)
    hasBias = keys.boolean("use_bias", default: false)
    epsilon = keys.epsilon("eps", default: 1e-6)
    gateCap = keys.positiveNumber("gate_soft_cap", default: 15)
    mode = keys.choice(
      "weight_mode", default: "single", of: [("single", .single), ("fused", .fused)])
  }

  private static func split(
    _ dimension: Int, _ heads: Int, _ keyFactor: Double, _ valueFactor: Double
  ) -> HeadSplit {
    HeadSplit(
      heads: heads, keyWidth: Int(Double(dimension) * keyFactor),
      valueWidth: Int(Double(dimension) * valueFactor))
  }

  var problem: String? {
    for (name, width) in [("keys", heads.keyWidth), ("values", heads.valueWidth)] {
      if width < heads.heads || width % heads.heads != 0 {
        return "\(heads.heads) heads do not divide the \(name)' width of \(width); "
          + "choose a divisor of \(width), or another width"
      }
      if width / heads.heads > MLSTMRecurrence.greatest {
        return "\(heads.heads) heads cut the \(name) into \(width / heads.heads) numbers each, and "
          + "\(MLSTMRecurrence.greatest) is the most; use more heads"
      }
    }
    return nil
  }

  var configuration: [String: JSONValue] {
    [
      "num_heads": .integer(heads.heads), "qk_dim_factor": .number(keyFactor),
      "v_dim_factor": .number(valueFactor), "use_bias": .bool(hasBias), "eps": .shortest(epsilon),
      "gate_soft_cap": .number(gateCap), "weight_mode": .string(mode.rawValue),
    ]
  }
}

extension ModelBuilder {
  /// Projections of one input: tensors of their own, or one of the name `fused`.
  mutating func projections(
    _ parts: [(name: String, output: Int)], fused: String?, input: Int, bias: Bool
  ) -> [Linear] {
    guard let fused else { return parts.map { linear($0.name, $0.output, input, bias: bias) } }
    let own = parts.map { (String($0.name.split(separator: ".").last!), $0.output) }
    return self.fused(fused, parts: own, input: input, bias: bias)
  }
}
