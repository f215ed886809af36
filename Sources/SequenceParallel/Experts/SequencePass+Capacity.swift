import Autodiff
import Kernels
import Measurement
import MessagePassing
import Tensors

/// How many choices of each sequence a rank's experts may still take: kept, so that a layer that runs again asks nobody.
private struct ExpertRoom: Kept {
  /// The layer.
  typealias Key = Int

  /// Shape `[rows, E]`, whole numbers.
  let room: Tensor

  var suspended: ExpertRoom? { self }
  var tensors: [Tensor] { [room] }
}

extension SequencePass {
  /// How many of this shard's choices each expert takes, where no more than its capacity of a sequence do, the first ones.
  ///
  /// Concretely: of T tokens of a sequence that are processed at once, each with k choices of E experts, an expert takes
  /// `⌈capacity · T k / E⌉`, by position. So what is dropped does not depend on how sequences are dealt over ranks. All ranks of the
  /// sequence tell each other how often each expert is chosen: they all come here, with an empty shard too, and each tells what
  /// it has before it waits.
  ///
  /// - Parameters:
  ///   - counts: This shard's choices of each expert, `[rows, E]`, whole numbers.
  ///   - capacity: At least 1.
  /// - Returns: Shape `[rows, E]`, whole numbers, which the caller may change.
  package func room(
    for counts: Tensor, capacity: Double, _ rule: RoutingRule, layer: Int
  ) throws -> Tensor {
    let workspace = context.workspace
    let room = Tensor(counts.shape, pool: workspace.pool, kind: .buffers)
    if let kept: ExpertRoom = memory[layer] {
      workspace.run { room.pointer.update(from: kept.room.pointer, count: room.count) }
      return room
    }
    let (ranks, count) = (context.sequence.size, counts.count)
    let all = Tensor([ranks, count], pool: workspace.pool, kind: .buffers)
    if ranks > 1 {
      let request = HeldRequest(
        try context.sequence.allGather(
          UnsafeRawBufferPointer(start: counts.pointer, count: 4 * count),
          into: UnsafeMutableRawBufferPointer(start: all.pointer, count: 4 * all.count)))
      workspace.counters.haloBytesSent += 4 * count * (ranks - 1)
      try workspace.counters.measure(.stateWait) {
        try request.wait(
          for: "how often experts of layer \(layer) are chosen", polling: workspace.poll)
      }
    }
    let share = capacity * Double(layout.total * rule.chosen) / Double(rule.experts)
    // More than there are tokens is as good as all.
    let each = Int(min(share.rounded(.up), Double(layout.total)))
    workspace.run {
      for place in 0..<count {
        var left = each
        for rank in 0..<layout.rank { left -= Int(all.integers[rank * count + place]) }
        room.integers[place] = Int32(clamping: max(0, left))
      }
    }
    let kept = Tensor(counts.shape, pool: workspace.pool, kind: .buffers)
    workspace.run { kept.pointer.update(from: room.pointer, count: room.count) }
    memory[layer] = ExpertRoom(room: kept)
    return room
  }
}
