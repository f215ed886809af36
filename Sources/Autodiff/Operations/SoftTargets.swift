import Kernels
import Tensors

/// What a head learns from beside the targets: the distributions that a teacher's head gives of the same positions.
///
/// Concretely, of each position with a target: `weight · τ² · KL(softmax(u/τ) ‖ softmax(z/τ))` of the teacher's logits u
/// and the student's z. Factor τ² keeps the gradient's size whatever the temperature is.
///
/// - Source: Hinton et al., "Distilling the Knowledge in a Neural Network" (arXiv 1503.02531), section 2.
package struct SoftTargets {
  /// The teacher's last hidden states, normalised, `[N, width]`.
  package let hidden: Tensor
  /// The weight of its head, `[vocabulary, width]`.
  package let weight: Parameter
  /// What its logits are kept within; nil for what the products are.
  package let softCap: Float?
  /// A tape over its weights, those of its head acquired.
  package let tape: Tape
  /// τ.
  package let temperature: Float
  /// What the divergence is multiplied by in the gradient; with 0 the gradient is not touched.
  package let factor: Float

  package init(
    hidden: Tensor, weight: Parameter, softCap: Float?, tape: Tape, temperature: Double,
    factor: Double
  ) {
    (self.hidden, self.weight, self.softCap, self.tape) = (hidden, weight, softCap, tape)
    (self.temperature, self.factor) = (Float(temperature), Float(factor))
  }
}

/// The logits of a teacher, tile by tile.
///
/// Made anew in each pass, since it refers to weights that are read only while their region is acquired.
///
/// Unchecked: threads write rows of their own in the tile.
struct SoftTiles: @unchecked Sendable {
  private let soft: SoftTargets
  private let matrix: WeightMatrix
  private let low: AdaptedRows?
  private let lowRank: HiddenRows?
  /// The teacher's hidden states as products read them.
  private let hidden: Operand
  private let tile: Tensor

  /// Takes room for tiles of at most so many rows.
  init(_ soft: SoftTargets, rows: Int, vocabulary: Int) {
    let shape = soft.tape.parameters.table[soft.weight].shape
    precondition(
      shape[0] == vocabulary && shape[1] == soft.hidden.shape.columns,
      "a teacher's head \(shape) of states \(soft.hidden.shape) beside \(vocabulary) tokens")
    self.soft = soft
    matrix = soft.tape.weight(soft.weight, for: .output)
    low = AdaptedRows(of: soft.weight, soft.tape, for: [.output])
    let workspace = soft.tape.workspace
    hidden = workspace.operand(of: soft.hidden)
    lowRank = low.map { HiddenRows(rows, rank: $0.rank, kind: .buffers, in: workspace) }
    tile = Tensor([rows, vocabulary], pool: workspace.pool, kind: .buffers)
  }

  /// Forms the logits of some positions.
  func form(_ positions: Range<Int>, _ workspace: Workspace) {
    let x = hidden.from(positions.lowerBound * matrix.columns)
    workspace.products.output(x, matrix, into: Operand(tile), count: positions.count, beta: 0)
    if let low, let lowRank {
      low.hidden(x, into: lowRank, count: positions.count)
      low.add(lowRank, to: Operand(tile), count: positions.count)
    }
    guard let cap = soft.softCap else { return }
    workspace.team.parallel(positions.count * matrix.rows, grain: Tape.grain) { part in
      let z = tile.pointer + part.lowerBound
      SoftCap.forward(z, cap: cap, into: z, count: part.count)
    }
  }

  /// The divergence of a row of the tile, times τ², from the student's logits; where a gradient is wanted the row becomes
  /// that of the logits, times `scale`.
  func divergence(
    row: Int, from logits: UnsafePointer<Float>, gradient: Bool, scale: Float
  ) -> Float {
    let (count, τ) = (matrix.rows, soft.temperature)
    let factor = gradient && soft.factor != 0 ? scale * soft.factor * τ : nil
    return τ * τ
      * KullbackLeibler.row(
        logits, tile.pointer + row * count, count: count, temperature: τ, gradient: factor)
  }

  /// Adds the gradient that `divergence` left in a row of the tile, where there is one.
  func addGradient(row: Int, to dLogits: UnsafeMutablePointer<Float>) {
    guard soft.factor != 0 else { return }
    let count = matrix.rows
    let own = tile.pointer + row * count
    for i in 0..<count { dLogits[i] += own[i] }
  }
}
