import Autodiff

/// A function of each number that a model's description names.
enum Activation {
  case identity, relu, silu, sigmoid, eluPlusOne

  /// Applies it.
  func callAsFunction(_ x: Variable, tape: Tape) -> Variable {
    switch self {
    case .identity: x
    case .relu: tape.relu(x)
    case .silu: tape.silu(x)
    case .sigmoid: tape.sigmoid(x)
    case .eluPlusOne: tape.eluPlusOne(x)
    }
  }
}
