import MessagePassing
import Models
import Optimizers
import Reporting
import SequenceParallel
import Tensors

/// What keeps numbers that are not finite out of weights, states and files.
extension TrainingRun {
  /// Finds out, on all ranks together, what of a step is no finite number, and takes note of its being skipped.
  ///
  /// Collective; every rank gets the same.
  ///
  /// - Parameter losses: This rank's sums, micro-batch by micro-batch.
  func skip(step: Int, losses: [LossSums]) throws -> SkippedStep {
    // Of a rank: rows whose loss is at fault, or the last parameter whose gradient is, by number.
    var mine = [-1, 0, -1]
    if let faulty = losses.firstIndex(where: { !$0.isFinite }) {
      let rows = microBatches[faulty]
      (mine[0], mine[1]) = (rows.lowerBound, rows.upperBound)
    }
    let table = model.table
    for part in store.parts {
      for (index, entry) in table.entries.enumerated() where entry.range.overlaps(part.range) {
        let piece = entry.range.clamped(to: part.range)
        let first = part.gradients + piece.lowerBound - part.range.lowerBound
        if !FiniteNumbers.fill(first, count: piece.count) { mine[2] = max(mine[2], index) }
      }
    }
    let all = try world.allGather(mine)
    let hosts = try world.allGather(world.hostName)
    let inARow = vigilance.skip()
    optimizer.skip()
    let cause: SkippedStep.Cause =
      if let rank = all.firstIndex(where: { $0[0] >= 0 }) {
        .loss(rank: rank, host: hosts[rank], sequences: all[rank][0]..<all[rank][1])
      } else if let last = all.map({ $0[2] }).max(), last >= 0 {
        .gradient(tensor: table.entries[last].name)
      } else {
        .sum
      }
    return SkippedStep(
      step: step + 1, cause: cause, batch: configuration.training.batch, inARow: inARow)
  }

  /// Lets streams whose states are no finite numbers begin anew; gives how many did on this rank.
  ///
  /// Where a row's state, halo or window is not finite, all that it carries becomes zero, as at the beginning of a stream,
  /// and it sees no key of before: the next step is not spoilt by this one, on any grid alike.
  func renewStreams() -> Int {
    context.workspace.known(assuming: 0) {
      zip(carries.indices, microBatches).reduce(0) { count, part in
        let rows = part.1.count
        let values = [carries[part.0].values] + (teacher.map { [$0.carries[part.0].values] } ?? [])
        let faulty = (0..<rows).filter { row in
          values.contains { !$0.isFinite(row: row, of: rows) }
        }
        for row in faulty {
          for tensors in values { tensors.clear(row: row, of: rows) }
        }
        return count + faulty.count
      }
    }
  }

  /// Checks that the updates so far have left only finite weights and states.
  ///
  /// Collective: to be called before weights are evaluated or written. A step finds out by itself.
  ///
  /// - Throws: `TrainingError.weightsNotFinite` on all ranks.
  package func checkWeights() throws {
    guard try world.allReduceSum(hasFiniteWeights ? 0 : 1) > 0 else { return }
    throw try weightsNotFinite()
  }

  /// The error that names the first parameter whose weights, or what its rule keeps of it, are not finite.
  ///
  /// Collective.
  func weightsNotFinite() throws -> TrainingError {
    let table = model.table
    var first = table.entries.count
    func look(_ range: Range<Int>, _ numbers: UnsafePointer<Float>) {
      for (index, entry) in table.entries.enumerated() where entry.range.overlaps(range) {
        let piece = entry.range.clamped(to: range)
        let start = numbers + piece.lowerBound - range.lowerBound
        if !FiniteNumbers.fill(start, count: piece.count) { first = min(first, index) }
      }
    }
    for part in store.updated { look(part.range, part.values) }
    for state in optimizer.states {
      for (range, numbers) in optimizer.ranges(of: state, in: store) { look(range, numbers) }
    }
    let all = try world.allGather([first])
    let found = all.map { $0[0] }.min()!
    return .weightsNotFinite(
      step: lastUpdate + 1, name: found < table.entries.count ? table.entries[found].name : "")
  }
}

extension [CarrySlot: Tensor] {
  /// Whether all numbers that a row carries are finite.
  fileprivate func isFinite(row: Int, of rows: Int) -> Bool {
    allSatisfy { slot, tensor in
      guard slot.content != .windowLengths else { return true }
      let count = tensor.count / rows
      return FiniteNumbers.fill(tensor.pointer + row * count, count: count)
    }
  }

  /// Makes all that a row carries zero.
  fileprivate func clear(row: Int, of rows: Int) {
    for (_, tensor) in self {
      let count = tensor.count / rows
      (tensor.pointer + row * count).update(repeating: 0, count: count)
    }
  }
}
