import Tensors

/// Softmax cross-entropy of rows of logits, in nats, and its gradient in place.
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

  /// One row's loss; with `gradient`, the logits are overwritten by the gradient of the loss and of the z-loss,
  /// `scale · ((1 + 2 (ζ + η) log Σ exp(z)) softmax(z) − onehot(target))`.
  ///
  /// - Parameters:
  ///   - logits: The row, `count` numbers.
  ///   - target: The token to predict; a negative one means no loss, and a gradient of η's term alone.
  ///   - zWeight: ζ, the weight of `(log Σ exp(z))²` beside the loss.
  ///   - everyWeight: η, the same whether there is a target or not.
  ///   - scale: What the gradient is multiplied by.
  package static func row(
    _ logits: UnsafeMutablePointer<Float>, count: Int, target: Int32, gradient: Bool,
    zWeight: Float = 0, everyWeight: Float = 0, scale: Float = 1
  ) -> Row {
    var maximum = logits[0]
    for i in 1..<max(count, 1) { maximum = max(maximum, logits[i]) }
    var best: Int32 = 0
    while logits[Int(best)] != maximum && Int(best) < count - 1 { best += 1 }
    guard target >= 0 else {
      guard everyWeight != 0 else {
        if gradient { logits.update(repeating: 0, count: count) }
        return Row(loss: 0, best: best, largest: maximum)
      }
      let logSum = maximum + VectorMath.log(exponentials(logits, count, minus: maximum))
      if gradient {
        let share = 2 * everyWeight * logSum * scale
        for i in 0..<count { logits[i] = share * VectorMath.exp(logits[i] - logSum) }
      }
      return Row(loss: 0, best: best, largest: maximum, logSum: logSum)
    }
    precondition(Int(target) < count, "target \(target) beyond a vocabulary of \(count)")
    let chosen = logits[Int(target)]
    var sum: Float = 0
    if gradient {
      for i in 0..<count { logits[i] = VectorMath.exp(logits[i] - maximum) }
      sum = total(logits, count)
      let share = (1 + 2 * (zWeight + everyWeight) * (VectorMath.log(sum) + maximum)) / sum
      for i in 0..<count { logits[i] *= share }
      logits[Int(target)] -= 1
      if scale != 1 { for i in 0..<count { logits[i] *= scale } }
    } else {
      sum = exponentials(logits, count, minus: maximum)
    }
    let logSum = VectorMath.log(sum)
    return Row(
      loss: logSum + (maximum - chosen), best: best, largest: maximum, logSum: logSum + maximum)
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

  /// `Σ exp(a_i − shift)`, in blocks so that the exponentials vectorise.
  private static func exponentials(_ a: UnsafePointer<Float>, _ count: Int, minus shift: Float)
    -> Float
  {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 256) { block in
      let block = block.baseAddress!
      var sum: Float = 0
      var start = 0
      while start < count {
        let length = min(256, count - start)
        for i in 0..<length { block[i] = VectorMath.exp(a[start + i] - shift) }
        sum += total(block, length)
        start += length
      }
      return sum
    }
  }
}
