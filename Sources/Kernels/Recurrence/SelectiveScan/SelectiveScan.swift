import Tensors

/// Mamba's selective scan: an elementwise recurrence of `N` states a channel that share their channel's input.
///
/// Concretely, for each channel i and state n of a row, with the rates `A = −e^{A_log}`:
///
///     h_t[i,n] = e^{A[i,n] dt_t[i]} h_{t−1}[i,n] + dt_t[i] u_t[i] B_t[n]        y_t[i] = Σ_n C_t[n] h_t[i,n] + D[i] u_t[i]
///
/// States of tokens, `[T, I, N]`, are nowhere: those at the starts of chunks are kept, and the backward pass forms the others
/// again, a chunk and a register of channels at a time.
///
/// States that cross seams lie as `A_log` does, `[I, N]`; inside, and so in `kept`, a register of channels for each n:
/// `[⌈I / lanes⌉, N, lanes]`.
///
/// - Source: Mamba (arXiv 2312.00752), section 3.
package struct SelectiveScan: Sendable {
  /// `I` and `N`.
  package let channels, states: Int
  /// Tokens in a full chunk: what `ChunkPlan` is to be made with.
  package let chunkLength: Int

  /// The scan of `channels` channels of `states` states each.
  package init(channels: Int, states: Int, chunkLength: Int = 32) {
    precondition(
      channels > 0 && states > 0 && chunkLength > 0,
      "\(channels) channels of \(states) states in chunks of \(chunkLength)")
    (self.channels, self.states, self.chunkLength) = (channels, states, chunkLength)
  }

  /// What one row of a shard reads.
  ///
  /// Unchecked: threads only read what it points to, which its caller keeps alive.
  package struct Row: @unchecked Sendable {
    /// Inputs and steps, `[T, I]`.
    let u, dt: UnsafePointer<Float>
    /// What goes into the states and comes out of them, `[T, N]`.
    let b, c: UnsafePointer<Float>
    package let plan: ChunkPlan

    package init(
      u: UnsafePointer<Float>, dt: UnsafePointer<Float>, b: UnsafePointer<Float>,
      c: UnsafePointer<Float>, plan: ChunkPlan
    ) {
      (self.u, self.dt, self.b, self.c, self.plan) = (u, dt, b, c, plan)
    }
  }

  /// Channels that one thread works through at least: sums over channels are formed of so many at a time.
  package static let groupChannels = 128

  /// Groups of channels.
  package var groups: Int { (channels + Self.groupChannels - 1) / Self.groupChannels }

  /// Registers of channels.
  var blocks: Int { (channels + Lanes.width - 1) / Lanes.width }
  /// Floats of the states of a register of channels.
  var blockCount: Int { states * Lanes.width }
  /// Floats of all states as they lie inside.
  package var innerCount: Int { blocks * blockCount }
  /// Floats that a row keeps: the states at the start of each chunk, and at the end.
  package func keptCount(_ plan: ChunkPlan) -> Int { (plan.chunks.count + 1) * innerCount }

  /// The registers of some groups.
  func blocks(_ groups: Range<Int>) -> Range<Int> {
    let each = Self.groupChannels / Lanes.width
    return min(groups.lowerBound * each, blocks)..<min(groups.upperBound * each, blocks)
  }

  /// The channels of a register, and how many there are.
  @inline(__always)
  func lanes(_ block: Int) -> (first: Int, count: Int) {
    let first = block &* Lanes.width
    return (first, min(Lanes.width, channels &- first))
  }

  // MARK: Layouts

  /// `A = −e^{A_log}`, from `[I, N]` to how states lie inside; 0 beyond the channels.
  package func rates(_ logRates: UnsafePointer<Float>, into rates: UnsafeMutablePointer<Float>) {
    rates.update(repeating: 0, count: innerCount)
    for i in 0..<channels {
      for n in 0..<states { rates[inner(i, n)] = -VectorMath.exp(logRates[i * states + n]) }
    }
  }

  /// Adds the gradient of `A_log`, `[I, N]`: that of `A` times `A`.
  package func addLogRates(
    _ dRates: UnsafePointer<Float>, rates: UnsafePointer<Float>,
    to gradient: UnsafeMutablePointer<Float>
  ) {
    for i in 0..<channels {
      for n in 0..<states {
        gradient[i * states + n] += dRates[inner(i, n)] * rates[inner(i, n)]
      }
    }
  }

  /// From `[I, N]` to how states lie inside, or zeros.
  func enter(
    _ outer: UnsafePointer<Float>?, _ blocks: Range<Int>, into target: UnsafeMutablePointer<Float>
  ) {
    (target + blocks.lowerBound * blockCount).update(
      repeating: 0, count: blocks.count * blockCount)
    guard let outer else { return }
    for block in blocks {
      let (first, count) = lanes(block)
      for i in first..<first + count {
        for n in 0..<states { target[inner(i, n)] = outer[i * states + n] }
      }
    }
  }

  /// From how states lie inside to `[I, N]`.
  func leave(
    _ states: UnsafePointer<Float>, _ blocks: Range<Int>, into outer: UnsafeMutablePointer<Float>
  ) {
    for block in blocks {
      let (first, count) = lanes(block)
      for i in first..<first + count {
        for n in 0..<self.states { outer[i * self.states + n] = states[inner(i, n)] }
      }
    }
  }

  /// Where state n of channel i lies inside.
  @inline(__always)
  func inner(_ i: Int, _ n: Int) -> Int {
    i / Lanes.width * blockCount + n * Lanes.width + i % Lanes.width
  }
}
