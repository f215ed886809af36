import Foundation
import Kernels

/// A recurrence of a given size on made-up data, for measuring: one sequence, all heads of one layer, one thread.
///
/// Heads lie beside each other in a token's row, as a model's projections leave them.
final class RecurrenceWorkload {
  /// Tokens and heads.
  let tokens, heads: Int
  /// What is measured.
  let kernel: any RecurrenceKernel
  private let plan: ChunkPlan
  private let inputs, decays, betas, o, dO, dq, dk, dv, dDecays,
    dBetas: UnsafeMutableBufferPointer<Float>
  /// `a` and `b` of a low-rank transition, beside each other in a token's row, and their gradients; else empty.
  private let pairs, dPairs: UnsafeMutableBufferPointer<Float>
  private let kept, keptBackward, scratch, state: UnsafeMutableBufferPointer<Float>
  private let decayWidth: Int
  /// Floats of a query, a key, a value and an output.
  private let widths: (q: Int, k: Int, v: Int, o: Int)

  /// Makes the data: `q`, `k`, `v` beside each other in a token's row, log decays in [−0.1, 0].
  ///
  /// - Parameters:
  ///   - decayWidth: Floats of `g` a token and head, 0 for none.
  init(_ kernel: any RecurrenceKernel, decayWidth: Int, tokens: Int, heads: Int) {
    (self.kernel, self.tokens, self.heads, self.decayWidth) = (kernel, tokens, heads, decayWidth)
    widths = (kernel.queryWidth, kernel.keyWidth, kernel.valueWidth, kernel.outputWidth)
    let (K, O) = (widths.k, widths.o)
    plan = ChunkPlan(tokens: tokens, chunkLength: kernel.chunkLength)
    var seed: UInt32 = 1
    func random(_ count: Int, _ range: ClosedRange<Float>) -> UnsafeMutableBufferPointer<Float> {
      let buffer = RecurrenceWorkload.allocate(count)
      for i in 0..<count {
        seed = seed &* 1_664_525 &+ 1_013_904_223
        let unit = Float(seed >> 8) / 16_777_216
        buffer[i] = range.lowerBound + unit * (range.upperBound - range.lowerBound)
      }
      return buffer
    }
    // Keys of length about 1, so that states of the delta rules stay bounded.
    let bound = 1.7 / Float(K).squareRoot()
    inputs = random(tokens * heads * (widths.q + K + widths.v), -bound...bound)
    decays = random(tokens * heads * max(decayWidth, 1), -0.1...0)
    betas = random(tokens * heads, 0...1)
    let isLowRank = kernel is LowRankRecurrence
    pairs = random(isLowRank ? 2 * tokens * heads * K : 0, -bound...bound)
    dPairs = RecurrenceWorkload.allocate(pairs.count)
    dO = random(tokens * heads * O, -1...1)
    o = RecurrenceWorkload.allocate(tokens * heads * O)
    dq = RecurrenceWorkload.allocate(tokens * heads * widths.q)
    dk = RecurrenceWorkload.allocate(tokens * heads * K)
    dv = RecurrenceWorkload.allocate(tokens * heads * widths.v)
    dDecays = RecurrenceWorkload.allocate(tokens * heads * max(decayWidth, 1))
    dBetas = RecurrenceWorkload.allocate(tokens * heads)
    kept = RecurrenceWorkload.allocate(heads * kernel.keptCount(plan))
    keptBackward = RecurrenceWorkload.allocate(heads * kernel.keptBackwardCount(plan))
    scratch = RecurrenceWorkload.allocate(kernel.scratchCount)
    state = RecurrenceWorkload.allocate(kernel.stateMap.stateCount)
    if isLowRank { erase() }
  }

  /// Makes every transition one that erases half of what the state holds for a key, so that states stay bounded.
  private func erase() {
    let count = heads * widths.k
    for t in 0..<tokens {
      let keys =
        inputs.baseAddress! + t * heads * (widths.q + widths.k + widths.v) + heads * widths.q
      let a = pairs.baseAddress! + 2 * t * count
      for i in 0..<count { (a[i], a[count + i]) = (-keys[i], 0.5 * keys[i]) }
    }
  }

  deinit {
    for buffer in [
      inputs, decays, betas, o, dO, dq, dk, dv, dDecays, dBetas, kept, keptBackward, scratch, state,
      pairs, dPairs,
    ] { free(buffer.baseAddress) }
  }

  /// Runs all heads forward and backward once, for a state that is known from the start.
  ///
  /// - Returns: The seconds of processor time of each.
  func run() -> (forward: Double, backward: Double) {
    let start = processorTime()
    forward()
    let middle = processorTime()
    backward()
    return (middle - start, processorTime() - middle)
  }

  private func forward() {
    for h in 0..<heads {
      kernel.forward(
        head(h), plan, kept: kept(h), initial: nil, o: output(h), final: state.baseAddress!,
        scratch: scratch.baseAddress!)
    }
  }

  private func backward() {
    for h in 0..<heads {
      kernel.backward(
        head(h), gradient(h), plan, kept: kept(h), keptBackward: keptBackward(h), final: nil,
        initial: state.baseAddress!, scratch: scratch.baseAddress!)
    }
  }

  private func kept(_ h: Int) -> UnsafeMutablePointer<Float> {
    kept.baseAddress! + h * kernel.keptCount(plan)
  }

  private func keptBackward(_ h: Int) -> UnsafeMutablePointer<Float> {
    keptBackward.baseAddress! + h * kernel.keptBackwardCount(plan)
  }

  private func output(_ h: Int) -> MutableTokenRows {
    MutableTokenRows(rows(o, h, widths.o), stride: heads * widths.o)
  }

  /// Seconds that this thread has computed: other programs on the machine do not count.
  private func processorTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  private func head(_ h: Int) -> RecurrenceHead {
    let stride = heads * (widths.q + widths.k + widths.v)
    let base = UnsafePointer(inputs.baseAddress!)
    return RecurrenceHead(
      q: TokenRows(base + h * widths.q, stride: stride),
      k: TokenRows(base + (heads * widths.q + h * widths.k), stride: stride),
      v: TokenRows(base + (heads * (widths.q + widths.k) + h * widths.v), stride: stride),
      g: decayWidth == 0
        ? nil : TokenRows(rows(decays, h, decayWidth), stride: heads * decayWidth),
      beta: TokenRows(rows(betas, h, 1), stride: heads), a: pair(pairs, h, 0).map(read),
      b: pair(pairs, h, 1).map(read), logDecay: -0.05)
  }

  private func gradient(_ h: Int) -> RecurrenceGradient {
    func mutable(_ x: UnsafeMutableBufferPointer<Float>, _ width: Int) -> MutableTokenRows {
      MutableTokenRows(rows(x, h, width), stride: heads * width)
    }
    return RecurrenceGradient(
      dO: TokenRows(rows(dO, h, widths.o), stride: heads * widths.o),
      o: TokenRows(rows(o, h, widths.o), stride: heads * widths.o), dq: mutable(dq, widths.q),
      dk: mutable(dk, widths.k), dv: mutable(dv, widths.v),
      dg: decayWidth == 0 ? nil : mutable(dDecays, decayWidth),
      dbeta: mutable(dBetas, 1), da: pair(dPairs, h, 0), db: pair(dPairs, h, 1))
  }

  /// A head's rows of `a` (0) or `b` (1), where there are any.
  private func pair(
    _ x: UnsafeMutableBufferPointer<Float>, _ h: Int, _ which: Int
  ) -> MutableTokenRows? {
    guard x.count > 0 else { return nil }
    return MutableTokenRows(
      x.baseAddress! + (which * heads + h) * widths.k, stride: 2 * heads * widths.k)
  }

  private func read(_ rows: MutableTokenRows) -> TokenRows {
    TokenRows(UnsafePointer(rows.base), stride: rows.stride)
  }

  private func rows(
    _ x: UnsafeMutableBufferPointer<Float>, _ h: Int, _ width: Int
  ) -> UnsafeMutablePointer<Float> { x.baseAddress! + h * width }

  private static func allocate(_ count: Int) -> UnsafeMutableBufferPointer<Float> {
    var pointer: UnsafeMutableRawPointer?
    let size = max(count * 4, 64)
    precondition(
      posix_memalign(&pointer, size >= 1 << 21 ? 1 << 21 : 64, size) == 0,
      "no memory: \(size) bytes")
    if size >= 1 << 21 { madvise(pointer, size, MADV_HUGEPAGE) }
    let base = pointer!.bindMemory(to: Float.self, capacity: count)
    base.initialize(repeating: 0, count: count)
    return UnsafeMutableBufferPointer(start: base, count: count)
  }
}
