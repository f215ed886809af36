import Autodiff
import MessagePassing
import ReferenceMath
import SequenceParallel
import Tensors
import Testing

@Suite("Recurrences of channels by themselves, over any partition")
struct ChannelRecurrenceTests {
  init() { BLAS.setThreads(1) }

  @Test(
    "Outputs, final states and all gradients are those of the per-token reference",
    arguments: ChannelCase.Kind.allCases)
  func reference(kind: ChannelCase.Kind) throws {
    for seed in 1...60 as ClosedRange<UInt64> {
      let sample = ChannelCase(kind, seed: seed)
      let expected = sample.expected()
      for exchange in ExchangeKind.allCases {
        let results = try sample.run(exchange)
        let problems = sample.problems(
          results.map(\.recurrence), expected.recurrence, tolerance: 1e-5)
        #expect(problems == [], "\(exchange): \(sample)")
        for (name, right) in expected.weights where sample.tokens > 0 {
          var sum = [Float](repeating: 0, count: right.count)
          for result in results {
            for (index, part) in (result.weights[name] ?? []).enumerated() { sum[index] += part }
          }
          let error = relativeError(sum, right)
          #expect(error <= 1e-5, "\(name) is off by \(error), \(exchange): \(sample)")
        }
      }
    }
  }

  @Test(
    "Every exchange sends what the formulas say, whatever the number of tokens",
    arguments: ChannelCase.Kind.allCases, [1, 2, 5, 8])
  func bytes(kind: ChannelCase.Kind, ranks: Int) throws {
    for tokens in [3, 512] {
      let sample = ChannelCase(kind, seed: 1, evenly: (tokens, ranks))
      // A state and a map are of one size.
      let bytes = 4 * sample.stateCount
      for exchange in ExchangeKind.allCases {
        for (rank, result) in try sample.run(exchange).enumerated() {
          #expect(
            result.recurrence.stateBytes
              == exchange.bytesSent(states: bytes, maps: bytes, rank: rank, ranks: ranks),
            "\(exchange), rank \(rank)")
        }
      }
    }
  }

  @Test("The same case twice is bitwise equal", arguments: ChannelCase.Kind.allCases)
  func repeats(kind: ChannelCase.Kind) throws {
    for seed in 100...105 as ClosedRange<UInt64> {
      let sample = ChannelCase(kind, seed: seed)
      #expect(try sample.run() == sample.run(), "\(sample)")
    }
  }

  @Test("A scan's memory has a state of each chunk in it, and none of each token")
  func memory() throws {
    let (tokens, channels) = (1024, 256)
    func peak(states: Int) throws -> Int {
      let workspace = Workspace(executor: .rehearsing)
      let context = RankContext(
        workspace: workspace, sequence: RehearsalCommunicator(rank: 0, size: 1),
        exchange: ExchangeKind.chain.make())
      let pass = SequencePass(
        context: context, layout: SequenceLayout(shardLengths: [tokens], rank: 0, rows: 1))
      var table = ParameterTable()
      _ = table.addRegion("scan")
      let logRates = table.add(
        "A_log", [channels, states], role: .bias, initialization: .constant(0))
      let skip = table.add("D", [channels], role: .bias, initialization: .constant(0))
      let store = WholeParameters(table: table, gradients: true, pool: workspace.pool)
      let tape = Tape(workspace: workspace, parameters: store, recording: true)
      func variable(_ columns: Int) -> Variable {
        Variable(Tensor([tokens, columns], pool: workspace.pool), needsGradient: true)
      }
      let y = try tape.selectiveScan(
        variable(channels), steps: variable(channels), b: variable(states), c: variable(states),
        logRates: logRates, skip: skip, slot: ChannelCase.slot, pass: pass)
      try tape.backward(from: y, gradient: Tensor([tokens, channels], pool: workspace.pool))
      return workspace.pool.statistics.peak
    }
    // A state more of each channel, for 32 tokens; B, C and their gradients, also of both groups of channels.
    let more = tokens * (channels / 32 + 2 * 2 + 2 * 2)
    // What does not grow with the tokens: states on the way, weights, a chunk in the backward pass.
    let fixed = 16 * channels + 130 * 16
    #expect(try peak(states: 48) - peak(states: 16) <= 4 * 32 * (more + fixed))
  }
}
