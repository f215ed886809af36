import Autodiff
import Tensors

/// A projection through a narrow middle: `W₂ f(W₀ x) + b`.
struct LowRankProjection {
  /// What the middle goes through.
  enum Middle {
    case linear, tanh, sigmoid
  }

  let down, up: Linear
  let middle: Middle

  /// `[N, D]` to `[N, C]`, for some readers.
  func callAsFunction(
    _ x: Variable, tape: Tape, for readers: Readers = .any
  ) throws -> Variable {
    let y = try down(x, tape: tape, for: .products)
    let z =
      switch middle {
      case .linear: y
      case .tanh: tape.tanh(y)
      case .sigmoid: tape.sigmoid(y)
      }
    return try up(z, tape: tape, for: readers)
  }
}
