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
    let error = try #require(throws: (any Error).self) {
      try configuration.virtualRanks(processes: processes)
    }
    #expect("\(error)".contains(words))
  }

  @Test("A dry run counts what goes between processes, and a process's memory is that of its ranks")
  func plan() throws {
    let run = try SmallRun("parallel.reproducible=4")
    let setup = try RunSetup(run.configuration)
    func rehearse(_ rank: Int, hosting each: Int) throws -> Rehearsal {
      try setup.rehearsals(run.configuration, ranks: 4).step(
        rank: rank, hosting: each, exchange: .chain)
    }
    // Nothing leaves a process that hosts all; everything leaves one that hosts a rank.
    #expect(try (0..<4).allSatisfy { try rehearse($0, hosting: 4).bytesToOtherProcesses == 0 })
    let alone = try (0..<4).map { try rehearse($0, hosting: 1) }
    // Beside states and gradients, a rank sends one sum along a tree, whose ends send it once.
    let sum = alone[3].bytesToOtherProcesses - alone[3].bytesSent
    #expect(sum > 0 && sum < 100)
    for rehearsal in alone.dropFirst() {
      let sums = rehearsal.bytesToOtherProcesses - rehearsal.bytesSent
      #expect(sums % sum == 0 && sums <= 2 * sum)
    }
    // With two on each of two, the second and the third rank's states cross, and half of the owners are over there.
    let pairs = try (0..<4).map { try rehearse($0, hosting: 2) }
    let states = alone[0].stateBytes + alone[0].haloBytes
    let parameters = 4 * setup.model.table.count
    for process in 0..<2 {
      let ranks = pairs[2 * process..<2 * process + 2]
      let both = Rehearsal(process: process, of: Array(ranks))
      #expect(both.poolBytes == ranks.reduce(0) { $0 + $1.poolBytes })
      #expect(abs(both.bytesToOtherProcesses - states - 2 * parameters) < 300)
    }
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

extension Rehearsal {
  /// Bytes of all kinds that are counted where they are sent.
  fileprivate var bytesSent: Int { stateBytes + haloBytes + gradientBytes + weightBytes }
}
