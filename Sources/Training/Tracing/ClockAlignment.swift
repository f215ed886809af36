import Measurement
import MessagePassing

/// Finds the readings of all ranks' clocks at one instant.
///
/// Ranks of one host read the same clock. For another host, rank 0 asks for its time some rounds long and
/// believes the round with the shortest trip: the answer was given half-way through it, or nearly.
enum ClockAlignment {
  private static let rounds = 16
  private static let tag = 1

  /// This rank's clock at the instant that rank 0 begins.
  ///
  /// Collective.
  static func zero(_ world: any Communicator) throws -> UInt64 {
    let hosts = try world.allGather(world.hostName)
    let start = Clock.nanoseconds
    var zeros = [start]
    for other in 1..<max(world.size, 1) {
      let isElsewhere = hosts[other] != hosts[0]
      if world.rank == 0 {
        zeros.append(isElsewhere ? start &+ (try offset(of: other, world)) : start)
      } else if world.rank == other && isElsewhere {
        for _ in 0..<rounds {
          _ = try receive(from: 0, world)
          try send(Clock.nanoseconds, to: 0, world)
        }
      }
    }
    return try world.allGather(world.rank == 0 ? zeros : [])[0][world.rank]
  }

  /// The other rank's clock minus this one's, modulo 2⁶⁴ nanoseconds.
  private static func offset(of other: Int, _ world: any Communicator) throws -> UInt64 {
    var (shortest, best) = (UInt64.max, UInt64(0))
    for _ in 0..<rounds {
      let asked = Clock.nanoseconds
      try send(asked, to: other, world)
      let answer = try receive(from: other, world)
      let trip = Clock.nanoseconds - asked
      if trip < shortest { (shortest, best) = (trip, answer &- (asked + trip / 2)) }
    }
    return best
  }

  private static func send(_ time: UInt64, to rank: Int, _ world: any Communicator) throws {
    let buffer = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: 1)
    defer { buffer.deallocate() }
    buffer.initialize(repeating: time)
    try world.send(UnsafeRawBufferPointer(buffer), to: rank, tag: tag)
      .wait(for: "the departure of a clock's time to rank \(rank)")
  }

  private static func receive(from rank: Int, _ world: any Communicator) throws -> UInt64 {
    let buffer = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: 1)
    defer { buffer.deallocate() }
    buffer.initialize(repeating: 0)
    try world.receive(into: UnsafeMutableRawBufferPointer(buffer), from: rank, tag: tag)
      .wait(for: "the time of rank \(rank)'s clock")
    return buffer[0]
  }
}
