import Kernels
import Tensors

/// Keys and values, or their gradients, of all rows at consecutive positions.
///
/// Unchecked: threads read it, or write the columns of their own heads; it holds the memory that it points into.
struct KeyBlock: @unchecked Sendable {
  /// The position of the first token, counted from the layout's start.
  let first: Int
  /// Tokens of a row.
  let tokens: Int
  private let k, v: UnsafeMutablePointer<Float>
  /// Floats from one token to the next.
  private let stride: Int
  /// What the pointers lie in.
  private let memory: [Tensor]

  /// A shard's own keys and values, each `[rows × tokens, width]`.
  init(k: Tensor, v: Tensor, first: Int, tokens: Int) {
    (self.first, self.tokens, memory) = (first, tokens, [k, v])
    (self.k, self.v, stride) = (k.pointer, v.pointer, k.shape.columns)
  }

  /// Keys and values side by side, `[rows, tokens, 2 · width]`, from `offset` on in a tensor.
  init(packed tensor: Tensor, offset: Int = 0, first: Int, tokens: Int, width: Int) {
    (self.first, self.tokens, memory) = (first, tokens, [tensor])
    (k, v, stride) = (tensor.pointer + offset, tensor.pointer + offset + width, 2 * width)
  }

  /// The positions of its tokens.
  var positions: Range<Int> { first..<first + tokens }

  /// What one head of one row reads.
  func keys(row: Int, column: Int) -> SoftmaxAttention.Keys {
    let place = row * tokens * stride + column
    return SoftmaxAttention.Keys(
      TokenRows(k + place, stride: stride), TokenRows(v + place, stride: stride), tokens: tokens,
      first: first)
  }

  /// Where the gradients of one head of one row go.
  func gradients(row: Int, column: Int) -> (k: MutableTokenRows, v: MutableTokenRows) {
    let place = row * tokens * stride + column
    return (
      MutableTokenRows(k + place, stride: stride), MutableTokenRows(v + place, stride: stride)
    )
  }

  /// A token's keys and values.
  func token(row: Int, position: Int) -> (
    k: UnsafeMutablePointer<Float>, v: UnsafeMutablePointer<Float>
  ) {
    let place = (row * tokens + position - first) * stride
    return (k + place, v + place)
  }
}
