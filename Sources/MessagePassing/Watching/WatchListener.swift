import Glibc
import Synchronization

/// The sockets by which a process's watch is asked, and hears what ended others.
final class WatchListener: Sendable {
  private let sockets = Mutex<[Int32]>([])

  /// Listens at an address; gives its port, or 0 for an address without.
  ///
  /// - Returns: Nil where the system does not allow it.
  func listen(at address: WatchAddress) -> UInt16? {
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(bitPattern: SOCK_CLOEXEC.rawValue)
    let descriptor = socket(address.family, kind, 0)
    guard descriptor >= 0 else { return nil }
    guard address.withSocketAddress({ bind(descriptor, $0, $1) }) == 0,
      Glibc.listen(descriptor, 128) == 0
    else {
      close(descriptor)
      return nil
    }
    sockets.withLock { $0.append(descriptor) }
    guard address.family == AF_INET else { return 0 }
    var own = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    _ = withUnsafeMutablePointer(to: &own) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
    }
    return UInt16(bigEndian: own.sin_port)
  }

  /// Answers what is asked within some time.
  ///
  /// - Parameter reply: The answer to a line; nil for none. `isOwn` says that a process of this user on this
  ///   machine asks.
  func serve(milliseconds: Int32, _ reply: (_ line: String, _ isOwn: Bool) -> String?) {
    var polled = sockets.withLock { $0 }.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    guard poll(&polled, nfds_t(polled.count), milliseconds) > 0 else { return }
    for event in polled where event.revents != 0 {
      let descriptor = accept(event.fd, nil, nil)
      guard descriptor >= 0 else { continue }
      defer { close(descriptor) }
      var wait = timeval(tv_sec: 0, tv_usec: 300_000)
      let size = socklen_t(MemoryLayout<timeval>.size)
      setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, size)
      setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &wait, size)
      guard let line = receiveLine(descriptor) else { continue }
      let isOwn = user(of: descriptor) == getuid()
      guard let answer = reply(line, isOwn) else { continue }
      let text = answer + "\n"
      send(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL))
    }
  }

  private func receiveLine(_ descriptor: Int32) -> String? {
    var received: [UInt8] = []
    var bytes = [UInt8](repeating: 0, count: 1024)
    while received.count < 8192 {
      let count = recv(descriptor, &bytes, bytes.count, 0)
      guard count > 0 else { return nil }
      received += bytes[..<count]
      if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
        return String(decoding: received[..<end], as: UTF8.self)
      }
    }
    return nil
  }

  private func user(of descriptor: Int32) -> UInt32? {
    var numbers: (Int32, UInt32, UInt32) = (0, .max, .max)
    var length = socklen_t(12)
    guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &numbers, &length) == 0 else {
      return nil
    }
    return numbers.1 == .max ? nil : numbers.1
  }
}
