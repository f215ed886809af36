import Foundation
import Tensors

/// The algebra of a shard's affine map on states of shape `[K, V]`: applied, transposed, composed.
package struct StateMap: Sendable {
  /// What `M` is.
  package let kind: StateMapKind
  /// `K` and `V`.
  package let keyDimension, valueDimension: Int

  /// What states, but not gradients, are counted modulo, such as a turn for angles; nil for none.
  package let period: Double?
  /// Whether states, but not gradients, are logarithms of sums.
  ///
  /// Concretely: `S_out = log(M e^S + e^B)`; nothing is −∞.
  package let isLogarithmic: Bool

  /// The algebra for states of shape `[K, V]`.
  package init(
    _ kind: StateMapKind, keyDimension: Int, valueDimension: Int, period: Double? = nil,
    isLogarithmic: Bool = false
  ) {
    precondition(!isLogarithmic || kind == .scalar, "sums of exponentials with a \(kind)")
    precondition(period == nil || kind == .scalar, "states modulo \(period ?? 0) with a \(kind)")
    (self.kind, self.keyDimension, self.valueDimension) = (kind, keyDimension, valueDimension)
    (self.period, self.isLogarithmic) = (period, isLogarithmic)
  }

  /// Elements of one state.
  package var stateCount: Int {
    switch kind {
    case .scalar, .vector, .matrix: keyDimension * valueDimension
    case .stabilised, .stabilisedAdjoint: keyDimension * (valueDimension + 1) + 1
    }
  }

  /// Extents of `units` states one after another.
  package func shape(_ units: Int) -> Shape {
    switch kind {
    case .scalar, .vector, .matrix: [units, keyDimension, valueDimension]
    case .stabilised, .stabilisedAdjoint: [units, stateCount]
    }
  }

  /// The algebra of gradients.
  package var adjoint: StateMap {
    StateMap(kind.adjoint, keyDimension: keyDimension, valueDimension: valueDimension)
  }

  /// The scalar `M` of a shard whose decay does not come from data: `λ^tokens`, or 0 where a document starts.
  package static func known(logDecay: Float, tokens: Int, containsStart: Bool) -> Float {
    if containsStart { return 0 }
    return Float(exp(Double(max(logDecay, -80)) * Double(tokens)))
  }

  /// `S_out = M S_in + B`; `output` may be `sum` (and, unless `M` is a matrix, `input`).
  package func combine(
    _ map: UnsafePointer<Float>, _ input: UnsafePointer<Float>, adding sum: UnsafePointer<Float>,
    into output: UnsafeMutablePointer<Float>
  ) {
    guard !isLogarithmic else {
      let scale = log(Double(map[0]))
      for i in 0..<stateCount {
        output[i] = Float(Self.logSum(scale + Double(input[i]), Double(sum[i])))
      }
      return
    }
    apply(map, transposed: false, input, adding: sum, into: output)
  }

  /// `D_in = Mᵀ D_out + E`; aliasing as for `combine`.
  package func combineTransposed(
    _ map: UnsafePointer<Float>, _ input: UnsafePointer<Float>, adding sum: UnsafePointer<Float>,
    into output: UnsafeMutablePointer<Float>
  ) {
    apply(map, transposed: true, input, adding: sum, into: output)
  }

  /// The map of two shards in a row, `(later ∘ earlier)`: `M = M₂ M₁`, or `M₁ᵀ M₂ᵀ` kept untransposed.
  ///
  /// With `combine` for the sums (`B = M₂ B₁ + B₂`; backward `E = M₁ᵀ E₂ + E₁`) this is all that a gather
  /// or a scan needs. `output` must not alias the inputs where `M` is a matrix.
  package func composeMaps(
    later: UnsafePointer<Float>, earlier: UnsafePointer<Float>,
    into output: UnsafeMutablePointer<Float>
  ) {
    let K = keyDimension
    switch kind {
    case .scalar: output[0] = later[0] * earlier[0]
    case .stabilised: output[0] = later[0] + earlier[0]
    case .stabilisedAdjoint:
      let isPassed = later[0].sign == .plus && earlier[0].sign == .plus
      let factor = (later[0] * earlier[0]).magnitude
      output[0] = isPassed ? factor : -factor
    case .vector: for d in 0..<K { output[d] = later[d] * earlier[d] }
    case .matrix:
      SmallMatrix.multiply(
        later, lda: K, earlier, ldb: K, into: output, ldc: K, rows: K, columns: K, inner: K)
    }
  }

  /// `log(e^x + e^y)`; −∞ is nothing, and two of them are no difference to be formed.
  private static func logSum(_ x: Double, _ y: Double) -> Double {
    let (most, least) = (max(x, y), min(x, y))
    return least == -.infinity ? most : most + log1p(exp(least - most))
  }

  private func apply(
    _ map: UnsafePointer<Float>, transposed: Bool, _ input: UnsafePointer<Float>,
    adding sum: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>
  ) {
    let (K, V) = (keyDimension, valueDimension)
    switch kind {
    case .scalar, .vector: break
    case .stabilised:
      precondition(!transposed, "the adjoint of a stabilised state is a map of its own kind")
      return StabilisedState.combine(
        logDecay: Double(map[0]), input, adding: sum, count: stateCount - 1, into: output)
    case .stabilisedAdjoint:
      return StabilisedState.combineAdjoint(
        map[0], input, adding: sum, count: stateCount - 1, into: output)
    case .matrix:
      if output != UnsafeMutablePointer(mutating: sum) { output.update(from: sum, count: K * V) }
      return SmallMatrix.multiply(
        map, lda: K, transposed: transposed, input, ldb: V, into: output, ldc: V, rows: K,
        columns: V, inner: K, store: .add)
    }
    for d in 0..<K {
      let (target, addend, source) = (output + d * V, sum + d * V, input + d * V)
      let factor = map[kind == .scalar ? 0 : d]
      for x in 0..<V { target[x] = addend[x].addingProduct(factor, source[x]) }
    }
    guard let period, !transposed else { return }
    for i in 0..<K * V {
      output[i] = Float(RunningSum.reduced(Double(output[i]), period: period))
    }
  }
}
