import Autodiff
import DataParallel
import Measurement
import MessagePassing
import Tensors
import Testing

@Suite("The reduction of gradients")
struct GradientReducerTests {
  /// Regions of these many numbers; one of none.
  static let sizes = [40, 7, 0, 1000, 300, 3]

  private static var table: ParameterTable {
    var table = ParameterTable()
    for (region, size) in sizes.enumerated() {
      table.addRegion("r\(region)")
      _ = table.add("w\(region)", [size], role: .matrix, initialization: .constant(0))
    }
    return table
  }

  /// A rank's gradient; sums of few such numbers are exact.
  private static func gradient(_ rank: Int, _ index: Int) -> Float {
    Float((rank * 31 + index * 7) % 97) / 8
  }

  @Test(
    "Every rank has the sum of all, whatever the buckets, step after step",
    arguments: 1...5, [1, 1200, 1 << 20])
  func sums(ranks: Int, bucketBytes: Int) throws {
    let table = Self.table
    let count = table.count
    let results = try ThreadCommunicator.run(ranks: ranks, deadline: 30) { world in
      let workspace = Workspace()
      let store = WholeParameters(table: table, gradients: true, pool: workspace.pool)
      let reducer = GradientReducer(
        store: store, group: try world.duplicate(), counters: workspace.counters,
        bucketBytes: bucketBytes)
      return try (0..<3).map { step in
        workspace.counters.reset()
        for index in 0..<count {
          store.gradients!.pointer[index] = Self.gradient(world.rank, index + step)
        }
        for region in Self.sizes.indices.reversed() {
          try reducer.complete(region: region)
          try reducer.poll()
        }
        try reducer.finish(polling: {})
        let sums = Array(UnsafeBufferPointer(start: store.gradients!.pointer, count: count))
        return (sums, workspace.counters.gradientBytesSent)
      }
    }
    for steps in results {
      for (step, (sums, bytes)) in steps.enumerated() {
        let expected = (0..<count).map { index in
          (0..<ranks).reduce(0) { $0 + Self.gradient($1, index + step) }
        }
        #expect(sums == expected)
        let all = 2 * (ranks - 1) * 4 * count / ranks
        #expect((all - Self.sizes.count...all).contains(bytes))
      }
    }
  }

  @Test("Only the last portion's regions need to be complete, all of them")
  func incomplete() async {
    await #expect(processExitsWith: .failure) {
      var table = ParameterTable()
      for region in 0..<2 {
        table.addRegion("r\(region)")
        _ = table.add("w\(region)", [4], role: .matrix, initialization: .constant(0))
      }
      let workspace = Workspace()
      let store = WholeParameters(table: table, gradients: true, pool: workspace.pool)
      let reducer = GradientReducer(
        store: store, group: SoloCommunicator(), counters: workspace.counters, bucketBytes: 1)
      try reducer.complete(region: 1)
      try reducer.finish(polling: {})
    }
  }
}
