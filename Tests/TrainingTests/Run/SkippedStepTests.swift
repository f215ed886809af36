import Autodiff
import Corpora
import Foundation
import MessagePassing
import Models
import Reporting
import SequenceParallel
import Tensors
import Testing

@testable import Training

@Suite("Steps without finite numbers are left out by all ranks together")
struct SkippedStepTests {
  init() { BLAS.setThreads(1) }

  /// A grid, a sharding, a rule, portions.
  private static let ways: [(ranks: Int, overrides: [String])] = [
    (1, []), (3, []), (2, ["parallel.sharding=optimizer"]), (3, ["parallel.sharding=gradients"]),
    (2, ["parallel.sharding=parameters", "training.recompute=true"]),
    (4, ["parallel.data=2", "parallel.sharding=gradients", "training.accumulation=2"]),
    (2, ["sequence.segments=3", "optimizer.name=lion"]),
    (2, ["parallel.sharding=parameters", "optimizer.name=muon"]),
    (2, ["lora.rank=2", "lora.targets=out_proj"]), (2, ["training.precision=bf16"]),
  ]

  /// All that a rank keeps: weights and the rule's states.
  private static func numbers(_ run: TrainingRun) throws -> [Float] {
    try run.store.settle(polling: run.context.workspace.poll)
    return run.weights
      + run.optimizer.states.flatMap {
        Array(UnsafeBufferPointer(start: $0.numbers.pointer, count: $0.numbers.count))
      }
  }

  /// Does something with a weight of one rank that is no number, and puts it back.
  private static func poisoning<Result>(
    _ run: TrainingRun, onRank rank: Int, _ body: () throws -> Result
  ) throws -> Result {
    try run.store.settle(polling: run.context.workspace.poll)
    let weights = run.store.kept[0].values
    // In the first block's mixer, where weights are whole: all its states are spoilt.
    let first = run.model.table.regions[1].range.lowerBound
    let place = weights + (run.configuration.parallel.sharding == .parameters ? 0 : first)
    let before = place.pointee
    if run.world.rank == rank { place.pointee = .nan }
    defer { place.pointee = before }
    return try body()
  }

  @Test(
    "No weight or state changes anywhere, and later steps are those of a run without the batch",
    arguments: ways)
  func leavesOut(ranks: Int, overrides: [String]) throws {
    let small = try SmallRun(overrides)
    try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let (run, other) = (try small.make(on: world), try small.make(on: world))
      for step in 0..<2 { _ = try (run.step(step), other.step(step)) }
      let before = try Self.numbers(run)
      let outcome = try Self.poisoning(run, onRank: ranks - 1) { try run.step(2) }
      let skipped = try #require(outcome.skipped)
      #expect(skipped.step == 3 && skipped.inARow == 1)
      guard case .loss(let rank, _, _) = skipped.cause else {
        Issue.record("not the loss but \(skipped.cause)")
        return
      }
      // A cut weight, and a segment's state, come to other ranks as well.
      let isShared = overrides.contains { $0.contains("parameters") || $0.contains("segments") }
      #expect(rank == ranks - 1 || isShared)
      #expect(try Self.numbers(run) == before)
      other.optimizer.skip()
      for step in 3..<5 {
        let (one, two) = (try run.step(step), try other.step(step))
        #expect(one.loss == two.loss && one.gradientNorm == two.gradientNorm)
        #expect(one.skipped == nil && run.vigilance.skipped == 0)
      }
      #expect(try Self.numbers(run) == Self.numbers(other))
    }
  }

  /// Cross-entropy, in whose gradient a number is infinite where it is asked for.
  private final class Overflow: Objective, @unchecked Sendable {
    var isAsked = false
    var lossTerms: [DeclaredTerm] { [] }

    func callAsFunction(
      _ hidden: Variable, head: Head, targets: [Int32], tape: Tape,
      logits: UnsafeMutablePointer<Float>?
    ) throws -> (loss: Variable, result: HeadResult) {
      let x = hidden.value
      let copy = Tensor(x.shape, pool: tape.workspace.pool)
      copy.pointer.update(from: x.pointer, count: x.count)
      let isAsked = isAsked
      let through = tape.record(copy, inputs: [hidden]) { gradient in
        if isAsked, gradient.count > 0 { gradient.pointer[0] = .infinity }
        hidden.add(gradient: gradient, in: tape.workspace)
      }
      return try tape.crossEntropy(through, head.weight, targets: targets, logits: logits)
    }
  }

  @Test(
    "A gradient that is not finite, at a finite loss, names the tensor nearest to the loss",
    arguments: [(1, "none"), (3, "none"), (2, "gradients"), (2, "parameters")])
  func gradient(ranks: Int, sharding: String) throws {
    let small = try SmallRun("parallel.sharding=\(sharding)")
    try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let objective = Overflow()
      let run = try small.make(on: world, objective: objective)
      _ = try run.step(0)
      let before = try Self.numbers(run)
      objective.isAsked = true
      let outcome = try run.step(1)
      #expect(outcome.loss.isFinite && !outcome.gradientNorm.isFinite)
      guard case .gradient(let tensor)? = outcome.skipped?.cause else {
        Issue.record("not the gradient but \(String(describing: outcome.skipped))")
        return
      }
      // What the backward pass comes to first behind the head, whose own gradient is finite.
      #expect(tensor == "model.layers.1.channel_mixer.l3.weight")
      #expect(try Self.numbers(run) == before)
      objective.isAsked = false
      #expect(try run.step(2).skipped == nil)
      try run.store.settle(polling: run.context.workspace.poll)
    }
  }

  @Test(
    "Streams that a skipped step has spoilt go on from zero, all others as they are",
    arguments: ["tnl", "gated_deltanet", "transformer"], [1, 2])
  func streams(mixer: String, ranks: Int) throws {
    let file = try TextFile((0..<600).map { UInt8(($0 * $0 + $0 / 7) % 11) })
    let small = try SmallRun(
      "data.path=\(file.path)", "data.carry=true", "data.held_out=0", "sequence.length=11",
      "model.mixer=\(mixer)", "training.accumulation=2")
    try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let (run, other) = (try small.make(on: world), try small.make(on: world))
      for step in 0..<2 { _ = try (run.step(step), other.step(step)) }
      let outcome = try Self.poisoning(run, onRank: ranks - 1) { try run.step(2) }
      #expect(outcome.skipped != nil && outcome.renewedStreams == 4)
      // Streams whose states are zero, as far into their text.
      other.carried += 11
      for (index, rows) in other.microBatches.enumerated() where other.grid.sequenceIndex == 0 {
        for (slot, value) in run.carries[index].values {
          #expect((0..<value.count).allSatisfy { value.pointer[$0] == 0 }, "\(slot), \(rows)")
        }
      }
      other.carries = other.microBatches.map { _ in Carry() }
      other.optimizer.skip()
      #expect(run.carried == other.carried)
      for step in 3..<5 {
        let (one, two) = (try run.step(step), try other.step(step))
        #expect(abs(one.loss - two.loss) < 1e-6 * two.loss)
      }
      // One row alone.
      guard other.grid.sequenceIndex == 0 else { return }
      let values = run.carries[1].values
      let state = try #require(values.first { $0.key.content != .windowLengths }).value
      let row = state.count / 2
      let first = Array(UnsafeBufferPointer(start: state.pointer, count: row))
      state.pointer[row] = .nan
      #expect(run.renewStreams() == 1)
      #expect(Array(UnsafeBufferPointer(start: state.pointer, count: row)) == first)
      #expect((row..<2 * row).allSatisfy { state.pointer[$0] == 0 })
    }
  }

  @Test(
    "An update that makes a weight or a state infinite ends the run on all ranks, naming it",
    arguments: [("none", true), ("optimizer", false), ("parameters", false)])
  func weights(sharding: String, atOnce: Bool) throws {
    let small = try SmallRun("parallel.sharding=\(sharding)")
    let errors = try ThreadCommunicator.run(ranks: 2, deadline: 60) { world in
      let run = try small.make(on: world)
      _ = try run.step(0)
      if world.rank == 1 { run.optimizer.states[1].numbers.pointer[0] = .infinity }
      _ = try run.step(1)
      return #expect(throws: TrainingError.self) {
        if atOnce { try run.checkWeights() } else { _ = try run.step(2) }
      }.map { ("\($0)", ExitReason($0)) }
    }
    for error in errors {
      let (text, reason) = try #require(error)
      #expect(reason == .numerical)
      #expect(text.hasPrefix("step 2: the update made of "))
      #expect(text == errors[0]?.0)
    }
  }
}
