import Foundation

/// `S_t = diag(e^{g_t}) S_{t−1} + k_tᵀ v_t`, `o_t = scale · q_t S_t`, token by token in Double, with all gradients.
struct DiagonalReference {
  let tokens, keyDimension, valueDimension: Int
  let scale: Double
  /// `[T, K]`, `[T, V]`; `g` is `[T, K]` whatever the kind.
  var q, k, v, g: [Double]
  /// Positions at which the state is zero before the token.
  var starts: Set<Int>
  /// `[K, V]`.
  var initial: [Double]

  /// Outputs, and what the backward pass needs of them.
  struct Output {
    var o: [Double]
    var final: [Double]
    /// The state before each token.
    var states: [[Double]]
  }

  struct Gradients {
    var q, k, v, g, initial: [Double]
  }

  func forward() -> Output {
    let (K, V) = (keyDimension, valueDimension)
    var state = initial
    var output = Output(o: Array(repeating: 0, count: tokens * V), final: [], states: [])
    for t in 0..<tokens {
      if starts.contains(t) { state = Array(repeating: 0, count: K * V) }
      output.states.append(state)
      for d in 0..<K {
        let decay = exp(max(g[t * K + d], -80))
        for x in 0..<V {
          state[d * V + x] = decay * state[d * V + x] + k[t * K + d] * v[t * V + x]
          output.o[t * V + x] += scale * q[t * K + d] * state[d * V + x]
        }
      }
    }
    output.final = state
    return output
  }

  /// Gradients of `Σ o ⊙ dO + Σ S_T ⊙ dFinal`.
  func backward(_ output: Output, dO: [Double], dFinal: [Double]) -> Gradients {
    let (K, V) = (keyDimension, valueDimension)
    var result = Gradients(
      q: Array(repeating: 0, count: tokens * K), k: Array(repeating: 0, count: tokens * K),
      v: Array(repeating: 0, count: tokens * V), g: Array(repeating: 0, count: tokens * K),
      initial: [])
    var dState = dFinal
    for t in (0..<tokens).reversed() {
      let before = output.states[t]
      for d in 0..<K {
        let decay = exp(max(g[t * K + d], -80))
        var (dq, dk, dg) = (0.0, 0.0, 0.0)
        for x in 0..<V {
          let carried = decay * before[d * V + x]
          let state = carried + k[t * K + d] * v[t * V + x]
          let gradient = dO[t * V + x]
          dq += scale * gradient * state
          let ds = dState[d * V + x] + scale * q[t * K + d] * gradient
          dk += ds * v[t * V + x]
          result.v[t * V + x] += ds * k[t * K + d]
          if g[t * K + d] >= -80 { dg += ds * carried }
          dState[d * V + x] = starts.contains(t) ? 0 : ds * decay
        }
        result.q[t * K + d] = dq
        result.k[t * K + d] = dk
        result.g[t * K + d] = dg
      }
    }
    result.initial = dState
    return result
  }
}
