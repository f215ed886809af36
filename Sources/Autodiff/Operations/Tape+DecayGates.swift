import Kernels
import Measurement
import Tensors

extension Tape {
  /// Log decays from a projection, elementwise: `g = max(log σ(x) / divisor, least)`.
  package func logSigmoidGate(_ x: Variable, divisor: Float, least: Float? = nil) -> Variable {
    let gate = LogSigmoidGate(divisor: divisor, least: least ?? -.infinity)
    return pointwise(x, gate.forward, gate.backward)
  }

  /// Log decays of heads from their steps: `g = −e^A softplus(a + b)`.
  ///
  /// - Parameters:
  ///   - a: Shape `[N, H]`.
  ///   - rate: `A`, shape `[H]`.
  ///   - bias: `b`, shape `[H]`.
  /// - Returns: Shape `[N, H]`, in nats.
  package func softplusGate(_ a: Variable, rate: Parameter, bias: Parameter) -> Variable {
    let (rows, heads) = (a.shape.rows, a.shape.columns)
    precondition(
      parameters.table[rate].shape.count == heads && parameters.table[bias].shape.count == heads,
      "a \(a.shape) for the rates \(parameters.table[rate].shape) and biases "
        + "\(parameters.table[bias].shape)")
    let (g, input) = (Tensor(a.shape, pool: pool), a.value)
    workspace.compute(.normsAndGates) {
      // All threads read the weights.
      nonisolated(unsafe) let (rates, biases) = (
        UnsafePointer(parameters.value(rate)), UnsafePointer(parameters.value(bias))
      )
      workspace.team.parallel(rows, grain: max(1, Tape.grain / heads)) {
        SoftplusGate.forward(
          input.pointer, rate: rates, bias: biases,
          into: g.pointer, rows: $0, heads: heads)
      }
    }
    return record(g, inputs: [a], always: trains(rate, bias)) { [unowned self] dg in
      let (da, accumulate) =
        a.needsGradient ? a.gradientTarget(in: workspace) : (Tensor(a.shape, pool: pool), false)
      let sums = RowSums(rows: rows, width: 2 * heads, workspace: workspace)
      workspace.compute(.normsAndGates) {
        let (dRate, dBias) = (gradientSums(rate), gradientSums(bias))
        // All threads read the weights.
        nonisolated(unsafe) let (rates, biases) = (
          UnsafePointer(parameters.value(rate)), UnsafePointer(parameters.value(bias))
        )
        sums.add(to: [(dRate, heads), (dBias, heads)]) { _, rows, sums in
          SoftplusGate.backward(
            input.pointer, rate: rates, bias: biases,
            g.pointer, dg.pointer, into: da.pointer, dRate: sums, dBias: sums + heads, rows: rows,
            heads: heads, accumulate: accumulate)
        }
      }
    }
  }
}
