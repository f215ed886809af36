import MessagePassing
import Testing

@testable import Reporting

@Suite("What ranks' facts say of their machines")
struct HostFindingsTests {
  /// Ranks of one machine of so many cores, each on all of them.
  private func ranks(_ count: Int, cores: Int = 4, _ change: (inout HostFacts) -> Void = { _ in })
    -> [HostFacts]
  {
    (0..<count).map { rank in
      var facts = HostFacts()
      (facts.host, facts.rank, facts.machineProcessors) = ("node01", rank, cores)
      (facts.processors, facts.cores) = (Array(0..<cores), Array(0..<cores))
      facts.topology = Topology(nodes: [.init(processors: Array(0..<cores))], source: "/sys")
      (facts.sharedMemoryBytes, facts.sharedMemoryFree) = (1 << 30, 1 << 30)
      (facts.mpi, facts.build, facts.running) = ("Open MPI v4.1.4", "abc", count)
      facts.instructions = ["avx2"]
      change(&facts)
      return facts
    }
  }

  /// What is warned of, each with whether a run's start says it.
  private func warnings(_ facts: [HostFacts]) -> [(subject: String, text: String, matters: Bool)] {
    HostFindings.all(facts).filter(\.isWarning).map { ($0.subject, $0.text, $0.matters) }
  }

  @Test("Ranks that have what they need are warned of nothing")
  func fine() {
    #expect(warnings(ranks(4)).isEmpty)
    #expect(warnings(ranks(1)).isEmpty)
  }

  @Test("Several ranks that are pinned to one core of many")
  func pinned() throws {
    let found = warnings(ranks(4) { ($0.processors, $0.cores) = ([0], [0]) })
    let binding = try #require(found.first { $0.subject == "binding" })
    #expect(
      binding.text
        == "ranks 0–3 of node01 may run on 1 core alone (processor 0), of a machine with 4")
    #expect(binding.matters)
    // Each on a core of its own is what binding is for.
    var apart = ranks(4)
    for rank in 0..<4 { (apart[rank].processors, apart[rank].cores) = ([rank], [rank]) }
    #expect(warnings(apart).isEmpty)
  }

  @Test("More threads than cores, or than a control group's quota")
  func crowded() throws {
    let found = warnings(ranks(8, cores: 2))
    #expect(found.map(\.subject) == ["cores"])
    #expect(found[0].text == "node01: 8 threads of 8 ranks on 2 cores")
    let quota = warnings(ranks(4) { $0.quota = 1.5 })
    #expect(quota.map(\.subject) == ["control group"])
    #expect(
      quota[0].text == "the control group of node01 allows 1.50 cores' time, for 4 threads")
  }

  @Test("Others that compute on the machine, and not the ranks themselves")
  func busy() {
    let found = warnings(ranks(2) { $0.running = 5 })
    #expect(found.map(\.subject) == ["load"])
    #expect(found[0].text == "node01: 3 processes of others run, load 0 on 4 cores")
  }

  @Test("Ranks that may move between memories")
  func numa() {
    let two = Topology(
      nodes: [.init(processors: [0, 1]), .init(processors: [2, 3])], source: "hwloc")
    #expect(warnings(ranks(2) { $0.topology = two }).map(\.subject) == ["NUMA"])
    var bound = ranks(2) { $0.topology = two }
    for rank in 0..<2 {
      bound[rank].processors = [2 * rank, 2 * rank + 1]
      bound[rank].cores = bound[rank].processors
    }
    #expect(warnings(bound).isEmpty)
  }

  @Test("Little shared memory, slow clocks, a hypervisor that takes time")
  func others() {
    let small = warnings(
      ranks(4) { ($0.sharedMemoryBytes, $0.sharedMemoryFree) = (8 << 20, 8 << 20) })
    #expect(small.map(\.subject) == ["shared memory"])
    let clocks = warnings(
      ranks(1) {
        ($0.governor, $0.greatestMHz, $0.currentMHz) = ("powersave", 3000, 1200)
      })
    #expect(clocks.map(\.subject) == ["clocks"])
    #expect(warnings(ranks(1) { $0.stolen = 0.2 }).map(\.subject) == ["clocks"])
  }

  @Test("Hosts that differ in program, MPI or instructions")
  func differences() {
    var two = ranks(2)
    (two[1].host, two[1].rank, two[1].build, two[1].instructions) = (
      "node02", 1, "def", ["avx512f"]
    )
    for rank in 0..<2 { two[rank].running = 1 }
    #expect(warnings(two).map(\.subject) == ["host", "build"])
  }

  @Test("A table is aligned and wraps between words")
  func table() {
    let lines = Finding.table(
      [
        .fine("host", "node01"),
        .warning("load", "8 processes of others run on node01 now", cure: "wait"),
      ],
      width: 40)
    #expect(
      lines == [
        "host  ok       node01", "load  warning  8 processes of others run",
        "               on node01 now", "               → wait",
      ])
  }
}
