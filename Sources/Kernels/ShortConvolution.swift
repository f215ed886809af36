import Tensors

/// A causal convolution of each channel with a few taps, and its twin.
///
/// Concretely: `z[t] = b + Σ_j w[j] ⊙ x[t−W+1+j]`, `y[t] = z[t]` or `silu(z[t])`; tokens before the start of
/// t's document count as zero. Tokens before the shard are read from a halo.
///
/// Glossary: `C` channels, `W` taps, `T` tokens of one row of the shard.
public struct ShortConvolution: Sendable {
  /// What is applied to a convolution's sum.
  public enum Activation: Sendable {
    /// Nothing.
    case none
    /// `z σ(z)`.
    case silu
  }

  /// Number of channels.
  public let channels: Int
  /// Number of taps, 1 to 8.
  public let width: Int
  /// What is applied to the sum.
  public let activation: Activation

  /// Describes a convolution.
  public init(channels: Int, width: Int, activation: Activation) {
    precondition((1...8).contains(width), "a short convolution of \(width) taps, not 1 to 8")
    (self.channels, self.width, self.activation) = (channels, width, activation)
  }

  /// One row of a shard, as the convolution reads it.
  public struct Row: @unchecked Sendable {
    let x, halo: UnsafePointer<Float>
    let tokens: Int
    let starts: [Int]

    /// Describes a row.
    ///
    /// - Parameters:
    ///   - x: Shape `[T, C]`.
    ///   - halo: The `W − 1` tokens before, shape `[W − 1, C]`.
    ///   - starts: Where documents start, ascending, counted from the shard's first token; those up to
    ///     `W − 1` tokens before it count too.
    public init(
      x: UnsafePointer<Float>, halo: UnsafePointer<Float>, tokens: Int, starts: [Int]
    ) {
      (self.x, self.halo, self.tokens, self.starts) = (x, halo, tokens, starts)
    }
  }

  /// Taps and bias of all channels.
  public struct Weights: @unchecked Sendable {
    let taps: UnsafePointer<Float>
    let bias: UnsafePointer<Float>?

    /// Taps of shape `[W, C]`, the last for the token itself, and a bias of shape `[C]`.
    public init(taps: UnsafePointer<Float>, bias: UnsafePointer<Float>?) {
      (self.taps, self.bias) = (taps, bias)
    }
  }

  /// Floats of scratch that either pass takes: a row of zeros, and `W` rows of sums' gradients.
  public var scratchCount: Int { (1 + width) * channels }

  /// Computes some tokens of a row.
  ///
  /// - Parameters:
  ///   - y: Shape `[T, C]`, of which `range` is written.
  ///   - scratch: `scratchCount` floats.
  public func forward(
    _ row: Row, _ weights: Weights, into y: UnsafeMutablePointer<Float>, tokens range: Range<Int>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    scratch.update(repeating: 0, count: channels)
    var document = DocumentCursor(row.starts)
    for token in range {
      let sources = inputs(of: token, row, since: document.start(of: token), zeros: scratch)
      let y = y + token * channels
      var c = 0
      while c < channels {
        let n = min(Lanes.width, channels &- c)
        var z = sum(sources, weights, c, n)
        if case .silu = activation { z = z * sigmoid(z) }
        z.store(y + c, count: n)
        c &+= Lanes.width
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
  ///   - dHalo: Shape `[W − 1, C]`, written.
  ///   - dTaps: Shape `[W, C]`, added to, or nil.
  ///   - dBias: Shape `[C]`, added to, or nil.
  ///   - scratch: `2 · scratchCount` floats; each range of channels uses a part of its own.
  public func backward(
    _ row: Row, _ weights: Weights, _ dy: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>, accumulate: Bool, dHalo: UnsafeMutablePointer<Float>,
    dTaps: UnsafeMutablePointer<Float>?, dBias: UnsafeMutablePointer<Float>?,
    channels range: Range<Int>, scratch: UnsafeMutablePointer<Float>
  ) {
    // Rows of scratch: zeros; the last W tokens' dz; partial sums of the taps' and the bias's gradients.
    let (zeros, ring) = (scratch, scratch + channels)
    let partial = scratch + (1 + width) * channels
    func clear(_ rows: UnsafeMutablePointer<Float>, _ count: Int) {
      for index in 0..<count {
        (rows + index * channels + range.lowerBound).update(repeating: 0, count: range.count)
      }
    }
    clear(zeros, 1 + width)
    clear(partial, 1 + width)
    let blockTokens = 256
    var document = DocumentCursor(row.starts)
    // Which document each of the last W tokens belongs to, by its start.
    var starts = [Int](repeating: .max, count: width)
    for token in 0..<row.tokens + width - 1 {
      let slot = token % width
      if token < row.tokens {
        let start = document.start(of: token)
        starts[slot] = start
        let sources = inputs(of: token, row, since: start, zeros: zeros)
        sumGradients(
          sources, weights, dy + token * channels, into: ring + slot * channels, partial, range)
      } else {
        starts[slot] = .max
      }
      if token % blockTokens == blockTokens - 1 || token == row.tokens - 1 {
        deliver(partial, dTaps, dBias, range)
        clear(partial, 1 + width)
      }
      // All tokens that read this source are known now.
      let source = token - width + 1
      let target = source < 0 ? dHalo + token * channels : dx + source * channels
      var readers = Pointers { _ in UnsafePointer(zeros) }
      for tap in 0..<width where starts[(source + width - 1 - tap + width) % width] <= source {
        readers[tap] = UnsafePointer(ring + (source + width - 1 - tap + width) % width * channels)
      }
      inputGradient(readers, weights, into: target, accumulate: accumulate && source >= 0, range)
    }
  }

  private typealias Pointers = InlineArray<8, UnsafePointer<Float>>

  /// The rows that a token's taps read.
  @inline(__always)
  private func inputs(
    of token: Int, _ row: Row, since start: Int, zeros: UnsafePointer<Float>
  ) -> Pointers {
    var rows = Pointers { _ in zeros }
    for tap in 0..<width {
      let source = token - width + 1 + tap
      if source >= start {
        rows[tap] =
          source < 0 ? row.halo + (source + width - 1) * channels : row.x + source * channels
      }
    }
    return rows
  }

  /// A register of a token's sum before the activation.
  @inline(__always)
  private func sum(_ rows: Pointers, _ weights: Weights, _ c: Int, _ n: Int) -> Lanes {
    var z = weights.bias.map { Lanes.load($0 + c, count: n) } ?? Lanes()
    for tap in 0..<width {
      let w = Lanes.load(weights.taps + (tap &* channels &+ c), count: n)
      z = z.addingProduct(w, Lanes.load(rows[unchecked: tap] + c, count: n))
    }
    return z
  }

  @inline(__always)
  private func sigmoid(_ z: Lanes) -> Lanes {
    let low = z.replacing(with: -80, where: z .< Lanes(repeating: -80))
    return Lanes(repeating: 1) / (Lanes(repeating: 1) + Lanes.exp(-low))
  }

  /// A token's `dz`, and what it adds to the gradients of taps and bias.
  @inline(__always)
  private func sumGradients(
    _ rows: Pointers, _ weights: Weights, _ dy: UnsafePointer<Float>,
    into dz: UnsafeMutablePointer<Float>, _ partial: UnsafeMutablePointer<Float>,
    _ range: Range<Int>
  ) {
    var c = range.lowerBound
    while c < range.upperBound {
      let n = min(Lanes.width, range.upperBound &- c)
      var d = Lanes.load(dy + c, count: n)
      if case .silu = activation {
        let z = sum(rows, weights, c, n)
        let s = sigmoid(z)
        d = d * s * Lanes(repeating: 1).addingProduct(z, Lanes(repeating: 1) - s)
      }
      d.store(dz + c, count: n)
      for tap in 0..<width {
        let place = partial + (tap &* channels &+ c)
        Lanes.load(place, count: n)
          .addingProduct(d, Lanes.load(rows[unchecked: tap] + c, count: n))
          .store(place, count: n)
      }
      let place = partial + (width &* channels &+ c)
      (Lanes.load(place, count: n) + d).store(place, count: n)
      c &+= Lanes.width
    }
  }

  /// A source's gradient from the tokens that read it.
  @inline(__always)
  private func inputGradient(
    _ readers: Pointers, _ weights: Weights, into target: UnsafeMutablePointer<Float>,
    accumulate: Bool, _ range: Range<Int>
  ) {
    var c = range.lowerBound
    while c < range.upperBound {
      let n = min(Lanes.width, range.upperBound &- c)
      var d = accumulate ? Lanes.load(target + c, count: n) : Lanes()
      for tap in 0..<width {
        let w = Lanes.load(weights.taps + (tap &* channels &+ c), count: n)
        d = d.addingProduct(w, Lanes.load(readers[unchecked: tap] + c, count: n))
      }
      d.store(target + c, count: n)
      c &+= Lanes.width
    }
  }

  private func deliver(
    _ partial: UnsafePointer<Float>, _ dTaps: UnsafeMutablePointer<Float>?,
    _ dBias: UnsafeMutablePointer<Float>?, _ range: Range<Int>
  ) {
    if let dTaps {
      for tap in 0..<width {
        let (sum, more) = (dTaps + tap * channels, partial + tap * channels)
        for c in range { sum[c] += more[c] }
      }
    }
    if let dBias {
      let more = partial + width * channels
      for c in range { dBias[c] += more[c] }
    }
  }
}

/// Finds the document of ascending tokens.
struct DocumentCursor {
  private let starts: [Int]
  private var next = 0
  private var current = Int.min

  /// Document starts, ascending.
  init(_ starts: [Int]) { self.starts = starts }

  /// Where a token's document starts; `Int.min` before the first start.
  mutating func start(of token: Int) -> Int {
    while next < starts.count, starts[next] <= token {
      current = starts[next]
      next += 1
    }
    return current
  }
}
