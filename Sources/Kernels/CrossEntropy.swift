import Tensors

/// Softmax cross-entropy of rows of logits, in nats, and its gradient.
package enum CrossEntropy {
  /// What one row gives.
  package struct Row {
    /// `log Σ exp(z) − z_target`, in nats; 0 where the target is negative.
    package var loss: Float
    /// The index of the largest logit.
    package var best: Int32
    /// The largest logit.
    package var largest: Float
    /// `log Σ exp(z)`; 0 where the target is negative and nothing is made of it.
    package var logSum: Float = 0
  }

  /// Numbers of a block, which stays in the first cache while it is read more than once.
  private static let block = 512

  /// One row's loss, and where it is wanted its gradient and that of the z-loss,
  /// `scale · ((1 + 2 (ζ + η) log Σ exp(z)) softmax(z) − onehot(target) + κ z_best onehot(best))`.
  ///
  /// Two passes over the row: exponentials, over the largest number so far, take the place of the logits, a block at a time; then
  /// each block's are multiplied by what the largest of all makes of them.
  ///
  /// - Parameters:
  ///   - logits: The row, `count` numbers; used up where there is a gradient.
  ///   - target: The token to predict; a negative one means no loss, and a gradient of η's and κ's terms alone.
  ///   - gradient: Where it goes, `count` numbers, which may be the logits' own; nil for none.
  ///   - zWeight: ζ, the weight of `(log Σ exp(z))²` beside the loss.
  ///   - everyWeight: η, the same whether there is a target or not.
  ///   - largestWeight: κ, what of the largest logit is added to its own gradient.
  ///   - scale: What the gradient is multiplied by.
  package static func row(
    _ logits: UnsafeMutablePointer<Float>, count: Int, target: Int32, gradient: Operand?,
    zWeight: Float = 0, everyWeight: Float = 0, largestWeight: Float = 0, scale: Float = 1
  ) -> Row {
    precondition(Int(target) < count, "target \(target) beyond a vocabulary of \(count)")
    let blocks = (count + block - 1) / block
    return withUnsafeTemporaryAllocation(of: Float.self, capacity: blocks + block) { memory in
      guard let maxima = memory.baseAddress else { return Row(loss: 0, best: 0, largest: 0) }
      let room = maxima + blocks
      let chosen = target >= 0 ? logits[Int(target)] : 0
      let sums = target >= 0 || everyWeight != 0
      var (largest, best, sum) = (-Float.infinity, 0, Float(0))
      for index in 0..<blocks {
        let start = index * block
        let (z, n) = (logits + start, min(block, count - start))
        let most = maximum(z, n)
        if most > largest {
          sum *= VectorMath.exp(largest - most)
          (largest, best) = (most, start)
          while logits[best] != most { best += 1 }
        }
        guard sums else { continue }
        maxima[index] = largest
        // Where there is nothing yet but −∞, exponentials are 0.
        let shift = largest == -.infinity ? 0 : largest
        // Two loops, since one that may or may not write where it reads is not made of vector instructions.
        if gradient == nil {
          for i in 0..<n { room[i] = VectorMath.exp(z[i] - shift) }
          sum += total(room, n)
        } else {
          for i in 0..<n { z[i] = VectorMath.exp(z[i] - shift) }
          sum += total(z, n)
        }
      }
      let logSum = VectorMath.log(sum)
      if let gradient {
        let own: Float = target >= 0 ? 1 : 0
        let share =
          scale * (own + 2 * (own * zWeight + everyWeight) * (logSum + largest)) / sum
        for index in 0..<blocks {
          let start = index * block
          let part = start..<min(start + block, count)
          if sums {
            let factor = share * VectorMath.exp(maxima[index] - largest)
            for i in 0..<part.count { room[i] = logits[start + i] * factor }
          } else {
            room.update(repeating: 0, count: part.count)
          }
          if part.contains(Int(target)) { room[Int(target) - start] -= scale }
          if largestWeight != 0, part.contains(best) {
            room[best - start] += scale * largestWeight * largest
          }
          switch gradient.kind {
          case .float: (gradient.floats + start).update(from: room, count: part.count)
          case .bfloat16: BFloat16.round(room, into: gradient.halves + start, count: part.count)
          }
        }
      }
      return Row(
        loss: target >= 0 ? logSum + (largest - chosen) : 0, best: Int32(best), largest: largest,
        logSum: sums ? logSum + largest : 0)
    }
  }

  /// The largest of some numbers, without those that are none; −∞ where there is no other.
  @inline(__always)
  private static func maximum(_ x: UnsafePointer<Float>, _ count: Int) -> Float {
    var most = Lanes(repeating: -.infinity)
    var i = 0
    while i &+ Lanes.width <= count {
      let lanes = Lanes.load(x + i)
      most = most.replacing(with: lanes, where: lanes .> most)
      i &+= Lanes.width
    }
    var largest = -Float.infinity
    for lane in 0..<Lanes.width where most[lane] > largest { largest = most[lane] }
    while i < count {
      if x[i] > largest { largest = x[i] }
      i &+= 1
    }
    return largest
  }

  /// `Σ a_i` with sixteen sums at once.
  static func total(_ a: UnsafePointer<Float>, _ count: Int) -> Float {
    var sums = SIMD16<Float>()
    var i = 0
    while i + 16 <= count {
      sums += UnsafeRawPointer(a).loadUnaligned(fromByteOffset: i * 4, as: SIMD16<Float>.self)
      i += 16
    }
    var sum = sums.sum()
    while i < count {
      sum += a[i]
      i += 1
    }
    return sum
  }
}
