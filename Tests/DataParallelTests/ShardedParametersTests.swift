import Autodiff
import Measurement
import MessagePassing
import Tensors
import Testing

@testable import DataParallel

@Suite("Weights and gradients that are cut over ranks")
struct ShardedParametersTests {
  /// Regions of these many numbers; one of none.
  static let sizes = [40, 7, 0, 5000, 300, 3]

  static var table: ParameterTable {
    var table = ParameterTable()
    for (region, size) in sizes.enumerated() {
      table.addRegion("r\(region)")
      _ = table.add("w\(region)", [size], role: .matrix, initialization: .constant(0))
    }
    return table
  }

  /// A rank's gradient; sums of few such numbers are exact.
  static func gradient(_ rank: Int, _ index: Int) -> Float {
    Float((rank * 31 + index * 7) % 97) / 8
  }

  /// Adds a rank's gradients to those of all regions, from the last to the first, as a backward pass does.
  static func backward(
    _ store: ShardedParameters, rank: Int, shift: Int, isLast: Bool,
    number: (Int, Int) -> Float = gradient
  ) throws {
    for region in sizes.indices.reversed() {
      try store.acquire(region: region, gradients: true)
      let parameter = store.table.parameter(named: "w\(region)")!
      let range = store.table[parameter].range
      let pointer = store.gradient(parameter)
      for index in range { pointer[index - range.lowerBound] += number(rank, index + shift) }
      store.release(region: region)
      try store.complete(region: region, isLast: isLast)
      try store.workspace.poll()
    }
  }

  @Test(
    "Each rank has the sum of all ranks' gradients, of everything or of its parts, step after step",
    arguments: Sharding.allCases, [1, 2, 3, 5])
  func sums(sharding: Sharding, ranks: Int) throws {
    let table = Self.table
    for bucketBytes in [1, 1200, 1 << 20] {
      let results = try ThreadCommunicator.run(ranks: ranks, deadline: 30) { world in
        let workspace = Workspace()
        let store = try ShardedParameters(
          table: table, sharding: sharding, group: world, workspace: workspace,
          bucketBytes: bucketBytes)
        return try (0..<3).map { step in
          store.clearGradients()
          try Self.backward(store, rank: world.rank, shift: step, isLast: false)
          try Self.backward(store, rank: world.rank, shift: 2 * step, isLast: true)
          try store.finishSums(polling: store.workspace.poll)
          let parts = sharding == .none ? store.updated : store.parts
          return parts.map { part in
            (part.range, Array(UnsafeBufferPointer(start: part.gradients, count: part.range.count)))
          }
        }
      }
      for steps in results {
        for (step, parts) in steps.enumerated() {
          for (range, sums) in parts {
            let expected = range.map { index in
              (0..<ranks).reduce(Float(0)) {
                $0 + Self.gradient($1, index + step) + Self.gradient($1, index + 2 * step)
              }
            }
            #expect(sums == expected, "\(bucketBytes) bytes, step \(step), \(range)")
          }
        }
      }
      // Every number has one owner.
      let owned = results.flatMap { $0[0].map(\.0) }.filter { !$0.isEmpty }
      if sharding != .none {
        #expect(
          owned.sorted { $0.lowerBound < $1.lowerBound }.flatMap { Array($0) }
            == Array(0..<table.count))
      }
    }
  }

  @Test("All four give the same bits, and bucket sizes change none", arguments: [2, 4, 7])
  func bits(ranks: Int) throws {
    let table = Self.table
    func gradients(_ sharding: Sharding, _ bucketBytes: Int) throws -> [Float] {
      let parts = try ThreadCommunicator.run(ranks: ranks, deadline: 30) { world in
        let store = try ShardedParameters(
          table: table, sharding: sharding, group: world, workspace: Workspace(),
          bucketBytes: bucketBytes)
        store.clearGradients()
        let random = Random(seed: 7, purpose: UInt64(world.rank))
        try Self.backward(store, rank: world.rank, shift: 0, isLast: true) {
          Float(random.normal(at: UInt64($1)))
        }
        try store.finishSums(polling: store.workspace.poll)
        return store.parts.map { part in
          (part.range, Array(UnsafeBufferPointer(start: part.gradients, count: part.range.count)))
        }
      }
      return parts.flatMap { $0 }.sorted { $0.0.lowerBound < $1.0.lowerBound }.flatMap(\.1)
    }
    let one = try gradients(.none, 1 << 20)
    #expect(one.count == table.count)
    for sharding in Sharding.allCases {
      for bytes in [1, 4096] { #expect(try gradients(sharding, bytes) == one) }
    }
  }

  @Test(
    "With bf16 on the wire sums stay in fp32, and all ranks have the same", arguments: [2, 3, 4])
  func bfloat16(ranks: Int) throws {
    let table = Self.table
    let results = try ThreadCommunicator.run(ranks: ranks, deadline: 30) { world in
      let workspace = Workspace()
      let store = try ShardedParameters(
        table: table, sharding: .none, group: world, workspace: workspace, bucketBytes: 3000,
        transport: .bf16)
      store.clearGradients()
      try Self.backward(store, rank: world.rank, shift: 0, isLast: true) { rank, index in
        Float(rank * 1000 + index) / 3
      }
      try store.finishSums(polling: store.workspace.poll)
      return (
        Array(UnsafeBufferPointer(start: store.gradients.pointer, count: table.count)),
        workspace.counters.gradientBytesSent
      )
    }
    for (sums, _) in results {
      #expect(sums == results[0].0)
      for (index, sum) in sums.enumerated() {
        let exact = (0..<ranks).reduce(0.0) { $0 + Double($1 * 1000 + index) / 3 }
        // Rounded to 8 digits on the way to the owner, and once more on the way back.
        #expect(abs(Double(sum) - exact) <= exact * (0x1p-8 + 0x1p-8 * (1 + 0x1p-8)))
      }
    }
    let bytes = results.reduce(0) { $0 + $1.1 }
    #expect(bytes == 2 * 2 * (ranks - 1) * table.count)
  }

  @Test("New weights reach every rank that keeps all of them", arguments: Sharding.allCases)
  func weights(sharding: Sharding) throws {
    let table = Self.table
    try ThreadCommunicator.run(ranks: 3, deadline: 30) { world in
      let store = try ShardedParameters(
        table: table, sharding: sharding, group: world, workspace: Workspace(), bucketBytes: 1200)
      for part in store.updated {
        for index in part.range { part.values[index - part.range.lowerBound] = Float(index) }
      }
      try store.shareWeights()
      for region in Self.sizes.indices {
        try store.acquire(region: region, gradients: false)
        if region + 1 < Self.sizes.count { try store.prefetch(region: region + 1) }
        let parameter = store.table.parameter(named: "w\(region)")!
        let range = table[parameter].range
        let weights = UnsafeBufferPointer(start: store.value(parameter), count: range.count)
        #expect(Array(weights) == range.map { Float($0) })
        store.release(region: region)
      }
      try store.settle(polling: store.workspace.poll)
    }
  }

  @Test("A rank keeps its share, and a unit more while it is used", arguments: [2, 4])
  func memory(ranks: Int) throws {
    var table = ParameterTable()
    for region in 0..<8 {
      table.addRegion("r\(region)")
      _ = table.add("w\(region)", [1 << 16], role: .matrix, initialization: .constant(0))
    }
    let whole = 4 * table.count
    let unit = whole / 8
    let kept = table
    let peaks = try ThreadCommunicator.run(ranks: ranks, deadline: 30) { world in
      let workspace = Workspace()
      let store = try ShardedParameters(
        table: kept, sharding: .parameters, group: world, workspace: workspace, bucketBytes: 4096)
      for part in store.kept { part.values.update(repeating: 0, count: part.range.count) }
      for region in 0..<8 {
        try store.acquire(region: region, gradients: false)
        if region < 7 { try store.prefetch(region: region + 1) }
        store.release(region: region)
      }
      for region in (0..<8).reversed() {
        try store.acquire(region: region, gradients: true)
        if region > 0 { try store.prefetch(region: region - 1) }
        store.release(region: region)
        try store.complete(region: region, isLast: true)
      }
      try store.finishSums(polling: store.workspace.poll)
      return workspace.pool.statistics.peak
    }
    // Own weights and gradients; two units of each; the messages of four buckets.
    let limit = 2 * whole / ranks + 4 * unit + 8 * 4096
    for peak in peaks { #expect(peak <= limit, "\(peak) bytes, \(limit) expected") }
  }

  @Test("Long operations of a rank poll where others have the same weights", arguments: 1...2)
  func peers(ranks: Int) throws {
    let table = Self.table
    try ThreadCommunicator.run(ranks: ranks, deadline: 30) { world in
      let workspace = Workspace()
      let store = try ShardedParameters(
        table: table, sharding: .none, group: world, workspace: workspace)
      #expect(workspace.hasPeers == (ranks > 1))
      withExtendedLifetime(store) {}
    }
  }

  @Test("Every poll of a workspace moves on its stores' sums and weights, however many there are")
  func stores() throws {
    let table = Self.table
    try ThreadCommunicator.run(ranks: 2, deadline: 30) { world in
      let workspace = Workspace()
      let stores = try [Sharding.none, .optimizer].map {
        try ShardedParameters(
          table: table, sharding: $0, group: world, workspace: workspace, bucketBytes: 1 << 20)
      }
      for store in stores {
        store.clearGradients()
        try Self.backward(store, rank: world.rank, shift: 0, isLast: true)
      }
      // Nobody waits for anything: polls alone bring the sums, and then the weights.
      func poll() throws {
        for _ in 0..<10_000_000 where stores.contains(where: \.isTransferring) {
          try workspace.poll()
        }
        let open = stores.filter(\.isTransferring)
        #expect(open.isEmpty)
      }
      try poll()
      for store in stores {
        try store.finishSums(polling: workspace.poll)
        try store.shareWeights()
      }
      try poll()
      for part in stores[0].parts {
        for (index, number) in part.range.enumerated() {
          let sum = Self.gradient(0, number) + Self.gradient(1, number)
          #expect(part.gradients[index] == sum)
        }
      }
    }
  }

  @Test("A step is not over before the gradients of all regions are complete")
  func incomplete() async {
    await #expect(processExitsWith: .failure) {
      let store = try ShardedParameters(
        table: Self.table, sharding: .none, group: SoloCommunicator(), workspace: Workspace(),
        bucketBytes: 1)
      try store.complete(region: 1, isLast: true)
      try store.finishSums(polling: {})
    }
  }
}
