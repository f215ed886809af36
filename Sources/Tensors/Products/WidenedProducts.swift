import Synchronization

/// Products of bf16 operands for CPUs that multiply none: a tile of them at a time becomes fp32, for OpenBLAS.
///
/// The operands are the same as where the CPU multiplies bf16; it takes longer than fp32.
package final class WidenedProducts: MatrixProducts {
  /// Numbers of a tile.
  private static let tile = 1 << 18
  private let team: ThreadTeam
  private let pool: BufferPool
  /// Two tiles.
  private let scratch = Mutex<Buffer?>(nil)

  /// Makes the products of a workspace, which has these threads and this memory.
  package init(team: ThreadTeam, pool: BufferPool) { (self.team, self.pool) = (team, pool) }

  package var operands: Operand.Kind { .bfloat16 }

  package func form(
    of values: UnsafePointer<Float>, rows: Int, columns: Int, for direction: ProductDirection,
    in workspace: Workspace
  ) -> Buffer? {
    let form = Buffer(count: rows * columns, pool: pool, kind: .weights)
    _ = room(for: max(rows, columns))
    workspace.run {
      // Each thread writes a part of its own.
      nonisolated(unsafe) let (w, f) = (values, form.pointer)
      team.parallel(rows * columns, grain: 1 << 15) {
        BFloat16.round(w + $0.lowerBound, keepingWidth: f + $0.lowerBound, count: $0.count)
      }
    }
    return form
  }

  package func output(
    _ x: Operand, _ weight: WeightMatrix, into y: Operand, count: Int, beta: Float
  ) {
    let (out, input) = (weight.rows, weight.columns)
    let tile = room(for: max(input, out))
    let (left, right) = (tile.pointer, tile.pointer + tile.count / 2)
    for rows in tiles(of: count, width: max(input, out)) {
      widen(x.from(rows.lowerBound * input), into: left, count: rows.count * input)
      let part = rows.lowerBound * out..<rows.upperBound * out
      BLAS.multiply(
        left, lda: input, weight.formed, transposeB: true, ldb: input, into: y.room(part, right),
        ldc: out, m: rows.count, n: out, k: input, beta: beta)
      y.finish(part, right)
    }
  }

  package func inputGradient(
    _ dy: Operand, _ weight: WeightMatrix, into dx: UnsafeMutablePointer<Float>, count: Int,
    beta: Float
  ) {
    let (out, input) = (weight.rows, weight.columns)
    let tile = room(for: out)
    for rows in tiles(of: count, width: out) {
      widen(dy.from(rows.lowerBound * out), into: tile.pointer, count: rows.count * out)
      BLAS.multiply(
        tile.pointer, lda: out, weight.formed, ldb: input,
        into: dx + rows.lowerBound * input, ldc: input, m: rows.count, n: input, k: out, beta: beta)
    }
  }

  package func addWeightGradient(
    _ dy: Operand, _ x: Operand, to dW: UnsafeMutablePointer<Float>, rows: Int, columns: Int,
    count: Int
  ) {
    let width = max(rows, columns)
    let tile = room(for: width)
    let (left, right) = (tile.pointer, tile.pointer + tile.count / 2)
    for part in tiles(of: count, width: width) {
      widen(dy.from(part.lowerBound * rows), into: left, count: part.count * rows)
      widen(x.from(part.lowerBound * columns), into: right, count: part.count * columns)
      BLAS.multiply(
        left, transposeA: true, lda: rows, right, ldb: columns, into: dW, ldc: columns,
        m: rows, n: columns, k: part.count, beta: 1)
    }
  }

  /// Rows of a tile.
  private func height(width: Int) -> Int { max(16, Self.tile / max(width, 1)) }

  private func tiles(of count: Int, width: Int) -> [Range<Int>] {
    let height = height(width: width)
    return stride(from: 0, to: count, by: height).map { $0..<min($0 + height, count) }
  }

  /// Two tiles of rows of a width.
  private func room(for width: Int) -> Buffer {
    scratch.withLock { scratch in
      let count = 2 * max(Self.tile, height(width: width) * width)
      if let scratch, scratch.count >= count { return scratch }
      let new = Buffer(count: count, pool: pool, kind: .buffers)
      scratch = new
      return new
    }
  }

  private func widen(_ x: Operand, into y: UnsafeMutablePointer<Float>, count: Int) {
    // Each thread writes a part of its own.
    nonisolated(unsafe) let (x, y) = (x.halves, y)
    team.parallel(count, grain: 1 << 15) {
      BFloat16.widen(x + $0.lowerBound, into: y + $0.lowerBound, count: $0.count)
    }
  }
}

extension WeightMatrix {
  /// The numbers of its form, where that is of fp32 numbers in the weight's own order.
  fileprivate var formed: UnsafePointer<Float> {
    guard let form else { preconditionFailure("a weight [\(rows), \(columns)] without its form") }
    return UnsafePointer(form.pointer)
  }
}
