import Configuration
import Kernels

/// One family of mixers: what it has beside the skeleton around it.
///
/// That is flash-linear-attention's (`FlashModel`) or another, such as Mamba's (`MambaModel`). In a hybrid its layers
/// stand in the skeleton of the model's main family.
///
/// A family is one file with a type that conforms to this, and a line in `Architectures`.
protocol FlashMixer: Sendable {
  /// One layer's mixer.
  associatedtype Layer: FlashLayer

  /// `model_type` in `config.json`, and its usual name in run files.
  static var name: String { get }
  /// Its names in run files.
  static var names: [String] { get }
  /// `architectures` in `config.json`, without `ForCausalLM`.
  static var className: String { get }
  /// What people are told about it.
  static var card: ModelCard { get }
  /// The channel mixer's default width over the model's.
  static var hiddenRatio: Double { get }
  /// `num_hidden_layers` where a `config.json` has none.
  static var depth: Int { get }
  /// The keys of the run file's model section that it reads beside those that every model has.
  static var keys: Set<String> { get }
  /// Its own keys in the run file; nil for none.
  static var section: (any ConfigurationSection.Type)? { get }

  /// The mixer that a run file describes.
  init(_ section: ModelSection)
  /// The mixer that a `config.json` describes, of a model of width `dimension`.
  init(_ keys: ModelKeys, dimension: Int)
  /// Keys of a `config.json` that models of this family do not look at, whatever they say.
  static var ignoredKeys: Set<String> { get }
  /// Its own keys of `config.json`.
  var configuration: [String: JSONValue] { get }
  /// Why its sizes cannot be, and what to do; nil where they can.
  var problem: String? { get }
  /// What a run file has wrong that only this family asks for.
  static func problems(_ section: ModelSection) -> [KeyProblem]
  /// Whether its tokens choose, by a router of its own, so that experts cannot be beside it.
  static var hasRouters: Bool { get }
  /// The longest document that it can read; nil for no limit.
  var longestDocument: DocumentLimit? { get }
  /// Adds weights that several layers read, each in a region that the builder opens for it.
  func addShared(layers: Int, _ builder: inout ModelBuilder)
  /// Builds one layer's mixer.
  func layer(at place: MixerPlace, _ builder: inout ModelBuilder) -> any TokenMixer
}

extension FlashMixer where Layer.Family == Self {
  func layer(at place: MixerPlace, _ builder: inout ModelBuilder) -> any TokenMixer {
    Layer(self, at: place, &builder)
  }
}

/// A mixer that is built from its family's description.
protocol FlashLayer: TokenMixer {
  /// The family.
  associatedtype Family

  /// Builds one layer's mixer and adds its parameters.
  init(_ family: Family, at place: MixerPlace, _ builder: inout ModelBuilder)
}

extension FlashMixer {
  /// One, its own.
  static var names: [String] { [name] }
  /// 4, as in most families.
  static var hiddenRatio: Double { 4 }
  /// 24, as in most families.
  static var depth: Int { 24 }
  /// Its sizes.
  static func problems(_ section: ModelSection) -> [KeyProblem] { sizeProblems(section) }
  /// What `problem` says, at the keys that it comes from.
  static func sizeProblems(_ section: ModelSection) -> [KeyProblem] {
    Self(section).problem.map { [KeyProblem("heads", "dimension", message: $0)] } ?? []
  }
  /// None.
  func addShared(layers: Int, _ builder: inout ModelBuilder) {}
  /// No.
  static var hasRouters: Bool { false }
  /// No limit.
  var longestDocument: DocumentLimit? { nil }
  /// None.
  static var ignoredKeys: Set<String> { [] }
  /// None.
  static var section: (any ConfigurationSection.Type)? { nil }
}

extension ModelKeys {
  /// How many heads of `expand_ratio` channels a width is; it must be a multiple.
  func heads(ofRatio ratio: Int, dimension: Int) -> Int {
    if dimension % ratio != 0 || dimension < ratio {
      refuse(
        "expand_ratio",
        "heads of \(ratio) channels do not divide a width of \(dimension); "
          + "choose a divisor of \(dimension)")
    }
    return max(dimension / ratio, 1)
  }

  /// Taps of the short convolutions, or nil where there are none.
  func convolutionTaps(default isUsed: Bool) -> Int? {
    guard boolean("use_short_conv", default: isUsed) else { return nil }
    return taps("conv_size")
  }

  /// Taps of a short convolution that is always there.
  func taps(_ key: String, default usual: Int = 4) -> Int {
    let taps = positive(key, default: usual)
    if taps > 8 { refuse(key, "\(taps) taps are more than 8") }
    return min(taps, 8)
  }

  /// Refuses a share of numbers that are dropped in training.
  func refuseDropout(_ key: String) {
    let share = number(key, default: 0)
    if share != 0 { refuse(key, "\(share): nothing is dropped here, only 0 is computed") }
  }
}

extension JSONValue {
  /// The shortest number that fp32 holds as this one.
  static func shortest(_ value: Float) -> JSONValue {
    .number(Double("\(value)") ?? Double(value))
  }

  /// A number, without a point where it is whole.
  static func whole(_ value: Double) -> JSONValue {
    value == value.rounded() ? .integer(Int(value)) : .number(value)
  }

  /// The whole number, or null.
  static func optional(_ value: Int?) -> JSONValue { value.map { .integer($0) } ?? .null }

  /// The number, or null.
  static func optional(_ value: Double?) -> JSONValue { value.map { .number($0) } ?? .null }
}
