import MessagePassing
import Tensors
import Testing

@testable import Training

@Suite("Virtual ranks")
struct VirtualRanksTests {
  init() { BLAS.setThreads(1) }

  /// Trains on processes that are threads here; what all virtual ranks end with.
  private func train(_ overrides: [String], processes: Int) throws -> [SmallRun.Result] {
    let run = try SmallRun(overrides + ["training.steps=4"])
    let ranks = try run.configuration.virtualRanks(processes: processes)
    return try ThreadCommunicator.run(ranks: processes, deadline: 60) { process in
      try process.run(virtualRanks: ranks) { try run.train(on: $0) }
    }.flatMap { $0 }
  }

  @Test(
    "A run has the same bits on any number of processes",
    arguments: [
      ["parallel.reproducible=8"],
      ["parallel.reproducible=8", "model.mixer=gla", "parallel.exchange=scan"],
      ["parallel.reproducible=8", "model.layers=[gated_deltanet,attention]"],
      ["parallel.reproducible=4", "parallel.data=2", "parallel.exchange=gather"],
      ["parallel.reproducible=8", "training.recompute=true", "training.accumulation=2"],
    ])
  func bits(overrides: [String]) throws {
    let alone = try train(overrides, processes: 1)
    #expect(alone.count == 8)
    for result in alone { #expect(result.weights == alone[0].weights) }
    for processes in [2, 4, 8] { #expect(try train(overrides, processes: processes) == alone) }
  }

  @Test("The losses are those of a run without virtual ranks")
  func losses() throws {
    let usual = try SmallRun("training.steps=4").train(ranks: 1)[0]
    let virtual = try train(["parallel.reproducible=4"], processes: 2)[0]
    #expect(greatestDifference(virtual.losses, usual.losses) < 1e-5)
    #expect(virtual.losses != usual.losses || virtual.weights != usual.weights)
  }

  @Test(
    "A run file says how many virtual ranks the world has, each process hosting as many",
    arguments: [
      (8, 0, 0, 1, 8), (8, 0, 0, 4, 8), (4, 2, 2, 4, 8), (4, 0, 2, 1, 8), (0, 0, 0, 3, 3),
    ])
  func ranks(reproducible: Int, sequence: Int, data: Int, processes: Int, ranks: Int) throws {
    let section = try Self.configuration(reproducible, sequence, data).parallel
    #expect(try section.ranks(processes: processes) == ranks)
    #expect(try section.grid(ranks: ranks).sequence == (reproducible > 0 ? reproducible : ranks))
  }

  @Test(
    "Virtual ranks that cannot be dealt out evenly are refused with the equation",
    arguments: [
      (8, 0, 0, 3, "parallel.reproducible 8 = 3 ranks × a whole number of virtual ranks"),
      (4, 0, 2, 3, "parallel.data 2 × parallel.reproducible 4 = 3 ranks × a whole number"),
      (8, 3, 0, 3, "parallel.reproducible 8 = parallel.sequence 3 × a whole number"),
    ])
  func refused(reproducible: Int, sequence: Int, data: Int, processes: Int, words: String) throws {
    let configuration = try Self.configuration(reproducible, sequence, data)
    let error = #expect(throws: (any Error).self) {
      try configuration.virtualRanks(processes: processes)
    }
    #expect("\(error!)".contains(words))
  }

  private static func configuration(_ reproducible: Int, _ sequence: Int, _ data: Int) throws
    -> RunConfiguration
  {
    try SmallRun(
      "parallel.reproducible=\(reproducible)", "parallel.sequence=\(sequence)",
      "parallel.data=\(data)"
    ).configuration
  }
}
