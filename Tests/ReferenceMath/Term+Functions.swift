import Foundation

extension Term {
  /// A function of every element.
  ///
  /// - Parameter derivative: Of the function at `x`, where its value is `y`.
  package func map(
    _ function: (Double) -> Double, derivative: @escaping (_ x: Double, _ y: Double) -> Double
  ) -> Term {
    Term(Matrix(rows, columns, matrix.numbers.map(function)), of: [self]) { [self] result in
      for (index, d) in result.gradient.numbers.enumerated() {
        gradient.numbers[index] +=
          d * derivative(matrix.numbers[index], result.matrix.numbers[index])
      }
    }
  }

  /// `1 / (1 + e^{−x})`.
  package var sigmoid: Term { map({ 1 / (1 + Foundation.exp(-$0)) }) { $1 * (1 - $1) } }

  /// `x σ(x)`.
  package var silu: Term { self * sigmoid }

  /// `log(1 + e^x)`.
  package var softplus: Term {
    map({ max($0, 0) + log1p(Foundation.exp(-abs($0))) }) { x, _ in 1 / (1 + Foundation.exp(-x)) }
  }

  /// `log σ(x)`.
  package var logSigmoid: Term { scaled(by: -1).softplus.scaled(by: -1) }

  /// `x` above 0, else `e^x − 1`.
  package var elu: Term { map({ $0 > 0 ? $0 : expm1($0) }) { $0 > 0 ? 1 : $1 + 1 } }

  /// `max(x, 0)`.
  package var relu: Term { map({ max($0, 0) }) { x, _ in x > 0 ? 1 : 0 } }

  /// `e^x`.
  package var exp: Term { map(Foundation.exp) { $1 } }

  /// The natural logarithm.
  package var log: Term { map(Foundation.log) { x, _ in 1 / x } }

  /// The sine.
  package var sin: Term { map(Foundation.sin) { x, _ in Foundation.cos(x) } }

  /// The cosine.
  package var cos: Term { map(Foundation.cos) { x, _ in -Foundation.sin(x) } }

  /// Every element plus a number.
  package func plus(_ number: Double) -> Term { map({ $0 + number }) { _, _ in 1 } }

  /// Each row over its root mean square: `x · rsqrt(mean(x²) + eps)`, times a weight of the row's width.
  package func rmsNorm(weight: Term? = nil, epsilon: Double) -> Term {
    let y = divided(byRootOf: Double(columns), epsilon: epsilon)
    return weight.map { y * $0.asRow.repeated(rows) } ?? y
  }

  /// Each row less its mean, over its standard deviation: `(x − mean) · rsqrt(var(x) + eps)`.
  package func layerNorm(epsilon: Double) -> Term {
    let mean = times(Term(Matrix(columns, 1, repeating: -1 / Double(columns)))).spread(columns)
    return (self + mean).rmsNorm(epsilon: epsilon)
  }

  /// Each row over its length: `x · rsqrt(Σ x² + eps)`.
  package func l2Norm(epsilon: Double) -> Term { divided(byRootOf: 1, epsilon: epsilon) }

  /// Each row over its sum.
  package var sumNorm: Term {
    let ones = Term(Matrix(columns, 1, repeating: 1))
    return self * times(ones).map({ 1 / $0 }) { x, _ in -1 / (x * x) }.spread(columns)
  }

  /// `x · rsqrt(Σ x² / n + eps)` of each row.
  private func divided(byRootOf n: Double, epsilon: Double) -> Term {
    let inverse = (0..<rows).map { i in
      let sum = (0..<columns).reduce(0) { $0 + matrix[i, $1] * matrix[i, $1] }
      return 1 / (sum / n + epsilon).squareRoot()
    }
    return Term(Matrix(rows, columns) { matrix[$0, $1] * inverse[$0] }, of: [self]) {
      [self] result in
      for i in 0..<rows {
        let dot = (0..<columns).reduce(0) { $0 + result.gradient[i, $1] * matrix[i, $1] }
        for j in 0..<columns {
          gradient[i, j] +=
            inverse[i] * result.gradient[i, j]
            - matrix[i, j] * inverse[i] * inverse[i] * inverse[i] * dot / n
        }
      }
    }
  }

  /// The rows of a table that tokens name.
  package func embedding(_ tokens: [Int32]) -> Term {
    Term(Matrix(tokens.count, columns) { matrix[Int(tokens[$0]), $1] }, of: [self]) {
      [self] result in
      for (i, token) in tokens.enumerated() {
        for j in 0..<columns { gradient[Int(token), j] += result.gradient[i, j] }
      }
    }
  }

  /// The sum of `−log softmax(row)[target]` over the rows whose target is not negative.
  package func crossEntropy(_ targets: [Int32]) -> Term {
    precondition(targets.count == rows, "\(targets.count) targets for \(rows) rows")
    var sum = 0.0
    var probabilities = Matrix(rows, columns)
    for (i, target) in targets.enumerated() where target >= 0 {
      let most = (0..<columns).reduce(-Double.infinity) { max($0, matrix[i, $1]) }
      let total = (0..<columns).reduce(0) { $0 + Foundation.exp(matrix[i, $1] - most) }
      sum += most + Foundation.log(total) - matrix[i, Int(target)]
      for j in 0..<columns { probabilities[i, j] = Foundation.exp(matrix[i, j] - most) / total }
    }
    return Term(Matrix(1, 1, repeating: sum), of: [self]) { [self] result in
      for (i, target) in targets.enumerated() where target >= 0 {
        for j in 0..<columns {
          let wanted = j == Int(target) ? 1.0 : 0
          gradient[i, j] += result.gradient[0, 0] * (probabilities[i, j] - wanted)
        }
      }
    }
  }

  /// The sum of `(log Σ exp(row))²` over the rows whose target is not negative.
  package func squaredLogSums(_ targets: [Int32]) -> Term {
    precondition(targets.count == rows, "\(targets.count) targets for \(rows) rows")
    var sum = 0.0
    var slopes = Matrix(rows, columns)
    for (i, target) in targets.enumerated() where target >= 0 {
      let most = (0..<columns).reduce(-Double.infinity) { max($0, matrix[i, $1]) }
      let total = (0..<columns).reduce(0) { $0 + Foundation.exp(matrix[i, $1] - most) }
      let logSum = most + Foundation.log(total)
      sum += logSum * logSum
      for j in 0..<columns {
        slopes[i, j] = 2 * logSum * Foundation.exp(matrix[i, j] - most) / total
      }
    }
    return Term(Matrix(1, 1, repeating: sum), of: [self]) { [self] result in
      for i in 0..<rows {
        for j in 0..<columns { gradient[i, j] += result.gradient[0, 0] * slopes[i, j] }
      }
    }
  }

  /// The sum of `KL(softmax(teacher/τ) ‖ softmax(row/τ))` over the rows whose target is not negative.
  package func divergence(from teacher: Matrix, _ targets: [Int32], temperature: Double) -> Term {
    precondition(targets.count == rows && teacher.rows == rows, "\(targets.count) of \(rows) rows")
    func logs(_ matrix: Matrix, _ row: Int) -> [Double] {
      let scaled = (0..<columns).map { matrix[row, $0] / temperature }
      let most = scaled.max()!
      let total = scaled.reduce(0) { $0 + Foundation.exp($1 - most) }
      return scaled.map { $0 - most - Foundation.log(total) }
    }
    var sum = 0.0
    var slopes = Matrix(rows, columns)
    for (i, target) in targets.enumerated() where target >= 0 {
      let (p, q) = (logs(teacher, i), logs(matrix, i))
      for j in 0..<columns {
        sum += Foundation.exp(p[j]) * (p[j] - q[j])
        slopes[i, j] = (Foundation.exp(q[j]) - Foundation.exp(p[j])) / temperature
      }
    }
    return Term(Matrix(1, 1, repeating: sum), of: [self]) { [self] result in
      for i in 0..<rows {
        for j in 0..<columns { gradient[i, j] += result.gradient[0, 0] * slopes[i, j] }
      }
    }
  }
}
