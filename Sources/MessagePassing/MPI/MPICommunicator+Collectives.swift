import COpenMPI

extension MPICommunicator {
  /// Starts replacing `buffer` by its elementwise reduction over all ranks.
  package func allReduce(
    _ buffer: UnsafeMutableBufferPointer<Float>, _ operation: ReduceOperation
  ) throws(MessagePassingError) -> Request {
    try allReduce(UnsafeMutableRawBufferPointer(buffer), of: lasp_float(), bytes: 4, operation)
  }

  /// Starts replacing `buffer` by its elementwise reduction over all ranks.
  package func allReduce(
    _ buffer: UnsafeMutableBufferPointer<Double>, _ operation: ReduceOperation
  ) throws(MessagePassingError) -> Request {
    try allReduce(UnsafeMutableRawBufferPointer(buffer), of: lasp_double(), bytes: 8, operation)
  }

  private func allReduce(
    _ buffer: UnsafeMutableRawBufferPointer, of type: MPI_Datatype?, bytes: Int,
    _ operation: ReduceOperation
  ) throws(MessagePassingError) -> Request {
    let combine =
      switch operation {
      case .sum: lasp_sum()
      case .minimum: lasp_minimum()
      case .maximum: lasp_maximum()
      }
    return try start(.collective("reduction")) { () throws(MessagePassingError) in
      try inPieces(of: buffer.count / bytes, at: library.largestPiece / bytes) {
        (range: Range<Int>, request: inout MPI_Request?) in
        MPI_Iallreduce(
          lasp_in_place(), buffer.baseAddress.map { $0 + range.lowerBound * bytes },
          Int32(range.count), type, combine, handle, &request)
      }
    }
  }

  /// Starts collecting every rank's `mine` into `all`, in rank order.
  package func allGather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]
  ) throws(MessagePassingError) -> Request {
    check(gathering: mine.count, into: all.count, counts: counts)
    guard let base = all.baseAddress, !all.isEmpty else { return Request() }
    let own = base + counts[..<rank].reduce(0, +)
    let isInPlace = mine.baseAddress == UnsafeRawPointer(own)
    guard all.count > library.largestPiece else {
      let lists = list(counts, displacements: true)
      return try start(.collective("gather"), lists: lists) { () throws(MessagePassingError) in
        var request: MPI_Request?
        try library.check(
          MPI_Iallgatherv(
            isInPlace ? lasp_in_place() : mine.baseAddress, Int32(mine.count), lasp_byte(), base,
            lists.baseAddress, lists.baseAddress! + size, lasp_byte(), handle, &request),
          "MPI_Iallgatherv")
        return [.init(request: request, bytes: all.count)]
      }
    }
    // MPI's displacements are 32-bit: so each rank's part is broadcast, in pieces.
    return try start(.collective("gather")) { () throws(MessagePassingError) in
      if let source = mine.baseAddress, !isInPlace {
        own.copyMemory(from: source, byteCount: mine.count)
      }
      var (pieces, offset) = ([MPIOperation.PartialRequest](), 0)
      for (root, count) in counts.enumerated() where count > 0 {
        pieces += try broadcasting(
          UnsafeMutableRawBufferPointer(rebasing: all[offset..<offset + count]), from: root)
        offset += count
      }
      return pieces
    }
  }

  /// Starts summing `buffer` over all ranks, and gives rank r the r-th part of the sum.
  package func reduceScatter(
    _ buffer: UnsafeMutableBufferPointer<Float>, into mine: UnsafeMutableBufferPointer<Float>,
    counts: [Int]
  ) throws(MessagePassingError) -> Request {
    check(scattering: buffer.count, into: mine.count, counts: counts)
    guard let base = buffer.baseAddress, !buffer.isEmpty else { return Request() }
    guard buffer.count * 4 > library.largestPiece else {
      let lists = list(counts, displacements: false)
      return try start(.collective("reduction"), lists: lists) { () throws(MessagePassingError) in
        var request: MPI_Request?
        try library.check(
          MPI_Ireduce_scatter(
            base, mine.baseAddress, lists.baseAddress, lasp_float(), lasp_sum(), handle, &request),
          "MPI_Ireduce_scatter")
        return [.init(request: request, bytes: mine.count * 4)]
      }
    }
    // MPI's displacements are 32-bit: so each rank's part is reduced to it, in pieces.
    return try start(.collective("reduction")) { () throws(MessagePassingError) in
      var (pieces, offset) = ([MPIOperation.PartialRequest](), 0)
      for (root, count) in counts.enumerated() where count > 0 {
        pieces += try inPieces(of: count, at: library.largestPiece / 4) {
          (range: Range<Int>, request: inout MPI_Request?) in
          MPI_Ireduce(
            base + offset + range.lowerBound,
            root == rank ? mine.baseAddress! + range.lowerBound : nil,
            Int32(range.count), lasp_float(), lasp_sum(), Int32(root), handle, &request)
        }
        offset += count
      }
      return pieces
    }
  }

  /// Starts replacing `buffer` on every rank by that of `root`.
  package func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int)
    throws(MessagePassingError) -> Request
  {
    check(root: root)
    return try start(.collective("broadcast")) { () throws(MessagePassingError) in
      try broadcasting(buffer, from: root)
    }
  }

  /// Starts a barrier.
  package func barrier() throws(MessagePassingError) -> Request {
    try start(.collective("barrier")) { () throws(MessagePassingError) in
      var request: MPI_Request?
      try library.check(MPI_Ibarrier(handle, &request), "MPI_Ibarrier")
      return [.init(request: request, bytes: 0)]
    }
  }

  /// Counts as MPI takes them, with the displacements behind them.
  private func list(_ counts: [Int], displacements: Bool) -> UnsafeMutableBufferPointer<Int32> {
    let list = UnsafeMutableBufferPointer<Int32>.allocate(
      capacity: displacements ? 2 * size : size)
    var sum: Int32 = 0
    for (index, count) in counts.enumerated() {
      list[index] = Int32(count)
      if displacements { list[size + index] = sum }
      sum += Int32(count)
    }
    return list
  }

  private func broadcasting(_ buffer: UnsafeMutableRawBufferPointer, from root: Int)
    throws(MessagePassingError) -> [MPIOperation.PartialRequest]
  {
    try inPieces(of: buffer.count, at: library.largestPiece) {
      (range: Range<Int>, request: inout MPI_Request?) in
      MPI_Ibcast(
        buffer.baseAddress.map { $0 + range.lowerBound }, Int32(range.count), lasp_byte(),
        Int32(root), handle, &request)
    }
  }
}
