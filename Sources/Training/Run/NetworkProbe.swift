import Measurement
import MessagePassing

/// Measures what a message costs between neighbours of the sequence groups.
package enum NetworkProbe {
  /// Latency and bandwidth of the slowest pair of neighbours.
  package struct Network: Sendable {
    /// Seconds of a message of no length.
    package let latency: Double
    /// Seconds of a byte more.
    package let secondsPerByte: Double
  }

  private static let rounds = (small: 20, large: 4)
  private static let smallBytes = 8
  private static let tag = 2

  /// Lets neighbours send short and long messages back and forth; first pairs (0, 1), (2, 3)…, then (1, 2)….
  ///
  /// Collective; every rank gets the same figures.
  ///
  /// - Parameter bytes: Length of the long messages; 64 KiB to 4 MiB are sent.
  package static func measure(_ group: any Communicator, world: any Communicator, bytes: Int) throws
    -> Network
  {
    let long = min(max(bytes, 1 << 16), 4 << 20)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: long, alignment: 64)
    defer { buffer.deallocate() }
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    var slowest = [0.0, 0.0]
    for parity in 0..<2 {
      let isFirst = group.rank % 2 == parity
      let other = isFirst ? group.rank + 1 : group.rank - 1
      guard (0..<group.size).contains(other) else { continue }
      for (index, (length, rounds)) in [(smallBytes, rounds.small), (long, rounds.large)]
        .enumerated()
      {
        let message = UnsafeMutableRawBufferPointer(rebasing: buffer[..<length])
        let seconds = try oneWay(message, to: other, first: isFirst, rounds: rounds, group)
        slowest[index] = max(slowest[index], seconds)
      }
    }
    let all = try world.allReduce(slowest, .maximum)
    return Network(
      latency: all[0], secondsPerByte: max(all[1] - all[0], 1e-9) / Double(long - smallBytes))
  }

  /// Seconds of one way: half the shortest round trip.
  private static func oneWay(
    _ message: UnsafeMutableRawBufferPointer, to other: Int, first: Bool, rounds: Int,
    _ group: any Communicator
  ) throws -> Double {
    var shortest = Double.infinity
    for _ in 0..<rounds {
      let started = Clock.nanoseconds
      for sends in [first, !first] {
        if sends {
          try group.send(UnsafeRawBufferPointer(message), to: other, tag: tag)
            .wait(for: "the departure of a probe of the network to rank \(other)")
        } else {
          try group.receive(into: message, from: other, tag: tag)
            .wait(for: "a probe of the network from rank \(other)")
        }
      }
      shortest = min(shortest, Double(Clock.nanoseconds - started) * 0.5e-9)
    }
    return first ? shortest : 0
  }
}
