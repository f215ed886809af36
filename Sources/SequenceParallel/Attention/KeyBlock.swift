import Kernels
import Tensors

/// How many numbers a token has of what attention reads of it.
struct KeyWidths: Sendable {
  /// Of all its keys, and of its values or what stands beside keys in their place.
  let k, v: Int
  /// Of its log gates, where it has any.
  var gates = 0

  /// Of all.
  var token: Int { k + v + gates }
}

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
  private let stride, valueStride: Int
  private let gates: UnsafeMutablePointer<Float>?
  private let gateStride: Int
  /// What the pointers lie in.
  private let memory: [Tensor]

  /// A shard's own keys and values, each `[rows × tokens, width]`, and log gates, `[rows × tokens, heads]`.
  init(k: Tensor, v: Tensor, gates: Tensor?, first: Int, tokens: Int) {
    (self.first, self.tokens, memory) = (first, tokens, [k, v] + [gates].compactMap { $0 })
    (self.k, self.v) = (k.pointer, v.pointer)
    (stride, valueStride) = (k.shape.columns, v.shape.columns)
    (self.gates, gateStride) = (gates?.pointer, gates?.shape.columns ?? 0)
  }

  /// Keys, values and log gates side by side, `[rows, tokens, widths.token]`, from `offset` on in a tensor.
  init(packed tensor: Tensor, offset: Int = 0, first: Int, tokens: Int, widths: KeyWidths) {
    (self.first, self.tokens, memory) = (first, tokens, [tensor])
    let base = tensor.pointer + offset
    (k, v, stride, valueStride) = (base, base + widths.k, widths.token, widths.token)
    (gates, gateStride) = (widths.gates > 0 ? base + widths.k + widths.v : nil, stride)
  }

  /// All numbers of a token as its key, and as its value the same from the first on; of a block that has them side by side.
  var readAsOne: KeyBlock {
    precondition(stride == valueStride && gates == nil, "keys and values that lie apart")
    return KeyBlock(self, values: k)
  }

  private init(_ block: KeyBlock, values: UnsafeMutablePointer<Float>) {
    (first, tokens, memory) = (block.first, block.tokens, block.memory)
    (k, v, stride, valueStride) = (block.k, values, block.stride, block.valueStride)
    (gates, gateStride) = (block.gates, block.gateStride)
  }

  /// The positions of its tokens.
  var positions: Range<Int> { first..<first + tokens }

  /// What one head of one row reads.
  ///
  /// - Parameter valueColumn: Where its values begin among a token's; nil for where its keys do.
  func keys(
    row: Int, column: Int, valueColumn: Int? = nil, logSums: UnsafePointer<Double>? = nil
  ) -> SoftmaxAttention.Keys {
    SoftmaxAttention.Keys(
      TokenRows(k + row * tokens * stride + column, stride: stride),
      TokenRows(
        v + row * tokens * valueStride + (valueColumn ?? column), stride: valueStride),
      tokens: tokens, first: first, logSums: logSums)
  }

  /// The log gates of one head of one row, or their gradients; nil where there are none.
  func gates(row: Int, head: Int) -> MutableTokenRows? {
    gates.map { MutableTokenRows($0 + row * tokens * gateStride + head, stride: gateStride) }
  }

  /// Where the gradients of one head of one row go.
  func gradients(
    row: Int, column: Int, valueColumn: Int? = nil
  ) -> (k: MutableTokenRows, v: MutableTokenRows) {
    (
      MutableTokenRows(k + row * tokens * stride + column, stride: stride),
      MutableTokenRows(
        v + row * tokens * valueStride + (valueColumn ?? column), stride: valueStride)
    )
  }

  /// What lies at a token.
  func token(row: Int, position: Int) -> KeyToken {
    let token = row * tokens + position - first
    return KeyToken(
      k: k + token * stride, v: v + token * valueStride,
      gates: gates.map { $0 + token * gateStride })
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
