import Models
import Tensors

/// What becomes of a Transformer's tensors where it is made linear.
package struct TensorExchange: Sendable {
  /// The Transformer.
  let from: LanguageModel
  /// The Transformer's name of each tensor that is copied, by the new model's.
  private let copied: [String: String]
  /// Tensors of the new model that are copied, tensors of the Transformer that are not, and new ones.
  package let kept, dropped, added: [WeightTensor]
  /// Whether the new model has the Transformer's names and keys.
  let isOfOneSkeleton: Bool

  init(_ linearisation: Linearisation, from: LanguageModel, to model: LanguageModel) {
    self.from = from
    let old = Dictionary(uniqueKeysWithValues: from.tensors.map { ($0.name, $0) })
    var copied: [String: String] = [:]
    for tensor in model.tensors {
      let source = linearisation.source(of: tensor.name)
      guard let found = old[source] else { continue }
      precondition(
        found.shape == tensor.shape || linearisation.takesWhatFits,
        "\(tensor.name) is \(tensor.shape), and \(found.shape) in the Transformer")
      if found.shape == tensor.shape { copied[tensor.name] = source }
    }
    self.copied = copied
    let sources = Set(copied.values)
    kept = model.tensors.filter { copied[$0.name] != nil }
    added = model.tensors.filter { copied[$0.name] == nil }
    dropped = from.tensors.filter { !sources.contains($0.name) }
    isOfOneSkeleton = model.architecture.transformer != nil
  }

  /// Whether the Transformer has no such tensor: it begins as the seed says.
  func isFresh(_ tensor: WeightTensor) -> Bool { copied[tensor.name] == nil }

  /// The Transformer's name of a tensor.
  func source(of name: String) -> String? { copied[name] }

  /// Parameters of the new model that are the Transformer's.
  package var copiedParameters: [Parameter] { kept.flatMap(\.pieces).map(\.parameter) }
}

extension TensorNames {
  /// The names by which a new model finds a Transformer's tensors.
  func renamed(by exchange: TensorExchange) -> TensorNames {
    var names = stored
    for tensor in exchange.kept {
      if let source = exchange.source(of: tensor.name) { names[tensor.name] = stored[source] }
    }
    return TensorNames(stored: names, wrappers: wrappers)
  }
}
