import Models
import Tensors
import Testing

@Suite("Models of which little is trained")
struct FrozenModelTests {
  init() { BLAS.setThreads(1) }

  @Test(
    "A parameter of the first block that alone is trained has bitwise the gradient that it has beside all others",
    arguments: [ModelCase.all[1]] + ModelCase.families + ModelCase.pretrained)
  func single(sample: ModelCase) throws {
    let all = try ModelRun(sample, rows: 2, length: 27)
    let right = try all.run(ranks: 3)
    let table = all.model.table
    for parameter in table.parameters where table[parameter].region == 1 {
      var model = all.model
      model.freeze(table.parameters.filter { $0 != parameter })
      let some = try ModelRun(sample, model: model, rows: 2, length: 27)
      let found = try some.run(ranks: 3, recompute: parameter.index % 2 == 1)
      let own = table[parameter].range
      for (found, right) in zip(found, right) {
        #expect(found.logits == right.logits, "\(table[parameter].name)")
        #expect(found.gradients[own] == right.gradients[own], "\(table[parameter].name)")
        let others = found.gradients[..<own.lowerBound] + found.gradients[own.upperBound...]
        #expect(others.allSatisfy { $0 == 0 }, "\(table[parameter].name)")
      }
    }
  }
}
