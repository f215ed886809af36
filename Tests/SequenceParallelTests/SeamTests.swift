import Autodiff
import Kernels
import MessagePassing
import ReferenceMath
import SequenceParallel
import Tensors
import Testing

@Suite("Seams between ranks and between windows")
struct SeamTests {
  init() { BLAS.setThreads(1) }

  /// What a rank may believe that its neighbours do not.
  struct Belief: Sendable, CustomTestStringConvertible {
    var step = 4
    var segment = 0
    var layer = 2
    var state = 0
    let testDescription: String
  }

  @Test(
    "Ranks that are out of step are told so, with what each of them is at",
    arguments: [
      (Belief(step: 5, testDescription: "step"), "step 4", "step 5"),
      (Belief(segment: 1, testDescription: "segment"), "segment 0", "segment 1"),
      (Belief(layer: 3, testDescription: "layer"), "layer 2", "layer 3"),
      (Belief(state: 1, testDescription: "state"), "state 0", "state 1"),
    ])
  func outOfStep(wrong: Belief, right: String, other: String) throws {
    let error = try #require(throws: OutOfStepError.self) {
      try ThreadCommunicator.run(ranks: 3, deadline: 30) { world in
        let belief = world.rank == 1 ? wrong : Belief(testDescription: "")
        let workspace = Workspace()
        let context = RankContext(
          workspace: workspace, sequence: world, exchange: ChainExchange())
        let pass = SequencePass(
          context: context,
          layout: SequenceLayout(shardLengths: [2, 2, 2], rank: world.rank, rows: 1),
          step: belief.step, segment: belief.segment)
        let store = WholeParameters(
          table: ParameterTable(), gradients: false, pool: workspace.pool)
        let tape = Tape(workspace: workspace, parameters: store, recording: false)
        let x = Variable(
          Tensor([2, 4], [Float](repeating: 0, count: 8), pool: workspace.pool),
          needsGradient: false)
        _ = try tape.recurrence(
          DiagonalRecurrence(.none, keyDimension: 4, valueDimension: 4),
          RecurrenceInputs(q: x, k: x, v: x),
          slot: CarrySlot(layer: belief.layer, .state(belief.state)), pass: pass)
        try context.drain()
      }
    }
    let text = "\(error)"
    #expect(text.contains("sequence rank 1 expected") || text.contains("sequence rank 2 expected"))
    #expect(text.contains(right) && text.contains(other), "\(text)")
  }

  @Test("What leaves on the last rank enters on the first", arguments: 1...5)
  func closes(ranks: Int) throws {
    let slots: [(CarrySlot, Shape)] = [
      (CarrySlot(layer: 0, .state(0)), [2, 3, 4]), (CarrySlot(layer: 11, .state(1)), [1, 1, 1]),
      (CarrySlot(layer: 0, .halo(2)), [6, 5]), (CarrySlot(layer: 70_000, .window), [0, 7]),
    ]
    let results = try ThreadCommunicator.run(ranks: ranks, deadline: 30) { world in
      let workspace = Workspace()
      let context = RankContext(workspace: workspace, sequence: world, exchange: ChainExchange())
      let right = Carry()
      if world.rank == world.size - 1 {
        for (slot, shape) in slots {
          let numbers = (0..<shape.count).map { Float($0) + Float(slot.layer) / 8 }
          right.values[slot] = Tensor(shape, numbers, pool: workspace.pool)
        }
      }
      func close(_ right: Carry) throws -> Carry {
        let layout = SequenceLayout(
          shardLengths: [Int](repeating: 1, count: ranks), rank: world.rank, rows: 1)
        return try SequencePass(context: context, layout: layout, right: right).close()
      }
      let left = try close(right)
      let empty = try close(Carry())
      try context.drain()
      return (
        left: left.values.mapValues { ($0.shape, $0.numbers) }, empty: empty.values.isEmpty
      )
    }
    for (rank, result) in results.enumerated() {
      #expect(result.empty && result.left.count == (rank == 0 ? slots.count : 0))
    }
    for (slot, shape) in slots {
      let found = try #require(results[0].left[slot])
      #expect(found.0 == shape)
      #expect(found.1 == (0..<shape.count).map { Float($0) + Float(slot.layer) / 8 })
    }
  }

  @Test(
    "A sequence read in windows, its state carried on, gives what one pass gives",
    arguments: RecurrenceCase.Kind.allCases)
  func windows(kind: RecurrenceCase.Kind) throws {
    for seed in 200...204 as ClosedRange<UInt64> {
      let sample = RecurrenceCase(kind, seed: seed, evenly: (90, 3))
      let cuts = [0, 41, 41, 50, 90]
      let outputs = try ThreadCommunicator.run(ranks: 3, deadline: 30) { world in
        try sample.windows(zip(cuts, cuts.dropFirst()).map { $0..<$1 }, on: world)
      }
      let expected = sample.expected().ofTokens["o"]!
      for window in outputs[0].indices {
        for (rank, output) in outputs.enumerated() {
          let right = expected.flatMap { $0.rows(output[window].positions).numbers }
          let error = relativeError(output[window].o, right)
          #expect(error < 2e-5, "window \(window), rank \(rank), \(sample)")
        }
      }
    }
  }
}

extension RecurrenceCase {
  /// Runs forward over windows, one after another, each cut evenly over the ranks.
  func windows(_ windows: [Range<Int>], on world: any Communicator) throws
    -> [(positions: Range<Int>, o: [Float])]
  {
    let workspace = Workspace()
    let pool = workspace.pool
    let context = RankContext(workspace: workspace, sequence: world, exchange: ChainExchange())
    let store = WholeParameters(table: ParameterTable(), gradients: false, pool: pool)
    let tape = Tape(workspace: workspace, parameters: store, recording: false)
    var left = Carry()
    if let initial, world.rank == 0 {
      left.values[Self.slot] = Tensor(
        [rows * heads.state, stateShape.rows, stateShape.columns], initial, pool: pool)
    }
    return try windows.enumerated().map { index, window in
      let layout = SequenceLayout(
        shardLengths: SequenceLayout.evenShards(tokens: window.count, ranks: world.size),
        rank: world.rank, rows: rows, start: window.lowerBound,
        documentStarts: documentStarts.map { starts in
          starts.filter(window.contains).map { $0 - window.lowerBound }
        })
      let positions = layout.offset..<layout.offset + layout.length
      func variable(_ matrices: [Matrix]) -> Variable? {
        guard matrices[0].columns > 0 else { return nil }
        let numbers = matrices.flatMap { $0.rows(positions).numbers.map { Float($0) } }
        let tensor = Tensor([rows * layout.length, matrices[0].columns], numbers, pool: pool)
        return Variable(tensor, needsGradient: false)
      }
      let right = Carry()
      let pass = SequencePass(
        context: context, layout: layout, left: left, right: right, step: index, keepsRight: true)
      let o = try tape.recurrence(
        kernel,
        inputs(variable), steps: steps, slot: Self.slot, pass: pass)
      left = try pass.close()
      try context.drain()
      return (positions, o.value.numbers)
    }
  }
}
