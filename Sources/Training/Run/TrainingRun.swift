import Autodiff
import Configuration
import Corpora
import DataParallel
import Inference
import Measurement
import MessagePassing
import Models
import Optimizers
import Reporting
import SequenceParallel
import Tensors

/// One rank's part of a run: its model, data, optimizer and communicators, and the training step.
///
/// It writes nothing: files, console and checkpoints are the `Trainer`'s.
package final class TrainingRun {
  /// What the run file says.
  package let configuration: RunConfiguration
  /// Where this rank stands.
  package let grid: GridPlace
  /// What runs the model, with its weights and gradient sums.
  package private(set) var runner: ModelRunner<DistributedParameters>
  /// What it is trained on.
  package let corpus: any TrainingCorpus
  /// The optimizer and its state.
  package let optimizer: FlatOptimizer

  /// What is minimised.
  let objective: any Objective
  /// Whose distributions are learnt beside the next token; nil for nobody's.
  let teacher: Teacher?
  /// What the teacher has to say of each segment of the micro-batch at hand, as long as it is needed.
  var lessons: [Distillation.Lesson?] = []
  /// What layers and objective may add to the loss, in the order in which sums of it travel.
  let lossTerms: [DeclaredTerm]
  /// Of each term that is a mean over positions, the step's targets over its positions.
  var targetsPerPosition: [String: Double] = [:]
  /// Where the choices of experts of the micro-batch at hand are counted; nil where the model has none.
  var balance: ExpertBalance?
  /// Choices of each expert by this rank's tokens in the step so far.
  var choices: [Double] = []
  /// Choices of this rank's tokens in the step so far that no expert took.
  var dropped = 0.0
  /// The same of each layer whose choices a bias keeps equal, one after another.
  var balancedChoices: [Double] = []
  /// How sequences are cut in time and over ranks.
  let cut: SequenceCut
  /// The rows of a step's batch that this rank works on, micro-batch by micro-batch.
  let microBatches: [Range<Int>]
  /// For each micro-batch what its rows carry into the next step; filled on the group's first rank.
  var carries: [Carry]
  /// Tokens that the states of `carries` have seen.
  var carried = 0
  /// Steps that were done when its stage began.
  let start: Int
  /// What tells steps whose update does harm.
  var vigilance: StepGuard
  /// Whether the last update left only finite weights and states on this rank.
  var hasFiniteWeights = true
  /// The step of the last update, from 0.
  var lastUpdate = 0
  private let exchange: ExchangeKind
  private let rehearsals: Rehearsals
  /// All ranks.
  let world: any Communicator

  /// Memory, threads, figures and the sequence group.
  package var context: RankContext { runner.context }
  /// The model.
  package var model: LanguageModel { runner.model }
  /// What records the choices of experts, or gives them; nil for nothing.
  var routing: RoutingRecord? {
    get { runner.routing }
    set { runner.routing = newValue }
  }
  /// Operations of a step a token, a teacher's among them, without those of softmax attention.
  var operationsPerToken: Double {
    model.operationsPerToken + (teacher?.runner.model.operationsPerToken ?? 0)
  }
  /// Weights and gradient sums.
  package var store: DistributedParameters { runner.store }

  /// Puts a rank's part together.
  ///
  /// - Parameters:
  ///   - world: All ranks.
  ///   - workspace: The rank's memory and threads.
  ///   - teacher: The model whose distributions are learnt; nil for none.
  ///   - objective: What is minimised; nil for what the run file says.
  ///   - exchange: What carries states across ranks.
  ///   - survey: What takes note of it meanwhile.
  ///   - rehearsals: What has been rehearsed of this run already.
  ///   - start: Steps that are done when its first one comes, where stages went before.
  ///   - load: How many tokens a rehearsal assumes to come to experts that are dealt.
  /// - Throws: `ConfigurationError` for a grid, batch or vocabulary that does not fit; `CorpusError`;
  ///   `MessagePassingError`.
  package init(
    _ configuration: RunConfiguration, corpus: any TrainingCorpus, model: LanguageModel,
    teacher: LanguageModel? = nil, objective: (any Objective)? = nil, world: any Communicator,
    workspace: Workspace,
    exchange: ExchangeKind, survey: ExchangeSurvey? = nil, rehearsals: Rehearsals? = nil,
    start: Int = 0, load: ExpertGroup.Load = .expected
  ) throws {
    // Of several stages it is the first, where nobody says which.
    let configuration = configuration.stage(0)
    self.configuration = configuration
    self.start = start
    vigilance = StepGuard(configuration.training)
    self.world = world
    self.corpus = corpus
    var model = model
    let groups = try configuration.freeze(&model)
    let minimised =
      objective ?? configuration.linearise.transfer
      ?? configuration.objective(hasTeacher: teacher != nil)
    self.objective = minimised
    lossTerms = model.lossTerms(minimised)
    let grid = try GridPlace(configuration, world: world)
    self.grid = grid
    try configuration.check(grid.experts, of: model)
    self.exchange = exchange
    self.rehearsals =
      rehearsals
      ?? Rehearsals(
        configuration, corpus: corpus, model: model, teacher: teacher, objective: objective,
        ranks: world.size, products: workspace.productSettings)
    let context = RankContext(
      workspace: workspace,
      sequence: try world.split(coloring: grid.dataIndex(of:)),
      exchange: survey ?? exchange.make(), attention: configuration.parallel.attention,
      experts: try ExpertGroup(grid.experts, world: world, assuming: load, in: workspace))
    if model.experts != nil, configuration.model.subsections[ExpertsSection.self].capacity > 0 {
      // Choices beyond have no rows.
      workspace.pool.expectVaryingSizes()
    }
    let parallel = configuration.parallel
    let rules = UpdateRules(configuration.optimizer, table: model.table, groups: groups)
    let store = try DistributedParameters(
      table: model.table, sharding: parallel.sharding, world: world, experts: grid.experts,
      workspace: workspace, bucketBytes: parallel.bucketBytes, transport: parallel.transport,
      wholes: rules.wholeMatrices)
    runner = ModelRunner(model, PassRunner(context: context, store: store))
    optimizer = FlatOptimizer(
      configuration, rules: rules, groups: groups, store: store, workspace: workspace,
      start: start)
    cut = SequenceCut(
      configuration.sequence, ranks: grid.sequence, rank: grid.sequenceIndex)
    microBatches = grid.rows(
      ofBatch: configuration.training.batch, microBatches: configuration.training.accumulation)
    let parts = microBatches.count
    carries = (0..<parts).map { _ in Carry() }
    self.teacher = try teacher.map {
      try Teacher(
        $0, configuration, world: world, sequence: context.sequence, exchange: exchange,
        microBatches: parts, workspace: workspace)
    }
  }

  /// How many segments' passes are held at once.
  var groupSize: Int { get throws { try rehearsals.groupSize(exchange: exchange) } }

  /// Fills the weights as the seed says, the same on every rank.
  ///
  /// - Parameter adapters: Whether only those of adapters.
  package func initializeWeights(ofAdapters adapters: Bool = false) {
    let seed = UInt64(bitPattern: Int64(configuration.training.seed))
    context.workspace.run {
      for part in store.kept {
        let table = model.table
        let wanted =
          adapters
          ? table.pieces(of: part.range).filter(\.entry.isAdapter).map(\.range) : [part.range]
        for piece in wanted {
          let first = piece.lowerBound
          // Each thread writes a range of its own.
          nonisolated(unsafe) let base = part.values + first - part.range.lowerBound
          context.workspace.team.parallel(piece.count, grain: 1 << 16) { range in
            table.initialize(
              first + range.lowerBound..<first + range.upperBound, seed: seed,
              into: base + range.lowerBound)
          }
        }
      }
    }
  }

  /// Of each term that is a mean over positions, the step's targets over its positions; nothing is counted where
  /// there is none.
  private func countTargetsPerPosition(step: Int) throws -> [String: Double] {
    guard lossTerms.contains(where: { $0.mean == .positions }) else { return [:] }
    var targets = 0
    for rows in microBatches {
      for segment in 0..<cut.segments {
        targets += try batch(segment, of: corpus, rows: rows, step: step).targets.count { $0 >= 0 }
      }
    }
    let all = try context.counters.measure(.reduce) { try world.allReduceSum(Double(targets)) }
    return lossTerms.targetsPerPosition(targets: Int(all), positions: positions)
  }

  /// Positions of a step.
  private var positions: Int { configuration.training.batch * configuration.sequence.length }

  /// Checks that each term's layers told all of their positions.
  private func checkPositions(_ total: LossSums) {
    context.workspace.run {
      for (term, declared) in zip(total.terms, lossTerms) {
        guard let count = term.positions else { continue }
        precondition(
          count == positions * declared.layers,
          "the term \(term.name) is over \(count) positions, not \(positions) in \(declared.layers) layers"
        )
      }
    }
  }

  /// Trains one step.
  ///
  /// Where its loss or gradient is no finite number, or it is a spike that is not to be trained on, all ranks leave its
  /// update out: no weight changes, while streams, schedule and data go on.
  ///
  /// - Parameters:
  ///   - step: Counted from 0.
  ///   - stop: Whether this rank asks all ranks to stop after the step, or behind a micro-batch of it.
  ///   - save: Whether it asks for a checkpoint after the step.
  /// - Throws: `StepAbandoned` where the ranks stop within the step; `TrainingError.weightsNotFinite` where the update
  ///   before made of a weight what is no finite number.
  package func step(
    _ step: Int, stop: @autoclosure () -> Bool = false, save: @autoclosure () -> Bool = false
  ) throws -> StepOutcome {
    let workspace = context.workspace
    let counters = workspace.counters
    workspace.compute(.optimizer) { store.clearGradients() }
    if !corpus.continues(step: step) {
      carried = 0
      carries = microBatches.map { _ in Carry() }
      teacher?.carries = microBatches.map { _ in Carry() }
    }
    targetsPerPosition = try countTargetsPerPosition(step: step)
    choices = [Double](repeating: 0, count: model.experts ?? 0)
    dropped = 0
    let biases = model.balancedBiases
    balancedChoices = [Double](repeating: 0, count: biases.count * choices.count)
    // What streams carry has moved on with each micro-batch: such a step is finished.
    let mayEnd = carried == 0 && !corpus.continues(step: step + 1)
    var vote: StopVote?
    let losses = try microBatches.indices.map { microBatch in
      let sums = try train(
        microBatch: microBatch, step: step, completes: microBatch == microBatches.count - 1)
      if mayEnd, try vote?.isPassed() == true {
        try settle()
        throw StepAbandoned()
      }
      vote =
        mayEnd && microBatch + 2 < microBatches.count ? try StopVote(stop(), world: world) : nil
      return sums
    }
    let sums = losses.reduce(into: LossSums(), +=)
    if corpus.continues(step: step + 1) { carried += configuration.sequence.length }
    try context.drain()
    try teacher?.settle()
    try store.finishSums(polling: workspace.poll)
    let renewed = renewStreams()
    // One small sum: the losses, every rank's part of the gradient's norm, and what one has to tell to all.
    // Which rank has which gradients depends on how experts are dealt.
    var squares = SumOfSquares(
      exact: configuration.parallel.reproducible > 0 && model.experts != nil)
    workspace.compute(.optimizer) {
      for part in store.parts {
        squares.add(part.gradients, count: part.range.count, team: workspace.team)
      }
    }
    var numbers = try counters.measure(.reduce) {
      try world.allReduce(
        sums.numbers + [
          (stop() ? 1 : 0) + (save() ? Self.saving : 0), Double(renewed),
          hasFiniteWeights ? 0 : 1,
        ] + choices + balancedChoices + [dropped] + squares.numbers, .sum)
    }
    let squaresOfAll = squares.value(ofAll: numbers.suffix(squares.numbers.count))
    numbers.removeLast(squares.numbers.count)
    let droppedOfAll = numbers.removeLast()
    let balancedOfAll = Array(numbers.suffix(balancedChoices.count))
    numbers.removeLast(balancedChoices.count)
    let choicesOfAll = Array(numbers.suffix(choices.count))
    numbers.removeLast(choices.count)
    guard numbers.removeLast() == 0 else { throw try weightsNotFinite() }
    let renewedOfAll = Int(numbers.removeLast())
    let asked = numbers.removeLast()
    let total = sums.with(numbers)
    checkPositions(total)
    let count = Double(max(total.targets, 1))
    let norm = GradientNorm(sumOfSquares: squaresOfAll / (count * count))
    var outcome = StepOutcome(
      step: step, sums: total, gradientNorm: norm.value,
      learningRate: optimizer.learningRate(at: step),
      stops: asked.truncatingRemainder(dividingBy: Self.saving) > 0, saves: asked >= Self.saving)
    outcome.renewedStreams = renewedOfAll
    outcome.experts = ExpertShares(choices: choicesOfAll, dropped: droppedOfAll)
    guard norm.isFinite, total.isFinite else {
      outcome.skipped = try skip(step: step, losses: losses)
      return outcome
    }
    outcome.spike = vigilance.note(
      loss: total.targets > 0 ? total.meanLoss : nil, norm: norm.value)
    if let spike = outcome.spike, spike.leavesOutUpdate {
      optimizer.skip()
      return outcome
    }
    hasFiniteWeights = optimizer.update(
      store, step: step, scale: 1 / count, norm: norm, workspace: workspace)
    lastUpdate = step
    workspace.compute(.optimizer) { move(biases, by: balancedOfAll) }
    try store.shareWeights()
    return outcome
  }

  /// Moves biases that keep the use of experts equal, where this rank keeps them.
  ///
  /// - Parameter counts: The choices of all ranks in each one's layer, one after another.
  private func move(_ biases: [BalancedBias], by counts: [Double]) {
    for (index, bias) in biases.enumerated() {
      let range = model.table[bias.bias].range
      let moves = bias.moves(counts: counts[index * range.count..<(index + 1) * range.count])
      for part in store.kept {
        for place in range.clamped(to: part.range) {
          part.values[place - part.range.lowerBound] += moves[place - range.lowerBound]
        }
      }
    }
  }

  /// What a rank adds to the number of those that ask to stop if it asks for a checkpoint: more than there are ranks.
  private static let saving = Double(1 << 24)

  /// Waits for what is under way within a step or an evaluation that is given up.
  private func settle() throws {
    try context.drain()
    try teacher?.settle()
    try store.settle(polling: context.workspace.poll)
  }

  /// The loss on a corpus that is not trained on, over all ranks.
  ///
  /// - Parameters:
  ///   - steps: How many of the corpus's steps are read, from its first.
  ///   - isAskedToStop: Whether this rank is; all ranks then stop after the same step.
  /// - Returns: Sums over all ranks; nil where a rank was asked to stop before the last step.
  package func evaluate(
    _ corpus: any Corpus, steps: Int, until isAskedToStop: () -> Bool = { false }
  ) throws -> LossSums? {
    var sums = LossSums()
    for step in 0..<steps {
      for rows in microBatches { sums += try evaluate(corpus, rows: rows, step: step) }
      let asking = try world.allReduceSum(isAskedToStop() ? 1 : 0)
      if asking > 0, step + 1 < steps {
        try settle()
        return nil
      }
    }
    try settle()
    return sums.with(try world.allReduce(sums.numbers, .sum))
  }
}
