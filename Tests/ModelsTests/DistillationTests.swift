import Autodiff
import MessagePassing
import Models
import ReferenceMath
import SequenceParallel
import Tensors
import Testing

@Suite("Learning from a teacher's distributions")
struct DistillationTests {
  init() { BLAS.setThreads(1) }

  /// Rows of tokens in which documents begin, cut into shards.
  private struct Sample {
    let shards: [Int]
    let starts = [[5, 17], [11]]
    let inputs: [[Int32]]
    let targets: [[Int32]]

    init(shards: [Int]) {
      self.shards = shards
      var draws = Draws(seed: 31)
      let tokens = (0..<2).map { _ in (0..<24).map { _ in Int32(draws.integer(0...18)) } }
      inputs = tokens
      // The last tokens of documents predict nothing, nor does one inside.
      targets = zip(tokens, starts).map { row, starts in
        row.indices.map { $0 == 23 || $0 == 8 || starts.contains($0 + 1) ? -1 : row[$0 + 1] }
      }
    }

    /// Calls a body with each document: its row, and where it lies.
    func documents<Result>(_ body: (Int, Range<Int>) -> Result) -> [Result] {
      starts.enumerated().flatMap { row, starts in
        zip([0] + starts, starts + [24]).map { body(row, $0..<$1) }
      }
    }

    func layout(_ rank: Int) -> SequenceLayout {
      SequenceLayout(shardLengths: shards, rank: rank, rows: 2, documentStarts: starts)
    }
  }

  /// A model with weights.
  private struct Weighted: Sendable {
    let sample: ModelCase
    let model: LanguageModel
    let weights: [Float]

    init(_ sample: ModelCase, moved: Float = 1) throws {
      self.sample = sample
      model = try sample.model()
      weights = try sample.weights(model).map { $0 * moved }
    }

    func store(gradients: Bool, _ pool: BufferPool) -> WholeParameters {
      let store = WholeParameters(table: model.table, gradients: gradients, pool: pool)
      store.values.pointer.update(from: weights, count: weights.count)
      store.clearGradients()
      return store
    }
  }

  /// Sums over all ranks.
  private struct Result: Sendable {
    var loss = 0.0
    var terms: [LossTerm] = []
    var gradients: [Float] = []
  }

  private static func run(
    _ student: Weighted, _ sample: Sample, _ objective: any Objective, teacher: Weighted?
  ) throws -> Result {
    let parts = try ThreadCommunicator.run(ranks: sample.shards.count, deadline: 60) { world in
      let (workspace, layout) = (Workspace(), sample.layout(world.rank))
      let inputs = sample.inputs.flatMap { $0[layout.shard] }
      func context() throws -> RankContext {
        RankContext(
          workspace: workspace, sequence: try world.duplicate(), exchange: ChainExchange())
      }
      var objective = objective
      if let teacher, var distillation = objective as? Distillation {
        let runner = ModelRunner(
          teacher.model,
          PassRunner(
            context: try context(), store: teacher.store(gradients: false, workspace.pool)))
        var seam = Carry()
        let hidden = try runner.hidden(inputs, window: layout, from: &seam, isLast: true)
        try runner.context.drain()
        distillation.lesson = Distillation.Lesson(teacher.model, runner.store, hidden: hidden)
        objective = distillation
      }
      let (own, store) = (try context(), student.store(gradients: true, workspace.pool))
      let tape = Tape(workspace: workspace, parameters: store, recording: true)
      let (loss, result) = try student.model(
        inputs, targets: sample.targets.flatMap { $0[layout.shard] }, objective: objective,
        tape: tape, pass: SequencePass(context: own, layout: layout))
      try tape.backward(from: loss, gradient: Tensor([1], [1], pool: workspace.pool))
      try own.drain()
      return Result(
        loss: result.sum, terms: tape.terms,
        gradients: Array(
          UnsafeBufferPointer(start: store.gradients!.pointer, count: student.weights.count)))
    }
    return parts.dropFirst().reduce(parts[0]) { sum, part in
      #expect(part.terms.map(\.name) == sum.terms.map(\.name))
      return Result(
        loss: sum.loss + part.loss,
        terms: zip(sum.terms, part.terms).map {
          LossTerm($0.name, weight: $0.weight, sum: $0.sum + $1.sum)
        }, gradients: zip(sum.gradients, part.gradients).map { $0 + $1 })
    }
  }

  @Test(
    "Loss, divergence and every gradient are those of a token-by-token reference of both models in Double",
    arguments: [[24], [3, 14, 7], [0, 20, 4]], [(1, 1), (2, 0.5), (0.7, 3)])
  func reference(shards: [Int], choice: (temperature: Double, weight: Double)) throws {
    let (student, teacher) = (try Weighted(ModelCase.all[0]), try Weighted(ModelCase.all[1]))
    let sample = Sample(shards: shards)
    let tensors = student.model.fileTensors(student.weights).mapValues { Term($0) }
    let known = teacher.model.fileTensors(teacher.weights).mapValues { Term($0) }
    let parts = sample.documents { row, range in
      let tokens = Array(sample.inputs[row][range])
      let targets = Array(sample.targets[row][range])
      let logits = student.sample.reference(tensors)(tokens)
      let divergence = logits.divergence(
        from: teacher.sample.reference(known)(tokens).matrix, targets,
        temperature: choice.temperature)
      return (
        loss: logits.crossEntropy(targets) + logits.squaredLogSums(targets).scaled(by: 0.01),
        divergence: divergence.scaled(by: choice.temperature * choice.temperature)
      )
    }
    let loss = parts.dropFirst().reduce(parts[0].loss) { $0 + $1.loss }
    let divergence = parts.dropFirst().reduce(parts[0].divergence) { $0 + $1.divergence }
    (loss + divergence.scaled(by: choice.weight)).backward()
    let found = try Self.run(
      student, sample,
      Distillation(
        NextToken(zLoss: 0.01), weight: choice.weight, temperature: choice.temperature),
      teacher: teacher)
    #expect(found.terms.map(\.name) == ["z_loss", "distillation"])
    let whole = found.loss + 0.01 * found.terms[0].sum
    #expect(abs(whole - loss.matrix[0, 0]) <= 1e-6 * whole)
    #expect(found.terms[1].weight == choice.weight)
    #expect(abs(found.terms[1].sum - divergence.matrix[0, 0]) <= 1e-5 * found.terms[1].sum)
    let all = tensors.values.reduce(0) { $0 + $1.gradient.numbers.reduce(0) { $0 + $1 * $1 } }
    for (name, tensor) in student.model.fileTensors(found.gradients) {
      let error = relativeError(
        tensor.numbers.map { Float($0) }, tensors[name]!.gradient.numbers,
        normAtLeast: 1e-3 * all.squareRoot())
      #expect(error <= 1e-5, "\(name)")
    }
  }

  @Test(
    "From a model with its own weights a student learns nothing: the divergence is 0 and the gradients are those without a teacher, to the last bit",
    arguments: ModelCase.families)
  func itself(sample: ModelCase) throws {
    let model = try Weighted(sample)
    let tokens = Sample(shards: [3, 14, 7])
    let plain = try Self.run(model, tokens, NextToken(), teacher: nil)
    let taught = try Self.run(
      model, tokens, Distillation(NextToken(), weight: 10, temperature: 2), teacher: model)
    #expect(taught.terms[0].sum == 0 && taught.loss == plain.loss)
    #expect(taught.gradients == plain.gradients)
  }

  @Test("With a weight of 0 the divergence is told, and the gradients are those without a teacher")
  func told() throws {
    let (student, teacher) = (
      try Weighted(ModelCase.all[0]), try Weighted(ModelCase.all[0], moved: 1.1)
    )
    let tokens = Sample(shards: [3, 14, 7])
    let plain = try Self.run(student, tokens, NextToken(), teacher: nil)
    let taught = try Self.run(
      student, tokens, Distillation(NextToken(), weight: 0, temperature: 2), teacher: teacher)
    #expect(taught.terms[0].sum > 0 && taught.loss == plain.loss)
    #expect(taught.gradients == plain.gradients)
  }
}
