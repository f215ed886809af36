import Glibc

/// Where a process's watch can be asked: the bytes of an address of sockets.
struct WatchAddress: Sendable, Equatable {
  var bytes: [UInt8]

  /// A rank on this machine, in the names of sockets that are no files.
  init(job: String, launchRank: Int) {
    let name = "lasp-train \(getuid()) \(Self.hash(job)) \(launchRank)"
    bytes = Self.family(AF_UNIX) + [0] + Array(name.utf8)
  }

  /// A port of a machine.
  ///
  /// - Parameter host: Four numbers, such as `10.0.0.7`.
  init?(host: String, port: UInt16) {
    var address = in_addr()
    guard inet_pton(AF_INET, host, &address) == 1 else { return nil }
    let port = port.bigEndian
    bytes =
      Self.family(AF_INET) + withUnsafeBytes(of: port, Array.init)
      + withUnsafeBytes(of: address.s_addr, Array.init) + [UInt8](repeating: 0, count: 8)
  }

  /// Addresses of this machine that others may reach.
  static func ofThisHost() -> [String] {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return [] }
    defer { freeifaddrs(list) }
    var found: [String] = []
    var next = list
    while let interface = next {
      next = interface.pointee.ifa_next
      guard let address = interface.pointee.ifa_addr, address.pointee.sa_family == AF_INET else {
        continue
      }
      var text = [CChar](repeating: 0, count: 64)
      address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
        var number = $0.pointee.sin_addr
        inet_ntop(AF_INET, &number, &text, socklen_t(text.count))
      }
      let name = String(
        decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      if !name.hasPrefix("127."), !found.contains(name) { found.append(name) }
    }
    return found
  }

  var family: Int32 { bytes.withUnsafeBytes { Int32($0.load(as: sa_family_t.self)) } }

  func withSocketAddress<T>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> T) -> T {
    bytes.withUnsafeBytes {
      body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
    }
  }

  private static func family(_ number: Int32) -> [UInt8] {
    withUnsafeBytes(of: sa_family_t(number), Array.init)
  }

  /// FNV-1a, since names of sockets are short.
  private static func hash(_ text: String) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return String(hash, radix: 16)
  }
}
