/// A request that an object or a list keeps while it is under way: it may be tested and waited for at any
/// time, also after it is finished, or has failed: every call then throws what it failed by.
package final class HeldRequest {
  private var request: Request?
  private var isWaiting = false
  private var failure: MessagePassingError?

  /// Holds a request.
  package init(_ request: consuming Request) { self.request = consume request }

  /// Lets communication progress, and says whether the operation is finished.
  package func test() throws(MessagePassingError) -> Bool {
    if let failure { throw failure }
    guard !isWaiting else { return false }
    guard request != nil else { return true }
    do throws(MessagePassingError) {
      guard try request!.test() else { return false }
    } catch {
      failure = error
      throw error
    }
    request = nil
    return true
  }

  /// Waits until the operation is finished.
  ///
  /// - Parameters:
  ///   - purpose: What is waited for; published while waiting.
  ///   - poll: Called again and again during the wait; it may test this request, which is not finished then.
  package func wait(
    for purpose: @autoclosure () -> String, polling poll: () throws -> Void = {}
  ) throws(MessagePassingError) {
    if let failure { throw failure }
    guard let request = request.take() else { return }
    isWaiting = true
    defer { isWaiting = false }
    do throws(MessagePassingError) {
      try request.wait(for: purpose(), polling: poll)
    } catch {
      failure = error
      throw error
    }
  }
}
