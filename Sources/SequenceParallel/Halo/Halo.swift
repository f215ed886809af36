import Tensors

/// The rows of the tokens before a shard; kept so that an op that runs again communicates nothing.
struct Halo: Kept {
  typealias Key = CarrySlot

  /// Shape `[rows, tokens, columns]`; the token next to the shard is the last.
  let values: Tensor
  /// For each row, how many of the tokens, counted from the last, there are; those before are zero.
  let known: [Int]
  /// For each row, how many tokens before the sequence there are to be seen, as the first rank tells whoever asks for it.
  var before: [Int] = []

  var suspended: Halo? { self }
  var tensors: [Tensor] { [values] }

  /// Tokens of a row.
  var tokens: Int { values.shape[1] }
  /// Numbers of a token.
  var columns: Int { values.shape[2] }

  /// A token of a row; 0 is the first of the halo.
  func pointer(row: Int, token: Int) -> UnsafeMutablePointer<Float> {
    values.pointer + (row * tokens + token) * columns
  }
}
