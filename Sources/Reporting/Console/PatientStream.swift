import Foundation
import Synchronization

/// Writes for a person, whose console may be full, closed or gone: that ends no training, nor holds it up for long.
final class PatientStream: Sendable {
  /// Milliseconds that a text waits for room; once it has waited in vain, others are left out at once until there is room.
  private let patience: Int32
  private let isBlocked = Atomic<Bool>(false)

  /// - Parameter seconds: Seconds that a text waits for room.
  init(patience seconds: Double = 5) { patience = Int32(seconds * 1000) }

  /// Writes all of a text, or as much as there is room for.
  func write(_ text: String, to descriptor: Int32) {
    var text = text
    text.withUTF8 { bytes in
      var done = 0
      while done < bytes.count, hasRoom(descriptor) {
        // A pipe that has room takes so much without waiting.
        let count = Glibc.write(
          descriptor, bytes.baseAddress! + done, min(bytes.count - done, 4096))
        if count < 0 && errno != EINTR && errno != EAGAIN { return }
        done += max(count, 0)
      }
    }
  }

  private func hasRoom(_ descriptor: Int32) -> Bool {
    var one = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    let wait = isBlocked.load(ordering: .relaxed) ? 0 : patience
    while true {
      let found = poll(&one, 1, wait)
      if found < 0 && errno == EINTR { continue }
      isBlocked.store(found == 0, ordering: .relaxed)
      return found > 0
    }
  }
}
