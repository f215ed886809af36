/// What ranks do together; the calls of all ranks of a collective must be equal.
enum ThreadCall: Equatable {
  case send
  case receive
  case allReduceFloat(ReduceOperation, elements: Int)
  case allReduceDouble(ReduceOperation, elements: Int)
  case allGather(bytes: [Int])
  case reduceScatter(elements: [Int])
  case broadcast(bytes: Int, root: Int)
  case gather(bytes: Int, root: Int)
  case barrier
  case split

  /// Does the work of a collective for all its ranks.
  ///
  /// - Parameters:
  ///   - all: Every rank's part, in rank order.
  ///   - contexts: Reserves so many numbers for new communicators, and gives the first.
  func perform(_ all: [ThreadOperation], contexts: (Int) -> Int) {
    switch self {
    case .send, .receive, .barrier: break
    case .allReduceFloat(let operation, _): Self.allReduce(all, operation, Float.self)
    case .allReduceDouble(let operation, _): Self.allReduce(all, operation, Double.self)
    case .allGather(let bytes): Self.gather(all.map(\.input), into: all.map(\.output), bytes)
    case .gather(let bytes, let root):
      Self.gather(
        all.map(\.input), into: [all[root].output], Array(repeating: bytes, count: all.count))
    case .broadcast(_, let root):
      for one in all where one.rank != root {
        one.output.copyMemory(from: UnsafeRawBufferPointer(all[root].output))
      }
    case .reduceScatter(let elements): Self.reduceScatter(all, elements)
    case .split: Self.split(all, contexts)
    }
  }

  private static func allReduce<Number: FloatingPoint>(
    _ all: [ThreadOperation], _ operation: ReduceOperation, _: Number.Type
  ) {
    guard let sum = all[0].output.assumingMemoryBound(to: Number.self).baseAddress else { return }
    let count = all[0].output.count / MemoryLayout<Number>.stride
    for one in all.dropFirst() {
      let part = one.output.assumingMemoryBound(to: Number.self).baseAddress!
      switch operation {
      case .sum: for i in 0..<count { sum[i] += part[i] }
      case .minimum: for i in 0..<count { sum[i] = min(sum[i], part[i]) }
      case .maximum: for i in 0..<count { sum[i] = max(sum[i], part[i]) }
      }
    }
    for one in all.dropFirst() {
      one.output.copyMemory(from: UnsafeRawBufferPointer(all[0].output))
    }
  }

  private static func gather(
    _ inputs: [UnsafeRawBufferPointer], into outputs: [UnsafeMutableRawBufferPointer],
    _ bytes: [Int]
  ) {
    for output in outputs {
      var offset = 0
      for (input, count) in zip(inputs, bytes) where count > 0 {
        (output.baseAddress! + offset).copyMemory(from: input.baseAddress!, byteCount: count)
        offset += count
      }
    }
  }

  private static func reduceScatter(_ all: [ThreadOperation], _ elements: [Int]) {
    var offset = 0
    for (one, count) in zip(all, elements) where count > 0 {
      let mine = one.output.assumingMemoryBound(to: Float.self).baseAddress!
      for (index, other) in all.enumerated() {
        let part = other.input.assumingMemoryBound(to: Float.self).baseAddress! + offset
        if index == 0 {
          mine.update(from: part, count: count)
        } else {
          for i in 0..<count { mine[i] += part[i] }
        }
      }
      offset += count
    }
  }

  private static func split(_ all: [ThreadOperation], _ contexts: (Int) -> Int) {
    let groups = Dictionary(grouping: all, by: \.color).sorted { $0.key < $1.key }.map(\.value)
    let first = contexts(groups.count)
    for (index, group) in groups.enumerated() {
      let members = group.sorted { ($0.key, $0.rank) < ($1.key, $1.rank) }.map(\.rank)
      for one in group { (one.context, one.members) = (first + index, members) }
    }
  }
}
