import Foundation
import Testing

@testable import Kernels

@Suite("Forget gates with lower bounds")
struct LowerBoundedGateTests {
  /// Inputs far beyond where a float `f` would be 1 or 0.
  static let inputs: [Float] = [-300, -90, -40, -12, -1, 0, 0.5, 3, 12, 17, 30, 60, 85]

  @Test(
    "Both outputs have all digits whatever bound and input are",
    arguments: [-60, -20, -3, 0, 4, 20, 60])
  func digits(theta: Float) {
    let n = Self.inputs.count
    // One channel an input; layer 0 keeps the rest.
    let weights = [Float](repeating: 0, count: n) + [Float](repeating: theta, count: n)
    var memory = [Float](repeating: 0, count: LowerBoundedGate.memoryCount(channels: n))
    var (g, k) = ([Float](repeating: 0, count: n), [Float](repeating: 0, count: n))
    memory.withUnsafeMutableBufferPointer { memory in
      let gate = LowerBoundedGate(channels: n, memory: memory.baseAddress!)
      weights.withUnsafeBufferPointer { gate.setBounds($0.baseAddress!, layer: 1, layers: 2) }
      gate.logarithm(Self.inputs, into: &g, rows: 0..<1)
      gate.complement(Self.inputs, into: &k, rows: 0..<1)
    }
    for (index, x) in Self.inputs.enumerated() {
      // 1 − f = (1 − l) (1 − σ(x)), and f as the sum of its two parts.
      let (bound, rest) = (1 / (1 + exp(-Double(theta))), 1 / (1 + exp(Double(theta))))
      let (open, closed) = (1 / (1 + exp(-Double(x))), 1 / (1 + exp(Double(x))))
      let complement = rest * closed
      let right = complement < 0.5 ? log1p(-complement) : log(bound + rest * open)
      #expect(abs(Double(g[index]) - right) <= 1e-6 * abs(right) + 1e-37, "log f at \(x)")
      #expect(
        abs(Double(k[index]) - complement) <= 1e-6 * complement + 1e-37, "1 − f at \(x)")
    }
  }
}
