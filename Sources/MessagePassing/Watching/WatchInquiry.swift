import Glibc
import Measurement

/// Questions to the watches of other processes, asked all at once.
///
/// A watch that answers does so within milliseconds: it is a thread that does nothing else.
struct WatchInquiry {
  /// What came from an address.
  enum Reply: Equatable {
    case line(String)
    /// It was reached, and told nothing.
    case silence(process: Int32)
    case unreachable
  }

  /// Seconds until what has not answered counts as silent.
  static let patience = 2.0

  private struct Conversation {
    var descriptor: Int32
    var isConnected = false
    var received: [UInt8] = []
    var reply: Reply?
  }

  /// Sends a line to each address, and gives what came back from each.
  static func ask(
    _ addresses: [WatchAddress], _ request: String, patience: Double = patience
  ) -> [Reply] {
    var all = addresses.map(open)
    let end = Clock.seconds + patience
    while true {
      let open = all.indices.filter { all[$0].reply == nil }
      let left = end - Clock.seconds
      guard !open.isEmpty, left > 0 else { break }
      var polled = open.map {
        pollfd(
          fd: all[$0].descriptor, events: Int16(all[$0].isConnected ? POLLIN : POLLOUT), revents: 0)
      }
      guard poll(&polled, nfds_t(polled.count), Int32(left * 1000) + 1) >= 0 else { continue }
      for (index, event) in zip(open, polled) where event.revents != 0 {
        advance(&all[index], request)
      }
    }
    return all.map { conversation in
      defer { if conversation.descriptor >= 0 { close(conversation.descriptor) } }
      if let reply = conversation.reply { return reply }
      return conversation.isConnected
        ? .silence(process: peer(of: conversation.descriptor)) : .unreachable
    }
  }

  private static func open(_ address: WatchAddress) -> Conversation {
    let kind =
      Int32(SOCK_STREAM.rawValue) | Int32(bitPattern: SOCK_NONBLOCK.rawValue)
      | Int32(bitPattern: SOCK_CLOEXEC.rawValue)
    var conversation = Conversation(descriptor: socket(address.family, kind, 0))
    guard conversation.descriptor >= 0 else {
      conversation.reply = .unreachable
      return conversation
    }
    let code = address.withSocketAddress { connect(conversation.descriptor, $0, $1) }
    if code != 0, errno == EAGAIN {
      // So many wait for its answer that it takes no more.
      conversation.reply = .silence(process: 0)
    } else if code != 0, errno != EINPROGRESS {
      conversation.reply = .unreachable
    }
    return conversation
  }

  private static func advance(_ conversation: inout Conversation, _ request: String) {
    let descriptor = conversation.descriptor
    guard conversation.isConnected else {
      var (error, length) = (Int32(0), socklen_t(MemoryLayout<Int32>.size))
      getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length)
      let text = request + "\n"
      if error == 0, send(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL)) > 0 {
        conversation.isConnected = true
      } else {
        conversation.reply = .unreachable
      }
      return
    }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = recv(descriptor, &bytes, bytes.count, 0)
    if count > 0 { conversation.received += bytes[..<count] }
    if count <= 0 || conversation.received.last == UInt8(ascii: "\n") {
      let text = String(decoding: conversation.received, as: UTF8.self)
      conversation.reply = .line(String(text.prefix { !$0.isNewline }))
    }
  }

  /// The process that listens behind a connection within a machine; 0 if it cannot be told.
  static func peer(of descriptor: Int32) -> Int32 {
    // Of the structure ucred: process, user, group.
    var numbers: (Int32, UInt32, UInt32) = (0, 0, 0)
    var length = socklen_t(12)
    guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &numbers, &length) == 0 else { return 0 }
    return numbers.0
  }

  /// Whether a process of this machine is stopped.
  static func isStopped(_ process: Int32) -> Bool {
    guard process > 0, let text = readSystemFile("/proc/\(process)/stat"),
      let end = text.lastIndex(of: ")")
    else { return false }
    return text[end...].dropFirst(2).first.map { "Tt".contains($0) } ?? false
  }
}
