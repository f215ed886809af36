import Models
import Testing

@testable import Studies

@Suite("Widths for a number of parameters")
struct MatchedWidthTests {
  private func model(_ mixer: String) -> ModelSection {
    var model = ModelSection()
    model.mixer = mixer
    (model.depth, model.heads) = (2, 4)
    return model
  }

  private func count(_ model: ModelSection, dimension: Int) -> Int? {
    var model = model
    model.dimension = dimension
    guard model.problems.isEmpty else { return nil }
    return LanguageModel(Architectures.make(model, vocabulary: 256)).table.count
  }

  @Test(
    "No width that the mixer allows has a number of parameters nearer to what is asked for",
    arguments: ["tnl", "gla", "gated_deltanet", "mamba2", "hgrn", "rwkv7", "transformer"],
    [90_000, 400_000])
  func nearest(mixer: String, target: Int) throws {
    let model = model(mixer)
    let width = try MatchedWidth(target, model: model, vocabulary: 256)
    #expect(count(model, dimension: width.dimension) == width.parameters)
    let others = (1...400).compactMap { count(model, dimension: $0) }
    let best = others.map { abs($0 - target) }.min()
    #expect(abs(width.parameters - target) == best)
  }

  @Test("What cannot be reached is told")
  func none() {
    #expect(throws: MatchError.self) {
      try MatchedWidth(10, model: model("tnl"), vocabulary: 256)
    }
  }
}
