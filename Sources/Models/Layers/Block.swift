import Autodiff
import Kernels
import SequenceParallel

/// The token-mixing layer of a block: computes q, k, v and gates, runs a recurrence, projects out.
public protocol TokenMixer: Sendable {
  /// Maps the normalised input `[N, D]` and adds the residual `[N, D]`.
  func callAsFunction(
    _ x: Variable, adding residual: Variable, tape: Tape, pass: SequencePass
  ) throws -> Variable
  /// What its recurrences are, for counting their operations.
  var recurrences: [RecurrenceSize] { get }
  /// What its softmax attention is, for counting its operations.
  var attention: AttentionSize? { get }
  /// Whether what it keeps of the tokens before grows with their number.
  var seesAllTokens: Bool { get }
}

extension TokenMixer {
  /// None.
  public var recurrences: [RecurrenceSize] { [] }

  /// None.
  public var attention: AttentionSize? { nil }

  /// No: a state of fixed size.
  public var seesAllTokens: Bool { false }
}

/// The size of one recurrence, for the formula that counts its operations.
public struct RecurrenceSize: Sendable {
  /// Heads of the state.
  public let heads: Int
  /// Key and value dimensions of a head.
  public let keyDimension, valueDimension: Int
  /// Whether it is of the delta family, whose chunks also solve a triangular system.
  public let isDelta: Bool

  /// Makes a size.
  public init(heads: Int, keyDimension: Int, valueDimension: Int, isDelta: Bool) {
    (self.heads, self.isDelta) = (heads, isDelta)
    (self.keyDimension, self.valueDimension) = (keyDimension, valueDimension)
  }

  /// Operations a token, forward and backward, with chunks of 64 tokens whatever the kernel's.
  ///
  /// Concretely: `3 H (2C(K+V) + 4KV)`; for the delta family `3 H (2C(3K+2V) + 6KV)`.
  public var operationsPerToken: Double {
    let (k, v, c) = (Double(keyDimension), Double(valueDimension), 64.0)
    let each = isDelta ? 2 * c * (3 * k + 2 * v) + 6 * k * v : 2 * c * (k + v) + 4 * k * v
    return 3 * Double(heads) * each
  }
}

/// One block: `x += mixer(norm(x))`, `x += channels(norm(x))`.
public struct Block: Sendable {
  /// The parameter region it owns.
  public let region: Int
  /// Before the token mixer.
  public let mixerNorm: Norm
  /// Along time.
  public let mixer: any TokenMixer
  /// Before the channel mixer.
  public let channelNorm: Norm
  /// Along channels.
  public let channels: ChannelMixer

  /// Maps `[N, D]` to `[N, D]`.
  public func callAsFunction(_ x: Variable, tape: Tape, pass: SequencePass) throws -> Variable {
    let y = try mixer(mixerNorm(x, tape: tape), adding: x, tape: tape, pass: pass)
    return try channels(channelNorm(y, tape: tape), adding: y, tape: tape)
  }
}
