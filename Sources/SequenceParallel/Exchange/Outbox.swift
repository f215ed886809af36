import Measurement
import MessagePassing
import Tensors

/// Messages that are leaving, each with the memory it leaves from.
final class Outbox {
  private struct Outgoing {
    let message: Tensor
    let destination: Int
    let request: HeldRequest
  }

  private var leaving: [Outgoing] = []

  /// Sends a message and keeps it until it has left.
  func send(_ message: Tensor, to destination: Int, tag: Int, through group: any Communicator)
    throws
  {
    let request = try group.send(
      UnsafeRawBufferPointer(start: message.pointer, count: 4 * message.count), to: destination,
      tag: tag)
    leaving.append(
      Outgoing(message: message, destination: destination, request: HeldRequest(request)))
  }

  /// Lets go of what has left.
  func poll() throws {
    try leaving.removeAll { try $0.request.test() }
  }

  /// Gives what was just sent a moment to leave, so that a neighbour who waits for it has it before this
  /// rank turns to long work: a large message moves only while its sender calls MPI.
  func push(seconds: Double) throws {
    let end = Clock.seconds + seconds
    repeat { try poll() } while !leaving.isEmpty && Clock.seconds < end
  }

  /// The same for as long as memory takes to carry what is leaving to where it is waited for.
  func push() throws {
    let bytes = leaving.reduce(0) { $0 + 4 * $1.message.count }
    try push(seconds: 2e-4 + Double(bytes) / 1e9)
  }

  /// Waits until everything has left.
  func drain() throws {
    for one in leaving {
      try one.request.wait(for: "the departure of a message to rank \(one.destination)")
    }
    leaving = []
  }
}
