import Autodiff
import SequenceParallel

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
