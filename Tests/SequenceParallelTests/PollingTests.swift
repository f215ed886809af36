import Autodiff
import Kernels
import MessagePassing
import SequenceParallel
import Tensors
import Testing

/// Sums of gradients of ranks with other sequences move on only when this rank polls.
@Suite("A rank that has its sequence alone")
struct PollingTests {
  init() { BLAS.setThreads(1) }

  fileprivate static let (rows, tokens, heads, dimension) = (2, 1000, 4, 16)

  enum Operation: String, CaseIterable, Sendable {
    case fixed, vector, delta, attention, window

    func run(_ tape: Tape, _ x: Variable, _ pass: SequencePass) throws -> Variable {
      let dimension = PollingTests.dimension
      func recurrence(_ kernel: any RecurrenceKernel, _ inputs: RecurrenceInputs) throws -> Variable
      {
        try tape.recurrence(
          kernel, inputs, slot: CarrySlot(layer: 0, .state(0)), pass: pass)
      }
      func attention(window: Int?) throws -> Variable {
        try tape.attention(
          q: x, k: x, v: x, dimension: dimension, window: window,
          slot: CarrySlot(layer: 0, .window), pass: pass)
      }
      switch self {
      case .fixed:
        let kernel = DiagonalRecurrence(
          .fixed, keyDimension: dimension, valueDimension: dimension)
        let logDecay = [Float](repeating: -0.1, count: PollingTests.heads)
        return try recurrence(kernel, RecurrenceInputs(q: x, k: x, v: x, logDecay: logDecay))
      case .vector:
        let kernel = DiagonalRecurrence(
          .vector, keyDimension: dimension, valueDimension: dimension)
        let g = Variable(Tensor(x.shape, pool: tape.pool), needsGradient: true)
        g.value.pointer.update(repeating: -0.1, count: g.value.count)
        return try recurrence(kernel, RecurrenceInputs(q: x, k: x, v: x, g: g))
      case .delta:
        let kernel = DeltaRecurrence(.none, keyDimension: dimension, valueDimension: dimension)
        let beta = Variable(
          Tensor([x.shape.rows, PollingTests.heads], pool: tape.pool), needsGradient: true)
        beta.value.pointer.update(repeating: 0.1, count: beta.value.count)
        return try recurrence(kernel, RecurrenceInputs(q: x, k: x, v: x, beta: beta))
      case .attention: return try attention(window: nil)
      case .window: return try attention(window: 70)
      }
    }
  }

  private struct Result {
    var forward = 0, backward = 0
    var y: [Float] = [], dx: [Float] = []
  }

  /// Runs an op, and counts the polls of each pass.
  private func run(_ operation: Operation, threads: Int, operationsBetweenPolls: Int) throws
    -> Result
  {
    let workspace = Workspace(threads: threads)
    let context = RankContext(
      workspace: workspace, sequence: SoloCommunicator(), exchange: ChainExchange())
    var (polls, result) = (0, Result())
    let source = workspace.progress.add(hasPeers: true) { polls += 1 }
    defer { source.remove() }
    workspace.operationsBetweenPolls = operationsBetweenPolls
    let layout = SequenceLayout(shardLengths: [Self.tokens], rank: 0, rows: Self.rows)
    let pass = SequencePass(context: context, layout: layout)
    let store = WholeParameters(table: .oneRegion, gradients: true, pool: workspace.pool)
    let tape = Tape(workspace: workspace, parameters: store, recording: true)
    let shape: Shape = [Self.rows * Self.tokens, Self.heads * Self.dimension]
    var random = SplitMix(state: 1)
    func numbers() -> [Float] {
      (0..<shape.count).map { _ in Float.random(in: -0.5...0.5, using: &random) }
    }
    let x = Variable(Tensor(shape, numbers(), pool: workspace.pool), needsGradient: true)
    let y = try operation.run(tape, x, pass)
    result.forward = polls
    polls = 0
    try tape.backward(from: y, gradient: Tensor(shape, numbers(), pool: workspace.pool))
    result.backward = polls
    (result.y, result.dx) = (y.value.numbers, x.gradient!.numbers)
    return result
  }

  @Test(
    "polls from its long operations, and computes the same", arguments: Operation.allCases, 1...3)
  func polls(operation: Operation, threads: Int) throws {
    let often = try run(operation, threads: threads, operationsBetweenPolls: 1)
    let seldom = try run(operation, threads: threads, operationsBetweenPolls: 1 << 40)
    let batches =
      switch operation {
      case .attention, .window: SoftmaxAttention.tiles(Self.tokens)
      case .fixed, .vector, .delta: Self.rows * Self.heads / threads
      }
    #expect(often.forward >= batches && often.backward >= batches)
    #expect(often.forward > seldom.forward && often.backward > seldom.backward)
    #expect(often.y == seldom.y && often.dx == seldom.dx)
  }
}
