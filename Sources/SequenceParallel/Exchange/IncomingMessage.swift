import Measurement
import MessagePassing
import Tensors

/// A message that is awaited, with the memory it arrives in.
final class IncomingMessage {
  let message: Tensor
  private let request: HeldRequest

  init(message: Tensor, request: consuming Request) {
    self.message = message
    self.request = HeldRequest(request)
  }

  /// Whether it has arrived.
  func test() throws -> Bool { try request.test() }

  /// Waits until it has arrived.
  func wait(for purpose: String, polling: () throws -> Void) throws {
    FaultPoint.reach(purpose)
    try request.wait(for: purpose, polling: polling)
  }
}
