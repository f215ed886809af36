/// A change of low rank of a projection that itself stays as it is: `W + scale · up · down`.
///
/// - Source: Hu et al., "LoRA" (arXiv 2106.09685).
package struct LowRankAdapter: Sendable, Equatable {
  /// A, shape `[rank, input]`; parts of a fused projection share it.
  package let down: Parameter
  /// B, shape `[output, rank]`.
  package let up: Parameter
  /// What the product is multiplied by, such as α/r.
  package let scale: Float

  package init(down: Parameter, up: Parameter, scale: Float) {
    (self.down, self.up, self.scale) = (down, up, scale)
  }
}
