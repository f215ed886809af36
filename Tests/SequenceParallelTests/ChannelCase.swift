import Autodiff
import Foundation
import MessagePassing
import ReferenceMath
import SequenceParallel
import Tensors
import Testing

/// A random recurrence whose channels do not meet, over a random partition, all of it decided by a seed.
struct ChannelCase: ShardedCase, CustomStringConvertible, Sendable {
  enum Kind: String, CaseIterable, Sendable, CustomTestStringConvertible {
    /// `h_t = e^{g_t} ⊙ h_{t−1} + x_t`.
    case elementwise
    /// Mamba's.
    case selectiveScan

    var testDescription: String { rawValue }
  }

  static let slot = CarrySlot(layer: 3, .state(0))

  let kind: Kind
  let seed: UInt64
  let shards: [Int]
  let rows: Int
  let channels: Int
  /// Of a channel.
  let states: Int
  let threads: Int
  /// Of each row, ascending.
  let documentStarts: [[Int]]
  /// By name, of each row `[T, columns]`: x and g, or u, dt, b and c.
  let inputs: [String: [Matrix]]
  /// `A_log`, `[channels, states]`, and `D`; of the scan.
  let logRates: Matrix, skip: Matrix
  /// State before the first token, `[rows, channels · states]`; nil for zero.
  let initial: [Float]?
  /// Gradient of the outputs, of each row `[T, channels]`.
  let dOutput: [Matrix]
  /// Gradient of the state after the last token; nil for zero.
  let dFinal: [Float]?
  private let regime: String

  var tokens: Int { shards.reduce(0, +) }
  /// Numbers of all states, which are those of all maps.
  var stateCount: Int { rows * channels * states }

  var description: String {
    "seed \(seed) of \(kind): shards \(shards), \(rows) rows, documents at \(documentStarts), \(channels) channels of "
      + "\(states), decays \(regime), \(threads) threads, initial state \(initial != nil), gradient of the final state "
      + "\(dFinal != nil)"
  }

  /// Draws a case.
  ///
  /// - Parameter evenly: Tokens of a row, cut evenly over ranks; nil to draw the partition too.
  init(_ kind: Kind, seed: UInt64, evenly: (tokens: Int, ranks: Int)? = nil) {
    (self.kind, self.seed) = (kind, seed)
    var draws = Draws(seed: seed)
    let isScan = kind == .selectiveScan
    let channels = draws.one(of: isScan ? [3, 7, 16, 40, 130] : [5, 16, 33, 64, 150, 300])
    let states = isScan ? draws.one(of: [1, 2, 4, 5, 16].filter { $0 * channels < 600 }) : 1
    (self.channels, self.states) = (channels, states)
    shards =
      evenly.map { SequenceLayout.evenShards(tokens: $0.tokens, ranks: $0.ranks) }
      ?? RecurrenceCase.partition(&draws)
    let T = shards.reduce(0, +)
    let rows = draws.integer(1...3)
    self.rows = rows
    threads = draws.one(of: [1, 1, 3])
    let packs = draws.uniform() < 0.5
    documentStarts = (0..<rows).map { _ in
      packs && T > 0
        ? Set((0..<draws.integer(0...5)).map { _ in draws.integer(0...T - 1) }).sorted() : []
    }
    func matrices(_ columns: Int) -> [Matrix] {
      (0..<rows).map { _ in Matrix(T, columns, draws.normals(T * columns)) }
    }
    let regimes = ["slow", "middling", "0", "fast", "resets", "−∞", "−8", "mixed"]
    let regime = draws.one(of: isScan ? ["slow", "middling", "fast", "resets", "mixed"] : regimes)
    self.regime = regime
    let decays = (0..<rows).map { _ in
      Matrix(
        T, channels,
        (0..<T * channels).map { _ in RecurrenceCase.logDecay(regime, &draws) })
    }
    // Steps of 0 would leave nothing of their channel.
    let steps = decays.map { Matrix(T, channels, $0.numbers.map { Float(0.01 - $0) }) }
    inputs =
      isScan
      ? ["u": matrices(channels), "dt": steps, "b": matrices(states), "c": matrices(states)]
      : ["x": matrices(channels), "g": decays]
    logRates = Matrix(channels, states, draws.normals(channels * states))
    skip = Matrix(1, channels, draws.normals(channels))
    dOutput = matrices(channels)
    let count = rows * channels * states
    initial = draws.uniform() < 0.6 ? draws.normals(count) : nil
    dFinal = draws.uniform() < 0.6 ? draws.normals(count) : nil
  }

  // MARK: The program

  /// What one rank computed; gradients of weights are sums over its own tokens.
  struct Result: Sendable, Equatable {
    var recurrence = RecurrenceResult()
    var weights: [String: [Float]] = [:]
  }

  /// Runs forward and backward on ranks that are threads.
  func run(_ exchange: ExchangeKind = .chain) throws -> [Result] {
    try ThreadCommunicator.run(ranks: shards.count, deadline: 60) {
      try run(on: $0, exchange: exchange)
    }
  }

  private func run(on world: any Communicator, exchange: ExchangeKind) throws -> Result {
    let workspace = Workspace(threads: threads)
    let pool = workspace.pool
    let context = RankContext(
      workspace: workspace, sequence: world, exchange: exchange.make())
    let layout = SequenceLayout(
      shardLengths: shards, rank: world.rank, rows: rows, documentStarts: documentStarts)
    var table = ParameterTable()
    _ = table.addRegion("scan")
    let logRates = table.add(
      "A_log", [channels, states], role: .bias, initialization: .constant(0))
    let skip = table.add("D", [channels], role: .bias, initialization: .constant(0))
    let store = WholeParameters(table: table, gradients: true, pool: pool)
    for (parameter, numbers) in [(logRates, self.logRates.numbers), (skip, self.skip.numbers)] {
      for (index, number) in numbers.enumerated() { store.value(parameter)[index] = Float(number) }
    }
    store.gradient(logRates).update(repeating: 0, count: table.count)
    let tape = Tape(workspace: workspace, parameters: store, recording: true)
    func tensor(_ matrices: [Matrix]) -> Tensor {
      let numbers = matrices.flatMap { $0.rows(layout.shard).numbers.map { Float($0) } }
      return Tensor([rows * layout.length, matrices[0].columns], numbers, pool: pool)
    }
    let variables = inputs.mapValues { Variable(tensor($0), needsGradient: true) }
    let stateShape: Shape = [rows, channels * states, 1]
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
    let output =
      switch kind {
      case .elementwise:
        try tape.elementwiseRecurrence(
          variables["x"]!, logDecay: variables["g"]!, slot: Self.slot, pass: pass)
      case .selectiveScan:
        try tape.selectiveScan(
          variables["u"]!, steps: variables["dt"]!, b: variables["b"]!, c: variables["c"]!,
          logRates: logRates, skip: skip, slot: Self.slot, pass: pass)
      }
    try tape.backward(from: output, gradient: tensor(dOutput))
    try context.drain()
    var result = Result()
    result.recurrence.stateBytes = context.counters.stateBytesSent
    result.recurrence.ofTokens["o"] = output.value.numbers
    for (name, variable) in variables {
      result.recurrence.ofTokens["d" + name] = variable.gradient?.numbers
    }
    result.recurrence.ofStates["final"] = right.values[Self.slot]?.numbers
    result.recurrence.ofStates["dInitial"] = left.gradients[Self.slot]?.numbers
    if kind == .selectiveScan {
      for (name, parameter, count) in [
        ("dA_log", logRates, channels * states), ("dD", skip, channels),
      ] {
        result.weights[name] = Array(
          UnsafeBufferPointer(start: store.gradient(parameter), count: count))
      }
    }
    return result
  }
}
