import MessagePassing
import Tensors

extension ShardedParameters {
  /// Numbers of which there is one for each parameter, wherever they lie.
  package enum Numbers {
    /// The weights.
    case weights
    /// What every rank keeps, one after another, for those of some parameters that it updates: a moment of the
    /// optimizer.
    case moments(UnsafePointer<Float>, of: IndexRanges)
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
    var own: UnsafePointer<Float>
    let parameters: IndexRanges
    switch numbers {
    case .weights:
      (isWhole, own) = (sharding < .parameters, UnsafePointer(values.pointer))
      parameters = IndexRanges([0..<table.count])
    case .moments(let pointer, of: let some):
      (isWhole, own, parameters) = (sharding == .none, pointer, some)
    }
    if isWhole {
      guard rank == 0 else { return }
      for range in parameters.ranges {
        try body(range, own)
        own += range.count
      }
      return
    }
    for unit in partition.units.indices {
      for source in 0..<partition.ranks where rank == 0 || rank == source {
        for part in parameters.pieces(of: partition.part(of: unit, rank: source)) {
          if source == rank {
            try give(part, own, body)
            own += part.count
          } else {
            try take(part, from: source, body)
          }
        }
      }
    }
  }

  /// What this rank has to write where every rank writes its own: its part of each unit, which all ranks' parts make whole.
  ///
  /// - Returns: Ranges of the index space, and where their numbers lie; weights under way have arrived.
  package func own(
    _ numbers: Numbers
  ) throws -> [(range: Range<Int>, numbers: UnsafePointer<Float>)] {
    try settle(polling: workspace.poll)
    switch numbers {
    case .weights:
      return partition.units.indices.map { unit in
        let part = partition.part(of: unit, rank: rank)
        let place = sharding == .parameters ? offsets[unit] : part.lowerBound
        return (part, UnsafePointer(values.pointer + place))
      }
    case .moments(let pointer, of: let parameters):
      var next = pointer
      return partition.units.indices.flatMap { unit in
        parameters.pieces(of: partition.part(of: unit, rank: rank)).map { piece in
          defer { next += piece.count }
          return (
            piece, sharding == .none ? pointer + parameters.offset(of: piece.lowerBound) : next
          )
        }
      }
    }
  }

  /// Hands numbers of this rank to `body` on rank 0, or sends them there.
  private func give(
    _ part: Range<Int>, _ numbers: UnsafePointer<Float>,
    _ body: (Range<Int>, UnsafePointer<Float>) throws -> Void
  ) throws {
    if rank == 0 { return try body(part, numbers) }
    for piece in pieces(of: part) {
      let numbers = numbers + piece.lowerBound - part.lowerBound
      try gathering.send(
        UnsafeRawBufferPointer(start: numbers, count: 4 * piece.count), to: 0, tag: 1
      ).wait(for: "rank 0 to take the numbers of parameters \(piece)")
    }
  }

  /// Receives numbers of another rank, and hands them to `body`.
  private func take(
    _ part: Range<Int>, from source: Int,
    _ body: (Range<Int>, UnsafePointer<Float>) throws -> Void
  ) throws {
    for piece in pieces(of: part) {
      let room = Buffer(count: piece.count, pool: workspace.pool, kind: .buffers)
      let bytes = UnsafeMutableRawBufferPointer(start: room.pointer, count: 4 * piece.count)
      try gathering.receive(into: bytes, from: source, tag: 1)
        .wait(for: "the numbers of parameters \(piece) from rank \(source)")
      try body(piece, room.pointer)
    }
  }

  private func pieces(of part: Range<Int>) -> [Range<Int>] {
    stride(from: part.lowerBound, to: part.upperBound, by: 1 << 20).map {
      $0..<min($0 + 1 << 20, part.upperBound)
    }
  }
}
