/// Calls that start, wait and return: for start-up and for what happens once in a while.
extension Communicator {
  /// Waits until every rank has come here.
  ///
  /// - Parameter purpose: What they come together for.
  package func synchronize(for purpose: @autoclosure () -> String) throws(MessagePassingError) {
    try barrier().wait(for: purpose())
  }

  /// The sum of every rank's value.
  package func allReduceSum(_ value: Double) throws(MessagePassingError) -> Double {
    try allReduce([value], .sum)[0]
  }

  /// The greatest of every rank's value.
  package func allReduceMaximum(_ value: Double) throws(MessagePassingError) -> Double {
    try allReduce([value], .maximum)[0]
  }

  /// The elementwise reduction of every rank's values.
  package func allReduce(_ values: [Double], _ operation: ReduceOperation)
    throws(MessagePassingError) -> [Double]
  {
    let buffer = UnsafeMutableBufferPointer<Double>.allocate(capacity: values.count)
    _ = buffer.initialize(from: values)
    try allReduce(buffer, operation).wait(for: "a reduction of \(values.count) numbers")
    // Where it fails the memory stays: others may still write to it until the program ends.
    defer { buffer.deallocate() }
    return Array(buffer)
  }

  /// Every rank's values, in rank order; ranks may give different numbers of them.
  package func allGather<Number: BitwiseCopyable>(_ values: [Number])
    throws(MessagePassingError) -> [[Number]]
  {
    let stride = MemoryLayout<Number>.stride
    let counts = UnsafeMutableBufferPointer<Int>.allocate(capacity: size)
    counts.initialize(repeating: values.count)
    let own = UnsafeRawBufferPointer(
      rebasing: UnsafeRawBufferPointer(counts)[rank * 8..<rank * 8 + 8])
    try allGather(own, into: UnsafeMutableRawBufferPointer(counts)).wait(for: "lengths of lists")

    let total = counts.reduce(0, +)
    let all = UnsafeMutableBufferPointer<Number>.allocate(capacity: total)
    let mine = UnsafeMutableBufferPointer<Number>.allocate(capacity: values.count)
    _ = mine.initialize(from: values)
    try allGather(
      UnsafeRawBufferPointer(mine), into: UnsafeMutableRawBufferPointer(all),
      counts: counts.map { $0 * stride }
    ).wait(for: "lists of \(total) numbers")
    // Where it fails the memory stays, as above.
    defer {
      counts.deallocate()
      all.deallocate()
      mine.deallocate()
    }
    var offset = 0
    return counts.map { count in
      defer { offset += count }
      return Array(all[offset..<offset + count])
    }
  }

  /// Every rank's value, in rank order.
  package func allGather(_ value: Double) throws(MessagePassingError) -> [Double] {
    try allGather([value]).map { $0[0] }
  }

  /// Every rank's text, in rank order.
  package func allGather(_ text: String) throws(MessagePassingError) -> [String] {
    try allGather(Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The text of `root`, on every rank.
  package func broadcast(_ text: String, from root: Int = 0) throws(MessagePassingError) -> String {
    try allGather(rank == root ? text : "")[root]
  }

  /// Runs `body` on every rank, and lets all of them go on only if it threw on none.
  ///
  /// Collective. Where it threw, the first such rank throws its error, and all others
  /// `MessagePassingError.peerFailed`, so that one rank reports what many may have met.
  package func together<T>(_ body: () throws -> T) throws -> T {
    let result = Result { try body() }
    let message = if case .failure(let error) = result { "1\(error)" } else { "0" }
    let all = try allGather(message)
    guard let failed = all.firstIndex(where: { $0.hasPrefix("1") }), failed != rank else {
      return try result.get()
    }
    throw MessagePassingError.peerFailed(rank: failed, reason: String(all[failed].dropFirst()))
  }
}
