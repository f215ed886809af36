/// Who may see a page that is served.
struct Admission: Sendable {
  /// What a visitor must know; nil where all may see it.
  let token: String?
  /// Whether only this machine reaches the page.
  let isLoopback: Bool

  /// Whether a request is let in.
  ///
  /// - Parameters:
  ///   - host: The `Host` of the request: a page of another site whose name was made to lead here has that site's.
  ///   - authorization: Its `Authorization`.
  ///   - token: The token in its address.
  func admits(host: String?, authorization: String?, token given: String?) -> Bool {
    if let token {
      let bearer = authorization.flatMap { $0.hasPrefix("Bearer ") ? String($0.dropFirst(7)) : nil }
      return [bearer, given].compactMap { $0 }.contains { Self.isEqual($0, token) }
    }
    guard isLoopback else { return false }
    let name = (host ?? "").prefix { $0 != ":" }
    return name == "localhost" || name.hasPrefix("127.") || (host ?? "").hasPrefix("[::1]")
  }

  /// Compares in a time that does not tell how much of a guess is right.
  static func isEqual(_ guess: String, _ secret: String) -> Bool {
    let (guess, secret) = (Array(guess.utf8), Array(secret.utf8))
    var difference = guess.count ^ secret.count
    for index in guess.indices {
      difference |= Int(guess[index] ^ (secret.isEmpty ? 0 : secret[index % secret.count]))
    }
    return difference == 0 && !secret.isEmpty
  }
}
