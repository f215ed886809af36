import Autodiff
import MessagePassing
import Tensors
import Testing

@testable import DataParallel

@Suite("Weights over all ranks, with experts that are dealt")
struct DistributedParametersTests {
  private static let experts = 4

  /// Two regions with experts between what belongs to none, and one with nothing else.
  private static var table: ParameterTable { table(experts: experts) }

  private static func table(experts: Int) -> ParameterTable {
    var table = ParameterTable()
    for (region, sizes) in [[7, 300], [40], [5, 900]].enumerated() {
      table.addRegion("r\(region)")
      for (index, size) in sizes.enumerated() {
        _ = table.add("w\(region).\(index)", [size], role: .matrix, initialization: .constant(0))
        guard region != 1 else { continue }
        for expert in 0..<experts {
          let parameter = table.add(
            "e\(region).\(index).\(expert)", [size + expert], role: .matrix,
            initialization: .constant(0))
          table.assign(parameter, to: .init(expert, of: experts))
        }
      }
    }
    return table
  }

  private static func store(
    _ sharding: Sharding, size: Int, on world: any Communicator
  ) throws -> DistributedParameters {
    try DistributedParameters(
      table: table, sharding: sharding, world: world,
      experts: ExpertShape(ranks: world.size, size: size), workspace: Workspace(),
      bucketBytes: 1200)
  }

  private static func gradient(_ rank: Int, _ index: Int) -> Float {
    Float((rank * 31 + index * 7) % 97) / 8
  }

  /// Whether a rank has a parameter.
  private static func has(_ entry: ParameterTable.Entry, rank: Int, size: Int) -> Bool {
    entry.expert.map { $0.number / (experts / size) == rank % size } ?? true
  }

  /// The sums in a rank's parts, when all have come.
  private static func sums(of store: DistributedParameters) throws -> [(Range<Int>, [Float])] {
    try store.finishSums(polling: store.workspace.poll)
    return store.parts.map { part in
      (part.range, Array(UnsafeBufferPointer(start: part.gradients, count: part.range.count)))
    }
  }

  /// All ranks' parts in order, which have each number once.
  private static func joined(_ parts: [[(Range<Int>, [Float])]], count: Int) -> [Float] {
    let parts = parts.flatMap { $0 }.sorted { $0.0.lowerBound < $1.0.lowerBound }
    #expect(parts.flatMap { Array($0.0) } == Array(0..<count))
    return parts.flatMap(\.1)
  }

  @Test(
    "Gradients are summed over the ranks that have them, and each number is in the parts of one rank",
    arguments: Sharding.allCases, [(1, 3), (2, 2), (2, 4), (4, 4), (2, 6)])
  func sums(sharding: Sharding, grid: (size: Int, ranks: Int)) throws {
    let (table, size, ranks) = (Self.table, grid.size, grid.ranks)
    let parts = try ThreadCommunicator.run(ranks: ranks, deadline: 30) { world in
      let store = try Self.store(sharding, size: size, on: world)
      store.clearGradients()
      for pass in 0..<2 {
        for region in table.regions.indices.reversed() {
          try store.acquire(region: region, gradients: true)
          for parameter in table.parameters where table[parameter].region == region {
            let entry = table[parameter]
            guard Self.has(entry, rank: world.rank, size: size) else { continue }
            let pointer = store.gradient(parameter)
            for index in entry.range {
              pointer[index - entry.range.lowerBound] += Self.gradient(world.rank, index)
            }
          }
          store.release(region: region)
          try store.complete(region: region, isLast: pass == 1)
        }
      }
      return try Self.sums(of: store)
    }
    let sums = Self.joined(parts, count: table.count)
    for entry in table.entries {
      for index in entry.range {
        let right = (0..<ranks).filter { Self.has(entry, rank: $0, size: size) }
          .reduce(Float(0)) { $0 + 2 * Self.gradient($1, index) }
        #expect(sums[index] == right, "\(entry.name)")
      }
    }
  }

  @Test(
    "Sums of what is kept apart for each rank of a group are, bit for bit, those where each rank has all experts",
    arguments: Sharding.allCases, [(2, 2), (4, 4), (2, 4), (2, 6), (6, 6), (4, 8), (8, 8)])
  func keptApart(sharding: Sharding, grid: (size: Int, ranks: Int)) throws {
    func sums(_ size: Int) throws -> [Float] {
      let shape = try ExpertShape(ranks: grid.ranks, size: size, reproducible: true)
      let table = Self.table(experts: 24)
      let parts = try ThreadCommunicator.run(ranks: grid.ranks, deadline: 30) { world in
        let store = try DistributedParameters(
          table: table, sharding: sharding, world: world, experts: shape, workspace: Workspace(),
          bucketBytes: 1200)
        let first = shape.group(of: world.rank) * size
        store.clearGradients()
        for pass in 0..<3 {
          for region in table.regions.indices.reversed() {
            try store.acquire(region: region, gradients: true)
            for parameter in table.parameters where table[parameter].region == region {
              let entry = table[parameter]
              var ranks = [world.rank]
              if let expert = entry.expert, size > 1 {
                let own = shape.experts(of: shape.member(of: world.rank), among: expert.count)
                ranks = own.contains(expert.number) ? Array(first..<first + size) : []
              }
              for (source, rank) in ranks.enumerated() {
                let pointer = store.gradient(parameter, source: source)
                for index in entry.range {
                  // Sums of these depend on their order.
                  pointer[index - entry.range.lowerBound] +=
                    1 / Float(index + 1000 * rank + 17 * pass + 3)
                }
              }
            }
            store.release(region: region)
            try store.complete(region: region, isLast: pass == 2)
          }
        }
        return try Self.sums(of: store)
      }
      return Self.joined(parts, count: table.count)
    }
    let right = try sums(1)
    #expect(try sums(grid.size) == right)
  }

  @Test(
    "New weights reach every rank that has them, and all of them rank 0",
    arguments: Sharding.allCases, [(1, 3), (2, 4), (4, 4), (2, 6)])
  func weights(sharding: Sharding, grid: (size: Int, ranks: Int)) throws {
    let (table, size) = (Self.table, grid.size)
    let own = try ThreadCommunicator.run(ranks: grid.ranks, deadline: 30) { world in
      let store = try Self.store(sharding, size: size, on: world)
      for part in store.updated {
        for index in part.range { part.values[index - part.range.lowerBound] = Float(index) }
      }
      try store.shareWeights()
      for region in table.regions.indices {
        try store.acquire(region: region, gradients: false)
        for parameter in table.parameters where table[parameter].region == region {
          let entry = table[parameter]
          guard Self.has(entry, rank: world.rank, size: size) else { continue }
          let weights = UnsafeBufferPointer(
            start: store.value(parameter), count: entry.range.count)
          #expect(weights.elementsEqual(entry.range.map { Float($0) }), "\(entry.name)")
        }
        store.release(region: region)
      }
      var seen: [Float] = []
      try store.collect(.weights) { range, numbers in
        #expect(range.lowerBound == seen.count)
        seen += UnsafeBufferPointer(start: numbers, count: range.count)
      }
      #expect(seen == (world.rank == 0 ? (0..<table.count).map { Float($0) } : []))
      return try store.own(.weights).map { range, numbers in
        (range, (0..<range.count).allSatisfy { numbers[$0] == Float(range.lowerBound + $0) })
      }
    }.flatMap { $0 }
    #expect(own.allSatisfy { $0.1 })
    #expect(own.flatMap { Array($0.0) }.sorted() == Array(0..<table.count))
  }

  @Test(
    "A moment that some parameters have is collected, and written by its owners",
    arguments: Sharding.allCases, [(1, 3), (2, 4), (4, 4)])
  func moments(sharding: Sharding, grid: (size: Int, ranks: Int)) throws {
    let table = Self.table
    let some = IndexRanges(
      table.entries.enumerated().filter { $0.offset % 3 != 1 }.map(\.element.range))
    try ThreadCommunicator.run(ranks: grid.ranks, deadline: 30) { world in
      let store = try Self.store(sharding, size: grid.size, on: world)
      let numbers = store.updated.flatMap { part in
        some.pieces(of: part.range).flatMap { $0.map { Float($0) } }
      }
      try numbers.withUnsafeBufferPointer { numbers in
        let moments = DistributedParameters.Numbers.moments(numbers.baseAddress!, of: some)
        var seen: [Float] = []
        try store.collect(moments) { range, numbers in
          seen += UnsafeBufferPointer(start: numbers, count: range.count)
        }
        let all = some.ranges.flatMap { $0.map { Float($0) } }
        #expect(seen == (world.rank == 0 ? all : []))
        for (range, numbers) in try store.own(moments) {
          #expect((0..<range.count).allSatisfy { numbers[$0] == Float(range.lowerBound + $0) })
        }
      }
    }
  }
}
