import Autodiff
import Kernels
import MessagePassing
import ReferenceMath
import SequenceParallel
import Tensors

/// What one rank computed: its shard's part of each tensor of `ExpectedRecurrence`, by the same names.
struct RecurrenceResult: Sendable, Equatable {
  /// Shape `[rows · shard, columns]` each.
  var ofTokens: [String: [Float]] = [:]
  /// `final` on the last rank, `dInitial` on the first.
  var ofStates: [String: [Float]] = [:]
  var stateBytes = 0
  var haloBytes = 0
}

extension RecurrenceCase {
  static let slot = CarrySlot(layer: 3, .state(0))

  /// The program's kernel.
  var kernel: any RecurrenceKernel {
    kind.kernel(
      keyDimension: keyDimension, valueDimension: valueDimension, slots: slots, scale: scale)
  }

  /// What the kernel reads, each input made by `variable`.
  func inputs(_ variable: ([Matrix]) -> Variable?) -> RecurrenceInputs {
    RecurrenceInputs(
      q: variable(q)!, k: variable(k)!, v: variable(v)!, g: variable(g), beta: variable(beta),
      a: variable(a), b: variable(b), logDecay: logDecay)
  }

  /// Runs forward and backward on ranks that are threads.
  func run(_ exchange: ExchangeKind = .chain) throws -> [RecurrenceResult] {
    try ThreadCommunicator.run(ranks: shards.count, deadline: 60) {
      try run(on: $0, exchange: exchange)
    }
  }

  /// This rank's part, forward and backward.
  func run(on world: any Communicator, exchange: ExchangeKind) throws -> RecurrenceResult {
    let workspace = Workspace()
    let pool = workspace.pool
    let context = RankContext(
      workspace: workspace, sequence: world, exchange: exchange.make())
    let layout = SequenceLayout(
      shardLengths: shards, rank: world.rank, rows: rows, documentStarts: documentStarts)
    let store = WholeParameters(table: ParameterTable(), gradients: false, pool: pool)
    let tape = Tape(workspace: workspace, parameters: store, recording: true)
    func tensor(_ matrices: [Matrix]) -> Tensor {
      let numbers = matrices.flatMap { $0.rows(layout.shard).numbers.map { Float($0) } }
      return Tensor([rows * layout.length, matrices[0].columns], numbers, pool: pool)
    }
    func variable(_ matrices: [Matrix]) -> Variable? {
      matrices[0].columns == 0 ? nil : Variable(tensor(matrices), needsGradient: true)
    }
    let stateShape: Shape = [rows * heads.state, stateShape.rows, stateShape.columns]
    let (left, right) = (Carry(), Carry())
    if let initial, world.rank == 0 {
      left.values[Self.slot] = Tensor(stateShape, initial, pool: pool)
    }
    if let dFinal, world.rank == world.size - 1 {
      right.gradients[Self.slot] = Tensor(stateShape, dFinal, pool: pool)
    }
    let pass = SequencePass(
      context: context, layout: layout, left: left, right: right, step: 7, keepsRight: true,
      wantsLeftGradients: true)
    let inputs = inputs(variable)
    let o = try tape.recurrence(
      kernel,
      inputs, steps: steps, slot: Self.slot, pass: pass)
    try tape.backward(from: o, gradient: tensor(dO))
    try context.drain()
    var result = RecurrenceResult(
      stateBytes: context.counters.stateBytesSent, haloBytes: context.counters.haloBytesSent)
    result.ofTokens["o"] = o.value.numbers
    let variables = [
      ("dq", inputs.q), ("dk", inputs.k), ("dv", inputs.v), ("dg", inputs.g),
      ("dbeta", inputs.beta), ("da", inputs.a), ("db", inputs.b),
    ]
    for (name, variable) in variables { result.ofTokens[name] = variable?.gradient?.numbers }
    result.ofStates["final"] = right.values[Self.slot]?.numbers
    result.ofStates["dInitial"] = left.gradients[Self.slot]?.numbers
    return result
  }
}
