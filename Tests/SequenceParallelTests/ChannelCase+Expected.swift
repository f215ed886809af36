import Foundation
import ReferenceMath

extension ChannelCase {
  /// The per-token reference in Double, and its gradients by the chain rule, a state at a time.
  func expected() -> (recurrence: ExpectedRecurrence, weights: [String: [Double]]) {
    var expected = ExpectedRecurrence()
    var dLogRates = [Double](repeating: 0, count: channels * states)
    var dSkip = [Double](repeating: 0, count: channels)
    for row in 0..<rows {
      var output = Matrix(tokens, channels)
      var gradients = inputs.mapValues { Matrix(tokens, $0[0].columns) }
      for i in 0..<channels {
        for n in 0..<states {
          differentiate(row, i, n, &output, &gradients, &expected, &dLogRates[i * states + n])
        }
      }
      if kind == .selectiveScan {
        let (u, dO) = (inputs["u"]![row], dOutput[row])
        for t in 0..<tokens {
          for i in 0..<channels {
            output[t, i] += skip[0, i] * u[t, i]
            gradients["u"]![t, i] += skip[0, i] * dO[t, i]
            dSkip[i] += u[t, i] * dO[t, i]
          }
        }
      }
      expected.ofTokens["o", default: []].append(output)
      for (name, gradient) in gradients {
        expected.ofTokens["d" + name, default: []].append(gradient)
      }
    }
    return (
      expected, kind == .selectiveScan ? ["dA_log": dLogRates, "dD": dSkip] : [:]
    )
  }

  /// One state over all tokens, and back.
  private func differentiate(
    _ row: Int, _ i: Int, _ n: Int, _ output: inout Matrix, _ gradients: inout [String: Matrix],
    _ expected: inout ExpectedRecurrence, _ dLogRate: inout Double
  ) {
    let isScan = kind == .selectiveScan
    let starts = Set(documentStarts[row])
    let rate = -exp(logRates[i, n])
    let place = (row * channels + i) * states + n
    var h = initial.map { Double($0[place]) } ?? 0
    // Of each token: the state before it, its decay, the state after it.
    var trail: [(before: Double, decay: Double, after: Double)] = []
    for t in 0..<tokens {
      let before = starts.contains(t) ? 0 : h
      let decay: Double
      if isScan {
        let (u, dt) = (inputs["u"]![row][t, i], inputs["dt"]![row][t, i])
        decay = exp(rate * dt)
        h = decay * before + dt * u * inputs["b"]![row][t, n]
        output[t, i] += inputs["c"]![row][t, n] * h
      } else {
        decay = exp(inputs["g"]![row][t, i])
        h = decay * before + inputs["x"]![row][t, i]
        output[t, i] = h
      }
      trail.append((before, decay, h))
    }
    expected.ofStates["final"]!.append(h)
    var d = dFinal.map { Double($0[place]) } ?? 0
    for t in (0..<tokens).reversed() {
      let (before, decay, after) = trail[t]
      let dO = dOutput[row][t, i]
      if isScan {
        let (u, dt) = (inputs["u"]![row][t, i], inputs["dt"]![row][t, i])
        let (b, c) = (inputs["b"]![row][t, n], inputs["c"]![row][t, n])
        d += c * dO
        gradients["c"]![t, n] += dO * after
        gradients["b"]![t, n] += d * dt * u
        gradients["u"]![t, i] += d * dt * b
        gradients["dt"]![t, i] += d * (u * b + before * decay * rate)
        dLogRate += d * before * decay * rate * dt
      } else {
        d += dO
        gradients["x"]![t, i] = d
        gradients["g"]![t, i] = d * before * decay
      }
      d = starts.contains(t) ? 0 : d * decay
    }
    expected.ofStates["dInitial"]!.append(d)
  }
}
