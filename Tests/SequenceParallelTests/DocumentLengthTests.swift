import SequenceParallel
import Tensors
import Testing

@Suite("The longest document that there may be")
struct DocumentLengthTests {
  @Test(
    "One that is as long is read, over any seams, and one token more is refused",
    arguments: 0..<30 as Range<UInt64>)
  func limit(seed: UInt64) throws {
    var test = SequenceCase(seed: seed)
    let longest = test.starts.map { starts in
      let bounds = [0] + starts + [test.tokens]
      return zip(bounds, bounds.dropFirst()).map { $1 - $0 }.max()!
    }.max()!
    let x = test.numbers(1)
    let exchange = ExchangeKind.allCases.randomElement(using: &test.random)!
    func run(most: Int) throws -> [Float] {
      try test.run(x: x, columns: 1, dy: x, outputs: 1, exchange: exchange) { tape, x, pass in
        try pass.check(
          documentsAtMost: most, key: "model.length", slot: CarrySlot(layer: 0, .state(1)))
        return tape.product(x, x)
      }.y
    }
    #expect(try run(most: longest) == x.map { $0 * $0 }, "\(test)")
    #expect(throws: (any Error).self, "\(test)") { try run(most: longest - 1) }
  }
}
