import Tensors

/// The sums of the log gates of forgetting attention: F of every query and key, in Double, counted from the shard's
/// first token.
///
/// What crosses ranks and seams are the log gates themselves. So whoever needs sums of them forms them of numbers of one
/// sign, and what was carried is not touched when more comes after it.
extension AttentionHeads {
  /// What counts as least of a log gate: nothing is left of what came before, and −∞ would leave no numbers.
  private static var leastGate: Double { -1e6 }

  /// The sums of no log gates, for each row and head.
  var noGates: [Double] {
    [Double](repeating: 0, count: logGates == nil ? 0 : layout.rows * heads)
  }

  /// The sums of a block's log gates and of those after it.
  func gateSums(of block: KeyBlock, and after: [Double]) -> [Double] {
    guard logGates != nil else { return [] }
    return workspace.known(assuming: after) {
      after.indices.map { unit in
        var sum = after[unit]
        if let log = block.gates(row: unit / heads, head: unit % heads) {
          for token in 0..<block.tokens { sum += max(Double(log[token][0]), Self.leastGate) }
        }
        return sum
      }
    }
  }

  /// Fills the queries' sums.
  func sumGates(_ sums: Tensor, of block: KeyBlock) {
    workspace.compute(.attention) {
      for unit in 0..<layout.rows * heads {
        guard let log = block.gates(row: unit / heads, head: unit % heads) else { continue }
        let target = doubles(sums, unit, block.tokens)
        var sum = 0.0
        for token in 0..<block.tokens {
          sum += max(Double(log[token][0]), Self.leastGate)
          target[token] = sum
        }
      }
    }
  }

  /// F of a block's keys, which come before the shard.
  func keySums(_ block: KeyBlock, after: [Double]) -> Tensor {
    precondition(
      after.count == layout.rows * heads, "\(after.count) sums of gates after a block of keys")
    let sums = Tensor([2, after.count, block.tokens], pool: workspace.pool)
    workspace.compute(.attention) {
      for unit in 0..<after.count {
        guard let log = block.gates(row: unit / heads, head: unit % heads) else { continue }
        let target = doubles(sums, unit, block.tokens)
        var sum = -after[unit]
        for token in (0..<block.tokens).reversed() {
          target[token] = sum
          sum -= max(Double(log[token][0]), Self.leastGate)
        }
      }
    }
    return sums
  }

  /// Adds the queries' share to the gradients of the sums of the shard's own log gates, `[rows × length, heads]`.
  func addGateShares(to gradients: Tensor) {
    guard let gateShares else { return }
    workspace.compute(.attention) {
      for unit in 0..<layout.rows * heads {
        let share = doubles(gateShares, unit, layout.length)
        let target = gradients.pointer + unit / heads * layout.length * heads + unit % heads
        for token in 0..<layout.length { target[token * heads] += Float(share[token]) }
      }
    }
  }

  /// A unit's Doubles, of which each has the room of two floats.
  func doubles(_ tensor: Tensor, _ unit: Int, _ tokens: Int) -> UnsafeMutablePointer<Double> {
    UnsafeMutableRawPointer(tensor.pointer + 2 * unit * tokens)
      .assumingMemoryBound(to: Double.self)
  }
}
