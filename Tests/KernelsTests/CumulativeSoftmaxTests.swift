import Foundation
import ReferenceMath
import Tensors
import Testing

@testable import Kernels

@Suite("Cumulative softmaxes, as wide as they are")
struct CumulativeSoftmaxTests {
  private static let tokens = 9

  @Test(
    "The gradient is that of writes and decays, with and without either's",
    arguments: [1, 7, 8, 16, 17, 40], [(true, true), (true, false), (false, true)])
  func gradient(channels: Int, given: (writes: Bool, decays: Bool)) {
    let T = Self.tokens
    var draws = Draws(seed: UInt64(channels))
    let x = draws.normals(T * channels).map { 3 * $0 }
    let (dk, dg) = (draws.normals(T * channels), draws.normals(T * channels))
    let (entering, final) = (draws.normals(channels), draws.normals(channels))
    let (pool, kernel) = (BufferPool(), CumulativeSoftmax(channels: channels))
    let writes = Tensor([T, channels], pool: pool)
    var (g, dx) = ([Float](repeating: 0, count: x.count), [Float](repeating: 1, count: x.count))
    var initial = [Float](repeating: .nan, count: channels)
    kernel.forward(
      x, tokens: T, starts: [4], initial: entering, k: Operand(writes), g: &g, final: nil,
      range: 0..<channels)
    // From the definition: z of a document is the log of a sum over its tokens so far and, where it began earlier, what entered.
    var (right, dEntering) = (
      [Double](repeating: 0, count: x.count), [Double](repeating: 0, count: channels)
    )
    for c in 0..<channels {
      func number(_ t: Int) -> Double { Double(x[t * channels + c]) }
      /// `log Σ exp` of the document's tokens up to one, and each token's share of it; −1 is what entered.
      func sum(upTo t: Int) -> (z: Double, shares: [Int: Double]) {
        let seen = t >= 4 ? Array(4...t) : Array(-1...t)
        let logs = seen.map { $0 < 0 ? Double(entering[c]) : number($0) }
        let most = logs.max()!
        let total = logs.reduce(0) { $0 + exp($1 - most) }
        let shares = logs.map { exp($0 - most) / total }
        return (most + log(total), Dictionary(uniqueKeysWithValues: zip(seen, shares)))
      }
      /// Adds `factor ∂z_t`.
      func add(_ factor: Double, _ t: Int) {
        guard t >= 0 else { return dEntering[c] += factor }
        for (j, share) in sum(upTo: t).shares {
          if j < 0 {
            dEntering[c] += factor * share
          } else {
            right[j * channels + c] += factor * share
          }
        }
      }
      for t in 0..<T {
        let at = t * channels + c
        if given.writes {
          // k = e^{x − z}
          let slope = Double(dk[at]) * exp(number(t) - sum(upTo: t).z)
          right[at] += slope
          add(-slope, t)
        }
        if given.decays, t != 4 {
          // g = z_{t−1} − z_t, nothing where a document starts
          add(Double(dg[at]), t - 1)
          add(-Double(dg[at]), t)
        }
      }
      add(Double(final[c]), T - 1)
    }
    dk.withUnsafeBufferPointer { dk in
      dg.withUnsafeBufferPointer { dg in
        for range in [0..<channels / 2, channels / 2..<channels] {
          kernel.backward(
            k: Operand(writes), g: g, dk: given.writes ? dk.baseAddress : nil,
            dg: given.decays ? dg.baseAddress : nil, tokens: T, final: final, into: &dx,
            accumulate: true, initial: &initial, range: range)
        }
        #expect(isClose(dx, right.map { $0 + 1 }, 3e-6))
        #expect(isClose(initial, dEntering, 3e-6))
        kernel.backward(
          k: Operand(writes), g: g, dk: given.writes ? dk.baseAddress : nil,
          dg: given.decays ? dg.baseAddress : nil, tokens: T, final: final, into: &dx,
          accumulate: false, initial: nil, range: 0..<channels)
        #expect(isClose(dx, right, 3e-6))
      }
    }
  }
}
