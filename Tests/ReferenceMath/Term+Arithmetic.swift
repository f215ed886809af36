extension Term {
  /// `a + b`.
  package static func + (a: Term, b: Term) -> Term {
    precondition((a.rows, a.columns) == (b.rows, b.columns), "a sum of two shapes")
    let sum = Matrix(a.rows, a.columns, zip(a.matrix.numbers, b.matrix.numbers).map(+))
    return Term(sum, of: [a, b]) { sum in
      for (index, d) in sum.gradient.numbers.enumerated() {
        a.gradient.numbers[index] += d
        b.gradient.numbers[index] += d
      }
    }
  }

  /// `a ⊙ b`.
  package static func * (a: Term, b: Term) -> Term {
    precondition((a.rows, a.columns) == (b.rows, b.columns), "a product of two shapes")
    let product = Matrix(a.rows, a.columns, zip(a.matrix.numbers, b.matrix.numbers).map(*))
    return Term(product, of: [a, b]) { product in
      for (index, d) in product.gradient.numbers.enumerated() {
        a.gradient.numbers[index] += d * b.matrix.numbers[index]
        b.gradient.numbers[index] += d * a.matrix.numbers[index]
      }
    }
  }

  /// Every element times a number.
  package func scaled(by factor: Double) -> Term {
    map({ factor * $0 }, derivative: { _, _ in factor })
  }

  /// The matrix product with `other`.
  package func times(_ other: Term) -> Term {
    precondition(columns == other.rows, "\(rows) × \(columns) times \(other.rows) × …")
    let (n, m, inner) = (rows, other.columns, columns)
    var product = Matrix(n, m)
    for i in 0..<n {
      for l in 0..<inner {
        for j in 0..<m { product[i, j] += matrix[i, l] * other.matrix[l, j] }
      }
    }
    return Term(product, of: [self, other]) { [self] product in
      for i in 0..<n {
        for l in 0..<inner {
          for j in 0..<m {
            gradient[i, l] += product.gradient[i, j] * other.matrix[l, j]
            other.gradient[l, j] += product.gradient[i, j] * matrix[i, l]
          }
        }
      }
    }
  }

  /// The same elements with rows and columns exchanged.
  package var transposed: Term {
    Term(Matrix(columns, rows) { matrix[$1, $0] }, of: [self]) { [self] result in
      for i in 0..<rows {
        for j in 0..<columns { gradient[i, j] += result.gradient[j, i] }
      }
    }
  }

  /// A projection, `x Wᵀ + b`.
  ///
  /// - Parameters:
  ///   - weight: Shape `[output, input]`.
  ///   - bias: `output` numbers, or nil.
  package func projected(by weight: Term, bias: Term? = nil) -> Term {
    let product = times(weight.transposed)
    return bias.map { product + $0.asRow.repeated(rows) } ?? product
  }

  /// The same numbers as one row.
  package var asRow: Term { reshaped(1, rows * columns) }

  /// The same numbers, row by row, in another shape.
  package func reshaped(_ newRows: Int, _ newColumns: Int) -> Term {
    Term(Matrix(newRows, newColumns, matrix.numbers), of: [self]) { [self] result in
      for (index, d) in result.gradient.numbers.enumerated() { gradient.numbers[index] += d }
    }
  }

  /// One row, `count` times.
  package func repeated(_ count: Int) -> Term {
    precondition(rows == 1, "\(rows) rows to be repeated instead of one")
    return Term(Matrix(count, columns) { matrix[0, $1] }, of: [self]) { [self] result in
      for i in 0..<count {
        for j in 0..<columns { gradient[0, j] += result.gradient[i, j] }
      }
    }
  }

  /// The sum of all numbers, each times one of `weights`, as a term of one number.
  package func sum(times weights: Matrix) -> Term {
    var sum = 0.0
    for (x, w) in zip(matrix.numbers, weights.numbers) { sum += x * w }
    return Term(Matrix(1, 1, repeating: sum), of: [self]) { [self] result in
      for i in 0..<rows {
        for j in 0..<columns { gradient[i, j] += result.gradient[0, 0] * weights[i, j] }
      }
    }
  }

  /// Every column, `count` times in a row: one number a token becomes `count`.
  package func spread(_ count: Int) -> Term {
    let columns = columns
    return Term(Matrix(rows, columns * count) { matrix[$0, $1 / count] }, of: [self]) {
      [self] result in
      for i in 0..<rows {
        for j in 0..<columns * count { gradient[i, j / count] += result.gradient[i, j] }
      }
    }
  }

  /// The columns of a range: a head, or one part of a fused projection.
  package func columns(_ range: Range<Int>) -> Term {
    Term(Matrix(rows, range.count) { matrix[$0, range.lowerBound + $1] }, of: [self]) {
      [self] result in
      for i in 0..<rows {
        for j in range { gradient[i, j] += result.gradient[i, j - range.lowerBound] }
      }
    }
  }

  /// The columns of head `head`, each `width` wide.
  package func head(_ head: Int, width: Int) -> Term { columns(head * width..<(head + 1) * width) }

  /// The rows of a range.
  package func rows(_ range: Range<Int>) -> Term {
    Term(matrix.rows(range), of: [self]) { [self] result in
      for i in range {
        for j in 0..<columns { gradient[i, j] += result.gradient[i - range.lowerBound, j] }
      }
    }
  }

  /// Values side by side: heads that become one row again.
  package static func concatenated(_ parts: [Term]) -> Term {
    let rows = parts[0].rows
    var numbers: [Double] = []
    for i in 0..<rows {
      for part in parts {
        numbers += part.matrix.numbers[i * part.columns..<(i + 1) * part.columns]
      }
    }
    let columns = parts.reduce(0) { $0 + $1.columns }
    return Term(Matrix(rows, columns, numbers), of: parts) { result in
      var first = 0
      for part in parts {
        for i in 0..<rows {
          for j in 0..<part.columns { part.gradient[i, j] += result.gradient[i, first + j] }
        }
        first += part.columns
      }
    }
  }
}
