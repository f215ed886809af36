import Tensors

/// Rows that came to a rank's experts: kept, so that a layer that runs again sends nothing.
struct ArrivedRows: Kept {
  /// The layer.
  typealias Key = Int

  /// Of each member of the group the rows for each of this rank's experts.
  let counts: [[Int]]
  /// Shape `[R, D]`: by expert, of one expert's by member, of one member's in its order of tokens.
  let rows: Operand
  /// A weight of each, `[R]`.
  let weights: Tensor

  var suspended: ArrivedRows? { self }
  var tensors: [Tensor] { [Tensor([rows.buffer.count], buffer: rows.buffer), weights] }
}

/// What experts made of a rank's tokens: kept, so that a layer that runs again brings nothing home.
struct ExpertOutput: Kept {
  /// The layer.
  typealias Key = Int

  /// The sum over each token's experts, `[N, D]`.
  let sum: Tensor

  var suspended: ExpertOutput? { self }
  var tensors: [Tensor] { [sum] }
}
