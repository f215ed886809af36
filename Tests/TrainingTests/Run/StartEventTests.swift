import Testing

@testable import Corpora
@testable import Training

@Suite("What a run says of itself when it starts")
struct StartEventTests {
  @Test(
    "Of files it tells tokens, what is held out, the steps of an epoch and how often the run reads them",
    arguments: [
      (41_000, 2, 1000, "41,000 to train on, 1,000 held out; 41.0 steps an epoch, 2.00 epochs"),
      (164_000, 1, 0, "164,000 to train on, none held out; 164 steps an epoch, 0.500 epochs"),
    ])
  func extent(tokens: Int, width: Int, heldOut: Int, said: String) {
    let extent = CorpusExtent(tokens: tokens, tokenBytes: width, heldOut: heldOut)
    #expect(extent.summary(steps: 82, of: 1000) == said)
  }
}
