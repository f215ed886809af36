import Foundation

/// Recurrences whose states have rows that decay each by a gate of their own, token by token in Double.
///
/// Concretely: decay on the side of the values, `S [V, K]`, `S_t = diag(e^{g_t}) S_{t−1} + v_tᵀ k_t`, `o_t = scale · q_t S_tᵀ`;
/// or gated slots, `S [M, K + V]`, with what `GatedSlotRecurrence` says.
struct SlotReference {
  let tokens, keys, values: Int
  /// Slots; 0 for the decay on the side of the values.
  let slots: Int
  let scale: Double
  /// `[T, K]`, `[T, V]`; `g` is `[T, rows]`.
  let q, k, v, g, dO: [Double]
  /// Positions at which the state is zero before the token.
  let starts: Set<Int>
  /// `[rows, columns]`.
  let initial, dFinal: [Double]

  var rows: Int { slots > 0 ? slots : values }
  var columns: Int { slots > 0 ? keys + values : keys }

  /// What row `m` of the state is given by a token, and what each column is.
  private func written(_ t: Int, _ m: Int) -> Double {
    slots > 0 ? -expm1(g[t * rows + m]) : v[t * values + m]
  }
  private func column(_ t: Int, _ x: Int) -> Double {
    x < keys ? k[t * keys + x] : v[t * values + x - keys]
  }
  private func decay(_ t: Int, _ m: Int) -> Double { exp(max(g[t * rows + m], -80)) }

  /// Outputs, the final state, and all gradients of `Σ o ⊙ dO + Σ S_T ⊙ dFinal`, by name.
  func results() -> [String: [Double]] {
    var (state, states) = (initial, [[Double]]())
    var logits = [Double](repeating: 0, count: tokens * rows)
    for t in 0..<tokens {
      if starts.contains(t) { state = state.map { _ in 0 } }
      states.append(state)
      for m in 0..<rows {
        let (stays, given) = (decay(t, m), written(t, m))
        for x in 0..<columns {
          let at = m * columns + x
          state[at] = stays * state[at] + given * column(t, x)
          if x < keys { logits[t * rows + m] += scale * q[t * keys + x] * state[at] }
        }
      }
    }
    states.append(state)
    var o = logits
    var p = logits
    if slots > 0 {
      o = [Double](repeating: 0, count: tokens * values)
      for t in 0..<tokens {
        let row = t * rows..<(t + 1) * rows
        let most = logits[row].max()!
        let sum = logits[row].reduce(0) { $0 + exp($1 - most) }
        for m in 0..<rows {
          p[t * rows + m] = exp(logits[t * rows + m] - most) / sum
          for x in 0..<values {
            o[t * values + x] += p[t * rows + m] * after(states, t, m * columns + keys + x)
          }
        }
      }
    }
    return ["o": o, "final": state].merging(gradients(states, p)) { $1 }
  }

  /// A number of the state after a token, from those before each.
  private func after(_ states: [[Double]], _ t: Int, _ at: Int) -> Double {
    let (m, x) = (at / columns, at % columns)
    return decay(t, m) * states[t][at] + written(t, m) * column(t, x)
  }

  private func gradients(_ states: [[Double]], _ p: [Double]) -> [String: [Double]] {
    var d = dFinal
    var dq = [Double](repeating: 0, count: tokens * keys)
    var (dk, dv) = (dq, [Double](repeating: 0, count: tokens * values))
    var dg = [Double](repeating: 0, count: tokens * rows)
    for t in (0..<tokens).reversed() {
      var dLogits = slots > 0 ? [] : Array(dO[t * rows..<(t + 1) * rows])
      if slots > 0 {
        let own = Array(p[t * rows..<(t + 1) * rows])
        let dp = (0..<rows).map { m in
          (0..<values).reduce(0) {
            $0 + dO[t * values + $1] * after(states, t, m * columns + keys + $1)
          }
        }
        let mean = zip(own, dp).reduce(0) { $0 + $1.0 * $1.1 }
        dLogits = zip(own, dp).map { $0 * ($1 - mean) }
        for m in 0..<rows {
          for x in 0..<values { d[m * columns + keys + x] += own[m] * dO[t * values + x] }
        }
      }
      for m in 0..<rows {
        let (stays, given) = (decay(t, m), written(t, m))
        var (dGiven, dStays) = (0.0, 0.0)
        for x in 0..<columns {
          let at = m * columns + x
          if x < keys {
            dq[t * keys + x] += scale * dLogits[m] * after(states, t, at)
            d[at] += scale * dLogits[m] * q[t * keys + x]
          }
          dGiven += d[at] * column(t, x)
          dStays += d[at] * states[t][at]
          if x < keys {
            dk[t * keys + x] += d[at] * given
          } else {
            dv[t * values + x - keys] += d[at] * given
          }
          d[at] = starts.contains(t) ? 0 : d[at] * stays
        }
        if slots == 0 { dv[t * values + m] = dGiven }
        guard g[t * rows + m] >= -80 else { continue }
        dg[t * rows + m] =
          stays * dStays - (slots > 0 ? exp(g[t * rows + m]) * dGiven : 0)
      }
    }
    return ["dq": dq, "dk": dk, "dv": dv, "dg": dg, "initial": d]
  }
}
