import Autodiff
import SequenceParallel

/// One block: `x += mixer(norm(x))`, `x += channels(norm(x))`.
package struct Block: Sendable {
  /// The parameter region it owns.
  package let region: Int
  /// Before the token mixer.
  package let mixerNorm: Norm
  /// Along time.
  package let mixer: any TokenMixer
  /// Before the channel mixer.
  package let channelNorm: Norm
  /// Along channels.
  package let channels: ChannelMixer

  /// Maps `[N, D]` to `[N, D]`.
  package func callAsFunction(_ x: Variable, tape: Tape, pass: SequencePass) throws -> Variable {
    let y = try mixer(mixerNorm(x, tape: tape), adding: x, tape: tape, pass: pass)
    return try channels(channelNorm(y, tape: tape), adding: y, tape: tape)
  }
}
