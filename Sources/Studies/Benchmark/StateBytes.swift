import Autodiff
import Kernels
import MessagePassing
import Reporting
import SequenceParallel
import Tensors

/// `lasp-train benchmark bytes`: what ranks send of states in one layer, counted and by the formula.
///
/// Counted is what the real op and exchanges send in a rehearsal: memory is reserved but not touched, and
/// messages go nowhere. Headers are not in it.
package enum StateBytes {
  private static let (heads, dimension) = (8, 64)
  private static let lengths = [1024, 65_536]
  private static let slot = CarrySlot(layer: 0, .state(0))

  /// Counts and prints.
  ///
  /// - Parameter ranks: Ranks that share the sequence.
  package static func run(ranks: Int) throws {
    print(
      "Bytes of states that all ranks send in one layer, forward and backward, without headers:")
    print(
      "\(Format.number(ranks, of: "rank")), \(heads) heads, K = V = \(dimension), one sequence\n")
    let titles = lengths.map { "\($0 / 1024)K tokens" } + ["formula", "each rank"]
    print(Format.left("", 32) + titles.map { Format.right($0, 14) }.joined())
    for recurrence in MeasuredRecurrence.all(dimension) {
      for exchange in ExchangeKind.allCases {
        let formula = (0..<ranks).map { expected(recurrence, exchange, rank: $0, ranks: ranks) }
        let counted = try lengths.map { tokens in
          try (0..<ranks).map {
            try count(recurrence, exchange, tokens: tokens, rank: $0, ranks: ranks)
          }
        }
        let cells =
          (counted + [formula]).map { Format.grouped($0.reduce(0, +)) }
          + [counted.allSatisfy { $0 == formula } ? "equal" : "DIFFERENT"]
        print(
          Format.left("  \(recurrence.name)", 24) + Format.left(exchange.rawValue, 8)
            + cells.map { Format.right($0, 14) }.joined())
      }
    }
  }

  /// Bytes that a rank sends, counted.
  private static func count(
    _ recurrence: MeasuredRecurrence, _ exchange: ExchangeKind, tokens: Int, rank: Int, ranks: Int
  ) throws -> Int {
    let workspace = Workspace(executor: .rehearsing)
    let pool = workspace.pool
    let runner = PassRunner(
      table: ParameterTable(), sequence: RehearsalCommunicator(rank: rank, size: ranks),
      exchange: exchange, workspace: workspace)
    let layout = SequenceLayout(
      shardLengths: SequenceLayout.evenShards(tokens: tokens, ranks: ranks), rank: rank, rows: 1)
    func variable(_ width: Int) -> Variable? {
      width == 0
        ? nil : Variable(Tensor([layout.length, heads * width], pool: pool), needsGradient: true)
    }
    let kernel = recurrence.kernel
    let readsSteps = [.matrix, .stabilised].contains(kernel.mapKind)
    let inputs = RecurrenceInputs(
      q: variable(kernel.queryWidth)!, k: variable(kernel.keyWidth)!,
      v: variable(kernel.valueWidth)!,
      g: variable(recurrence.decayWidth), beta: variable(readsSteps ? 1 : 0))
    try runner.forwardAndBackward(SequencePass(context: runner.context, layout: layout)) {
      tape, pass in
      (try tape.recurrence(kernel, inputs, slot: slot, pass: pass), ())
    }
    try runner.context.exchange.drain()
    return workspace.counters.stateBytesSent
  }

  /// Bytes that a rank sends, by the formulas of Docs/Recurrences.md.
  private static func expected(
    _ recurrence: MeasuredRecurrence, _ exchange: ExchangeKind, rank: Int, ranks: Int
  ) -> Int {
    let kernel = recurrence.kernel
    let state = 4 * heads * kernel.stateMap.stateCount
    let map = kernel.isMapKnown ? 0 : 4 * heads * kernel.mapKind.count(kernel.keyDimension)
    return exchange.bytesSent(
      states: state, maps: map, adjoints: kernel.mapKind == .stabilised, rank: rank, ranks: ranks)
  }
}
