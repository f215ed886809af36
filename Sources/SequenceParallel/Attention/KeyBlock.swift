import Kernels
import Tensors

/// Keys and values, or their gradients, of all rows at consecutive positions; with the log gates of forgetting attention.
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
  private let gates: UnsafeMutablePointer<Float>?
  private let gateStride: Int
  /// What the pointers lie in.
  private let memory: [Tensor]

  /// A shard's own keys and values, each `[rows × tokens, width]`, and log gates, `[rows × tokens, heads]`.
  init(k: Tensor, v: Tensor, gates: Tensor?, first: Int, tokens: Int) {
    (self.first, self.tokens, memory) = (first, tokens, [k, v] + [gates].compactMap { $0 })
    (self.k, self.v, stride) = (k.pointer, v.pointer, k.shape.columns)
    (self.gates, gateStride) = (gates?.pointer, gates?.shape.columns ?? 0)
  }

  /// Keys, values and log gates side by side, `[rows, tokens, 2 · width + gates]`, from `offset` on in a tensor.
  init(
    packed tensor: Tensor, offset: Int = 0, first: Int, tokens: Int, width: Int, gates: Int
  ) {
    (self.first, self.tokens, memory) = (first, tokens, [tensor])
    let base = tensor.pointer + offset
    (k, v, stride) = (base, base + width, 2 * width + gates)
    (self.gates, gateStride) = (gates > 0 ? base + 2 * width : nil, stride)
  }

  /// The positions of its tokens.
  var positions: Range<Int> { first..<first + tokens }

  /// What one head of one row reads.
  func keys(
    row: Int, column: Int, logSums: UnsafePointer<Double>?
  ) -> SoftmaxAttention.Keys {
    let place = row * tokens * stride + column
    return SoftmaxAttention.Keys(
      TokenRows(k + place, stride: stride), TokenRows(v + place, stride: stride), tokens: tokens,
      first: first, logSums: logSums)
  }

  /// The log gates of one head of one row, or their gradients; nil where there are none.
  func gates(row: Int, head: Int) -> MutableTokenRows? {
    gates.map { MutableTokenRows($0 + row * tokens * gateStride + head, stride: gateStride) }
  }

  /// Where the gradients of one head of one row go.
  func gradients(row: Int, column: Int) -> (k: MutableTokenRows, v: MutableTokenRows) {
    let place = row * tokens * stride + column
    return (
      MutableTokenRows(k + place, stride: stride), MutableTokenRows(v + place, stride: stride)
    )
  }

  /// What lies at a token.
  func token(row: Int, position: Int) -> KeyToken {
    let token = row * tokens + position - first
    return KeyToken(
      k: k + token * stride, v: v + token * stride, gates: gates.map { $0 + token * gateStride })
  }
}

/// A token's keys and values, or their gradients, and log gates where there are any.
struct KeyToken {
  let k, v: UnsafeMutablePointer<Float>
  let gates: UnsafeMutablePointer<Float>?
}

/// Room for the gradients of a shard's own keys, values and log gates.
struct KeyGradients {
  /// Each `[rows × length, columns]`.
  let k, v: Tensor
  let gates: Tensor?

  /// All of them, side by side as in a carry.
  var tensors: [Tensor] { [k, v] + [gates].compactMap { $0 } }

  /// The same by positions.
  func block(_ layout: SequenceLayout) -> KeyBlock {
    KeyBlock(k: k, v: v, gates: gates, first: layout.shard.lowerBound, tokens: layout.length)
  }
}
