import Foundation

/// What stands in for the softmax of a Transformer's attention, one head and one sequence at a time, with all weights of
/// all pairs of tokens written out.
extension Term {
  /// Each row's largest number among those that a mask marks with 1, as one column.
  package func maxima(of mask: Matrix) -> Term {
    let places = (0..<rows).map { i in
      (0..<columns).filter { mask[i, $0] == 1 }.max { matrix[i, $0] < matrix[i, $1] }!
    }
    return Term(Matrix(rows, 1) { i, _ in matrix[i, places[i]] }, of: [self]) { [self] result in
      for i in 0..<rows { gradient[i, places[i]] += result.gradient[i, 0] }
    }
  }

  /// Softmax attention in a window and linear attention to what it has left behind, over one denominator.
  ///
  /// Concretely: `o_i = (Σ e_ij v_j + Σ l_ij v_j) / (Σ e_ij + Σ l_ij)`, `e_ij = μ exp(s_ij − m_i)` over the window, whose
  /// largest score is m_i, and `l_ij = ν φ(q_i)·φ(k_j)` over the rest.
  ///
  /// - Parameters:
  ///   - near: 1 where a query's window has a key, else 0; `far` likewise for the rest.
  ///   - features: φ of queries and of keys.
  ///   - factors: μ and ν, one number each.
  package static func windowAndLinear(
    q: Term, k: Term, v: Term, features: (q: Term, k: Term), scale: Double,
    factors: (window: Term, linear: Term), near: Matrix, far: Matrix
  ) -> Term {
    let T = q.rows
    let scores = q.times(k.transposed).scaled(by: scale)
    let relative = scores + scores.maxima(of: near).spread(T).scaled(by: -1)
    // The exponential of what is masked is not looked at: it could be infinite.
    let window = (relative * Term(near)).exp * Term(near)
    let linear = features.q.times(features.k.transposed) * Term(far)
    func all(_ factor: Term) -> Term { factor.spread(T).repeated(T) }
    let weights = window * all(factors.window) + linear * all(factors.linear)
    return weights.sumNorm.times(v)
  }

  /// `[softmax(u), softmax(−u)]` of each row, at least 1e-12.
  package var mirroredSoftmaxes: Term {
    Term.concatenated([rowSoftmax, scaled(by: -1).rowSoftmax]).clamped
  }

  /// `[e^{u − max u}, e^{min u − u}]` of each row, at least 1e-12.
  package var mirroredExponentials: Term {
    let all = Matrix(rows, columns, repeating: 1)
    let negative = scaled(by: -1)
    func relative(_ x: Term) -> Term { x + x.maxima(of: all).spread(columns).scaled(by: -1) }
    return Term.concatenated([relative(self).exp, relative(negative).exp]).clamped
  }

  /// Each number, or 1e-12 where it is less.
  package var clamped: Term { map({ max($0, 1e-12) }) { x, _ in x > 1e-12 ? 1 : 0 } }

  /// The softmax of each row.
  package var rowSoftmax: Term {
    let all = Matrix(rows, columns, repeating: 1)
    return (self + maxima(of: all).spread(columns).scaled(by: -1)).exp.sumNorm
  }
}
