import Configuration
import MessagePassing
import Testing

@testable import Training

@Suite("Layouts that a plan chooses")
struct PlanSearchTests {
  private let keys = [
    "threads=1", "model.dimension=32", "model.depth=2", "model.heads=2", "sequence.length=1024",
    "training.batch=8", "data.path=not-here.txt",
  ].map { Override($0) }

  private func search(
    ranks: Int, hosts: Int = 1, memory: Int = 1 << 40, network: Cluster.Network = .sharedMemory,
    count: Int = 10
  ) throws -> PlanSearch.Result {
    let cluster = Cluster(
      ranks: ranks, hosts: hosts, memoryBytes: memory, network: network, gigaflops: 50)
    var search = try PlanSearch(file: nil, overrides: keys, cluster: cluster)
    return try search.run(best: count)
  }

  @Test("Every layout is one that the dry run takes, with the memory that it tells")
  func memory() throws {
    let result = try search(ranks: 4)
    #expect(result.best.count == 10 && result.absent == "not-here.txt")
    let first = try #require(result.best.first)
    #expect(
      result.smaller.map { Double($0.memoryBytes) <= 0.8 * Double(first.memoryBytes) } ?? true)
    for estimate in result.best.prefix(3) {
      let run = try RunConfiguration.load(overrides: keys + estimate.choice.overrides)
      let plan = try Plan(run, processes: 4)
      // Both count the program itself, which grows as tests run.
      let own = plan.rehearsals[0].bytes
      #expect(estimate.memoryBytes > own && estimate.memoryBytes - own < 4 << 30)
      #expect(estimate.bytesSent == plan.rehearsals[0].bytesSent)
    }
    for (one, next) in zip(result.best, result.best.dropFirst()) {
      #expect(one.seconds <= 1.02 * next.seconds)
    }
  }

  @Test(
    "Steps of many micro-batches are told as the dry run tells them, by steps of few",
    arguments: [
      [], ["model.mixer=mamba2"], ["model.layers=[gated_deltanet,attention]"],
      ["model.mixer=mom"], ["model.channels=experts", "model.experts.count=4"],
      ["checkpoint.background=true"],
    ])
  func microBatches(model: [String]) throws {
    let cluster = Cluster(
      ranks: 4, hosts: 1, memoryBytes: 1 << 40, network: .sharedMemory, gigaflops: 50)
    let overrides = keys + (["training.batch=16"] + model).map { Override($0) }
    let search = try PlanSearch(file: nil, overrides: overrides, cluster: cluster)
    for sharding in Sharding.allCases {
      for (accumulation, segments, recompute) in [(4, 1, false), (8, 2, false), (8, 1, true)] {
        var choice = PlanChoice(
          sequence: 2, data: 2, sharding: sharding, precision: .fp32,
          experts: model.contains { $0.contains("experts") } ? 2 : nil)
        (choice.accumulation, choice.segments) = (accumulation, segments)
        choice.recompute = recompute
        let run = try RunConfiguration.load(overrides: overrides + choice.overrides)
        let told = try Plan(run, processes: 4).rehearsals[0]
        let step = try search.rehearsed(choice, rank: 0)
        let slack = choice.experts == nil ? 0 : 0.02
        #expect(step.bytesSent == told.bytesSent && step.stateBytes == told.stateBytes)
        #expect(step.weightBytes == told.weightBytes && step.expertBytes == told.expertBytes)
        #expect(
          abs(Double(step.bytes) / Double(told.bytes) - 1) <= slack, "\(choice) \(step) \(told)")
      }
    }
  }

  @Test("Where memory is short, what fits takes less, and where nothing fits the least is told")
  func shortMemory() throws {
    let wide = try search(ranks: 2)
    let first = try #require(wide.best.first)
    let smaller = try #require(wide.smaller ?? wide.best.min { $0.memoryBytes < $1.memoryBytes })
    #expect(smaller.memoryBytes <= first.memoryBytes)
    let limit = 2 * (first.memoryBytes - 1)
    let tight = try search(ranks: 2, memory: limit)
    #expect(tight.best.allSatisfy { 2 * $0.memoryBytes <= limit })
    let none = try search(ranks: 2, memory: 1 << 20)
    #expect(none.best.isEmpty && none.least != nil)
    #expect(PlanReport(none).lines.contains { $0.hasPrefix("no layout fits") })
  }

  @Test("A slow network keeps sequences within hosts")
  func slowNetwork() throws {
    let slow = Cluster.Network(latency: 5e-3, secondsPerByte: 1e-7)
    let result = try search(ranks: 4, hosts: 2, network: slow)
    let first = try #require(result.best.first)
    #expect(first.choice.sequence <= 2)
    let across = result.best.filter { $0.choice.sequence == 4 }
    #expect(across.allSatisfy { $0.states > first.states })
  }

  @Test("The report has a row a layout, says why, and ends with the lines of a run file")
  func report() throws {
    let report = PlanReport(try search(ranks: 2, count: 3))
    let text = report.lines.joined(separator: "\n")
    #expect(
      report.lines.count { $0.hasPrefix(" 1") || $0.hasPrefix(" 2") || $0.hasPrefix(" 3") } == 3)
    #expect(text.contains("\n1 ") && text.contains("\nparallel:\n  sequence: "))
    #expect(report.json["best"]?.array?.count == 3)
  }

  @Test(
    "Amounts with units",
    arguments: [
      ("128GiB", 128 * 1_073_741_824.0), ("12GB", 12e9), ("1e9", 1e9), ("1.5 kB", 1500),
    ])
  func bytes(text: String, bytes: Double) { #expect(Quantity.bytes(text) == bytes) }

  @Test("A link is a speed and a latency; anything else is none")
  func network() {
    let link = Cluster.Network("12GB/s,5us")
    #expect(abs((link?.latency ?? 0) - 5e-6) < 1e-12)
    #expect(abs((link?.secondsPerByte ?? 0) - 1 / 12e9) < 1e-18)
    for text in ["12GB/s", "12GB,5us", "fast,5us", "0GB/s,5us", "1GB/s,-1us"] {
      #expect(Cluster.Network(text) == nil)
    }
  }
}
