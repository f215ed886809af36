import Files
import Foundation
import Measurement
import MessagePassing

/// `--trace`: records a few steps on every rank, and writes them on rank 0 as one timeline.
///
/// The first step of a process is left out where others follow: it finds no warm memory.
package final class TraceRecording {
  /// How many steps are recorded.
  package static let steps = 4

  private let path: String
  private let world: any Communicator
  private let counters: Counters
  private let first: Int
  /// What rank 0 does once the file is there, given the steps in it and its path.
  var hasWritten: (ClosedRange<Int>, String) -> Void = { _, _ in }
  private var zero: UInt64 = 0
  private var recorded: ClosedRange<Int>?
  private var seen = 0

  /// Prepares a recording.
  ///
  /// - Parameter stepsLeft: Steps that this process is going to train.
  /// - Throws: `FileError` on rank 0 when there can be no such file.
  init(path: String, stepsLeft: Int, world: any Communicator, counters: Counters) throws {
    (self.path, self.world, self.counters) = (path, world, counters)
    first = stepsLeft > 1 ? 1 : 0
    if world.rank == 0 { _ = try AtomicFile(path: path) }
  }

  /// Runs a step, and records it if its turn has come.
  ///
  /// Collective.
  func step<Result>(_ number: Int, _ body: () throws -> Result) throws -> Result {
    if seen == first {
      zero = try ClockAlignment.zero(world)
      counters.trace = Trace()
    }
    if counters.trace != nil { recorded = (recorded?.lowerBound ?? number)...number }
    let result = try counters.mark("step \(number)") { try body() }
    seen += 1
    if seen == first + Self.steps { try finish() }
    return result
  }

  /// Writes what has been recorded, if that has not been done.
  ///
  /// Collective.
  func finish() throws {
    guard let trace = counters.trace else { return }
    counters.trace = nil
    let lane = Array(trace.events(rank: world.rank, name: world.name, zero: zero).utf8)
    let length = Int(try world.allReduceMaximum(Double(lane.count)))
    // All lanes are given one length, since blanks mean nothing in JSON.
    let mine = UnsafeMutableRawBufferPointer.allocate(byteCount: length, alignment: 8)
    let all =
      world.rank == 0
      ? UnsafeMutableRawBufferPointer.allocate(byteCount: length * world.size, alignment: 8) : nil
    defer {
      mine.deallocate()
      all?.deallocate()
    }
    mine.copyBytes(from: lane)
    for index in lane.count..<length { mine[index] = UInt8(ascii: " ") }
    try world.gather(UnsafeRawBufferPointer(mine), into: all, to: 0).wait(for: "the trace's lanes")
    guard let all else { return }
    let lanes = (0..<world.size).map { rank in
      String(decoding: all[rank * length..<(rank + 1) * length], as: UTF8.self)
        .trimmingCharacters(in: .whitespaces)
    }
    try AtomicFile.write(Data(Trace.file(lanes: lanes).utf8), to: path)
    if let recorded { hasWritten(recorded, path) }
  }
}
