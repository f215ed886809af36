import Autodiff
import ReferenceMath
import Tensors
import Testing

/// An op of the tape beside what it computes.
struct OperationCase: CustomTestStringConvertible, Sendable {
  let testDescription: String
  /// Shapes of the inputs and of the parameters.
  let inputs: [Shape], parameters: [Shape]
  let program: @Sendable (Tape, [Variable], [Parameter]) throws -> Variable
  let reference: @Sendable (_ inputs: [Term], _ parameters: [Term]) -> Term

  init(
    _ name: String, _ inputs: [Shape], parameters: [Shape] = [],
    _ program: @escaping @Sendable (Tape, [Variable], [Parameter]) throws -> Variable,
    reference: @escaping @Sendable ([Term], [Term]) -> Term
  ) {
    (testDescription, self.inputs, self.parameters) = (name, inputs, parameters)
    (self.program, self.reference) = (program, reference)
  }

  static let tokens: [Int32] = [3, 0, 3, 6, 1]

  static let all: [OperationCase] = [
    .init("silu", [[5, 7]]) { tape, x, _ in
      tape.silu(x[0])
    } reference: { x, _ in
      x[0].silu
    },
    .init("sigmoid", [[5, 7]]) { tape, x, _ in
      tape.sigmoid(x[0])
    } reference: { x, _ in
      x[0].sigmoid
    },
    .init("product", [[5, 7], [5, 7]]) { tape, x, _ in
      tape.product(x[0], x[1])
    } reference: { x, _ in
      x[0] * x[1]
    },
    .init("product of a variable with itself", [[5, 7]]) { tape, x, _ in
      tape.product(x[0], x[0])
    } reference: { x, _ in
      x[0] * x[0]
    },
    .init("sum", [[5, 7], [5, 7]]) { tape, x, _ in
      tape.sum(x[0], x[1])
    } reference: { x, _ in
      x[0] + x[1]
    },
    .init("sum by factors, used elsewhere too", [[5, 7], [5, 7]]) { tape, x, _ in
      let y = tape.sum(x[0], x[1], times: (1, -0.3))
      return tape.product(tape.sum(x[0], y, times: (2.5, 0.5)), x[1])
    } reference: { x, _ in
      let y = x[0] + x[1].scaled(by: -0.3)
      return (x[0].scaled(by: 2.5) + y.scaled(by: 0.5)) * x[1]
    },
    .init("times a number, used elsewhere too", [[5, 7]]) { tape, x, _ in
      tape.product(tape.scaled(x[0], by: -0.3), x[0])
    } reference: { x, _ in
      x[0].scaled(by: -0.3) * x[0]
    },
    .init("sum of a variable with itself, used elsewhere too", [[5, 7]]) { tape, x, _ in
      tape.product(tape.sum(x[0], x[0]), x[0])
    } reference: { x, _ in
      (x[0] + x[0]) * x[0]
    },
    .init("columns of a matrix, of which some are used twice", [[5, 7]]) { tape, x, _ in
      tape.product(tape.columns(x[0], 1..<4), tape.columns(x[0], 3..<6))
    } reference: { x, _ in
      x[0].columns(1..<4) * x[0].columns(3..<6)
    },
    .init("a number for each head", [[300, 6]], parameters: [[3]]) { tape, x, w in
      tape.headScale(x[0], w[0])
    } reference: { x, w in
      x[0] * w[0].spread(2).repeated(300)
    },
    .init("minus the sigmoid of a number for each head", [[300, 6]], parameters: [[3]]) {
      tape, x, w in
      tape.headScale(x[0], w[0], factor: .negativeSigmoid)
    } reference: { x, w in
      x[0] * w[0].sigmoid.scaled(by: -1).spread(2).repeated(300)
    },
    .init("the sigmoid of a number for each head", [[300, 6]], parameters: [[3]]) {
      tape, x, w in
      tape.sum(
        tape.headScale(x[0], w[0], factor: .sigmoid),
        tape.product(x[0], tape.headScale(x[0], w[0], factor: .complementOfSigmoid)))
    } reference: { x, w in
      let factor = w[0].asRow.sigmoid.spread(2).repeated(300)
      return x[0] * factor + x[0] * x[0] * factor.scaled(by: -1).plus(1)
    },
    .init("mean, used elsewhere too", [[5, 7], [5, 7]]) { tape, x, _ in
      tape.product(tape.mean(x[0], x[1]), x[0])
    } reference: { x, _ in
      (x[0] + x[1]).scaled(by: 0.5) * x[0]
    },
    .init(
      "heads by matrices of their own, of which two share their input, with biases",
      [[300, 6]], parameters: [[4, 3, 5], [1, 4, 1, 1]]
    ) { tape, x, w in
      tape.headProjection(x[0], weight: w[0], bias: w[1])
    } reference: { x, w in
      Term.concatenated(
        (0..<4).map { head in
          let matrix = w[0].asRow.columns(head * 15..<(head + 1) * 15).reshaped(3, 5)
          let bias = w[1].asRow.columns(head..<head + 1).spread(5).repeated(300)
          return x[0].head(head / 2, width: 3).times(matrix) + bias
        })
    },
    .init("heads by matrices of their own and themselves", [[5, 6]], parameters: [[2, 3, 3]]) {
      tape, x, w in
      tape.product(x[0], tape.headProjection(x[0], weight: w[0], skips: true))
    } reference: { x, w in
      x[0]
        * Term.concatenated(
          (0..<2).map { head in
            let matrix = w[0].asRow.columns(head * 9..<(head + 1) * 9).reshaped(3, 3)
            let part = x[0].head(head, width: 3)
            return part + part.times(matrix)
          })
    },
    .init("softmax of heads, used twice", [[5, 6]]) { tape, x, _ in
      tape.product(tape.softmax(x[0], width: 3), tape.softmax(x[0], width: 3))
    } reference: { x, _ in
      let y = x[0].reshaped(10, 3).rowSoftmax
      return (y * y).reshaped(5, 6)
    },
    .init("means of parts that overlap, and of each number twice", [[5, 7]]) { tape, x, _ in
      tape.product(
        tape.pooled(x[0], to: 4), tape.columns(tape.pooled(tape.pooled(x[0], to: 7), to: 14), 4..<8)
      )
    } reference: { x, _ in
      let parts: [ClosedRange<Int>] = [0...1, 1...3, 3...5, 5...6]
      let weights = Matrix(7, 4) { parts[$1].contains($0) ? 1 / Double(parts[$1].count) : 0 }
      return x[0].times(Term(weights)) * x[0].columns(2..<4).spread(2)
    },
    .init("softmaxes of heads and of their negatives", [[5, 6]]) { tape, x, _ in
      tape.product(
        tape.positiveFeatures(x[0], .softmax, width: 3),
        tape.positiveFeatures(x[0], .softmax, width: 3))
    } reference: { x, _ in
      let y = x[0].reshaped(10, 3).mirroredSoftmaxes
      return (y * y).reshaped(5, 12)
    },
    .init("exponentials of heads and of their negatives", [[5, 6]]) { tape, x, _ in
      tape.product(
        tape.positiveFeatures(x[0], .exponential, width: 3),
        tape.positiveFeatures(x[0], .exponential, width: 3))
    } reference: { x, _ in
      let y = x[0].reshaped(10, 3).mirroredExponentials
      return (y * y).reshaped(5, 12)
    },
    .init("features that are clamped", [[40, 6]]) { tape, x, _ in
      // Numbers that are far apart.
      let wide = tape.product(tape.product(x[0], x[0]), tape.product(x[0], x[0]))
      let far = tape.product(tape.product(wide, x[0]), tape.constant([40, 6], 8))
      return tape.sum(
        tape.positiveFeatures(far, .softmax, width: 3),
        tape.positiveFeatures(far, .exponential, width: 3))
    } reference: { x, _ in
      let far = (x[0] * x[0] * x[0] * x[0] * x[0]).scaled(by: 8).reshaped(80, 3)
      return (far.mirroredSoftmaxes + far.mirroredExponentials).reshaped(40, 12)
    },
    .init("rectified features and those of elu", [[5, 6]]) { tape, x, _ in
      tape.sum(
        tape.positiveFeatures(x[0], .relu, width: 3),
        tape.product(x[0], tape.positiveFeatures(x[0], .eluPlusOne, width: 2)))
    } reference: { x, _ in
      x[0].clamped + x[0] * x[0].elu.plus(1).clamped
    },
    .init("a skip around heads", [[5, 6], [5, 6]], parameters: [[2]]) { tape, x, w in
      tape.headScale(x[0], w[0], adding: x[1])
    } reference: { x, w in
      x[1] + x[0] * w[0].spread(3).repeated(5)
    },
    .init("heads over their denominators", [[5, 38]]) { tape, x, _ in
      tape.normalized(tape.eluPlusOne(x[0]), heads: 2, epsilon: 0.01)
    } reference: { x, _ in
      let y = x[0].elu.plus(1).reshaped(10, 19)
      let inverse = y.columns(18..<19).plus(0.01).map({ 1 / $0 }) { y, _ in -1 / (y * y) }
      return (y.columns(0..<18) * inverse.spread(18)).reshaped(5, 36)
    },
    .init("heads over denominators that are used elsewhere too", [[5, 6]]) { tape, x, _ in
      let y = tape.eluPlusOne(x[0])
      return tape.sum(
        tape.normalized(y, heads: 2, epsilon: 0.01), tape.columns(y, 1..<5))
    } reference: { x, _ in
      let all = x[0].elu.plus(1)
      let y = all.reshaped(10, 3)
      let inverse = y.columns(2..<3).plus(0.01).map({ 1 / $0 }) { y, _ in -1 / (y * y) }
      return (y.columns(0..<2) * inverse.spread(2)).reshaped(5, 4) + all.columns(1..<5)
    },
    .init("forget gates above their layer's bound", [[5, 7]], parameters: [[4, 7]]) { tape, x, w in
      let gate = tape.lowerBoundedGate(x[0], bounds: w[0], layer: 2)
      return tape.product(gate.logarithm, gate.complement)
    } reference: { x, w in
      let shares = w[0].transposed.exp.sumNorm.transposed
      let bound = (shares.rows(1..<2) + shares.rows(2..<3)).repeated(5)
      let f = bound + bound.scaled(by: -1).plus(1) * x[0].sigmoid
      return f.log * f.scaled(by: -1).plus(1)
    },
    .init("forget gates without a bound", [[5, 7]]) { tape, x, _ in
      let gate = tape.lowerBoundedGate(x[0], bounds: nil, layer: 2)
      return tape.product(gate.logarithm, gate.complement)
    } reference: { x, _ in
      x[0].logSigmoid * x[0].scaled(by: -1).sigmoid
    },
    .init("heads times a number each", [[5, 6], [5, 2]]) { tape, x, _ in
      tape.headProduct(x[0], x[1])
    } reference: { x, _ in
      x[0] * x[1].spread(3)
    },
    .init("heads that several others share, times a number each", [[5, 6], [5, 6]]) { tape, x, _ in
      tape.headProduct(x[0], x[1], width: 3)
    } reference: { x, _ in
      Term.concatenated((0..<6).map { x[0].head($0 / 3, width: 3) }) * x[1].spread(3)
    },
    .init("clamped steps and their log decays", [[300, 3]], parameters: [[3], [3]]) { tape, x, w in
      let step = tape.stepSize(x[0], bias: w[0], limits: 0.4...1.5)
      return tape.product(step, tape.decay(ofSteps: step, rate: w[1]))
    } reference: { x, w in
      let step = (x[0] + w[0].repeated(300)).softplus.map({ min(max($0, 0.4), 1.5) }) { x, _ in
        (0.4...1.5).contains(x) ? 1 : 0
      }
      return step * (w[1].exp.repeated(300) * step).scaled(by: -1)
    },
    .init("heads turned by angles", [[5, 6], [5, 6]]) { tape, x, _ in
      tape.turned(x[0], by: x[1], width: 3)
    } reference: { x, _ in
      Term.concatenated(
        (0..<2).map { (x[0].head($0, width: 3), x[1].head($0, width: 3)) }.flatMap {
          [$0 * $1.cos, $0 * $1.sin]
        })
    },
    .init("heads turned by themselves", [[5, 6]]) { tape, x, _ in
      tape.turned(x[0], by: x[0], width: 6)
    } reference: { x, _ in
      Term.concatenated([x[0] * x[0].cos, x[0] * x[0].sin])
    },
    .init("heads twice, used elsewhere too", [[5, 6]]) { tape, x, _ in
      tape.product(tape.doubled(x[0], width: 3), tape.doubled(x[0], width: 2))
    } reference: { x, _ in
      func doubled(_ width: Int) -> Term {
        Term.concatenated(
          (0..<6 / width).flatMap { [x[0].head($0, width: width), x[0].head($0, width: width)] })
      }
      return doubled(3) * doubled(2)
    },
    .init("another shape, used twice", [[5, 6]]) { tape, x, _ in
      tape.product(tape.silu(tape.reshaped(x[0], [10, 3])), tape.reshaped(x[0], [10, 3]))
    } reference: { x, _ in
      let y = x[0].reshaped(10, 3)
      return y.silu * y
    },
    .init("softmax of heads and their negatives, used twice", [[5, 6]]) { tape, x, _ in
      tape.product(tape.mirroredSoftmax(x[0], width: 3), tape.mirroredSoftmax(x[0], width: 3))
    } reference: { x, _ in
      let y = x[0].reshaped(10, 3)
      let p = Term.concatenated([y.scaled(by: 2), y.scaled(by: -2)]).exp.sumNorm
      return (p * p).reshaped(5, 12)
    },
    .init("DPFP of heads, used twice", [[5, 6]]) { tape, x, _ in
      tape.product(tape.dpfp(x[0], width: 3), tape.dpfp(x[0], width: 3))
    } reference: { x, _ in
      let rows = x[0].reshaped(10, 3)
      let y = Term.concatenated([rows.relu, rows.scaled(by: -1).relu])
      let phi = Term.concatenated(
        (1...4).map { y * Term.concatenated([y.columns(6 - $0..<6), y.columns(0..<6 - $0)]) })
      return (phi * phi).reshaped(5, 48)
    },
    .init("DPFP of single numbers", [[5, 2]]) { tape, x, _ in
      tape.dpfp(x[0], width: 1)
    } reference: { x, _ in
      let rows = x[0].reshaped(10, 1)
      let y = Term.concatenated([rows.relu, rows.scaled(by: -1).relu])
      let other = Term.concatenated([y.columns(1..<2), y.columns(0..<1)])
      return Term.concatenated([y * other, y * y, y * other, y * y]).reshaped(5, 16)
    },
    .init("heads over their sums and an epsilon", [[5, 6]]) { tape, x, _ in
      tape.sumNorm(tape.eluPlusOne(x[0]), width: 3, epsilon: 0.5)
    } reference: { x, _ in
      let y = x[0].elu.plus(1).reshaped(10, 3)
      let sums = y.times(Term(Matrix(3, 1, repeating: 1))).plus(0.5)
      return (y * sums.map({ 1 / $0 }) { s, _ in -1 / (s * s) }.spread(3)).reshaped(5, 6)
    },
    .init("a weight and a bias that heads share", [[5, 6]], parameters: [[3], [3]]) { tape, x, w in
      tape.sum(
        tape.affine(x[0], weight: w[0], bias: w[1]),
        tape.product(
          tape.affine(x[0], weight: w[0], bias: nil), tape.affine(x[0], weight: nil, bias: w[1])))
    } reference: { x, w in
      let y = x[0].reshaped(10, 3)
      let (scale, shift) = (w[0].repeated(10), w[1].repeated(10))
      return (y * scale + shift + (y * scale) * (y + shift)).reshaped(5, 6)
    },
    .init("a soft cap", [[5, 7]]) { tape, x, _ in
      tape.softCap(x[0], 0.8)
    } reference: { x, _ in
      x[0].scaled(by: 2.5).sigmoid.scaled(by: 1.6).plus(-0.8)
    },
    .init("rows shifted", [[5, 7]], parameters: [[7]]) { tape, x, w in
      tape.product(tape.shifted(x[0], by: w[0]), x[0])
    } reference: { x, w in
      (x[0] + w[0].asRow.repeated(5)) * x[0]
    },
    .init("SwiGLU", [[5, 7], [5, 7]]) { tape, x, _ in
      tape.swiGLU(gate: x[0], x[1])
    } reference: { x, _ in
      x[0].silu * x[1]
    },
    .init("SwiGLU of a variable with itself", [[5, 7]]) { tape, x, _ in
      tape.swiGLU(gate: x[0], x[0])
    } reference: { x, _ in
      x[0].silu * x[0]
    },
    .init("projection", [[5, 7]], parameters: [[3, 7]]) { tape, x, w in
      try tape.linear(x[0], w[0])
    } reference: { x, w in
      x[0].projected(by: w[0])
    },
    .init("projection with bias", [[5, 7]], parameters: [[3, 7], [3]]) { tape, x, w in
      try tape.linear(x[0], w[0], bias: w[1])
    } reference: { x, w in
      x[0].projected(by: w[0], bias: w[1])
    },
    .init(
      "projection with bias and residual", [[5, 7], [5, 3]], parameters: [[3, 7], [3]]
    ) { tape, x, w in
      try tape.linear(x[0], w[0], bias: w[1], residual: x[1])
    } reference: { x, w in
      x[0].projected(by: w[0], bias: w[1]) + x[1]
    },
    .init("projection onto its own input", [[5, 7]], parameters: [[7, 7]]) { tape, x, w in
      try tape.linear(x[0], w[0], residual: x[0])
    } reference: { x, w in
      x[0].projected(by: w[0]) + x[0]
    },
    .init("simple norm", [[5, 7]]) { tape, x, _ in
      tape.rmsNorm(x[0], epsilon: 1e-3)
    } reference: { x, _ in
      x[0].rmsNorm(epsilon: 1e-3)
    },
    .init("norm with a weight", [[5, 7]], parameters: [[7]]) { tape, x, w in
      tape.rmsNorm(x[0], weight: w[0], epsilon: 1e-3)
    } reference: { x, w in
      x[0].rmsNorm(weight: w[0], epsilon: 1e-3)
    },
    .init(
      "norm with a weight that is stored as what it differs from 1 by", [[5, 7]], parameters: [[7]]
    ) { tape, x, w in
      tape.rmsNorm(x[0], weight: w[0], offset: 1, epsilon: 1e-3)
    } reference: { x, w in
      x[0].rmsNorm(weight: w[0].plus(1), epsilon: 1e-3)
    },
    .init("columns that heads share, used elsewhere too", [[5, 6], [5, 2]]) { tape, x, _ in
      let y = tape.withShared(x[0], x[1], heads: 3)
      return tape.withShared(tape.product(tape.columns(y, 0..<6), x[0]), x[1], heads: 2)
    } reference: { x, _ in
      let y = Term.concatenated((0..<3).flatMap { [x[0].head($0, width: 2), x[1]] })
      let z = y.columns(0..<6) * x[0]
      return .concatenated((0..<2).flatMap { [z.head($0, width: 3), x[1]] })
    },
    .init("norm of each head", [[5, 6]], parameters: [[3]]) { tape, x, w in
      tape.rmsNorm(x[0], weight: w[0], width: 3, epsilon: 1e-3)
    } reference: { x, w in
      x[0].reshaped(10, 3).rmsNorm(weight: w[0], epsilon: 1e-3).reshaped(5, 6)
    },
    .init("embedding", [], parameters: [[7, 4]]) { tape, _, w in
      tape.embedding(tokens, table: w[0], scale: 1.5)
    } reference: { _, w in
      w[0].embedding(tokens).scaled(by: 1.5)
    },
    .init("a block: norm, gate, projection back", [[5, 6]], parameters: [[9, 6], [6, 9], [6]]) {
      tape, x, w in
      let y = tape.rmsNorm(x[0], weight: w[2], epsilon: 1e-3)
      let z = try tape.linear(y, w[0])
      return try tape.linear(tape.product(z, tape.silu(z)), w[1], residual: x[0])
    } reference: { x, w in
      let z = x[0].rmsNorm(weight: w[2], epsilon: 1e-3).projected(by: w[0])
      return (z * z.silu).projected(by: w[1]) + x[0]
    },
    .init("no token at all", [[0, 6]], parameters: [[9, 6], [9]]) { tape, x, w in
      try tape.silu(tape.linear(x[0], w[0], bias: w[1]))
    } reference: { x, w in
      x[0].projected(by: w[0], bias: w[1]).silu
    },
  ]
}
