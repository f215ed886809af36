/// The spans of one rank, for a timeline with a lane a rank.
///
/// Spans nest: each lies inside or outside of any other. The thread that owns the rank adds them.
package final class Trace {
  /// The message that a span sends or takes.
  package struct Message: Sendable, Equatable {
    /// What a message carries.
    package enum Content: Sendable, Equatable {
      /// States of a block's recurrence, or their gradients.
      case states(layer: Int)
      /// The last inputs of a block's short convolution or token shift, or their gradients.
      case halo(layer: Int)
      /// Keys and values of a block's attention, or their gradients.
      case keys(layer: Int)
      /// Tokens of a block on their way to experts of other ranks or back, or their gradients.
      case tokens(layer: Int)
      /// Everything that crosses from one segment or step to the next, or its gradients.
      case carry(segment: Int)
      /// A bucket of gradients on their way to a sum.
      case gradients(bucket: Int)
      /// A unit of weights.
      case weights(unit: Int)
    }

    /// What it carries.
    package let content: Content
    /// Which way it goes, such as `forward`; nil where there is one way only.
    package let direction: String?
    /// Bytes of it.
    package let bytes: Int
    /// The arrow that begins or ends at it, if one is drawn.
    package let arrow: Arrow?

    package init(_ content: Content, direction: String?, bytes: Int, arrow: Arrow? = nil) {
      (self.content, self.direction, self.bytes) = (content, direction, bytes)
      self.arrow = arrow
    }
  }

  /// One end of an arrow from a message's sending to its taking; both ends have one number.
  package enum Arrow: Sendable, Equatable {
    /// Where it was sent.
    case tail(Int)
    /// Where it was taken.
    case head(Int)
  }

  /// One span of time.
  package struct Span: Sendable, Equatable {
    /// What was done.
    package let name: String
    /// When it began, in nanoseconds of the monotonic clock.
    package let start: UInt64
    /// When it ended.
    package let end: UInt64
    /// The message, where the span is one's sending or taking.
    package let message: Message?
  }

  /// All spans so far, in the order they ended.
  package private(set) var spans: [Span] = []

  /// How many messages of an identity there were.
  private var messages: [Int: Int] = [:]

  package init() { spans.reserveCapacity(1 << 14) }

  /// Adds a span.
  package func add(_ name: String, from start: UInt64, to end: UInt64, message: Message? = nil) {
    spans.append(Span(name: name, start: start, end: end, message: message))
  }

  /// The number of the arrow of the next message that has some identity: the same at both of its ends, if messages
  /// of one identity are taken in the order in which they were sent.
  package func arrow(_ identity: [Int]) -> Int {
    let message = Self.hash(identity)
    messages[message, default: 0] += 1
    return Self.hash([message, messages[message]!])
  }

  /// A number that every process gives to these, of 53 bits as JSON's readers have them.
  ///
  /// - Source: the FNV-1a hash of Fowler, Noll and Vo.
  private static func hash(_ numbers: [Int]) -> Int {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for number in numbers {
      withUnsafeBytes(of: number.littleEndian) {
        for byte in $0 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
      }
    }
    return Int(hash >> 11)
  }
}
