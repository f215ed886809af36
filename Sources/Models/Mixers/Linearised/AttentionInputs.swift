import Autodiff

/// What a Transformer's attention is computed from, projected once: for its softmax and for what stands in for that.
package struct AttentionInputs {
  /// The layer's input, `[N, D]`.
  package let x: Variable
  /// Queries, `[N, H·d]`, and keys, `[N, keyHeads·d]`, normalised where the model says so, before their positions.
  package let q, k: Variable
  /// Values, `[N, keyHeads·d]`, stored for products.
  package let v: Variable
  /// Queries and keys rotated by their positions, stored for products.
  package let rotatedQ, rotatedK: Variable
}
