import Models
import Testing

@testable import Studies

@Suite("What models are said to be")
struct StateSizeTests {
  @Test(
    "A layer's state is what it carries from token to token",
    arguments: [
      ("tnl", "1,024"), ("gla", "512"), ("gated_deltanet", "1,152"),
      ("transformer", "128 a token"),
    ])
  func state(mixer: String, text: String) throws {
    var section = ModelSection()
    section.mixer = mixer
    let model = LanguageModel(Architectures.make(section, vocabulary: 256))
    #expect(try StateSize(of: model).text == text)
  }
  @Test(
    "Every mixer names its recurrence and the papers it follows", arguments: ModelSection.mixers)
  func cards(mixer: String) {
    let card = Architectures.card(of: mixer)
    #expect(!card.recurrence.isEmpty)
    #expect(!card.papers.isEmpty)
  }
}
