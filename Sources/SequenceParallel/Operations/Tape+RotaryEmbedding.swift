import Autodiff
import Kernels
import Tensors

extension Tape {
  /// Rotary position embedding by halves, at global positions.
  ///
  /// The cosines and sines are computed once a pass and shared by its layers.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, H·d]`, `N = rows × length`; queries or keys.
  ///   - frequencies: How far pairs turn, of the first numbers of a head.
  ///   - width: `d`, the numbers of a head; nil where all of them turn.
  ///   - readers: Who reads the result.
  /// - Returns: Shape `[N, H·d]`.
  package func rotaryEmbedding(
    _ x: Variable, _ frequencies: RotaryFrequencies, of width: Int? = nil, pass: SequencePass,
    for readers: Readers = .any
  ) -> Variable {
    let r = frequencies.dimension
    let d = width ?? r
    precondition(
      r > 0 && r <= d && x.shape.columns % d == 0,
      "\(r) numbers of x \(x.shape) cannot be rotated in heads of \(d)")
    let (heads, length, columns) = (x.shape.columns / d, pass.layout.length, x.shape.columns)
    let table = pass.rotation(frequencies)
    let (y, input, sum) = (workspace.room(for: x.shape, readers: readers), x.stored, x.sum)
    for row in 0..<pass.layout.rows {
      let first = row * length * columns
      rowBlocks(length, width: columns, of: [input, y], on: .normsAndGates) { _, tokens, block in
        let start = tokens.lowerBound * columns
        let part = first + start..<first + tokens.upperBound * columns
        // The kernel counts tokens from the first of the row.
        RotaryEmbedding.forward(
          input.read(part, block(0)) - start, table: table.pointer,
          into: y.room(part, block(1)) - start, tokens: tokens, heads: heads, dimension: d,
          rotated: r)
        y.finish(part, block(1))
      }
    }
    return record(y, x.shape, inputs: [x]) { [unowned self] dy in
      let (dx, accumulate) = sum.target(in: workspace)
      for row in 0..<pass.layout.rows {
        let first = row * length * columns
        rowBlocks(length, width: columns, of: [], on: .normsAndGates) { _, tokens, _ in
          RotaryEmbedding.backward(
            dy.pointer + first, table: table.pointer, into: dx.pointer + first, tokens: tokens,
            heads: heads, dimension: d, rotated: r, accumulate: accumulate)
        }
      }
    }
  }
}

/// Cosines and sines of this shard's positions, shared by layers.
private struct RotationTable: Kept {
  typealias Key = RotaryFrequencies

  /// `[length, dimension]`.
  let table: Tensor

  /// It is worked out again.
  var suspended: RotationTable? { nil }
  var tensors: [Tensor] { [table] }
}

extension SequencePass {
  /// The cosines and sines of this shard's positions, `[length, dimension]`; computed once.
  func rotation(_ frequencies: RotaryFrequencies) -> Tensor {
    if let rotation: RotationTable = memory[frequencies] { return rotation.table }
    let workspace = context.workspace
    let (table, offset) = (
      Tensor(
        [layout.length, frequencies.dimension], pool: workspace.pool), layout.offset
    )
    workspace.compute(.normsAndGates) {
      workspace.team.parallel(layout.length, grain: 16) {
        RotaryEmbedding.fillTable(
          table.pointer, tokens: $0, offset: offset, frequencies)
      }
    }
    memory[frequencies] = RotationTable(table: table)
    return table
  }
}
