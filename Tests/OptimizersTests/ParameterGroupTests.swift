import Tensors
import Testing

@testable import Optimizers

@Suite struct ParameterGroupTests {
  @Test(arguments: [
    ("model.embed.weight", "*embed*", true), ("a", "*", true), ("", "*", true),
    ("abc", "a?c", true),
    ("ac", "a?c", false), ("layers.11.w", "layers.1.*", false), ("layers.1.w", "layers.?.w", true),
    ("aXbXb", "a*b", true), ("aXbXc", "a*b", false), ("abc", "abc", true), ("abcd", "abc", false),
  ])
  func globs(name: String, pattern: String, fits: Bool) {
    #expect(ParameterGroup.matches(name, pattern) == fits)
  }

  private func group(_ pattern: String, frozen: Bool = false) -> ParameterGroup {
    var group = ParameterGroup()
    (group.pattern, group.frozen) = (pattern, frozen)
    return group
  }

  private var parameters: [Parameter] {
    var table = ParameterTable()
    table.addRegion("all")
    return ["embed", "q", "k", "norm"].map {
      table.add($0, [4], role: .matrix, initialization: .constant(0))
    }
  }

  @Test func theFirstPatternCounts() throws {
    let all = parameters
    let groups = try ParameterGroups(
      [group("qk", frozen: true), group("*k*")],
      tensors: [("embed", [all[0]]), ("qk", [all[1], all[2]]), ("link", [all[3]])])
    #expect(groups[all[0]] == nil)
    #expect(Set(groups.frozen) == [all[1], all[2]])
    #expect(groups[all[3]]?.pattern == "*k*")
  }

  @Test func aPatternWithoutATensorIsNamedWithNearOnes() {
    let error = #expect(throws: ParameterGroupError.self) {
      try ParameterGroups(
        [group("*embedding*")],
        tensors: [("norm", [parameters[3]]), ("embed.weight", [parameters[0]])])
    }
    #expect(
      error?.description == "no tensor of the model fits the pattern *embedding*; near it are "
        + "embed.weight, norm")
  }

  @Test func somethingIsLeftToTrain() {
    #expect(throws: ParameterGroupError.allFrozen) {
      try ParameterGroups([group("*", frozen: true)], tensors: [("q", [parameters[1]])])
    }
  }
}
