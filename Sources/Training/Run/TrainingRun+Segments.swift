import Autodiff
import Corpora
import Inference
import Measurement
import MessagePassing
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
    let rows = microBatches[microBatch]
    let goesOn = corpus.continues(step: step + 1)
    let groups = try groups()
    var sums = LossSums()
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
      }
    }
    // After the backward pass, which ends on the first rank: nobody waits for the carry longer than for that.
    if goesOn, let last { carries[microBatch] = try last.close() }
    return sums
  }

  /// The loss of some rows, without learning.
  func evaluate(_ corpus: any Corpus, rows: Range<Int>, step: Int) throws -> LossSums {
    var sums = LossSums()
    var left = Carry()
    for index in 0..<cut.segments {
      let goesOn = index < cut.segments - 1
      let segment = try segmentPass(
        index, of: corpus, rows: rows, step: step, left: left, carried: 0, keepsRight: goesOn)
      sums += try forward(segment)
      if goesOn { left = try segment.pass.close() }
    }
    return sums
  }

  /// A segment of what is trained on.
  private func segmentPass(
    _ index: Int, rows: Range<Int>, step: Int, left: Carry, keepsRight: Bool
  ) throws -> SegmentPass {
    try segmentPass(
      index, of: corpus, rows: rows, step: step, left: left, carried: carried,
      keepsRight: keepsRight)
  }

  private func segmentPass(
    _ index: Int, of corpus: any Corpus, rows: Range<Int>, step: Int, left: Carry, carried: Int,
    keepsRight: Bool
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
    if !context.workspace.isRehearsal {
      try context.counters.measure(.data) { try corpus.fill(&batch, step: step) }
    }
    return batch
  }

  /// Runs a segment forward, for its loss and for what enters the next one.
  private func forward(_ segment: SegmentPass) throws -> LossSums {
    let tape = Tape(workspace: context.workspace, parameters: store, recording: false)
    let (_, result) = try context.counters.mark(name("forward", segment)) {
      try model(
        segment.batch.inputs, targets: segment.batch.targets, objective: objective, tape: tape,
        pass: segment.pass)
    }
    return LossSums(
      result, terms: tape.terms, declared: lossTerms, batch: segment.batch)
  }

  /// Runs a segment forward, communicating only if it was not run before, and back.
  ///
  /// - Parameter later: The segment after it, differentiated already.
  private func forwardAndBackward(
    _ segment: SegmentPass, later: SequencePass?, completes: Bool
  ) throws -> LossSums {
    let (workspace, pass) = (context.workspace, segment.pass)
    if let later { pass.left.restore(from: later.left, in: workspace) }
    let tape = Tape(workspace: workspace, parameters: store, recording: true)
    tape.targetsPerPosition = targetsPerPosition
    tape.regionCompleted = { [store] in try store.complete(region: $0, isLast: completes) }
    let (loss, result) = try workspace.counters.mark(name("forward", segment)) {
      try model(
        segment.batch.inputs, targets: segment.batch.targets, objective: objective, tape: tape,
        pass: pass, recompute: configuration.training.recompute)
    }
    let one = Tensor([1], pool: workspace.pool)
    workspace.compute(.head) { one.pointer[0] = 1 }
    if let later { try pass.closeBackward(from: later) }
    try workspace.counters.mark(name("backward", segment)) {
      try tape.backward(from: loss, gradient: one)
    }
    return LossSums(
      result, terms: tape.terms, declared: lossTerms, batch: segment.batch)
  }

  /// What a trace calls a segment's way through the model.
  private func name(_ direction: String, _ segment: SegmentPass) -> String {
    cut.segments > 1 ? "\(direction), segment \(segment.pass.segment)" : direction
  }

  // MARK: Groups

  /// The segments whose passes are held at the same time, group by group; one group where all fit.
  private func groups() throws -> [Range<Int>] {
    let size = try groupSize ?? countGroupSize()
    groupSize = size
    return stride(from: 0, to: cut.segments, by: size).map {
      $0..<min($0 + size, cut.segments)
    }
  }

  /// How many segments `sequence.carry_bytes` lets a rank hold, the same on all ranks: some of them are
  /// rehearsed.
  private func countGroupSize() throws -> Int {
    guard cut.segments > 1 else { return 1 }
    let ranks = [0, grid.sequence / 2, grid.sequence - 1]
    let bytes = try ranks.map { rank in
      let run = try TrainingRun(
        configuration, corpus: corpus, model: model, objective: objective,
        world: grid.rehearsal(of: rank),
        workspace: Workspace(threads: context.workspace.team.size, rehearsal: true),
        exchange: makeExchange)
      return try run.heldBytes()
    }.max()!
    return max(1, min(cut.segments, configuration.sequence.carryBytes / max(bytes, 1)))
  }

  /// Bytes that this rank holds of a segment that is not the first.
  private func heldBytes() throws -> Int {
    var (left, bytes) = (Carry(), 0)
    for index in 0..<2 {
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
