/// Where a mixer stands in a model, and what it shares with the model.
struct MixerPlace {
  /// The layer, from 0; how many there are.
  let layer, depth: Int
  /// Width of the residual stream, D.
  let dimension: Int
  /// Epsilon of the model's norms.
  let epsilon: Float
  /// What its tensors' names begin with.
  let name: String
}
