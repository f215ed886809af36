/// Rows of a table picked by token, and the twin that adds gradients to them.
package enum Embedding {
  /// `y_n = scale · table[tokens_n]`.
  package static func forward(
    _ table: UnsafePointer<Float>, tokens: UnsafePointer<Int32>, scale: Float,
    into y: UnsafeMutablePointer<Float>, positions: Range<Int>, width d: Int
  ) {
    for n in positions {
      let (row, y) = (table + Int(tokens[n]) * d, y + n * d)
      for i in 0..<d { y[i] = scale * row[i] }
    }
  }

  /// `dTable[tokens_n] += scale · dy_n`, in the order of the tokens, for a range of columns.
  package static func backward(
    _ dy: UnsafePointer<Float>, tokens: UnsafePointer<Int32>, scale: Float,
    into dTable: UnsafeMutablePointer<Float>, count: Int, width d: Int, columns: Range<Int>
  ) {
    for n in 0..<count {
      let (row, dy) = (dTable + Int(tokens[n]) * d, dy + n * d)
      for i in columns { row[i] = row[i].addingProduct(dy[i], scale) }
    }
  }
}
