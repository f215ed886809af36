import Kernels
import Measurement
import Tensors

extension Tape {
  /// The sum of each token's rows, each times the weight of its choice; the row of what takes all tokens as it is.
  ///
  /// Concretely: `y_t = Σ_j w_tj x_{row(t, j)}`, and `+ x_{row(t)}` where something takes all tokens.
  ///
  /// - Parameter x: Shape `[R, D]`, a row for each of a token's, in the order of the routing.
  /// - Returns: Shape `[N, D]`.
  package func weightedSum(_ x: Variable, _ routing: Routing) -> Variable {
    let (width, tokens) = (x.shape.columns, routing.tokens)
    let (chosen, each) = (routing.rule.chosen, routing.rowsPerToken)
    precondition(
      x.shape.rows == tokens * each, "rows \(x.shape) of \(tokens) tokens with \(each) each")
    let (y, input, weights) = (
      Tensor([tokens, width], pool: pool), x.value, routing.weights.value
    )
    let grain = max(1, Tape.grain / max(width * each, 1))
    workspace.compute(.normsAndGates) {
      // Each thread writes tokens of its own.
      nonisolated(unsafe) let places = routing.places.pointer
      workspace.team.parallel(tokens, grain: grain) { part in
        for token in part {
          let sum = y.pointer + token * width
          sum.update(repeating: 0, count: width)
          for j in 0..<each {
            let row = input.pointer + Int(places[token * each + j]) * width
            let weight = j < chosen ? weights.pointer[token * chosen + j] : 1
            for i in 0..<width { sum[i] = sum[i].addingProduct(weight, row[i]) }
          }
        }
      }
    }
    return record(y, inputs: [x, routing.weights]) { [unowned self] dy in
      let (dx, accumulate) = x.gradientTarget(in: workspace)
      let dWeights = Tensor([tokens, chosen], pool: pool)
      workspace.compute(.normsAndGates) {
        // Each thread writes tokens of its own, and their rows.
        nonisolated(unsafe) let places = routing.places.pointer
        workspace.team.parallel(tokens, grain: grain) { part in
          for token in part {
            let d = dy.pointer + token * width
            for j in 0..<each {
              let at = Int(places[token * each + j]) * width
              let (row, target) = (input.pointer + at, dx.pointer + at)
              let weight = j < chosen ? weights.pointer[token * chosen + j] : 1
              if accumulate {
                for i in 0..<width { target[i] = target[i].addingProduct(weight, d[i]) }
              } else {
                for i in 0..<width { target[i] = weight * d[i] }
              }
              guard j < chosen else { continue }
              dWeights.pointer[token * chosen + j] = Reduction.dot(row, d, width)
            }
          }
        }
      }
      routing.weights.add(gradient: dWeights, in: workspace)
    }
  }
}
