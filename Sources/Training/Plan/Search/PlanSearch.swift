import Configuration
import Corpora
import Measurement
import MessagePassing
import Models
import SequenceParallel
import Tensors

/// Looks for the layouts of a run that are fastest on a cluster and fit its memory.
///
/// Concretely: of every grid and sharding the plain layout is rehearsed, and if that does not fit, the one that needs least; where
/// that fits, those between them in the order of their time, and none that needs no less than one that did not fit. Exchanges and
/// precisions change little of the memory: the best layouts are rehearsed again with each.
package struct PlanSearch {
  /// What was found.
  package struct Result: Sendable {
    /// Layouts that fit, the fastest first.
    package let best: [PlanEstimate]
    /// The layout that needs least where none fits.
    package let least: PlanEstimate?
    /// The fastest with at most 0.8 of the memory of the first; nil where there is none.
    package let smaller: PlanEstimate?
    /// Layouts that were rehearsed, and grids that the run file does not allow, with why.
    package let rehearsed: Int
    package let refused: [String]
    /// What stands in for data that are not there; nil where they are.
    package let absent: String?
    package let cluster: Cluster
  }

  private let file: String?
  private let overrides: [Override]
  private let cluster: Cluster
  private let base: RunConfiguration
  private let setup: RunSetup
  private let processBytes: Int
  private let layers: [ExchangeCost.Layer]
  private var known: [PlanChoice: PlanEstimate] = [:]
  private var refused: [String] = []

  /// Opens a run file; its data need not be there.
  package init(file: String?, overrides: [Override], cluster: Cluster) throws {
    (self.file, self.cluster) = (file, cluster)
    // What is chosen here is not the run file's to say.
    self.overrides = overrides
    base = try RunConfiguration.load(file: file, overrides: overrides).stage(0)
    setup = try RunSetup(base, planning: true)
    // Of the first rank, which tells of the run.
    processBytes = Plan.programBytes(processes: cluster.ranks) + Plan.reportingBytes
    // Of a whole batch, where anything crosses; a micro-batch of a group has its share.
    let alone = try RunConfiguration.load(
      file: file,
      overrides: overrides
        + [
          "parallel.sequence=2", "parallel.data=1", "parallel.sharding=none",
          "parallel.experts=1", "training.accumulation=1",
          "sequence.segments=1",
        ].map { Override($0) })
    layers = try Rehearsals(
      alone, corpus: setup.corpus, model: setup.model,
      teacher: setup.teacherModel(in: alone.stage(0)), ranks: 2
    ).loads().map { $0.nominal(speed: 4e9) }
  }

  /// Looks for the best.
  ///
  /// - Parameters:
  ///   - count: Layouts to give at most.
  ///   - tell: Called as each is rehearsed, with how many have been.
  package mutating func run(best count: Int, tell: (Int) -> Void = { _ in }) throws -> Result {
    var fitting: [PlanEstimate] = []
    var least: PlanEstimate?
    func note(_ estimate: PlanEstimate) {
      if estimate.memoryBytes < least?.memoryBytes ?? .max { least = estimate }
    }
    let own = base.training.precision
    for sequence in (1...cluster.ranks).filter({ cluster.ranks % $0 == 0 }) {
      let data = cluster.ranks / sequence
      guard base.training.batch % data == 0 else { continue }
      for sharding in cluster.ranks == 1 ? [.none] : Sharding.allCases {
        for experts in dealings {
          let plain = PlanChoice(
            sequence: sequence, data: data, sharding: sharding, precision: own, experts: experts)
          guard let cell = try cell(plain, tell) else { continue }
          cell.all.forEach(note)
          fitting += cell.fitting
        }
      }
    }
    fitting.sort { $0.order < $1.order }
    // The best again, with every exchange and precision.
    let precisions = cluster.bfloat16Speed > 0 ? Precision.allCases : [own]
    for estimate in fitting.prefix(count) {
      for precision in precisions {
        for exchange in ExchangeKind.allCases
        where estimate.choice.sequence > 1 || exchange == .chain {
          var choice = estimate.choice
          (choice.precision, choice.exchange) = (precision, exchange)
          guard let other = try self.estimate(choice, tell), fits(other),
            choice != estimate.choice
          else { continue }
          fitting.append(other)
        }
      }
    }
    fitting.sort { $0.order < $1.order }
    // What needs less than the first may be as fast, and then is the first itself.
    var tried: PlanChoice?
    while let first = fitting.first, first.choice != tried {
      tried = first.choice
      for choice in smallerChoices(than: first.choice) {
        if let estimate = try estimate(choice, tell), fits(estimate) { fitting.append(estimate) }
      }
      fitting.sort { $0.order < $1.order }
    }
    let smaller = try fitting.first.flatMap { first in
      try fitting.first { Double($0.memoryBytes) <= 0.8 * Double(first.memoryBytes) }.map(widest)
    }
    var seen: Set<PlanChoice> = []
    var best: [PlanEstimate] = []
    for estimate in fitting where best.count < count && seen.insert(estimate.choice).inserted {
      let whole = try widest(estimate)
      if fits(whole) { best.append(whole) }
    }
    return Result(
      best: best, least: best.isEmpty ? least : nil, smaller: smaller,
      rehearsed: known.count, refused: refused, absent: setup.absent?.path, cluster: cluster)
  }

  /// Over how many ranks experts may be dealt: powers of two; one nil for a model without any.
  private var dealings: [Int?] {
    guard let experts = setup.model.experts else { return [nil] }
    return (0...10).map { 1 << $0 }.filter { cluster.ranks % $0 == 0 && experts % $0 == 0 }
  }

  private func fits(_ estimate: PlanEstimate) -> Bool {
    estimate.memoryBytes * cluster.ranksPerHost <= cluster.memoryBytes
  }

  /// What of a grid and sharding fits, the fastest with and without recomputation; nil where the run file does not allow the grid.
  private mutating func cell(
    _ plain: PlanChoice, _ tell: (Int) -> Void
  ) throws -> (all: [PlanEstimate], fitting: [PlanEstimate])? {
    guard let first = try estimate(plain, tell) else { return nil }
    if fits(first) { return ([first], [first]) }
    let choices = ladder(plain)
    guard let last = choices.last, let smallest = try estimate(last, tell) else {
      return ([first], [])
    }
    guard fits(smallest) else { return ([first, smallest], []) }
    var (all, found, tooLarge) = ([first, smallest], [smallest], [plain])
    for choice in choices.dropLast() {
      // What needs no less than one that does not fit does not fit.
      if tooLarge.contains(where: { $0.needsNoMore(than: choice) }) { continue }
      guard let estimate = try estimate(choice, tell) else { continue }
      all.append(estimate)
      guard fits(estimate) else {
        tooLarge.append(choice)
        continue
      }
      found.append(estimate)
      break
    }
    return (all, found)
  }

  /// Layouts of a grid and sharding, roughly by their time, the one that needs least last.
  private func ladder(_ plain: PlanChoice) -> [PlanChoice] {
    let rows = base.training.batch / plain.data
    let micro = (0...12).map { 1 << $0 }.filter { $0 <= rows && rows % $0 == 0 }
    let tokens = base.sequence.length / plain.sequence
    let parts = (0...4).map { 1 << $0 }.filter { $0 == 1 || tokens / $0 >= 64 }
    var choices: [PlanChoice] = []
    for recompute in [false, true] {
      for segments in parts {
        for accumulation in micro {
          var choice = plain
          (choice.accumulation, choice.segments) = (accumulation, segments)
          choice.recompute = recompute
          choices.append(choice)
        }
      }
    }
    // The plain one has been rehearsed.
    return Array(choices.dropFirst())
  }

  /// What takes less memory than a layout, a step away.
  private func smallerChoices(than choice: PlanChoice) -> [PlanChoice] {
    var choices: [PlanChoice] = []
    func add(_ change: (inout PlanChoice) -> Void) {
      var other = choice
      change(&other)
      choices.append(other)
    }
    if !choice.recompute { add { $0.recompute = true } }
    if base.training.batch / choice.data % (2 * choice.accumulation) == 0 {
      add { $0.accumulation *= 2 }
    }
    add { $0.segments *= 2 }
    if cluster.ranks > 1 {
      for sharding in Sharding.allCases.drop(while: { $0 != choice.sharding }).dropFirst() {
        add { $0.sharding = sharding }
      }
    }
    return choices
  }

  /// What a layout costs; nil where the run file does not allow it.
  private mutating func estimate(
    _ choice: PlanChoice, _ tell: (Int) -> Void
  ) throws -> PlanEstimate? {
    if let estimate = known[choice] { return estimate }
    let estimate: PlanEstimate
    do {
      estimate = try rehearse(choice)
    } catch let error as ConfigurationError {
      let text = error.problems.first?.message ?? "\(error)"
      if !refused.contains(text) { refused.append(text) }
      return nil
    } catch let error as ProductError {
      if !refused.contains(error.description) { refused.append(error.description) }
      return nil
    }
    known[choice] = estimate
    tell(known.count)
    return estimate
  }

  /// A layout with the memory of the rank that needs most, by whole steps: later ones of a sequence may need more than the first,
  /// as for the keys of attention.
  private func widest(_ estimate: PlanEstimate) throws -> PlanEstimate {
    var widest = estimate
    widest.memoryBytes = try Plan.chosen(of: estimate.choice.sequence).map { rank in
      try processBytes - (rank == 0 ? 0 : Plan.reportingBytes)
        + rehearsed(estimate.choice, batch: base.training.batch, rank: rank).bytes
    }.max()!
    return widest
  }

  /// The run file with a layout, and with another batch if one is given.
  private func configured(_ choice: PlanChoice, batch: Int? = nil) throws -> RunConfiguration {
    try RunConfiguration.load(
      file: file,
      overrides: overrides + choice.overrides
        + (batch.map { [Override("training.batch=\($0)")] } ?? [])
    ).stage(0)
  }

  /// A rank's step, rehearsed.
  ///
  /// Each micro-batch after the second adds the same, so of many only steps of two and of three are; what of the pool such steps
  /// leave may differ a little where experts are dealt, whose blocks differ in size.
  func rehearsed(_ choice: PlanChoice, rank: Int) throws -> Rehearsal {
    let batch = base.training.batch
    guard choice.accumulation > 3 else { return try rehearsed(choice, batch: batch, rank: rank) }
    var few = choice
    let rows = batch / choice.accumulation
    let steps = try [2, 3].map { count in
      few.accumulation = count
      return try rehearsed(few, batch: count * rows, rank: rank)
    }
    return Rehearsal(of: choice.accumulation, afterTwo: steps[0], andThree: steps[1])
  }

  /// A rank's step of a batch, rehearsed.
  private func rehearsed(_ choice: PlanChoice, batch: Int, rank: Int) throws -> Rehearsal {
    let run = try configured(choice, batch: batch)
    return try Rehearsals(
      run, corpus: setup.corpus, model: setup.model, teacher: setup.teacherModel(in: run),
      ranks: cluster.ranks
    ).step(rank: rank, exchange: choice.exchange)
  }

  private func rehearse(_ choice: PlanChoice) throws -> PlanEstimate {
    let run = try configured(choice)
    let step = try rehearsed(choice, rank: 0)
    let model = setup.model
    let rows = Double(run.training.batch) / Double(choice.data * choice.accumulation)
    let share = rows / Double(run.training.batch)
    let messages = max(
      model.blocks.count + 2, 4 * model.table.count / max(run.parallel.bucketBytes, 1))
    let work = PlanEstimate.Work(
      operations: model.operations(sequences: run.training.batch, length: run.sequence.length),
      again: PlanEstimate.Work.again(
        segments: choice.segments, held: step.segmentsHeld, recompute: choice.recompute),
      messages: messages,
      layers: layers.map { layer in
        ExchangeCost.Layer(
          stateBytes: Int(Double(layer.stateBytes) * share),
          mapBytes: Int(Double(layer.mapBytes) * share),
          combineSeconds: layer.combineSeconds * share,
          composeSeconds: layer.composeSeconds * share)
      },
      expertLayers: model.blocks.count { $0.channels?.mixer.experts != nil })
    return PlanEstimate(
      choice, memoryBytes: processBytes + step.bytes, step, work, on: cluster)
  }
}
