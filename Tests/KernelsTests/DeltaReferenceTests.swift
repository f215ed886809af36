import Foundation
import Tensors
import Testing

@Suite("The per-token reference of the delta-rule family")
struct DeltaReferenceTests {
  /// One of the reference's arrays, what its gradient must match.
  enum Argument: String, CaseIterable {
    case q, k, v, beta, g, initial
    var input: WritableKeyPath<DeltaReference, [Double]> {
      switch self {
      case .q: \.q
      case .k: \.k
      case .v: \.v
      case .beta: \.beta
      case .g: \.g
      case .initial: \.initial
      }
    }
    var gradient: KeyPath<DeltaReference.Gradients, [Double]> {
      switch self {
      case .q: \.q
      case .k: \.k
      case .v: \.v
      case .beta: \.beta
      case .g: \.g
      case .initial: \.initial
      }
    }
  }

  @Test("gradients match finite differences", arguments: Argument.allCases, [[], [3], [0, 5]])
  func finiteDifferences(argument: Argument, starts: [Int]) {
    let random = Random(seed: 11, purpose: 1)
    func normals(_ count: Int, _ stream: Int) -> [Double] {
      (0..<count).map { random.normal(at: UInt64(stream * 1000 + $0)) }
    }
    let (tokens, keys, values) = (9, 4, 3)
    var reference = DeltaReference(
      tokens: tokens, keys: keys, values: values, q: normals(tokens * keys, 0),
      k: normals(tokens * keys, 1).map { $0 / 2 }, v: normals(tokens * values, 2),
      beta: (0..<tokens).map { 2 * random.uniform(at: UInt64(9000 + $0)) },
      g: normals(tokens * keys, 3).map { -abs($0) }, initial: normals(keys * values, 4))
    reference.scale = 0.7
    reference.starts = Set(starts)
    let dO = normals(tokens * values, 5)
    let dFinal = normals(keys * values, 6)
    func loss(_ reference: DeltaReference) -> Double {
      let output = reference.forward()
      return zip(output.o, dO).reduce(0) { $0 + $1.0 * $1.1 }
        + zip(output.final, dFinal).reduce(0) { $0 + $1.0 * $1.1 }
    }
    let gradient = reference.backward(dO: dO, dFinal: dFinal)[keyPath: argument.gradient]
    let step = 1e-5
    for index in gradient.indices {
      var (up, down) = (reference, reference)
      up[keyPath: argument.input][index] += step
      down[keyPath: argument.input][index] -= step
      let slope = (loss(up) - loss(down)) / (2 * step)
      #expect(abs(slope - gradient[index]) < 1e-7 * max(1, abs(slope)))
    }
  }

  @Test("a state in the keys' memory is read back exactly with β = 1 and unit keys")
  func recall() {
    let k = [0.6, 0.8, -0.8, 0.6]
    let reference = DeltaReference(
      tokens: 2, keys: 2, values: 1, q: k, k: k, v: [3, -5], beta: [1, 1],
      g: [0, 0, 0, 0], initial: [7, 9])
    let output = reference.forward()
    #expect(abs(output.o[0] - 3) < 1e-12)
    #expect(abs(output.o[1] + 5) < 1e-12)
  }
}
