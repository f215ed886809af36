/// A heap of numbers that gives the least one first.
struct MergeQueue {
  private var heap: [UInt64] = []

  /// Empties the queue.
  mutating func removeAll() { heap.removeAll(keepingCapacity: true) }

  /// Adds a number.
  mutating func push(_ number: UInt64) {
    heap.append(number)
    var place = heap.count - 1
    while place > 0, heap[(place - 1) / 2] > number {
      heap[place] = heap[(place - 1) / 2]
      place = (place - 1) / 2
    }
    heap[place] = number
  }

  /// Takes the least number; nil when there is none.
  mutating func pop() -> UInt64? {
    guard let least = heap.first, let last = heap.popLast() else { return nil }
    guard !heap.isEmpty else { return least }
    var place = 0
    while true {
      var child = 2 * place + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
      guard heap[child] < last else { break }
      heap[place] = heap[child]
      place = child
    }
    heap[place] = last
    return least
  }
}
