import Tensors

/// A causal convolution of each channel with a few taps, and its twin.
///
/// Concretely: `z[t] = b + Σ_j w[j] ⊙ x[t−W+1+j]`, `y[t] = z[t]` or `silu(z[t])`; tokens before the start of
/// t's document count as zero. Tokens before the shard are read from a halo.
///
/// Glossary: `C` channels, `W` taps, `T` tokens of one row of the shard.
package struct ShortConvolution: Sendable {
  /// What can be applied to a convolution's sum.
  package static let activations: Set<Activation> = [.identity, .silu]

  /// Number of channels.
  package let channels: Int
  /// Number of taps, 1 to 8.
  package let width: Int
  /// What is applied to the sum.
  package let activation: Activation

  package init(channels: Int, width: Int, activation: Activation) {
    precondition((1...8).contains(width), "a short convolution of \(width) taps, not 1 to 8")
    precondition(Self.activations.contains(activation), "a convolution's \(activation)")
    (self.channels, self.width, self.activation) = (channels, width, activation)
  }

  /// One row of a shard, as the convolution reads it.
  ///
  /// Unchecked: threads only read what it points to, which its caller keeps alive.
  package struct Row: @unchecked Sendable {
    let x: Operand
    let halo: UnsafePointer<Float>?
    let tokens: Int
    let starts: [Int]

    /// Describes a row.
    ///
    /// - Parameters:
    ///   - x: Shape `[T, C]`.
    ///   - halo: The `W − 1` tokens before, shape `[W − 1, C]`; nil where no token that is computed reads it.
    ///   - starts: Where documents start, ascending, counted from the shard's first token; those up to
    ///     `W − 1` tokens before it count too.
    package init(
      x: Operand, halo: UnsafePointer<Float>?, tokens: Int, starts: [Int]
    ) {
      (self.x, self.halo, self.tokens, self.starts) = (x, halo, tokens, starts)
    }
  }

  /// Taps and bias of all channels.
  ///
  /// Unchecked: threads only read what it points to, which its caller keeps alive.
  package struct Weights: @unchecked Sendable {
    let taps: UnsafePointer<Float>
    let bias: UnsafePointer<Float>?

    /// Taps of shape `[W, C]`, the last for the token itself, and a bias of shape `[C]`.
    package init(taps: UnsafePointer<Float>, bias: UnsafePointer<Float>?) {
      (self.taps, self.bias) = (taps, bias)
    }
  }

  /// Floats of scratch of the backward pass.
  package var scratchCount: Int { 2 * width * channels }

  /// Computes some tokens of a row.
  ///
  /// - Parameter y: Shape `[T, C]`, of which `range` is written, rounded where it is bf16.
  package func forward(
    _ row: Row, _ weights: Weights, into y: Operand, tokens range: Range<Int>
  ) {
    switch (row.x.kind, y.kind) {
    case (.float, .float): forward(row, row.x.floats, weights, y.floats, range)
    case (.float, .bfloat16): forward(row, row.x.floats, weights, y.halves, range)
    case (.bfloat16, .float): forward(row, row.x.halves, weights, y.floats, range)
    case (.bfloat16, .bfloat16): forward(row, row.x.halves, weights, y.halves, range)
    }
  }

  @inline(__always)
  private func forward<X: StoredNumber, Y: StoredNumber>(
    _ row: Row, _ x: UnsafePointer<X>, _ weights: Weights, _ y: UnsafeMutablePointer<Y>,
    _ range: Range<Int>
  ) {
    for segment in segments(row) {
      for block in blocks(of: segment.tokens.clamped(to: range)) {
        for c in stride(from: 0, to: channels, by: Lanes.width) {
          let n = min(Lanes.width, channels - c)
          switch width {
          case 1: forward(row, x, weights, y, block, segment, c, n, Taps<1>())
          case 2: forward(row, x, weights, y, block, segment, c, n, Taps<2>())
          case 3: forward(row, x, weights, y, block, segment, c, n, Taps<3>())
          case 4: forward(row, x, weights, y, block, segment, c, n, Taps<4>())
          case 5: forward(row, x, weights, y, block, segment, c, n, Taps<5>())
          case 6: forward(row, x, weights, y, block, segment, c, n, Taps<6>())
          case 7: forward(row, x, weights, y, block, segment, c, n, Taps<7>())
          default: forward(row, x, weights, y, block, segment, c, n, Taps<8>())
          }
        }
      }
    }
  }

  /// The gradients of a row, for a range of channels; other channels may be worked on at the same time.
  ///
  /// Concretely: `dz = dy ⊙ act'(z)`, with `z` computed again; `dx[s] = Σ_j w[j] ⊙ dz[s+W−1−j]`;
  /// `dw[j] = Σ_t dz[t] ⊙ x[t−W+1+j]`; `db = Σ_t dz[t]`.
  ///
  /// - Parameters:
  ///   - dy: Shape `[T, C]`.
  ///   - dx: Shape `[T, C]`, written, or added to where `accumulate`.
  ///   - dHalo: Shape `[W − 1, C]`, zero; what some token reads is written.
  ///   - dTaps: Shape `[W, C]`, added to, or nil.
  ///   - dBias: Shape `[C]`, added to, or nil.
  ///   - scratch: `scratchCount` floats; each range of channels uses a part of its own.
  package func backward(
    _ row: Row, _ weights: Weights, _ dy: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>, accumulate: Bool, dHalo: UnsafeMutablePointer<Float>,
    dTaps: UnsafeMutablePointer<Float>?, dBias: UnsafeMutablePointer<Float>?,
    channels range: Range<Int>, scratch: UnsafeMutablePointer<Float>
  ) {
    let gradients = Gradients(
      dy: dy, dx: dx, dHalo: dHalo, accumulates: accumulate, late: scratch,
      sums: scratch + (width - 1) * channels)
    for tap in 0...width {
      (gradients.sums + tap * channels + range.lowerBound).update(repeating: 0, count: range.count)
    }
    switch row.x.kind {
    case .float: backward(row, row.x.floats, weights, gradients, dTaps, dBias, range)
    case .bfloat16: backward(row, row.x.halves, weights, gradients, dTaps, dBias, range)
    }
    deliver(gradients.sums, dTaps, dBias, range)
  }

  @inline(__always)
  private func backward<X: StoredNumber>(
    _ row: Row, _ x: UnsafePointer<X>, _ weights: Weights, _ gradients: Gradients,
    _ dTaps: UnsafeMutablePointer<Float>?, _ dBias: UnsafeMutablePointer<Float>?,
    _ range: Range<Int>
  ) {
    for segment in segments(row) {
      // The last tokens' sources get their gradients from no further token: zeros are read behind them.
      let end = segment.tokens.upperBound
      let all = segment.tokens.lowerBound..<end + width - 1
      for (index, block) in blocks(of: all).enumerated() {
        // Sums of sums: what a long sum adds up stays of one size.
        if index % 32 == 0 { deliver(gradients.sums, dTaps, dBias, range) }
        for c in stride(from: range.lowerBound, to: range.upperBound, by: Lanes.width) {
          let n = min(Lanes.width, range.upperBound - c)
          switch width {
          case 1: backward(row, x, weights, gradients, block, segment, c, n, Taps<1>())
          case 2: backward(row, x, weights, gradients, block, segment, c, n, Taps<2>())
          case 3: backward(row, x, weights, gradients, block, segment, c, n, Taps<3>())
          case 4: backward(row, x, weights, gradients, block, segment, c, n, Taps<4>())
          case 5: backward(row, x, weights, gradients, block, segment, c, n, Taps<5>())
          case 6: backward(row, x, weights, gradients, block, segment, c, n, Taps<6>())
          case 7: backward(row, x, weights, gradients, block, segment, c, n, Taps<7>())
          default: backward(row, x, weights, gradients, block, segment, c, n, Taps<8>())
          }
        }
      }
    }
  }

  /// Tokens of a block, whose registers of channels are worked on one after another: few, so that memory is
  /// read along no more rows at once than the CPU fetches ahead.
  private static let blockTokens = 8

  private func blocks(of tokens: Range<Int>) -> [Range<Int>] {
    stride(from: tokens.lowerBound, to: tokens.upperBound, by: Self.blockTokens).map {
      $0..<min($0 + Self.blockTokens, tokens.upperBound)
    }
  }

  /// A row's tokens of one document each.
  private func segments(_ row: Row) -> [Segment] {
    let before = row.starts.last { $0 <= 0 } ?? .min
    var first = max(before, 1 - width)
    var position = 0
    var segments: [Segment] = []
    for end in row.starts.filter({ $0 > 0 && $0 < row.tokens }) + [row.tokens] {
      if end > position { segments.append(Segment(tokens: position..<end, first: first)) }
      (position, first) = (end, end)
    }
    return segments
  }

  /// Adds sums to the gradients of taps and bias, and starts them again.
  private func deliver(
    _ sums: UnsafeMutablePointer<Float>, _ dTaps: UnsafeMutablePointer<Float>?,
    _ dBias: UnsafeMutablePointer<Float>?, _ range: Range<Int>
  ) {
    if let dTaps {
      for tap in 0..<width {
        let (sum, more) = (dTaps + tap * channels, sums + tap * channels)
        for c in range { sum[c] += more[c] }
      }
    }
    if let dBias {
      let more = sums + width * channels
      for c in range { dBias[c] += more[c] }
    }
    for tap in 0...width {
      (sums + tap * channels + range.lowerBound).update(repeating: 0, count: range.count)
    }
  }
}
