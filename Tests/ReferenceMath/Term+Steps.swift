/// Several steps of a recurrence a token.
extension Term {
  /// `count` rows for each one: itself at `place`, zeros elsewhere.
  package func spread(rows count: Int, at place: Int) -> Term {
    let columns = columns
    let wide = Matrix(rows * count, columns) { $0 % count == place ? matrix[$0 / count, $1] : 0 }
    return Term(wide, of: [self]) { [self] result in
      for i in 0..<rows {
        for j in 0..<columns { gradient[i, j] += result.gradient[i * count + place, j] }
      }
    }
  }

  /// Every `count`th row, from one on.
  package func taken(everyRow count: Int, from first: Int) -> Term {
    let (few, columns) = (rows / count, columns)
    return Term(Matrix(few, columns) { matrix[$0 * count + first, $1] }, of: [self]) {
      [self] result in
      for i in 0..<few {
        for j in 0..<columns { gradient[i * count + first, j] += result.gradient[i, j] }
      }
    }
  }
}
