import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// One block: a token mixer, and a channel mixer where there is one, each with norms around it and a residual.
package struct Block: Sendable {
  /// Where norms stand around a layer `f`.
  package enum Norms: Sendable {
    /// `x + f(norm(x))`.
    case pre(any Normalization)
    /// `norm(x + f(x))`.
    case post(any Normalization)
    /// `x + after(f(before(x)))`.
    case sandwich(before: any Normalization, after: any Normalization)
    /// `x + factor · f(norm(x))`.
    case scaled(any Normalization, factor: Float)
    /// `kept · y + added · f(y)` with `y = norm(x)`: what is normalised is what is added to.
    case renewed(any Normalization, kept: Float, added: Float)

    /// Runs a layer, which gets its input and what it adds.
    ///
    /// - Parameter readers: What the layer reads its input by.
    func around(
      _ x: Variable, tape: Tape, for readers: Readers,
      _ layer: (Variable, Variable?) throws -> Variable
    ) throws -> Variable {
      switch self {
      case .pre(let norm): try layer(norm(x, tape: tape, for: readers), x)
      case .post(let norm): norm(try layer(x, x), tape: tape)
      case .sandwich(let before, let after):
        tape.sum(
          x, after(try layer(before(x, tape: tape, for: readers), nil), tape: tape))
      case .scaled(let norm, let factor):
        tape.sum(x, try layer(norm(x, tape: tape, for: readers), nil), times: (1, factor))
      case .renewed(let norm, let kept, let added):
        try Self.renew(norm(x, tape: tape), kept: kept, added: added, tape: tape, layer)
      }
    }

    private static func renew(
      _ y: Variable, kept: Float, added: Float, tape: Tape,
      _ layer: (Variable, Variable?) throws -> Variable
    ) throws -> Variable {
      if kept == 1, added == 1 { return try layer(y, y) }
      return tape.sum(y, try layer(y, nil), times: (kept, added))
    }
  }

  /// What the residual stream goes through before anything else; nil for nothing.
  package let entry: (any Normalization)?
  /// The parameter region it owns.
  package let region: Int
  /// Along time.
  package let mixer: any TokenMixer
  /// Around the token mixer.
  package let mixerNorms: Norms
  /// Along channels, with the norms around it; nil for none.
  package let channels: (mixer: any ChannelMixer, norms: Norms)?

  package init(
    region: Int, entry: (any Normalization)? = nil, mixer: any TokenMixer,
    norms mixerNorms: Norms, channels: (mixer: any ChannelMixer, norms: Norms)? = nil
  ) {
    self.entry = entry
    (self.region, self.mixer) = (region, mixer)
    (self.mixerNorms, self.channels) = (mixerNorms, channels)
  }

  /// Maps `[N, D]` to `[N, D]`.
  package func callAsFunction(_ x: Variable, tape: Tape, pass: SequencePass) throws -> Variable {
    try run(x, tape: tape, pass: pass, for: mixer.readers) {
      try mixer($0, adding: $1, tape: tape, pass: pass)
    }
  }

  /// Maps `[N, D]` to `[N, D]`, with something else where the token mixer stands.
  func run(
    _ x: Variable, tape: Tape, pass: SequencePass, for readers: Readers = .any,
    mixing: (Variable, Variable?) throws -> Variable
  ) throws -> Variable {
    let x = entry?(x, tape: tape) ?? x
    return try mixChannels(
      mixerNorms.around(x, tape: tape, for: readers, mixing), tape: tape, pass: pass)
  }

  /// The second half of the block, along channels, where it has one.
  package func mixChannels(_ x: Variable, tape: Tape, pass: SequencePass) throws -> Variable {
    guard let channels else { return x }
    return try channels.norms.around(x, tape: tape, for: channels.mixer.readers) {
      try channels.mixer($0, adding: $1, tape: tape, pass: pass)
    }
  }

  /// How its tokens choose among experts or memories; nil where it has none.
  package var experts: RoutingRule? { mixer.experts ?? channels?.mixer.experts }

  /// Weights that a token does not use always, with the share that does not.
  var idleWeights: [(weight: Parameter, share: Double)] {
    mixer.idleWeights + (channels?.mixer.idleWeights ?? [])
  }

  /// The terms that its layers may add to the loss.
  package var lossTerms: [DeclaredTerm] {
    mixer.lossTerms + (channels?.mixer.lossTerms ?? [])
  }
}
