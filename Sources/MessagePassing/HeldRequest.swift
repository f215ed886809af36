/// A request that an object or a list keeps while it is under way: it may be tested and waited for at any
/// time, also after it is finished.
public final class HeldRequest {
  private var request: Request?
  private var isWaiting = false

  /// Holds a request.
  public init(_ request: consuming Request) { self.request = consume request }

  /// Lets communication progress, and says whether the operation is finished.
  public func test() throws(MessagePassingError) -> Bool {
    guard !isWaiting else { return false }
    guard request != nil else { return true }
    guard try request!.test() else { return false }
    request = nil
    return true
  }

  /// Waits until the operation is finished.
  ///
  /// - Parameters:
  ///   - purpose: What is waited for; published while waiting.
  ///   - poll: Called again and again during the wait; it may test this request, which is not finished then.
  public func wait(
    for purpose: @autoclosure () -> String, polling poll: () throws -> Void = {}
  ) throws(MessagePassingError) {
    guard let request = request.take() else { return }
    isWaiting = true
    try request.wait(for: purpose(), polling: poll)
    isWaiting = false
  }
}
