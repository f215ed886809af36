import Foundation

/// What mixes tokens along time, one head and one sequence at a time. `starts` are the tokens at which
/// documents start: nothing before the last start at or before a token is seen by it.
extension Term {
  /// A linear recurrence, token by token.
  ///
  /// Concretely: `S̄_t = diag(e^{g_t}) S_{t−1}`, then `S_t = S̄_t + k_tᵀ v_t`, or by the delta rule
  /// `S_t = S̄_t + β_t k_tᵀ (v_t − k_t S̄_t)`, and `o_t = scale · q_t S_t`, or `scale · q_t S_{t−1}` where outputs are
  /// exclusive. At a start `S_{t−1}` is zero.
  ///
  /// - Parameters:
  ///   - q: Queries, `[T, K]`; `k`, keys alike; `v`, values, `[T, V]`.
  ///   - g: Log decays, `[T, K]` or `[T, 1]`; nil for none.
  ///   - beta: Steps of the delta rule, `[T, 1]`; nil for plain sums.
  ///   - initial: The state before the first token, `[K, V]`; nil for zero.
  /// - Returns: `[T + K, V]`: the outputs, and below them the state after the last token.
  package static func recurrence(
    q: Term, k: Term, v: Term, g: Term? = nil, beta: Term? = nil, initial: Term? = nil,
    scale: Double = 1, isExclusive: Bool = false, starts: Set<Int> = []
  ) -> Term {
    let (T, K, V) = (q.rows, q.columns, v.columns)
    func decay(_ t: Int, _ d: Int) -> Double {
      guard let g else { return 1 }
      return Foundation.exp(g.matrix[t, g.columns == 1 ? 0 : d])
    }
    var state = initial?.matrix ?? Matrix(K, V)
    var result = Matrix(T + K, V)
    // What the backward pass needs of each token: S̄_t, S_t and what was added along k_t.
    var (decayed, after, added): ([Matrix], [Matrix], [[Double]]) = ([], [], [])
    /// What a token's output is of.
    var seen: [Matrix] = []
    for t in 0..<T {
      if starts.contains(t) { state = Matrix(K, V) }
      let before = state
      state = Matrix(K, V) { d, x in decay(t, d) * state[d, x] }
      decayed.append(state)
      let sum = (0..<V).map { x in
        guard let beta else { return v.matrix[t, x] }
        let known = (0..<K).reduce(0) { $0 + k.matrix[t, $1] * state[$1, x] }
        return beta.matrix[t, 0] * (v.matrix[t, x] - known)
      }
      added.append(sum)
      state = Matrix(K, V) { d, x in state[d, x] + k.matrix[t, d] * sum[x] }
      after.append(state)
      seen.append(isExclusive ? before : state)
      for d in 0..<K {
        for x in 0..<V { result[t, x] += scale * q.matrix[t, d] * seen[t][d, x] }
      }
    }
    for d in 0..<K { for x in 0..<V { result[T + d, x] = state[d, x] } }

    let inputs = [q, k, v] + [g, beta, initial].compactMap { $0 }
    return Term(result, of: inputs) { result in
      var dState = result.gradient.rows(T..<T + K)
      for t in (0..<T).reversed() {
        var dAdded = [Double](repeating: 0, count: V)
        for d in 0..<K {
          for x in 0..<V {
            q.gradient[t, d] += scale * seen[t][d, x] * result.gradient[t, x]
            if !isExclusive { dState[d, x] += scale * q.matrix[t, d] * result.gradient[t, x] }
            k.gradient[t, d] += dState[d, x] * added[t][x]
            dAdded[x] += dState[d, x] * k.matrix[t, d]
          }
        }
        if let beta {
          for x in 0..<V {
            let known = (0..<K).reduce(0) { $0 + k.matrix[t, $1] * decayed[t][$1, x] }
            beta.gradient[t, 0] += dAdded[x] * (v.matrix[t, x] - known)
            let dError = beta.matrix[t, 0] * dAdded[x]
            v.gradient[t, x] += dError
            for d in 0..<K {
              k.gradient[t, d] -= dError * decayed[t][d, x]
              dState[d, x] -= dError * k.matrix[t, d]
            }
          }
        } else {
          for x in 0..<V { v.gradient[t, x] += dAdded[x] }
        }
        for d in 0..<K {
          for x in 0..<V {
            if let g { g.gradient[t, g.columns == 1 ? 0 : d] += dState[d, x] * decayed[t][d, x] }
            dState[d, x] *= decay(t, d)
            if isExclusive { dState[d, x] += scale * q.matrix[t, d] * result.gradient[t, x] }
            if starts.contains(t) { dState[d, x] = 0 }
          }
        }
      }
      if let initial {
        for index in dState.numbers.indices {
          initial.gradient.numbers[index] += dState.numbers[index]
        }
      }
    }
  }

  /// Softmax attention to the tokens at and before each one, at most `window` of them.
  ///
  /// Concretely: `o_t = Σ_j softmax_j(scale · q_t·k_j) v_j`.
  ///
  /// - Parameters:
  ///   - q: Queries, `[T, K]`; `k`, keys alike; `v`, values, `[T, V]`.
  ///   - window: How many tokens each one sees, itself included; nil for all.
  /// - Returns: `[T, V]`.
  package static func attention(
    q: Term, k: Term, v: Term, scale: Double, window: Int? = nil, starts: Set<Int> = []
  ) -> Term {
    let (T, K, V) = (q.rows, q.columns, v.columns)
    var weights = Matrix(T, T)
    var o = Matrix(T, V)
    for t in 0..<T {
      let first = max(firstSeen(t, starts), window.map { t - $0 + 1 } ?? 0)
      let scores = (first...t).map { j in
        scale * (0..<K).reduce(0) { $0 + q.matrix[t, $1] * k.matrix[j, $1] }
      }
      let most = scores.max()!
      let total = scores.reduce(0) { $0 + Foundation.exp($1 - most) }
      for j in first...t {
        weights[t, j] = Foundation.exp(scores[j - first] - most) / total
        for x in 0..<V { o[t, x] += weights[t, j] * v.matrix[j, x] }
      }
    }
    return Term(o, of: [q, k, v]) { o in
      for t in 0..<T {
        let dWeights = (0...t).map { j in
          (0..<V).reduce(0) { $0 + o.gradient[t, $1] * v.matrix[j, $1] }
        }
        let mean = (0...t).reduce(0) { $0 + dWeights[$1] * weights[t, $1] }
        for j in 0...t {
          let dScore = scale * weights[t, j] * (dWeights[j] - mean)
          for x in 0..<V { v.gradient[j, x] += weights[t, j] * o.gradient[t, x] }
          for d in 0..<K {
            q.gradient[t, d] += dScore * k.matrix[j, d]
            k.gradient[j, d] += dScore * q.matrix[t, d]
          }
        }
      }
    }
  }

  /// A causal convolution of each channel with its own weights.
  ///
  /// Concretely: `y_t = Σ_w weight_w x_{t−W+1+w}`; the last weight is that of the token itself.
  ///
  /// - Parameter weight: Shape `[channels, W]`.
  package func shortConvolution(_ weight: Term, starts: Set<Int> = []) -> Term {
    let width = weight.columns
    let taps = (0..<rows).map { t in
      (0..<width).map { ($0, t - width + 1 + $0) }.filter { $1 >= Term.firstSeen(t, starts) }
    }
    let y = Matrix(rows, columns) { t, c in
      taps[t].reduce(0) { $0 + weight.matrix[c, $1.0] * matrix[$1.1, c] }
    }
    return Term(y, of: [self, weight]) { [self] y in
      for t in 0..<rows {
        for (w, source) in taps[t] {
          for c in 0..<columns {
            gradient[source, c] += y.gradient[t, c] * weight.matrix[c, w]
            weight.gradient[c, w] += y.gradient[t, c] * matrix[source, c]
          }
        }
      }
    }
  }

  /// Rotary positions: channel j turns with channel `K/2 + j` by `t · base^{−2j/K}`.
  ///
  /// - Parameter first: The position of the first row.
  package func rotated(base: Double, from first: Int = 0) -> Term {
    let half = columns / 2
    let angles = Matrix(rows, half) { t, j in
      Double(first + t) * pow(base, -2 * Double(j) / Double(columns))
    }
    let (c, s) = (Term(angles).cos, Term(angles).sin)
    let (a, b) = (columns(0..<half), columns(half..<columns))
    return .concatenated([a * c + (b * s).scaled(by: -1), b * c + a * s])
  }

  /// TNL's learned rotary positions: `[x cos(tθ), x sin(tθ)]`.
  ///
  /// - Parameters:
  ///   - theta: As many angles as columns.
  ///   - first: The position of the first row.
  package func lrpe(_ theta: Term, from first: Int = 0) -> Term {
    let positions = Term(Matrix(rows, 1) { t, _ in Double(first + t) })
    let angles = positions.times(theta.asRow)
    return .concatenated([self * angles.cos, self * angles.sin])
  }

  private static func firstSeen(_ t: Int, _ starts: Set<Int>) -> Int {
    starts.filter { $0 <= t }.max() ?? 0
  }
}
