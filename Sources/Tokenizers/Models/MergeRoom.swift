/// The symbols of a word while neighbours are merged, the pair of lowest rank first, the leftmost of equals.
struct MergeRoom {
  /// The symbols that are left.
  private(set) var symbols: [Int32] = []
  /// Rank and result of the pair that begins at a symbol.
  private var merges: [UInt64] = []
  private var next: [Int32] = []
  private var previous: [Int32] = []
  private var queue = MergeQueue()
  /// Longest word whose pairs are searched through each time, which is faster than a queue for few.
  private static let fewSymbols = 40
  private static let none = UInt64.max

  /// Begins a word.
  mutating func removeAll() { symbols.removeAll(keepingCapacity: true) }

  /// Appends a symbol to the word.
  @inline(__always)
  mutating func append(_ symbol: Int32) { symbols.append(symbol) }

  /// Merges all that can be.
  ///
  /// - Parameters:
  ///   - table: Rank (upper half) and merged symbol (lower half) of pairs.
  ///   - looked: Called with each pair that has a merge, when it is looked up.
  @inline(__always)
  mutating func merge(
    by table: PairTable, looked: ((_ left: Int32, _ right: Int32, _ merged: Int32) -> Void)? = nil
  ) {
    guard symbols.count > 1 else { return }
    if symbols.count <= Self.fewSymbols {
      mergeFew(table, looked)
    } else {
      mergeMany(table, looked)
    }
  }

  @inline(__always)
  private func pair(
    _ left: Int32, _ right: Int32, _ table: PairTable,
    _ looked: ((Int32, Int32, Int32) -> Void)?
  ) -> UInt64 {
    guard let merge = table.value(UInt32(bitPattern: left), UInt32(bitPattern: right)) else {
      return Self.none
    }
    looked?(left, right, Int32(truncatingIfNeeded: merge))
    return merge
  }

  private mutating func mergeFew(_ table: PairTable, _ looked: ((Int32, Int32, Int32) -> Void)?) {
    merges.removeAll(keepingCapacity: true)
    for index in 1..<symbols.count {
      merges.append(pair(symbols[index - 1], symbols[index], table, looked))
    }
    while true {
      var best = Self.none
      var place = -1
      for index in merges.indices where merges[index] >> 32 < best >> 32 {
        best = merges[index]
        place = index
      }
      guard place >= 0 else { return }
      symbols[place] = Int32(truncatingIfNeeded: best)
      symbols.remove(at: place + 1)
      merges.remove(at: place)
      if place > 0 {
        merges[place - 1] = pair(symbols[place - 1], symbols[place], table, looked)
      }
      if place < merges.count {
        merges[place] = pair(symbols[place], symbols[place + 1], table, looked)
      }
    }
  }

  private mutating func mergeMany(_ table: PairTable, _ looked: ((Int32, Int32, Int32) -> Void)?) {
    let count = symbols.count
    queue.removeAll()
    next.removeAll(keepingCapacity: true)
    previous.removeAll(keepingCapacity: true)
    for index in 0..<count {
      previous.append(Int32(index) - 1)
      next.append(index + 1 < count ? Int32(index) + 1 : -1)
    }
    func push(_ place: Int, _ right: Int) {
      let merge = pair(symbols[place], symbols[right], table, looked)
      if merge != Self.none { queue.push((merge >> 32) << 32 | UInt64(place)) }
    }
    for index in 1..<count { push(index - 1, index) }
    while let top = queue.pop() {
      let place = Int(top & 0xFFFF_FFFF)
      // A pair that has changed since it was queued has another rank, or stands in the queue again.
      guard symbols[place] >= 0, next[place] >= 0 else { continue }
      let right = Int(next[place])
      guard
        let merge = table.value(
          UInt32(bitPattern: symbols[place]), UInt32(bitPattern: symbols[right])),
        merge >> 32 == top >> 32
      else { continue }
      symbols[place] = Int32(truncatingIfNeeded: merge)
      symbols[right] = -1
      next[place] = next[right]
      if next[right] >= 0 { previous[Int(next[right])] = Int32(place) }
      if previous[place] >= 0 { push(Int(previous[place]), place) }
      if next[place] >= 0 { push(place, Int(next[place])) }
    }
    symbols.removeAll { $0 < 0 }
  }
}
