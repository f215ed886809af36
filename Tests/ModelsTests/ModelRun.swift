import Autodiff
import CommunicatorDoubles
import MessagePassing
import Models
import ReferenceMath
import SequenceParallel
import Tensors

/// Sequences and weights that a model and its reference are compared on.
struct ModelRun: Sendable {
  let sample: ModelCase
  let model: LanguageModel
  private(set) var weights: [Float]
  /// Each row's tokens.
  let inputs: [[Int32]]
  /// Each row's targets: the next token, none at the end.
  let targets: [[Int32]]
  let length: Int
  /// Where documents start in each row.
  private let starts: [[Int]]

  /// Random tokens for a case.
  ///
  /// - Parameters:
  ///   - draw: Which ones.
  ///   - model: The case's model, where the registry does not know its architecture.
  init(
    _ sample: ModelCase, model given: LanguageModel? = nil, rows: Int, length: Int, draw: Int = 0
  ) throws {
    let model = try given ?? sample.model()
    var draws = Draws(seed: UInt64(1_000_000 * draw + 1000 * length + rows + 2))
    inputs = (0..<rows).map { _ in
      (0..<length).map { _ in Int32(draws.integer(0...model.vocabulary - 1)) }
    }
    targets = inputs.map { $0.dropFirst() + [-1] }
    weights = try sample.weights(model)
    (self.sample, self.model, self.length) = (sample, model, length)
    starts = inputs.map { _ in [] }
  }

  /// Random tokens in documents of these lengths, as many tokens in each row; nothing is to be predicted across their ends.
  init(_ sample: ModelCase, documents rows: [[Int]]) throws {
    let length = rows[0].reduce(0, +)
    precondition(rows.allSatisfy { $0.reduce(0, +) == length }, "rows of \(rows)")
    let plain = try ModelRun(sample, rows: rows.count, length: length)
    let starts = rows.map { row in row.indices.dropFirst().map { row[..<$0].reduce(0, +) } }
    let targets = zip(plain.targets, starts).map { targets, starts in
      targets.enumerated().map { starts.contains($0.offset + 1) ? -1 : $0.element }
    }
    self.init(plain, inputs: plain.inputs, targets: targets, starts: starts)
  }

  /// The same model and weights on other tokens.
  private init(_ run: ModelRun, inputs: [[Int32]], targets: [[Int32]], starts: [[Int]]) {
    (sample, model, weights) = (run.sample, run.model, run.weights)
    (self.inputs, self.targets, self.starts) = (inputs, targets, starts)
    length = inputs[0].count
  }

  /// What one rank gives for each document by itself: logits one after another, sums of losses and of gradients.
  func expectedOfDocumentsAlone() throws -> Expected {
    var (loss, gradients) = (0.0, [Float](repeating: 0, count: weights.count))
    let logits = try inputs.indices.map { row in
      let ends = starts[row] + [length]
      let numbers = try zip([0] + starts[row], ends).flatMap { start, end in
        let document = ModelRun(
          self, inputs: [Array(inputs[row][start..<end])],
          targets: [Array(targets[row][start..<end])], starts: [[]])
        let result = try document.run(ranks: 1)[0]
        loss += result.loss
        for (index, gradient) in result.gradients.enumerated() { gradients[index] += gradient }
        return result.logits
      }
      return Matrix(length, model.vocabulary, numbers)
    }
    return Expected(logits: logits, loss: loss, gradients: model.fileTensors(gradients))
  }

  /// The run with other weights, in the table's order.
  func with(_ weights: [Float]) -> ModelRun {
    precondition(weights.count == model.table.count, "\(weights.count) weights")
    var run = self
    run.weights = weights
    return run
  }

  /// Of some draws the one whose gradients move least when the weights move by their last bit, beside what
  /// one rank gives: where a norm meets few tokens, some draws have gradients that are rounding and no more.
  static func wellConditioned(_ sample: ModelCase, rows: Int, length: Int) throws -> (
    run: ModelRun, ofOneRank: Expected
  ) {
    let candidates = try (0..<6).map { draw in
      let run = try ModelRun(sample, rows: rows, length: length, draw: draw)
      let expected = try run.expectedOfOneRank()
      var draws = Draws(seed: 3)
      let movements = try (0..<2).map { _ in
        var moved = run
        moved.weights = run.weights.map { $0 * (1 + 0x1p-23 * Float(draws.integer(-1...1))) }
        let gradients = try moved.run(ranks: 1)[0].gradients
        return run.wrongGradients(gradients, expected, tolerance: 0).values.max() ?? 0
      }
      return (run: run, expected: expected, movement: movements.max()!)
    }
    let best = candidates.min { $0.movement < $1.movement }!
    return (best.run, best.expected)
  }

  /// What is right.
  struct Expected: Sendable {
    /// Each row's logits, `[T, vocabulary]`.
    let logits: [Matrix]
    /// The sum of the losses.
    let loss: Double
    /// Gradients of that sum, by the names of a weight file.
    let gradients: [String: Matrix]
  }

  /// The per-token reference in Double.
  ///
  /// - Parameters:
  ///   - change: What the weights are multiplied by.
  ///   - zLoss: Weight of the z-loss, which is a part of `loss` and of the gradients.
  func expected(changing change: () -> Double = { 1 }, zLoss: Double = 0) -> Expected {
    // By name: the order of a dictionary, and with it of the changes, is another in every process.
    let tensors = model.fileTensors(self.weights).sorted { $0.key < $1.key }
    let weights = Dictionary(
      uniqueKeysWithValues: tensors.map { name, tensor in
        (name, Term(Matrix(tensor.rows, tensor.columns, tensor.numbers.map { $0 * change() })))
      })
    let logits = inputs.map(sample.reference(weights))
    let losses = zip(logits, targets).map { logits, targets in
      let loss = logits.crossEntropy(targets)
      return zLoss > 0 ? loss + logits.squaredLogSums(targets).scaled(by: zLoss) : loss
    }
    let loss = losses.dropFirst().reduce(losses[0], +)
    loss.backward()
    return Expected(
      logits: logits.map(\.matrix), loss: loss.matrix[0, 0],
      gradients: weights.mapValues(\.gradient))
  }

  /// What one rank computed.
  struct Result: Sendable, Equatable {
    /// Of each row this rank's shard, `[shard, vocabulary]`.
    var logits: [Float]
    /// The sum of the shard's losses.
    var loss: Double
    /// What was added to it.
    var terms: [LossTerm] = []
    /// This rank's share of the gradients, in the table's order.
    var gradients: [Float]
    var stateBytes: Int
    var haloBytes: Int
    /// Messages and collectives begun.
    var messages: Int
  }

  /// What one rank gives, for what has no reference here.
  func expectedOfOneRank() throws -> Expected {
    let result = try run(ranks: 1)[0]
    let each = length * model.vocabulary
    return Expected(
      logits: inputs.indices.map {
        Matrix(length, model.vocabulary, result.logits[$0 * each..<($0 + 1) * each])
      }, loss: result.loss, gradients: model.fileTensors(result.gradients))
  }

  private func layout(rank: Int, ranks: Int) -> SequenceLayout {
    SequenceLayout(
      shardLengths: SequenceLayout.evenShards(tokens: length, ranks: ranks), rank: rank,
      rows: inputs.count, documentStarts: starts)
  }

  /// This rank's part, forward and backward.
  func run(
    on world: any Communicator, recompute: Bool = false, objective: any Objective = NextToken()
  ) throws -> Result {
    let workspace = Workspace()
    let counting = CountingCommunicator(world)
    let context = RankContext(
      workspace: workspace, sequence: counting, exchange: ChainExchange())
    let store = WholeParameters(table: model.table, gradients: true, pool: workspace.pool)
    store.values.pointer.update(from: weights, count: weights.count)
    store.clearGradients()
    let layout = layout(rank: world.rank, ranks: world.size)
    let pass = SequencePass(context: context, layout: layout)
    let tape = Tape(workspace: workspace, parameters: store, recording: true)
    if let experts = model.experts {
      tape.balance = ExpertBalance(experts: experts) { try world.allReduce($0, .sum) }
      tape.targetsPerPosition = model.lossTerms(objective).targetsPerPosition(
        targets: targets.joined().count { $0 >= 0 }, positions: inputs.count * length)
    }
    let logits = Tensor(
      [inputs.count * layout.length, model.vocabulary], pool: workspace.pool)
    let (loss, result) = try model(
      inputs.flatMap { $0[layout.shard] }, targets: targets.flatMap { $0[layout.shard] },
      objective: objective, tape: tape, pass: pass, recompute: recompute,
      logits: logits.pointer)
    try tape.balance?.complete()
    try tape.backward(from: loss, gradient: Tensor([1], [1], pool: workspace.pool))
    try context.drain()
    return Result(
      logits: logits.numbers, loss: result.sum, terms: tape.terms,
      gradients: Array(UnsafeBufferPointer(start: store.gradients!.pointer, count: weights.count)),
      stateBytes: context.counters.stateBytesSent, haloBytes: context.counters.haloBytesSent,
      messages: counting.operations)
  }

  /// Runs on ranks that are threads.
  func run(
    ranks: Int, recompute: Bool = false, objective: any Objective = NextToken()
  ) throws -> [Result] {
    try ThreadCommunicator.run(ranks: ranks, deadline: 60) {
      try run(on: $0, recompute: recompute, objective: objective)
    }
  }

  /// The gradients of all ranks together, in the table's order.
  static func sum(_ results: [Result]) -> [Float] {
    results[0].gradients.indices.map { index in
      results.reduce(0) { $0 + $1.gradients[index] }
    }
  }

  /// How far a rank's logits are from the right ones.
  func logitsError(_ result: Result, _ expected: Expected, rank: Int, ranks: Int) -> Double {
    let shard = layout(rank: rank, ranks: ranks).shard
    return relativeError(result.logits, expected.logits.flatMap { $0.rows(shard).numbers })
  }

  /// Tensors whose gradients, summed over ranks, are further from the right ones than `tolerance`, relative to their norm
  /// or to a thousandth of that of all gradients: terms of a bias may cancel to next to nothing.
  func wrongGradients(
    _ sums: [Float], _ expected: Expected, tolerance: Double
  ) -> [String: Double] {
    let all = expected.gradients.values.reduce(0) { $0 + $1.numbers.reduce(0) { $0 + $1 * $1 } }
    return model.fileTensors(sums).reduce(into: [:]) { wrong, tensor in
      let error = relativeError(
        tensor.value.numbers.map { Float($0) }, expected.gradients[tensor.key]!.numbers,
        normAtLeast: 1e-3 * all.squareRoot())
      if !(error <= tolerance) { wrong[tensor.key] = error }
    }
  }
}
