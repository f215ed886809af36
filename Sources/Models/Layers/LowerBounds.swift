import Autodiff
import Tensors

/// The lower bound of one layer's forget gates, which comes from a weight that all layers share.
///
/// Concretely: `l_i = Σ_{1≤m≤i} softmax(θ)_m`, `f = l_i + (1 − l_i) σ(x)`; layer 0 has no bound.
///
/// - Source: HGRN (arXiv 2311.04823), section 3.2; HGRN2 (2404.07904).
struct LowerBounds {
  /// `θ`, shape `[L, D]`; nil where no layer has a bound.
  let theta: Parameter?
  let layer: Int

  /// The name of `θ` in files.
  static let name = "model.lower_bounds"

  /// `x [N, D]` to `log f`, in nats, and `1 − f`, which is stored for products.
  func callAsFunction(
    _ x: Variable, tape: Tape
  ) -> (logarithm: Variable, complement: Variable) {
    tape.lowerBoundedGate(x, bounds: theta, layer: layer, for: .products)
  }

  /// What the block borrows from the region of shared weights.
  var shared: [Parameter] { theta.map { [$0] } ?? [] }
}

extension ModelBuilder {
  /// Adds `θ` of all layers, in a region that their blocks share: all layers' shares are even at first.
  ///
  /// Families of one model share them where they are of one width.
  mutating func addLowerBounds(layers: Int, width: Int) {
    guard lowerBounds(width: width) == nil else { return }
    let isFirst = table.parameter(named: LowerBounds.name) == nil
    _ = region(isFirst ? "lower_bounds" : "lower_bounds.\(width)")
    _ = parameter(
      isFirst ? LowerBounds.name : "\(LowerBounds.name).\(width)", [layers, width], role: .bias,
      initialization: .constant(0))
  }

  /// `θ` of `width` channels, if it was added.
  private func lowerBounds(width: Int) -> Parameter? {
    ["", ".\(width)"].compactMap { table.parameter(named: LowerBounds.name + $0) }
      .first { table[$0].shape[1] == width }
  }

  /// A layer's bound, for which `addLowerBounds` was called.
  func lowerBounds(layer: Int, width: Int) -> LowerBounds {
    LowerBounds(theta: lowerBounds(width: width), layer: layer)
  }
}
