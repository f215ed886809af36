import MessagePassing
import Tensors

extension ShardedParameters {
  /// Numbers of which there is one for each parameter, wherever they lie.
  package enum Numbers {
    /// The weights.
    case weights
    /// What every rank keeps for the parameters that it updates: a moment of the optimizer.
    case moments(UnsafePointer<Float>)
  }

  /// Brings numbers of all parameters to rank 0, in pieces of a few MiB, ascending.
  ///
  /// Collective where the numbers are cut; where rank 0 has all of them the others do nothing.
  ///
  /// - Parameter body: Called on rank 0 with every piece: its range in the index space, and the numbers.
  package func collect(
    _ numbers: Numbers, _ body: (Range<Int>, UnsafePointer<Float>) throws -> Void
  ) throws {
    try settle(polling: workspace.poll)
    let isWhole: Bool
    let base: UnsafePointer<Float>
    switch numbers {
    case .weights:
      (isWhole, base) = (sharding < .parameters, UnsafePointer(values.pointer))
    case .moments(let pointer): (isWhole, base) = (sharding == .none, pointer)
    }
    if isWhole {
      if rank == 0 { try body(0..<table.count, base) }
      return
    }
    for unit in partition.units.indices {
      if rank == 0 {
        try body(partition.part(of: unit, rank: 0), base + offsets[unit])
        for source in 1..<partition.ranks {
          for piece in pieces(of: partition.part(of: unit, rank: source)) {
            let room = Buffer(count: piece.count, pool: workspace.pool, kind: .buffers)
            let bytes = UnsafeMutableRawBufferPointer(start: room.pointer, count: 4 * piece.count)
            try gathering.receive(into: bytes, from: source, tag: 1)
              .wait(for: "the numbers of parameters \(piece) from rank \(source)")
            try body(piece, room.pointer)
          }
        }
      } else {
        let part = partition.part(of: unit, rank: rank)
        for piece in pieces(of: part) {
          let numbers = base + offsets[unit] + piece.lowerBound - part.lowerBound
          try gathering.send(
            UnsafeRawBufferPointer(start: numbers, count: 4 * piece.count), to: 0, tag: 1
          ).wait(for: "rank 0 to take the numbers of parameters \(piece)")
        }
      }
    }
  }

  private func pieces(of part: Range<Int>) -> [Range<Int>] {
    stride(from: part.lowerBound, to: part.upperBound, by: 1 << 20).map {
      $0..<min($0 + 1 << 20, part.upperBound)
    }
  }
}
