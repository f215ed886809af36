import Autodiff
import CommunicatorDoubles
import Foundation
import MessagePassing
import SequenceParallel
import Tensors
import Testing

/// A random way to process sequences: ranks, segments, shards, documents; all from one seed.
///
/// The sequences are read in one or several segments, with carries between them, each cut over the ranks
/// anyhow: shards may be empty or have one token. What an op gives must be what it gives on the whole sequence.
struct SequenceCase: CustomStringConvertible {
  let seed: UInt64
  var random: SplitMix
  var ranks: Int
  var rows: Int
  /// Tokens of each rank, for each segment.
  var segments: [[Int]]
  /// Where documents start in each row, counted over all segments.
  var starts: [[Int]]
  let recomputes: Bool

  var tokens: Int { segments.joined().reduce(0, +) }

  var description: String {
    "seed \(seed): segments \(segments), starts \(starts), recompute \(recomputes)"
  }

  init(seed: UInt64, mostTokens: Int = 24) {
    self.seed = seed
    var random = SplitMix(state: seed)
    func pick(_ limits: ClosedRange<Int>) -> Int { Int.random(in: limits, using: &random) }
    let ranks = pick(1...8)
    self.ranks = ranks
    rows = pick(1...2)
    segments = (0..<pick(1...3)).map { _ in
      let most = pick(1...mostTokens)
      let cuts = [0] + (1..<ranks).map { _ in pick(0...most) }.sorted() + [most]
      return (0..<ranks).map { cuts[$0 + 1] - cuts[$0] }
    }
    let total = segments.joined().reduce(0, +)
    let documents = pick(0...2) == 0 ? 0 : 5
    starts = (0..<rows).map { _ in
      Set((0..<documents / pick(1...5)).map { _ in pick(0...max(total - 1, 0)) }).sorted()
    }
    recomputes = pick(0...1) == 0
    self.random = random
  }

  /// `rows × tokens × columns` random numbers.
  mutating func numbers(_ columns: Int) -> [Float] {
    (0..<rows * tokens * columns).map { _ in Float.random(in: -1...1, using: &random) }
  }

  /// Whether a token's document is the one of an earlier token.
  func isSameDocument(_ row: Int, _ earlier: Int, _ token: Int) -> Bool {
    !starts[row].contains { $0 > earlier && $0 <= token }
  }

  /// What an op gives on all ranks together.
  struct Result {
    var y, dx, weights: [Float]
    /// Bytes beside states that each rank sent.
    var bytes: [Int]
    /// Bytes of states that each rank sent, carries between segments among them.
    var stateBytes: [Int] = []
    /// Operations of attention of all ranks.
    var attentionOperations = 0.0
    /// Messages and collectives that each rank began.
    var messages: [Int]
  }

  /// Runs an op forward and backward over all segments and ranks.
  ///
  /// - Parameters:
  ///   - x: `[rows, tokens, columns]`.
  ///   - dy: The gradient of the op's output, `[rows, tokens, outputs]`.
  ///   - recomputes: Whether regions are run again; the case's choice where nil.
  ///   - runsTwice: Whether all segments run once for what leaves them, and each again before its backward pass.
  func run(
    x: [Float], columns: Int, dy: [Float], outputs: Int, table: ParameterTable = .oneRegion,
    weights: [Float] = [], exchange: ExchangeKind = .chain, recomputes: Bool? = nil,
    runsTwice: Bool = false,
    op: @escaping @Sendable (Tape, Variable, SequencePass) throws -> Variable
  ) throws -> Result {
    struct Part {
      var y, dx: [[Float]]
      var weights: [Float]
      var bytes, messages: Int
      var stateBytes = 0
      var attentionOperations = 0.0
    }
    let again = recomputes ?? self.recomputes
    let parts = try ThreadCommunicator.run(ranks: ranks, deadline: 20) { world -> Part in
      let group = CountingCommunicator(world)
      let context = RankContext(
        workspace: Workspace(threads: ranks < 3 ? 2 : 1), sequence: group,
        exchange: exchange.make())
      let workspace = context.workspace
      let store = WholeParameters(table: table, gradients: true, pool: workspace.pool)
      for (index, weight) in weights.enumerated() { store.values.pointer[index] = weight }
      store.clearGradients()
      var part = Part(y: [], dx: [], weights: [], bytes: 0, messages: 0)
      var left = Carry()
      var open: [(Tape, Variable, Variable, SequencePass)] = []
      var start = 0
      for (index, shards) in segments.enumerated() {
        let end = start + shards.reduce(0, +)
        let layout = SequenceLayout(
          shardLengths: shards, rank: group.rank, rows: rows, start: start,
          documentStarts: starts.map { $0.filter { start..<end ~= $0 }.map { $0 - start } })
        let pass = SequencePass(
          context: context, layout: layout, left: left, step: 7, segment: index,
          keepsRight: index + 1 < segments.count, wantsLeftGradients: index > 0)
        let input = Variable(
          tensor(slice(x, layout, columns), columns, workspace), needsGradient: true)
        let tape = Tape(workspace: workspace, parameters: store, recording: !runsTwice)
        let y = try tape.region(0, recompute: again, input: input) {
          try op(tape, $0!, pass)
        }
        part.y.append(y.value.numbers)
        open.append((tape, input, y, pass))
        if index + 1 < segments.count { left = try pass.close() }
        start = end
      }
      var later: SequencePass?
      for (first, input, firstY, pass) in open.reversed() {
        var (tape, y) = (first, firstY)
        if runsTwice {
          pass.suspend()
          tape = Tape(workspace: workspace, parameters: store, recording: true)
          y = try tape.region(0, recompute: again, input: input) { [tape] in
            try op(tape, $0!, pass)
          }
        }
        if let later {
          try pass.closeBackward(from: later)
        }
        try tape.backward(
          from: y, gradient: tensor(slice(dy, pass.layout, outputs), outputs, workspace))
        part.dx.insert(input.gradient?.numbers ?? [], at: 0)
        later = pass
      }
      try context.drain()
      part.weights = (0..<table.count).map { store.gradients!.pointer[$0] }
      part.bytes = workspace.counters.haloBytesSent
      part.stateBytes = workspace.counters.stateBytesSent
      part.attentionOperations = workspace.counters.attentionOperations
      part.messages = group.operations
      return part
    }
    var result = Result(
      y: [], dx: [], weights: [Float](repeating: 0, count: table.count), bytes: parts.map(\.bytes),
      stateBytes: parts.map(\.stateBytes),
      attentionOperations: parts.reduce(0) { $0 + $1.attentionOperations },
      messages: parts.map(\.messages))
    for part in parts {
      for (index, weight) in part.weights.enumerated() { result.weights[index] += weight }
    }
    result.y = join(parts.map(\.y), outputs)
    result.dx = join(parts.map(\.dx), columns)
    return result
  }

  private func tensor(_ numbers: [Float], _ columns: Int, _ workspace: Workspace) -> Tensor {
    Tensor([numbers.count / columns, columns], numbers, pool: workspace.pool)
  }

  /// A rank's part of numbers of the whole sequence.
  private func slice(_ all: [Float], _ layout: SequenceLayout, _ columns: Int) -> [Float] {
    (0..<rows).flatMap { row in
      let first = row * tokens + layout.offset
      return all[first * columns..<(first + layout.length) * columns]
    }
  }

  /// Puts all parts together again.
  private func join(_ parts: [[[Float]]], _ columns: Int) -> [Float] {
    var all = [Float](repeating: .nan, count: rows * tokens * columns)
    var start = 0
    for (segment, shards) in segments.enumerated() {
      for (rank, length) in shards.enumerated() {
        for row in 0..<rows {
          for index in 0..<length * columns {
            all[(row * tokens + start) * columns + index] =
              parts[rank][segment][row * length * columns + index]
          }
        }
        start += length
      }
    }
    return all
  }
}

extension ParameterTable {
  /// No parameters, in one region.
  static var oneRegion: ParameterTable {
    var table = ParameterTable()
    table.addRegion("op")
    return table
  }
}

struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

/// `‖a − b‖ / ‖b‖`.
func distance(_ a: [Float], _ b: [Double]) -> Double {
  guard a.count == b.count else { return .infinity }
  let square = zip(a, b).reduce(0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }
  let norm = b.reduce(0) { $0 + $1 * $1 }
  return square == 0 ? 0 : (square / max(norm, 1e-30)).squareRoot()
}
