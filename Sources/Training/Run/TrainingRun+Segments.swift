import Autodiff
import Corpora
import Inference
import Measurement
import MessagePassing
import Models
import Reporting
import SequenceParallel
import Tensors

/// How one micro-batch of a step's batch goes through the model and back, segment by segment.
///
/// Forward, the ranks process segment 0, then 1, …; what leaves a segment on the last rank enters the next
/// on the first. Only the loss and what was received are kept, so that in the backward pass, last segment
/// first, each is run again without sending anything, then differentiated, and the gradients of what entered
/// it go back to the last rank. Gradients are those of the whole sequence, activations those of one segment.
///
/// Where what all segments received is more than `sequence.carry_bytes`, they are processed in groups, of
/// which only the first seam is kept: the backward pass runs each group's chain a second time.
///
/// - Source: gradient checkpointing (Chen et al., arXiv 1604.06174), with seams as the checkpoints.
extension TrainingRun {
  /// A segment of some rows: its tokens and its pass.
  private struct SegmentPass {
    let batch: TokenBatch
    let pass: SequencePass
  }

  /// Trains on a micro-batch; gradients are added up.
  ///
  /// - Parameter completes: Whether nothing of this step comes after it, so that gradients are complete.
  func train(microBatch: Int, step: Int, completes: Bool) throws -> LossSums {
    FaultPoint.reach("data", step + 1)
    let rows = microBatches[microBatch]
    let goesOn = corpus.continues(step: step + 1)
    let groups = try groups()
    var sums = LossSums()
    balance = makeBalance(capacity: configuration.model.subsections[ExpertsSection.self].capacity)
    try listen(microBatch: microBatch, step: step, goesOn: goesOn)
    // The seams at which groups begin.
    var seams = [carries[microBatch]]
    for group in groups.dropLast() {
      var left = seams.last!
      for index in group {
        let segment = try segmentPass(index, rows: rows, step: step, left: left, keepsRight: true)
        sums += try forward(segment)
        left = try segment.pass.close()
      }
      seams.append(left)
    }
    var later: SequencePass?
    var last: SequencePass?
    for group in groups.reversed() {
      let endsSequence = group.upperBound == cut.segments
      var left = seams.removeLast()
      var held: [SegmentPass] = []
      for index in group.dropLast() {
        let segment = try segmentPass(index, rows: rows, step: step, left: left, keepsRight: true)
        let seen = try forward(segment)
        if endsSequence { sums += seen }
        segment.pass.suspend()
        left = try segment.pass.close()
        segment.pass.left.release(
          containedIn: left, tokens: segment.pass.layout.total, in: context.workspace)
        held.append(segment)
      }
      held.append(
        try segmentPass(
          group.upperBound - 1, rows: rows, step: step, left: left,
          keepsRight: !endsSequence || goesOn))
      if endsSequence { last = held.last?.pass }
      while let segment = held.popLast() {
        let isLast = segment.pass === last
        let seen = try forwardAndBackward(
          segment, later: later, completes: completes && segment.pass.segment == 0)
        if isLast { sums += seen }
        later = segment.pass
        if teacher != nil { lessons[segment.pass.segment] = nil }
      }
    }
    // After the backward pass, which ends on the first rank: nobody waits for the carry longer than for that.
    if goesOn, let last { carries[microBatch] = try last.close() }
    addBalance(to: &sums)
    if let balance {
      choices = zip(choices, balance.choices).map(+)
      dropped += balance.dropped
      let layers = model.balancedBiases.flatMap {
        balance.choicesOfRouter[$0.router] ?? balance.choices.map { _ in 0 }
      }
      balancedChoices = zip(balancedChoices, layers).map(+)
    }
    return sums
  }

  /// The loss of some rows, without learning.
  func evaluate(_ corpus: any Corpus, rows: Range<Int>, step: Int) throws -> LossSums {
    FaultPoint.reach("evaluation")
    var sums = LossSums()
    balance = makeBalance()
    var (left, leftOfTeacher) = (Carry(), Carry())
    for index in 0..<cut.segments {
      let batch = try batch(index, of: corpus, rows: rows, step: step)
      let layout = cut.layout(index, carried: 0, documentStarts: batch.documentStarts)
      let isLast = index == cut.segments - 1
      let lesson = try teacher?.lesson(
        batch, layout, from: &leftOfTeacher, isLast: isLast, step: step, segment: index,
        part: name(index))
      let outcome = try runner.forward(
        batch.inputs, targets: batch.targets, objective: minimised(lesson), window: layout,
        from: &left, isLast: isLast, balance: balance, step: step, segment: index,
        part: name(index))
      sums += LossSums(
        outcome.result, terms: outcome.terms, declared: lossTerms, batch: batch)
      if let bytes = try corpus.targetBytes(batch, step: step) {
        sums.bytes += bytes.reduce(0) { $0 + Int($1) }
      }
    }
    try balance?.complete()
    addBalance(to: &sums)
    return sums
  }

  /// Where the choices of experts of a micro-batch are counted; nil where the model has none.
  ///
  /// - Parameter capacity: What experts take of a sequence, which is limited in training alone; 0 for all.
  private func makeBalance(capacity: Double = 0) -> ExpertBalance? {
    model.experts.map {
      guard minimisesBalance else { return ExpertBalance(experts: $0, capacity: capacity) }
      return ExpertBalance(experts: $0, capacity: capacity) { [context, world] numbers in
        try context.counters.measure(.reduce) { try world.allReduce(numbers, .sum) }
      }
    }
  }

  private var minimisesBalance: Bool {
    lossTerms.contains { $0.name == ExpertBalance.lossName }
  }

  /// Adds what a micro-batch's choices of experts give the loss, where that asks for balance.
  private func addBalance(to sums: inout LossSums) {
    guard let balance, minimisesBalance else { return }
    let (sum, positions) = balance.loss
    sums.add(ExpertBalance.lossName, sum: sum, positions: positions)
  }

  /// Lets the teacher go through a micro-batch; what it has to say of each segment is kept until its loss is differentiated.
  ///
  /// - Parameter goesOn: Whether the rows go on in the next step.
  private func listen(microBatch: Int, step: Int, goesOn: Bool) throws {
    guard let teacher else { return }
    var left = teacher.carries[microBatch]
    lessons = try (0..<cut.segments).map { index in
      let batch = try batch(index, of: corpus, rows: microBatches[microBatch], step: step)
      return try teacher.lesson(
        batch, cut.layout(index, carried: carried, documentStarts: batch.documentStarts),
        from: &left, isLast: index == cut.segments - 1 && !goesOn, step: step, segment: index,
        part: name(index))
    }
    if goesOn { teacher.carries[microBatch] = left }
  }

  /// What is minimised where a teacher has something to say.
  private func minimised(_ lesson: Distillation.Lesson?) -> any Objective {
    guard var distillation = objective as? Distillation else { return objective }
    distillation.lesson = lesson
    return distillation
  }

  /// What is minimised in a segment of the micro-batch at hand.
  private func minimised(in segment: SegmentPass) -> any Objective {
    teacher == nil ? objective : minimised(lessons[segment.pass.segment])
  }

  /// A segment of what is trained on.
  private func segmentPass(
    _ index: Int, rows: Range<Int>, step: Int, left: Carry, keepsRight: Bool
  ) throws -> SegmentPass {
    let batch = try batch(index, of: corpus, rows: rows, step: step)
    let layout = cut.layout(index, carried: carried, documentStarts: batch.documentStarts)
    return SegmentPass(
      batch: batch,
      pass: SequencePass(
        context: context, layout: layout, left: left, step: step, segment: index,
        keepsRight: keepsRight, wantsLeftGradients: index > 0))
  }

  /// This rank's tokens of a segment; zeros in a rehearsal.
  func batch(
    _ index: Int, of corpus: any Corpus, rows: Range<Int>, step: Int
  ) throws -> TokenBatch {
    var batch = TokenBatch(rows: rows, positions: cut.positions(index))
    try context.workspace.run {
      try context.counters.measure(.data) { try corpus.fill(&batch, step: step) }
    }
    return batch
  }

  /// Runs a segment forward, for its loss and for what enters the next one.
  private func forward(_ segment: SegmentPass) throws -> LossSums {
    let (result, terms) = try runner.forward(
      segment.batch.inputs, targets: segment.batch.targets, objective: minimised(in: segment),
      pass: segment.pass, balance: balance, part: name(segment.pass.segment))
    return LossSums(result, terms: terms, declared: lossTerms, batch: segment.batch)
  }

  /// Runs a segment forward, communicating only if it was not run before, and back.
  ///
  /// - Parameter later: The segment after it, differentiated already.
  private func forwardAndBackward(
    _ segment: SegmentPass, later: SequencePass?, completes: Bool
  ) throws -> LossSums {
    FaultPoint.reach("forward")
    let (result, terms) = try runner.forwardAndBackward(
      segment.batch.inputs, targets: segment.batch.targets, objective: minimised(in: segment),
      pass: segment.pass, before: later, recompute: configuration.training.recompute,
      targetsPerPosition: targetsPerPosition, balance: balance, part: name(segment.pass.segment)
    ) { [store] in
      FaultPoint.reach("backward")
      try store.complete(region: $0, isLast: completes)
    }
    return LossSums(result, terms: terms, declared: lossTerms, batch: segment.batch)
  }

  /// What a trace adds to the name of a segment's way through the model.
  private func name(_ segment: Int) -> String {
    cut.segments > 1 ? ", segment \(segment)" : ""
  }

  // MARK: Groups

  /// The segments whose passes are held at the same time, group by group; one group where all fit.
  private func groups() throws -> [Range<Int>] {
    let size = try groupSize
    return stride(from: 0, to: cut.segments, by: size).map {
      $0..<min($0 + size, cut.segments)
    }
  }

  /// Bytes that this rank holds of a segment that is not the first, of which it runs forward; of the first where
  /// there is no other.
  func heldBytes() throws -> Int {
    var (left, bytes) = (Carry(), 0)
    try listen(microBatch: 0, step: 0, goesOn: false)
    for index in 0..<min(2, cut.segments) {
      let segment = try segmentPass(
        index, rows: microBatches[0], step: 0, left: left, keepsRight: true)
      _ = try forward(segment)
      segment.pass.suspend()
      left = try segment.pass.close()
      segment.pass.left.release(
        containedIn: left, tokens: segment.pass.layout.total, in: context.workspace)
      bytes = segment.pass.keptBytes
    }
    return bytes
  }
}
