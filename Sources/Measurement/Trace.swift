/// The spans of one rank, for a timeline with a lane a rank.
///
/// Spans nest: each lies inside or outside of any other. The thread that owns the rank adds them.
public final class Trace: @unchecked Sendable {
  /// The message that a span sends or takes.
  public struct Message: Sendable, Equatable {
    /// The block that it belongs to.
    public let layer: Int
    /// `forward` or `backward`.
    public let direction: String
    /// Bytes of it.
    public let bytes: Int

    /// Describes a message.
    public init(layer: Int, direction: String, bytes: Int) {
      (self.layer, self.direction, self.bytes) = (layer, direction, bytes)
    }
  }

  /// One span of time.
  public struct Span: Sendable, Equatable {
    /// What was done.
    public let name: String
    /// When it began, in nanoseconds of the monotonic clock.
    public let start: UInt64
    /// When it ended.
    public let end: UInt64
    /// The message, where the span is one's sending or taking.
    public let message: Message?
  }

  /// All spans so far, in the order they ended.
  public private(set) var spans: [Span] = []

  /// Makes an empty trace.
  public init() { spans.reserveCapacity(1 << 14) }

  /// Adds a span.
  public func add(_ name: String, from start: UInt64, to end: UInt64, message: Message? = nil) {
    spans.append(Span(name: name, start: start, end: end, message: message))
  }
}
