import Configuration
import Tensors

/// What is made of a pretrained Transformer: by which method, and in which of its layers.
package struct Linearisation: Sendable {
  /// The methods, as `linearise.method` names them: those that keep the Transformer's projections, and the one that takes
  /// any mixer.
  package static let methods =
    Architectures.linearised.flatMap { $0.mixers } + [MixerExchange.name]

  /// The method's name.
  package let method: String
  /// The layers whose attention is exchanged; nil for all.
  package let layers: Set<Int>?
  /// The run file's description of the new model: the method's own keys, and the mixer of `xatl`.
  let section: ModelSection

  package init(_ method: String, layers: [Int], _ section: ModelSection) {
    precondition(Self.methods.contains(method), "there is no method \(method)")
    (self.method, self.section) = (method, section)
    self.layers = layers.isEmpty ? nil : Set(layers)
  }

  /// The model that is made of a Transformer.
  ///
  /// - Throws: `LinearisationError` where the method does not fit it.
  package func callAsFunction(
    _ transformer: any Architecture
  ) throws(LinearisationError) -> any Architecture {
    let name = type(of: transformer).modelType
    guard transformer.transformer == nil else { throw .alreadyLinear(name) }
    guard let base = transformer as? any LinearisableTransformer else {
      throw .noTransformer(name, possible: PretrainedBase.allCases.map(\.rawValue))
    }
    let depth = base.depth
    if let beyond = layers?.sorted().first(where: { !(0..<depth).contains($0) }) {
      throw .noLayer(beyond, depth: depth)
    }
    let kept = Set(0..<depth).subtracting(layers ?? Set(0..<depth))
    if method == MixerExchange.name {
      return try MixerExchange(section, keeping: kept)(base)
    }
    let type = Architectures.linearised.first { $0.mixers.contains(method) }!
    do throws(ModelError) {
      return try type.init(of: base, section, attentionLayers: kept)
    } catch {
      throw .impossible(method: method, reason: error.description)
    }
  }

  /// The Transformer's name of a tensor of the new model.
  package func source(of name: String) -> String {
    method == MixerExchange.name ? MixerExchange.source(of: name) : name
  }

  /// Whether a tensor of the Transformer is left out where it has another shape than the new model's, which then begins
  /// afresh.
  package var takesWhatFits: Bool { method == MixerExchange.name }
}

/// What of a Transformer cannot be made linear.
package enum LinearisationError: Error, Equatable, CustomStringConvertible {
  /// A model of another kind.
  case noTransformer(String, possible: [String])
  /// A model that was made linear before.
  case alreadyLinear(String)
  /// A layer that there is not.
  case noLayer(Int, depth: Int)
  /// A method that does not fit the model.
  case impossible(method: String, reason: String)

  /// What is wrong, and what is possible.
  package var description: String {
    switch self {
    case .noTransformer(let name, let possible):
      "the model is of type \(name); what can be made linear are \(possible.joined(separator: ", "))"
    case .alreadyLinear(let name):
      "the model is of type \(name), which is linear already; leave the method away"
    case .noLayer(let layer, let depth):
      "there is no layer \(layer) in a model of \(depth), whose layers are 0 to \(depth - 1)"
    case .impossible(let method, let reason): "\(method) does not fit the model: \(reason)"
    }
  }
}

/// An architecture that a method makes of a Transformer, whose tensors it keeps.
protocol LinearisedArchitecture: Architecture {
  /// What is made of a Transformer, in all layers but some.
  init(
    of base: any LinearisableTransformer, _ section: ModelSection, attentionLayers: Set<Int>
  ) throws(ModelError)
}

extension Architectures {
  /// Those that a method makes of a Transformer.
  static var linearised: [any LinearisedArchitecture.Type] {
    all.compactMap { $0 as? any LinearisedArchitecture.Type }
  }
}

extension LinearisedTransformer: LinearisedArchitecture {
  init(
    of base: any LinearisableTransformer, _ section: ModelSection, attentionLayers: Set<Int>
  ) throws(ModelError) {
    guard let family = PretrainedBase(rawValue: type(of: base).modelType) else {
      preconditionFailure("no family \(type(of: base).modelType)")
    }
    let heads = base.attention(of: 0).split(base.dimension)
    let method = Method(section.subsections[Method.Keys.self], heads: heads)
    if let problem = method.problem(heads) {
      throw .impossible(key: problem.key, reason: problem.reason)
    }
    self.init(family: family, base: base, method: method, attentionLayers: attentionLayers)
  }

  var transformer: (any Architecture)? { base }
}

extension LanguageModel {
  /// What comes from a Transformer: what was copied from it, or what it has, too.
  package var weightsOfTransformer: [Parameter] {
    guard inherited.isEmpty else { return inherited }
    guard let transformer = architecture.transformer else { return [] }
    let old = Set(LanguageModel(transformer).tensors.map(\.name))
    return tensors.filter { old.contains($0.name) }.flatMap(\.pieces).map(\.parameter)
  }
}
