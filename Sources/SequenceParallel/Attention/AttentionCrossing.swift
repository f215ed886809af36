import Tensors

/// How the keys that a shard does not hold come to its queries, and their gradients back.
protocol AttentionCrossing {
  /// Whether what was received is not kept, so that what is made of it has to be.
  var keepsOutput: Bool { get }
  /// Absorbs every block of keys that the shard's queries see.
  ///
  /// - Parameter isAgain: Whether they have been absorbed before in this pass, so that nothing is carried on anew.
  func forward(_ heads: any KeyReader, isAgain: Bool) throws
  /// Adds to the gradients of this rank's queries, keys and values.
  func backward(
    _ heads: any KeyReader, dO: Tensor, dq: Tensor, into gradients: KeyGradients
  ) throws
}

/// What a shard's queries make of keys and of what stands beside them, block by block, in any order.
protocol KeyReader: AnyObject {
  /// The shard's own keys and values, and log gates where there are any: the tensors of `own`.
  var parts: [Tensor] { get }
  /// They as a block.
  var own: KeyBlock { get }
  /// Sets how many tokens before the shard are there to be seen, in each row.
  func see(before known: [Int])
  /// Reads a block.
  ///
  /// - Parameter after: The sums of the log gates between the block and the shard, for each row and head; the shard's
  ///   own block needs none.
  func absorb(_ block: KeyBlock, after: [Double]) throws
  /// Adds the gradients that a block gets and gives.
  ///
  /// - Parameters:
  ///   - after: As for `absorb`.
  ///   - target: The block's gradients, added to; in place of those of log gates, those of their sums.
  ///   - dO: Of what the queries made; `dq` of the queries, added to.
  func backward(
    _ block: KeyBlock, after: [Double], into target: KeyBlock, dO: Tensor, dq: Tensor
  ) throws
  /// The sums of no log gates, for each row and head.
  var noGates: [Double] { get }
  /// The sums of a block's log gates and of those after it.
  func gateSums(of block: KeyBlock, and after: [Double]) -> [Double]
}

extension KeyReader {
  func absorb(_ block: KeyBlock) throws { try absorb(block, after: []) }

  func backward(_ block: KeyBlock, into target: KeyBlock, dO: Tensor, dq: Tensor) throws {
    try backward(block, after: [], into: target, dO: dO, dq: dq)
  }
}

extension SequencePass {
  /// How keys and values of attention to all tokens cross the ranks of this pass.
  ///
  /// - Parameter exchange: Which way; nil for the context's.
  func crossing(
    of widths: KeyWidths, exchange: AttentionExchange? = nil, slot: CarrySlot
  ) -> any AttentionCrossing {
    guard layout.shardLengths.count > 1 else {
      return HaloAttention(slot: slot, window: nil, widths: widths, pass: self)
    }
    return switch exchange ?? context.attention {
    case .gather: GatherAttention(slot: slot, widths: widths, pass: self)
    case .ring: RingAttention(slot: slot, widths: widths, pass: self)
    }
  }
}

extension SequenceLayout {
  /// Calls `body` with each token of the shard and the lowest position that its query sees: those of its document, and of them
  /// the last `window`.
  ///
  /// - Parameter known: How many tokens before the shard are there to be seen in the row; `Int.max` while that does not matter.
  func forEachLowest(
    row: Int, known: Int, window: Int?, _ body: (_ token: Int, _ lowest: Int) -> Void
  ) {
    let first = shard.lowerBound
    var start = known == .max ? Int(Int32.min) : first - known
    var starts = documentStarts[row][...]
    for token in 0..<length {
      let position = first + token
      while let next = starts.first, next <= position {
        start = max(start, next)
        starts.removeFirst()
      }
      body(token, window.map { max(start, position - $0 + 1) } ?? start)
    }
  }

  /// Pairs of a query of the shard and a key at some positions that it sees, over all rows.
  func pairs(with positions: Range<Int>, known: [Int], window: Int?) -> Int {
    let first = shard.lowerBound
    var pairs = 0
    for row in 0..<rows {
      forEachLowest(row: row, known: known[row], window: window) { token, lowest in
        let end = min(first + token + 1, positions.upperBound)
        pairs += max(0, end - max(lowest, positions.lowerBound))
      }
    }
    return pairs
  }
}
