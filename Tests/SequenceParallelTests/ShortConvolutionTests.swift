import Autodiff
import Foundation
import Kernels
import SequenceParallel
import Tensors
import Testing

/// The convolution a token at a time, in Double, over whole sequences.
private struct ConvolutionReference {
  let test: SequenceCase
  let channels, width: Int
  let isSilu: Bool
  /// `[C, W]` and `[C]`.
  let weight, bias: [Double]
  let x: [Double]

  func source(_ row: Int, _ token: Int, _ tap: Int) -> Int? {
    let source = token - width + 1 + tap
    return source >= 0 && test.isSameDocument(row, source, token) ? source : nil
  }

  func at(_ row: Int, _ token: Int, _ c: Int) -> Int { (row * test.tokens + token) * channels + c }

  func sum(_ row: Int, _ token: Int, _ c: Int) -> Double {
    (0..<width).reduce(bias[c]) { sum, tap in
      source(row, token, tap).map { sum + weight[c * width + tap] * x[at(row, $0, c)] } ?? sum
    }
  }

  func each(_ body: (_ row: Int, _ token: Int, _ channel: Int) -> Void) {
    for row in 0..<test.rows {
      for token in 0..<test.tokens { for c in 0..<channels { body(row, token, c) } }
    }
  }

  var y: [Double] {
    var y = x
    each { row, token, c in
      let z = sum(row, token, c)
      y[at(row, token, c)] = isSilu ? z / (1 + exp(-z)) : z
    }
    return y
  }

  func gradients(_ dy: [Double]) -> (x: [Double], weight: [Double], bias: [Double]) {
    var d = (
      x: x.map { _ in 0.0 }, weight: weight.map { _ in 0.0 }, bias: bias.map { _ in 0.0 }
    )
    each { row, token, c in
      let z = sum(row, token, c)
      let s = 1 / (1 + exp(-z))
      let dz = dy[at(row, token, c)] * (isSilu ? s * (1 + z * (1 - s)) : 1)
      d.bias[c] += dz
      for tap in 0..<width {
        guard let source = source(row, token, tap) else { continue }
        d.weight[c * width + tap] += dz * x[at(row, source, c)]
        d.x[at(row, source, c)] += dz * weight[c * width + tap]
      }
    }
    return d
  }
}

@Suite struct ShortConvolutionTests {
  @Test("any partition, documents and carries", arguments: 0..<60)
  func agreesWithReference(seed: UInt64) throws {
    var test = SequenceCase(seed: seed, mostTokens: seed % 10 == 9 ? 500 : 24)
    let width = Int.random(in: 1...8, using: &test.random)
    let channels = [1, 5, 16, 40, 131].randomElement(using: &test.random)!
    let isSilu = Bool.random(using: &test.random)
    let hasBias = Bool.random(using: &test.random)
    var table = ParameterTable.oneRegion
    let weight = table.add(
      "w", [channels, 1, width], role: .matrix, initialization: .constant(0))
    let bias =
      hasBias ? table.add("b", [channels], role: .bias, initialization: .constant(0)) : nil
    let weights = (0..<table.count).map { _ in Float.random(in: -1...1, using: &test.random) }
    let (x, dy) = (test.numbers(channels), test.numbers(channels))
    let result = try test.run(
      x: x, columns: channels, dy: dy, outputs: channels, table: table, weights: weights
    ) { tape, x, pass in
      try tape.shortConvolution(
        x, weight: weight, bias: bias, activation: isSilu ? .silu : .identity,
        slot: CarrySlot(layer: 3, .halo(1)), pass: pass)
    }
    let taps = channels * width
    let reference = ConvolutionReference(
      test: test, channels: channels, width: width, isSilu: isSilu,
      weight: weights[..<taps].map(Double.init),
      bias: hasBias ? weights[taps...].map(Double.init) : [Double](repeating: 0, count: channels),
      x: x.map(Double.init))
    let expected = reference.gradients(dy.map(Double.init))
    #expect(distance(result.y, reference.y) < 1e-5, "\(test), width \(width)")
    #expect(distance(result.dx, expected.x) < 1e-5, "\(test), width \(width)")
    let dWeights = expected.weight + (hasBias ? expected.bias : [])
    #expect(distance(result.weights, dWeights) < 1e-5, "\(test), width \(width)")
  }

  @Test(
    "one convolution over concatenated channels, taken apart, on any partition", arguments: 60..<80)
  func concatenated(seed: UInt64) throws {
    var test = SequenceCase(seed: seed)
    let (channels, width) = (11, 4)
    // Such as x, B and C of Mamba-2: 5, 3 and 3 channels.
    let parts = [0..<5, 5..<8, 8..<11]
    var table = ParameterTable.oneRegion
    let weight = table.add(
      "w", [channels, 1, width], role: .matrix, initialization: .constant(0))
    let bias = table.add("b", [channels], role: .bias, initialization: .constant(0))
    let weights = (0..<table.count).map { _ in Float.random(in: -1...1, using: &test.random) }
    let (x, dy) = (test.numbers(channels), test.numbers(3))
    let result = try test.run(
      x: x, columns: channels, dy: dy, outputs: 3, table: table, weights: weights
    ) { tape, x, pass in
      let y = try tape.shortConvolution(
        x, weight: weight, bias: bias, activation: .silu, slot: CarrySlot(layer: 3, .halo(1)),
        pass: pass)
      // The first three channels of x, times B, plus C.
      let (first, b, c) = (
        tape.columns(y, parts[0]), tape.columns(y, parts[1]), tape.columns(y, parts[2])
      )
      return tape.sum(tape.product(tape.columns(first, 0..<3), b), c)
    }
    let taps = channels * width
    let reference = ConvolutionReference(
      test: test, channels: channels, width: width, isSilu: true,
      weight: weights[..<taps].map(Double.init), bias: weights[taps...].map(Double.init),
      x: x.map(Double.init))
    let whole = reference.y
    var (y, dWhole) = (dy.map { _ in 0.0 }, whole.map { _ in 0.0 })
    for token in 0..<test.rows * test.tokens {
      let at = token * channels
      for i in 0..<3 {
        let d = Double(dy[token * 3 + i])
        y[token * 3 + i] = whole[at + i] * whole[at + 5 + i] + whole[at + 8 + i]
        dWhole[at + i] = d * whole[at + 5 + i]
        dWhole[at + 5 + i] = d * whole[at + i]
        dWhole[at + 8 + i] = d
      }
    }
    let expected = reference.gradients(dWhole)
    #expect(distance(result.y, y) < 1e-5, "\(test)")
    #expect(distance(result.dx, expected.x) < 1e-5, "\(test)")
    #expect(distance(result.weights, expected.weight + expected.bias) < 1e-5, "\(test)")
  }

  @Test("a token shift is a convolution with the taps 1 and 0", arguments: 100..<130)
  func shifts(seed: UInt64) throws {
    var test = SequenceCase(seed: seed)
    let (x, dy) = (test.numbers(3), test.numbers(3))
    let result = try test.run(x: x, columns: 3, dy: dy, outputs: 3) { tape, x, pass in
      try tape.tokenShift(x, slot: CarrySlot(layer: 0, .halo(0)), pass: pass)
    }
    let reference = ConvolutionReference(
      test: test, channels: 3, width: 2, isSilu: false, weight: [1, 0, 1, 0, 1, 0],
      bias: [0, 0, 0], x: x.map(Double.init))
    #expect(distance(result.y, reference.y) == 0, "\(test)")
    #expect(distance(result.dx, reference.gradients(dy.map(Double.init)).x) == 0, "\(test)")
  }

  @Test("running a region or a segment again, or both, sends nothing", arguments: 200..<210)
  func recomputationIsSilent(seed: UInt64) throws {
    var test = SequenceCase(seed: seed)
    let (x, dy) = (test.numbers(4), test.numbers(4))
    func run(recomputes: Bool, runsTwice: Bool) throws -> SequenceCase.Result {
      try test.run(
        x: x, columns: 4, dy: dy, outputs: 4, recomputes: recomputes, runsTwice: runsTwice
      ) { tape, x, pass in
        let y = try tape.tokenShift(x, slot: CarrySlot(layer: 0, .halo(0)), pass: pass)
        return try tape.tokenShift(y, slot: CarrySlot(layer: 1, .halo(0)), pass: pass)
      }
    }
    let once = try run(recomputes: false, runsTwice: false)
    for (recomputes, runsTwice) in [(true, false), (false, true), (true, true)] {
      let again = try run(recomputes: recomputes, runsTwice: runsTwice)
      #expect(once.bytes == again.bytes && once.messages == again.messages, "\(test)")
      #expect(once.y == again.y && once.dx == again.dx, "\(test)")
    }
  }
}
