/// The spans of one rank, for a timeline with a lane a rank.
public final class Trace: @unchecked Sendable {
  /// One span of time.
  public struct Span: Sendable {
    /// What was done.
    public let name: String
    /// When it began, in nanoseconds of the monotonic clock.
    public let start: UInt64
    /// When it ended.
    public let end: UInt64
  }

  /// All spans so far, in the order they ended.
  public private(set) var spans: [Span] = []

  /// Makes an empty trace.
  public init() { spans.reserveCapacity(1 << 16) }

  /// Adds a span.
  public func add(_ name: String, from start: UInt64, to end: UInt64) {
    spans.append(Span(name: name, start: start, end: end))
  }
}
