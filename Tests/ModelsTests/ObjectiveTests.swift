import Autodiff
import ReferenceMath
import Tensors
import Testing

@testable import Models

@Suite("What is minimised")
struct ObjectiveTests {
  init() { BLAS.setThreads(1) }

  @Test(
    "With a z-loss, its sum and all gradients are those of the per-token reference, on any ranks",
    arguments: ModelCase.all, [1, 2, 3, 4])
  func zLoss(sample: ModelCase, ranks: Int) throws {
    let run = try ModelRun(sample, rows: 2, length: 48)
    let expected = run.expected(zLoss: 0.02)
    for recompute in [false, true] {
      let results = try run.run(
        ranks: ranks, recompute: recompute, objective: NextToken(zLoss: 0.02))
      let whole = results.reduce(0) { sum, result in
        sum + result.loss + result.terms.reduce(0) { $0 + $1.weight * $1.sum }
      }
      #expect(abs(whole - expected.loss) <= 1e-6 * expected.loss)
      #expect(results.allSatisfy { $0.terms.map(\.name) == ["z_loss"] })
      #expect(run.wrongGradients(ModelRun.sum(results), expected, tolerance: 1e-5) == [:])
    }
  }

  @Test(
    "A term that a layer adds is noted once, and its gradient has its weight, recomputed or not")
  func layers() throws {
    for recompute in [false, true] {
      var table = ParameterTable()
      let region = table.addRegion("layer")
      let weight = table.add("w", [3], role: .norm, initialization: .constant(0))
      let workspace = Workspace()
      let store = WholeParameters(table: table, gradients: true, pool: workspace.pool)
      store.clearGradients()
      for i in 0..<3 { store.value(weight)[i] = Float(i + 1) }
      let tape = Tape(workspace: workspace, parameters: store, recording: true)
      let output = try tape.region(region, recompute: recompute, input: nil) { _ in
        // The sum of the weights, as a term and as the output.
        let value = Tensor([1], [6], pool: workspace.pool)
        let sum = tape.record(value, always: true) { gradient in
          for i in 0..<3 { store.gradient(weight)[i] += gradient.pointer[0] }
        }
        tape.addLoss("sum", weight: 0.5, sum)
        return sum
      }
      #expect(tape.terms == [LossTerm("sum", weight: 0.5, sum: 6)])
      try tape.backward(from: output, gradient: Tensor([1], [2], pool: workspace.pool))
      #expect(tape.terms == [LossTerm("sum", weight: 0.5, sum: 6)])
      #expect((0..<3).allSatisfy { store.gradient(weight)[$0] == 2.5 })
    }
  }
}
