/// Where a page is served.
package struct ServeAddress: Sendable, Equatable, CustomStringConvertible {
  /// The host's address: of IPv4, or of IPv6 without brackets.
  package let host: String
  package let port: UInt16

  /// Reads `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, or `:8080` for all addresses.
  ///
  /// - Throws: `ObservationError.address`.
  package init(_ text: String) throws(ObservationError) {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...])
    else { throw .address(text) }
    let name = String(text[..<colon])
    self.port = port
    switch name {
    case "localhost": host = "127.0.0.1"
    case "": host = "0.0.0.0"
    case _ where name.hasPrefix("[") && name.hasSuffix("]"):
      host = String(name.dropFirst().dropLast())
    case _ where !name.contains(":"): host = name
    default: throw .address(text)
    }
  }

  /// Whether only this machine reaches it.
  package var isLoopback: Bool { host == "::1" || host.hasPrefix("127.") }

  /// Whether it is one of IPv6.
  var isLong: Bool { host.contains(":") }

  package var description: String { isLong ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
