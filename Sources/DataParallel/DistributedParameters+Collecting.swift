import MessagePassing
import Tensors

extension DistributedParameters {
  /// Numbers of which there is one for each parameter, wherever they lie.
  package enum Numbers {
    /// The weights.
    case weights
    /// What every rank keeps, one after another, for those of some parameters that it updates: a moment of the
    /// optimizer.
    case moments(UnsafePointer<Float>, of: IndexRanges)
  }

  /// A piece of numbers that one rank gives.
  private struct Piece {
    let range: Range<Int>
    let rank: Int
    /// Where they lie, on that rank.
    let numbers: UnsafePointer<Float>?
  }

  /// Brings numbers of all parameters to rank 0, in pieces of a few MiB, ascending.
  ///
  /// Collective where the numbers are cut or dealt; where rank 0 has all of them the others do nothing.
  ///
  /// - Parameter body: Called on rank 0 with every piece: its range in the index space, and the numbers.
  package func collect(
    _ numbers: Numbers, _ body: (Range<Int>, UnsafePointer<Float>) throws -> Void
  ) throws {
    try settle(polling: workspace.poll)
    for piece in pieces(of: numbers) {
      if let own = piece.numbers {
        try give(piece.range, own, body)
      } else if rank == 0 {
        try take(piece.range, from: piece.rank, body)
      }
    }
  }

  /// Which rank gives what, ascending, the same on all ranks but for where it lies.
  private func pieces(of numbers: Numbers) -> [Piece] {
    var pieces: [Piece] = []
    for owners in owners {
      let (selection, cut) = (owners.selection, owners.cut)
      let givers: [(range: Range<Int>, rank: Int)]
      switch numbers {
      case .weights: givers = cut.givers
      case .moments(_, let parameters): givers = cut.givers(ofMoments: selection.own(parameters))
      }
      var next = owners.share.map { first(of: numbers, share: $0) }
      for (range, giver) in givers {
        let giver = owners.ranks[giver]
        for piece in selection.whole(range) {
          let isOwn = giver == rank
          pieces.append(Piece(range: piece, rank: giver, numbers: isOwn ? next : nil))
          if isOwn { next? += piece.count }
        }
      }
    }
    return pieces.sorted { $0.range.lowerBound < $1.range.lowerBound }
  }

  /// Where this rank's numbers of a share begin.
  private func first(of numbers: Numbers, share: Int) -> UnsafePointer<Float> {
    switch numbers {
    case .weights: return UnsafePointer(shares[share].store.values.pointer)
    case .moments(let pointer, let parameters):
      // Those of each share follow one another, as what is updated does.
      return shares[..<share].reduce(pointer) { place, share in
        let own = share.selection.own(parameters)
        return place + share.store.updated.reduce(0) { $0 + own.count(in: $1.range) }
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
    return shares.indices.flatMap { index in
      let (share, first) = (shares[index], first(of: numbers, share: index))
      let own: [(range: Range<Int>, numbers: UnsafePointer<Float>)]
      switch numbers {
      case .weights: own = share.store.ownWeights
      case .moments(_, let parameters):
        own = share.store.own(moments: first, of: share.selection.own(parameters))
      }
      return own.flatMap { range, numbers in
        var next = numbers
        return share.selection.whole(range).map { piece in
          defer { next += piece.count }
          return (piece, next)
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
    for piece in messages(of: part) {
      let numbers = numbers + piece.lowerBound - part.lowerBound
      try world.send(
        UnsafeRawBufferPointer(start: numbers, count: 4 * piece.count), to: 0, tag: 0
      ).wait(for: "rank 0 to take the numbers of parameters \(piece)")
    }
  }

  /// Receives numbers of another rank, and hands them to `body`.
  private func take(
    _ part: Range<Int>, from source: Int,
    _ body: (Range<Int>, UnsafePointer<Float>) throws -> Void
  ) throws {
    for piece in messages(of: part) {
      let room = Buffer(count: piece.count, pool: workspace.pool, kind: .buffers)
      let bytes = UnsafeMutableRawBufferPointer(start: room.pointer, count: 4 * piece.count)
      try world.receive(into: bytes, from: source, tag: 0)
        .wait(for: "the numbers of parameters \(piece) from rank \(source)")
      try body(piece, room.pointer)
    }
  }

  private func messages(of part: Range<Int>) -> [Range<Int>] {
    stride(from: part.lowerBound, to: part.upperBound, by: 1 << 20).map {
      $0..<min($0 + 1 << 20, part.upperBound)
    }
  }
}

extension ShardedParameters {
  /// This rank's part of each unit's weights.
  fileprivate var ownWeights: [(range: Range<Int>, numbers: UnsafePointer<Float>)] {
    partition.units.indices.map { unit in
      let part = partition.part(of: unit, rank: rank)
      let place = sharding == .parameters ? offsets[unit] : part.lowerBound
      return (part, UnsafePointer(values.pointer + place))
    }
  }

  /// This rank's part of each unit's moments, which some parameters have.
  fileprivate func own(
    moments pointer: UnsafePointer<Float>, of parameters: IndexRanges
  ) -> [(range: Range<Int>, numbers: UnsafePointer<Float>)] {
    var next = pointer
    return partition.units.indices.flatMap { unit in
      parameters.pieces(of: partition.part(of: unit, rank: rank)).map { piece in
        defer { next += piece.count }
        return (piece, sharding == .none ? pointer + parameters.offset(of: piece.lowerBound) : next)
      }
    }
  }
}
