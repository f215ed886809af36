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
    withUnsafeTemporaryAllocation(of: Double.self, capacity: max(count, 1)) { later in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: max(count, 1)) { block in
        let (later, block) = (later.baseAddress!, block.baseAddress!)
        for c in 0..<count { later[c] = final.map { Double($0[first + c]) } ?? 0 }
        for token in (0..<tokens).reversed() {
          let at = token * channels + first
          let writes = k.read(at..<at + count, block)
          for c in 0..<count {
            let (write, decay) = (writes[c], g[at + c])
            let isFirst = write == 1 && decay == 0
            let dWrite = dk.map { $0[at + c] } ?? 0
            let dDecay = isFirst ? 0 : dg.map { $0[at + c] } ?? 0
            let zeta = later[c] - Double(write * dWrite) - Double(dDecay)
            if let dx {
              let gradient = Float(Double(write) * (Double(dWrite) + zeta))
              dx[at + c] = accumulate ? dx[at + c] + gradient : gradient
            }
            let kept = isFirst ? 0 : Double(VectorMath.exp(decay))
            later[c] = Double(dDecay) + kept * zeta
          }
        }
        guard let initial else { return }
        for c in 0..<count { initial[first + c] = Float(later[c]) }
      }
    }
  }
}
