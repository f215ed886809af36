import Tensors
import Testing

@testable import Kernels

@Suite("Numbers stored in bf16")
struct StoredNumberTests {
  private static let numbers: [Float] = (0..<40).map { i in
    i == 7
      ? .infinity
      : i == 9 ? .nan : Float(bitPattern: UInt32(truncatingIfNeeded: 0x3F80_0000 + i * 0x1234_7FF1))
  }

  @Test("Registers round and widen as BFloat16 does, and touch nothing beyond", arguments: 1...16)
  func registers(count: Int) {
    let count = min(count, Lanes.width)
    for first in [0, 5, 21] {
      let some = Array(Self.numbers[first..<first + count])
      var (written, right) = ([UInt16](repeating: 9, count: 20), [UInt16](repeating: 9, count: 20))
      let lanes = some.withUnsafeBufferPointer { Float.lanes($0.baseAddress!, count: count) }
      UInt16.store(lanes, &written, count: count)
      BFloat16.round(some, into: &right, count: count)
      #expect(written == right)
      let read = UInt16.lanes(written, count: count)
      for lane in 0..<Lanes.width {
        let bits = lane < count ? UInt32(right[lane]) << 16 : 0
        #expect(read[lane].bitPattern == bits)
      }
    }
  }

  /// A row, a document's start in it, and what comes of both; bit by bit.
  private func convolve(
    _ kernel: ShortConvolution, _ x: Operand, into kind: Operand.Kind, _ pool: BufferPool
  ) -> [[UInt32]] {
    let (tokens, C, W) = (23, kernel.channels, kernel.width)
    func tensor(_ count: Int) -> Tensor {
      Tensor([count], (0..<count).map { Float($0 * 37 % 101 - 50) / 64 }, pool: pool)
    }
    let (taps, bias, halo, dy) = (tensor(W * C), tensor(C), tensor(W * C), tensor(tokens * C))
    let weights = ShortConvolution.Weights(taps: taps.pointer, bias: bias.pointer)
    let row = ShortConvolution.Row(x: x, halo: halo.pointer, tokens: tokens, starts: [9])
    let y =
      kind == .float
      ? Operand(tensor(tokens * C)) : Operand(bfloat16: tokens * C, pool: pool)
    kernel.forward(row, weights, into: y, tokens: 0..<tokens)
    let numbers = tensor(tokens * C)
    y.copy(0..<tokens * C, into: numbers.pointer)
    let (dx, dHalo, dTaps) = (tensor(tokens * C), tensor(W * C), tensor(W * C))
    let (dBias, scratch) = (tensor(C), tensor(kernel.scratchCount))
    dHalo.clear()
    kernel.backward(
      row, weights, dy.pointer, into: dx.pointer, accumulate: true, dHalo: dHalo.pointer,
      dTaps: dTaps.pointer, dBias: dBias.pointer, channels: 0..<C, scratch: scratch.pointer)
    return [numbers, dx, dHalo, dTaps, dBias].map { $0.numbers.map(\.bitPattern) }
  }

  @Test(
    "A convolution of rounded numbers is that of them in fp32, and rounds its result once",
    arguments: [Activation.identity, .silu], [2, 4])
  func convolution(activation: Activation, width: Int) {
    let (pool, C) = (BufferPool(), 21)
    let kernel = ShortConvolution(channels: C, width: width, activation: activation)
    let exact = Tensor(
      [23 * C], (0..<23 * C).map { Float($0 * 7919 % 2003 - 1001) / 777 }, pool: pool)
    let rounded = Operand(bfloat16: 23 * C, pool: pool)
    BFloat16.round(exact.pointer, into: rounded.halves, count: 23 * C)
    rounded.copy(0..<23 * C, into: exact.pointer)
    let right = convolve(kernel, Operand(exact), into: .float, pool)
    #expect(convolve(kernel, rounded, into: .float, pool) == right)
    let stored = convolve(kernel, rounded, into: .bfloat16, pool)
    #expect(stored.dropFirst() == right.dropFirst())
    #expect(
      stored[0] == right[0].map { UInt32(BFloat16.rounded(Float(bitPattern: $0))) << 16 })
    #expect(convolve(kernel, Operand(exact), into: .bfloat16, pool) == stored)
  }
}
