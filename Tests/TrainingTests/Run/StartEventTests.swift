import Testing

@testable import Corpora
@testable import Training

@Suite("What a run says of itself when it starts")
struct StartEventTests {
  @Test(
    "Of files it tells tokens, their width, what is held out and how often the run reads them",
    arguments: [
      (41_000, 2, 1000, "41,000 of 2 bytes each, 1,000 more held out; the run reads 2.00 epochs"),
      (164_000, 1, 0, "164,000 of 1 byte each; the run reads 0.500 epochs"),
    ])
  func extent(tokens: Int, width: Int, heldOut: Int, said: String) {
    let extent = CorpusExtent(tokens: tokens, tokenBytes: width, heldOut: heldOut)
    #expect(extent.summary(reading: 82_000) == said)
  }
}
