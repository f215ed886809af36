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
  ///   - frequencies: How far pairs turn, of `d` numbers a head.
  /// - Returns: Shape `[N, H·d]`.
  package func rotaryEmbedding(
    _ x: Variable, _ frequencies: RotaryFrequencies, pass: SequencePass
  ) -> Variable {
    let d = frequencies.dimension
    precondition(
      d > 0 && x.shape.columns % d == 0,
      "x \(x.shape) cannot be rotated in heads of \(d)")
    let (heads, length) = (x.shape.columns / d, pass.layout.length)
    let table = pass.rotation(frequencies)
    func each(_ body: @Sendable (_ first: Int, _ tokens: Range<Int>) -> Void) {
      workspace.compute(.normsAndGates) {
        for row in 0..<pass.layout.rows {
          workspace.team.parallel(length, grain: max(1, (1 << 15) / x.shape.columns)) {
            body(row * length * heads * d, $0)
          }
        }
      }
    }
    let (y, input) = (Tensor(x.shape, pool: pool), x.value)
    each { first, tokens in
      RotaryEmbedding.forward(
        input.pointer + first, table: table.pointer, into: y.pointer + first, tokens: tokens,
        heads: heads, dimension: d)
    }
    return record(y, inputs: [x]) { [unowned self] dy in
      let (dx, accumulate) = x.gradientTarget(in: workspace)
      each { first, tokens in
        RotaryEmbedding.backward(
          dy.pointer + first, table: table.pointer, into: dx.pointer + first, tokens: tokens,
          heads: heads, dimension: d, accumulate: accumulate)
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
