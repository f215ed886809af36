import Foundation

/// The delta-rule family token by token in Double: what the chunked kernels are compared with.
///
/// Concretely, for one head: `S̄_t = diag(e^{g_t}) S_{t−1}`, `u_t = β_t (v_t − k_t S̄_t)`,
/// `S_t = S̄_t + k_tᵀ u_t`, `o_t = scale · q_t S_t`. A gate of one number a token is the same number in
/// every channel, and no gate is zeros. At a document's start `S_{t−1}` is zero.
struct DeltaReference {
  /// Tokens, key dimension, value dimension.
  let tokens: Int, keys: Int, values: Int
  /// Queries and keys `[T, K]`, values `[T, V]`, steps `[T]`, log decays `[T, K]`.
  var q: [Double], k: [Double], v: [Double], beta: [Double], g: [Double]
  /// State before the first token, `[K, V]`.
  var initial: [Double]
  /// What the outputs are multiplied by.
  var scale = 1.0
  /// Tokens that open a document.
  var starts: Set<Int> = []

  /// What the forward pass yields.
  struct Output {
    /// `[T, V]`.
    var o: [Double]
    /// State after the last token, `[K, V]`.
    var final: [Double]
  }

  /// Gradients of everything the forward pass reads.
  struct Gradients {
    /// Shapes as in the forward pass.
    var q: [Double], k: [Double], v: [Double], beta: [Double], g: [Double], initial: [Double]
  }

  /// States before decay `S_{t−1}` and after it `S̄_t`, errors `v_t − k_t S̄_t`, outputs, final state.
  private func run() -> (decayed: [[Double]], after: [[Double]], errors: [[Double]], Output) {
    var state = initial
    var decayed: [[Double]] = []
    var after: [[Double]] = []
    var errors: [[Double]] = []
    var o: [Double] = []
    for t in 0..<tokens {
      if starts.contains(t) { state = state.map { _ in 0 } }
      for d in 0..<keys {
        let alpha = exp(max(g[t * keys + d], -80))
        for x in 0..<values { state[d * values + x] *= alpha }
      }
      decayed.append(state)
      var error = Array(v[t * values..<(t + 1) * values])
      for d in 0..<keys {
        for x in 0..<values { error[x] -= k[t * keys + d] * state[d * values + x] }
      }
      errors.append(error)
      var output = [Double](repeating: 0, count: values)
      for d in 0..<keys {
        for x in 0..<values {
          state[d * values + x] += k[t * keys + d] * beta[t] * error[x]
          output[x] += scale * q[t * keys + d] * state[d * values + x]
        }
      }
      after.append(state)
      o += output
    }
    return (decayed, after, errors, Output(o: o, final: state))
  }

  /// Outputs and final state.
  func forward() -> Output { run().3 }

  /// Gradients of `⟨o, dO⟩ + ⟨S_T, dFinal⟩`.
  ///
  /// - Parameters:
  ///   - dO: Gradient of the outputs, `[T, V]`.
  ///   - dFinal: Gradient of the final state, `[K, V]`.
  func backward(dO: [Double], dFinal: [Double]) -> Gradients {
    let (decayed, after, errors, _) = run()
    var result = Gradients(
      q: q.map { _ in 0 }, k: k.map { _ in 0 }, v: v.map { _ in 0 }, beta: beta.map { _ in 0 },
      g: g.map { _ in 0 }, initial: [])
    var adjoint = dFinal
    for t in (0..<tokens).reversed() {
      var dU = [Double](repeating: 0, count: values)
      for d in 0..<keys {
        for x in 0..<values {
          let index = d * values + x
          result.q[t * keys + d] += scale * after[t][index] * dO[t * values + x]
          adjoint[index] += scale * q[t * keys + d] * dO[t * values + x]
          dU[x] += k[t * keys + d] * adjoint[index]
          result.k[t * keys + d] += adjoint[index] * beta[t] * errors[t][x]
        }
      }
      for x in 0..<values {
        result.beta[t] += dU[x] * errors[t][x]
        result.v[t * values + x] = beta[t] * dU[x]
      }
      for d in 0..<keys {
        let alpha = exp(max(g[t * keys + d], -80))
        for x in 0..<values {
          let index = d * values + x
          let dError = beta[t] * dU[x]
          result.k[t * keys + d] -= decayed[t][index] * dError
          adjoint[index] -= k[t * keys + d] * dError
          // What is clamped does not depend on what it was.
          if g[t * keys + d] >= -80 { result.g[t * keys + d] += adjoint[index] * decayed[t][index] }
          adjoint[index] *= alpha
        }
      }
      if starts.contains(t) {
        adjoint = adjoint.map { _ in 0 }
      }
    }
    result.initial = adjoint
    return result
  }
}
