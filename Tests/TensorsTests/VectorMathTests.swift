import Foundation
import Tensors
import Testing

/// One elementary function: what it is in fp32, and exactly.
struct ElementaryFunction: CustomStringConvertible, Sendable {
  let description: String
  let fast: @Sendable (Float) -> Float
  let exact: @Sendable (Double) -> Double
  var domain: ClosedRange<Float> = -200...200
}

private func exactSigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

let elementaryFunctions = [
  ElementaryFunction(description: "exp", fast: { VectorMath.exp($0) }, exact: { exp($0) }),
  ElementaryFunction(
    description: "log", fast: { VectorMath.log($0) }, exact: { log($0) }, domain: 1e-6...1e4),
  ElementaryFunction(
    description: "log1p", fast: { VectorMath.log1p($0) }, exact: { log1p($0) }, domain: -0.5...1e4),
  ElementaryFunction(description: "expm1", fast: { VectorMath.expm1($0) }, exact: { expm1($0) }),
  ElementaryFunction(
    description: "sigmoid", fast: { VectorMath.sigmoid($0) }, exact: exactSigmoid),
  ElementaryFunction(
    description: "silu", fast: { VectorMath.silu($0) }, exact: { $0 * exactSigmoid($0) },
    domain: -87...200),
  ElementaryFunction(description: "tanh", fast: { VectorMath.tanh($0) }, exact: { tanh($0) }),
  ElementaryFunction(
    description: "softplus", fast: { VectorMath.softplus($0) },
    exact: { max($0, 0) + log1p(exp(-abs($0))) }),
  ElementaryFunction(
    description: "logSigmoid", fast: { VectorMath.logSigmoid($0) },
    exact: { min($0, 0) - log1p(exp(-abs($0))) }),
]

private struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

@Suite struct VectorMathTests {
  @Test("Sine and cosine of a few turns are within 1.2e-7")
  func turns() {
    for i in -200_000...200_000 {
      let x = Float(i) * 1e-4
      let (sine, cosine) = VectorMath.sinCos(x)
      #expect(abs(Double(sine) - sin(Double(x))) < 1.2e-7, "\(x)")
      #expect(abs(Double(cosine) - cos(Double(x))) < 1.2e-7, "\(x)")
    }
  }

  @Test("within 4 units in the last place of the exact value", arguments: elementaryFunctions)
  func accuracy(function: ElementaryFunction) {
    var generator = SplitMix(state: 1)
    var worst = 0.0
    var worstAt: Float = 0
    for i in 0..<60_000 {
      var x = Float.random(in: function.domain, using: &generator)
      if i % 3 == 1 { x *= 0.01 }
      if i % 3 == 2 { x *= Float.random(in: 0...1, using: &generator) * 1e-4 }
      let exact = function.exact(Double(x))
      let size = max(abs(exact), Double(Float.leastNormalMagnitude) * 2)
      guard size < Double(Float.greatestFiniteMagnitude) else { continue }
      let error = abs(Double(function.fast(x)) - exact) / Double(Float(size).ulp)
      if abs(exact) > 1.2e-38, error > worst { (worst, worstAt) = (error, x) }
    }
    #expect(worst <= 4, "\(function): \(worst) ulp at \(worstAt)")
  }

  @Test func `the derivative of silu is close to the exact one`() {
    for i in -4000...4000 {
      let x = Double(Float(i) * 0.01)
      let s = exactSigmoid(x)
      let exact = s * (1 + x * (1 - s))
      let error = abs(Double(VectorMath.siluDerivative(Float(x))) - exact)
      #expect(error <= 4e-7 * max(abs(exact), s * abs(x) * (1 - s)) + 1e-37, "at \(x)")
    }
  }

  @Test func `infinities, zero, overflow and underflow have their limits`() {
    let inf = Float.infinity
    #expect(VectorMath.exp(-inf) == 0 && VectorMath.exp(inf) == inf && VectorMath.exp(0) == 1)
    #expect(VectorMath.exp(89) == inf && VectorMath.exp(88.72) < inf)
    #expect(VectorMath.exp(-88) == 0 && VectorMath.exp(-1e30) == 0 && VectorMath.exp(1e30) == inf)
    #expect(VectorMath.log(0) == -inf && VectorMath.log(inf) == inf && VectorMath.log(1) == 0)
    #expect(VectorMath.log(-1).isNaN && VectorMath.log(-inf).isNaN)
    #expect(
      abs(
        VectorMath.log(Float(bitPattern: 714))
          - Float(Foundation.log(Double(Float(bitPattern: 714))))) < 1e-5)
    #expect(VectorMath.sigmoid(-inf) == 0 && VectorMath.sigmoid(inf) == 1)
    #expect(VectorMath.silu(-inf) == 0 && VectorMath.silu(inf) == inf)
    #expect(VectorMath.siluDerivative(-inf) == 0 && VectorMath.siluDerivative(inf) == 1)
    #expect(VectorMath.tanh(-inf) == -1 && VectorMath.tanh(inf) == 1 && VectorMath.tanh(0) == 0)
    #expect(VectorMath.softplus(-inf) == 0 && VectorMath.softplus(inf) == inf)
    #expect(VectorMath.logSigmoid(-inf) == -inf && VectorMath.logSigmoid(inf) == 0)
    #expect(VectorMath.log1p(0) == 0 && VectorMath.log1p(inf) == inf)
  }

  @Test("NaN stays NaN, whatever its payload", arguments: elementaryFunctions)
  func notANumber(function: ElementaryFunction) {
    #expect(function.fast(.nan).isNaN)
    #expect(function.fast(Float(bitPattern: 0x7fc1_2345)).isNaN)
    #expect(function.fast(Float(bitPattern: 0xffff_ffff)).isNaN)
  }
}
