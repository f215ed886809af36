import Foundation
import Tensors

/// The softmax over all tokens so far of every channel, as a write and a decay; and its twin.
///
/// Concretely: `z_t = log(e^{z_{t−1}} + e^{x_t})`, `k_t = e^{x_t−z_t}`, `g_t = z_{t−1} − z_t`; with `u = x_t − z_{t−1}`
/// these are `k = σ(u)` and `g = −softplus(u)`, without cancellation, and `z` grows by `−g`, in Double. Where nothing came
/// before, `k` is 1 and `g` is 0, which it is nowhere else: there the twin knows that a document starts.
///
/// - Source: LightNet (arXiv 2405.21022), section 3.
package struct CumulativeSoftmax: Sendable {
  /// Channels of a row.
  package let channels: Int

  package init(channels: Int) { self.channels = channels }

  /// Some channels of one row.
  ///
  /// - Parameters:
  ///   - x: `channels` numbers a token.
  ///   - starts: Tokens at which sums begin anew, ascending.
  ///   - initial: `z` before the first token; nil for −∞.
  ///   - k: Receives the writes, rounded where they are bf16, and `g` the decays; nil where only the last `z` is wanted.
  ///   - final: Receives `z` after the last token; nil where it is not wanted.
  package func forward(
    _ x: UnsafePointer<Float>, tokens: Int, starts: [Int], initial: UnsafePointer<Float>?,
    k: Operand?, g: UnsafeMutablePointer<Float>?,
    final: UnsafeMutablePointer<Float>?, range: Range<Int>
  ) {
    let (first, count) = (range.lowerBound, range.count)
    withUnsafeTemporaryAllocation(of: Double.self, capacity: max(count, 1)) { z in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: max(2 * count, 1)) { room in
        let (z, writes) = (z.baseAddress!, room.baseAddress!)
        let decays = writes + count
        for c in 0..<count { z[c] = initial.map { Double($0[first + c]) } ?? -.infinity }
        var starts = starts[...]
        for token in 0..<tokens {
          let x = x + (token * channels + first)
          var isFirst = token == 0
          if starts.first == token {
            for c in 0..<count { z[c] = -.infinity }
            starts.removeFirst()
            isFirst = true
          }
          for c in 0..<count {
            let u = Float(Double(x[c]) - z[c])
            let growth = VectorMath.softplus(u)
            writes[c] = VectorMath.sigmoid(u)
            decays[c] = -growth
          }
          if isFirst {
            // All that may meet a −∞.
            for c in 0..<count where z[c] == -.infinity {
              (z[c], writes[c], decays[c]) = (Double(x[c]), 1, 0)
            }
          }
          for c in 0..<count { z[c] -= Double(decays[c]) }
          if let k {
            let part = token * channels + first..<token * channels + first + count
            k.room(part, writes).update(from: writes, count: count)
            k.finish(part, writes)
          }
          if let g { (g + (token * channels + first)).update(from: decays, count: count) }
        }
        guard let final else { return }
        for c in 0..<count { final[first + c] = Float(z[c]) }
      }
    }
  }

  /// The twin, of some channels of one row: with `ζ` the gradient by `z`, from the last token to the first,
  /// `ζ_t = −k_t dk_t − dg_t + (dg + e^g ζ)_{t+1}` and `dx_t = k_t (dk_t + ζ_t)`.
  ///
  /// - Parameters:
  ///   - k: As the forward pass wrote it: rounding leaves it 1 where it was, and makes it 1 only where `g` is not 0.
  ///   - final: The gradient of `z` after the last token; nil for zero.
  ///   - dx: Receives the gradients, or has them added; nil where only the initial `z`'s is wanted.
  ///   - initial: Receives the gradient of `z` before the first token; nil where it is not wanted.
  package func backward(
    k: Operand, g: UnsafePointer<Float>, dk: UnsafePointer<Float>?,
    dg: UnsafePointer<Float>?, tokens: Int, final: UnsafePointer<Float>?,
    into dx: UnsafeMutablePointer<Float>?, accumulate: Bool,
    initial: UnsafeMutablePointer<Float>?, range: Range<Int>
  ) {
    let (first, count) = (range.lowerBound, range.count)
    withUnsafeTemporaryAllocation(of: Double.self, capacity: max(count, 1)) { zeta in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: max(4 * count, 1)) { room in
        let (zeta, room) = (zeta.baseAddress!, room.baseAddress!)
        let step = StepBack(
          zeta: zeta, kept: room + count, dDecays: room + 2 * count, zeros: room + 3 * count,
          count: count)
        (room + 2 * count).update(repeating: 0, count: 2 * count)
        for c in 0..<count { zeta[c] = final.map { Double($0[first + c]) } ?? 0 }
        for token in (0..<tokens).reversed() {
          let at = token * channels + first
          step(
            k.read(at..<at + count, room), g + at, dk: dk.map { $0 + at }, dg: dg.map { $0 + at },
            into: dx.map { $0 + at }, accumulate)
        }
        guard let initial else { return }
        for c in 0..<count { initial[first + c] = Float(zeta[c]) }
      }
    }
  }

  /// The twin of a token's row.
  private struct StepBack {
    /// The gradient by `z`, from token to token.
    let zeta: UnsafeMutablePointer<Double>
    /// Room for what is kept of earlier tokens and for the decays' gradients, which are zeros where none are given.
    let kept, dDecays: UnsafeMutablePointer<Float>
    /// The gradients of writes where none are given.
    let zeros: UnsafePointer<Float>
    let count: Int

    /// Not inlined: whether the places lie apart would be asked once for all tokens, which fails where these run backwards,
    /// and nothing would be made of vector instructions.
    @inline(never)
    func callAsFunction(
      _ writes: UnsafePointer<Float>, _ decays: UnsafePointer<Float>, dk: UnsafePointer<Float>?,
      dg: UnsafePointer<Float>?, into dx: UnsafeMutablePointer<Float>?, _ accumulate: Bool
    ) {
      let dWrites = dk ?? zeros
      // Where a document starts nothing is kept, and the decay is constant.
      for c in 0..<count {
        let factor = VectorMath.exp(decays[c])
        kept[c] = decays[c] == 0 ? (writes[c] == 1 ? 0 : factor) : factor
      }
      if let dg {
        for c in 0..<count {
          dDecays[c] = decays[c] == 0 ? (writes[c] == 1 ? 0 : dg[c]) : dg[c]
        }
      }
      for c in 0..<count {
        zeta[c] = zeta[c] - Double(writes[c] * dWrites[c]) - Double(dDecays[c])
      }
      if let dx {
        if accumulate {
          for c in 0..<count {
            dx[c] += Float(Double(writes[c]) * (Double(dWrites[c]) + zeta[c]))
          }
        } else {
          for c in 0..<count {
            dx[c] = Float(Double(writes[c]) * (Double(dWrites[c]) + zeta[c]))
          }
        }
      }
      for c in 0..<count { zeta[c] = Double(dDecays[c]) + Double(kept[c]) * zeta[c] }
    }
  }
}
