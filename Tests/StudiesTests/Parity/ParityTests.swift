import Configuration
import Testing

@testable import Studies

@Suite("The parity of losses")
struct ParityTests {
  @Test(
    "Grids are data × sequence, or sequence ranks alone",
    arguments: [("8", 1, 8), ("2x4", 2, 4), ("1x1", 1, 1)])
  func grids(text: String, data: Int, sequence: Int) {
    #expect(Parity.Grid(text) == Parity.Grid(data: data, sequence: sequence))
  }

  @Test("What is no grid", arguments: ["", "0", "x2", "2x", "2x2x2", "-1", "two", "2 x2"])
  func noGrids(text: String) {
    #expect(Parity.Grid(text) == nil)
  }

  private func cases(
    _ grids: [String], rules: [String] = ["adamw"], _ overrides: String...
  ) throws -> [ParityCase] {
    let small = ["model.dimension=64", "training.batch=8", "threads=1"]
    return try Parity(
      rules: rules, shardings: ["none"], grids: grids.compactMap { Parity.Grid($0) },
      overrides: (small + overrides).map { Override($0) }, launcher: nil, hostfile: nil,
      output: nil
    ).cases
  }

  @Test("One rank without sharding comes first, once, whatever is asked for")
  func reference() throws {
    #expect(
      try cases(["4", "1", "2x2"]).map(\.job.name) == [
        "adamw-none-1x1", "adamw-none-1x4", "adamw-none-2x2",
      ])
    #expect(try cases(["2"]).map(\.job.ranks) == [1, 2])
  }

  @Test("Each update rule is compared with itself")
  func rules() throws {
    let cases = try cases(["2"], rules: ["lion", "muon"])
    #expect(
      cases.map(\.job.name) == ["lion-none-1x1", "lion-none-1x2", "muon-none-1x1", "muon-none-1x2"])
    #expect(cases.map(\.isReference) == [true, false, true, false])
    #expect(cases.map(\.configuration.optimizer.rule) == [.lion, .lion, .muon, .muon])
  }

  @Test("A batch that a grid cannot share is refused before anything runs")
  func batch() {
    #expect {
      try cases(["1", "4x2"], "training.batch=6")
    } throws: {
      "\($0)".contains("6 sequences a step cannot be dealt evenly to 4 groups")
    }
  }

  private func row(_ losses: [Double], _ reference: [Double]) throws -> ParityRow {
    ParityRow(try cases(["2"])[1], losses: losses, reference: reference)
  }

  @Test("A row has the greatest relative difference of the first ten steps and of all")
  func differences() throws {
    let reference = (0..<20).map { _ in 2.0 }
    var losses = reference
    losses[3] += 1e-6
    losses[15] -= 1e-5
    let row = try row(losses, reference)
    #expect(abs(row.early - 5e-7) < 1e-12 && abs(row.all - 5e-6) < 1e-12)
    #expect(row.holds)
    #expect(
      row.text == "adamw      none                    1×2    2.0000000000    5.0e-07      5.0e-06  "
    )
  }

  @Test(
    "What exceeds its limit is marked",
    arguments: [
      (0, 3e-6, true, false), (9, 3e-6, true, false), (10, 3e-6, false, false),
      (10, 3e-5, false, true),
    ])
  func limits(step: Int, difference: Double, early: Bool, all: Bool) throws {
    let reference = (0..<20).map { _ in 1.0 }
    var losses = reference
    losses[step] += difference
    let row = try row(losses, reference)
    #expect(row.holds == !(early || all))
    #expect(row.text.filter { $0 == "!" }.count == (early ? 1 : 0) + (all ? 1 : 0))
  }

  @Test("Courses of another length, or with what is no number, do not agree")
  func incomparable() throws {
    #expect(try !row([1, 1], [1, 1, 1]).holds)
    #expect(try !row([1, .nan], [1, 1]).holds)
    #expect(try !row([], []).holds)
  }
}
