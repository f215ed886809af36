/// Texts that end what is generated: what may become one is held back until it is known.
struct StopStrings {
  private let stops: [[UInt8]]
  private var held: [UInt8] = []

  /// Looks for texts, none of them empty.
  init(_ stops: [String]) { self.stops = stops.map { Array($0.utf8) } }

  /// What may be shown after some more text.
  ///
  /// - Returns: The text before the first stop where there is one, and whether there is.
  mutating func append(_ text: String) -> (text: String, stops: Bool) {
    held += text.utf8
    let first = stops.compactMap { stop in
      held.indices.first { held[$0...].starts(with: stop) }
    }.min()
    if let first { return (take(first), true) }
    let kept = stops.map { stop in
      (1..<max(1, stop.count)).last { held.suffix($0).elementsEqual(stop.prefix($0)) } ?? 0
    }.max()
    return (take(held.count - (kept ?? 0)), false)
  }

  /// What was held back, at the end.
  mutating func finish() -> String { take(held.count) }

  private mutating func take(_ count: Int) -> String {
    defer { held.removeFirst(count) }
    return String(decoding: held[..<count], as: UTF8.self)
  }
}
