/// A part of a text on its way to the model.
struct Piece {
  /// Valid UTF-8, never empty.
  let bytes: UnsafeBufferPointer<UInt8>
  /// Whether it begins where the text that was given begins.
  let startsText: Bool
}

/// What cuts a text into words.
protocol PreTokenizer: Sendable {
  /// Calls a function with each part of a piece, from left to right; empty parts are left out.
  func split(_ piece: Piece, _ scratch: EncodingScratch, _ body: (Piece) -> Void)
}

extension Piece {
  /// A part of the piece; nil when it is empty.
  @inline(__always)
  func part(_ range: Range<Int>) -> Piece? {
    range.isEmpty
      ? nil
      : Piece(bytes: bytes.part(range), startsText: startsText && range.lowerBound == 0)
  }
}

/// What becomes of the places where a text is cut.
enum SplitBehavior: String, CaseIterable {
  /// They are left out.
  case removed = "Removed"
  /// Each is a part.
  case isolated = "Isolated"
  /// Each ends the part before it.
  case mergedWithPrevious = "MergedWithPrevious"
  /// Each begins the part after it.
  case mergedWithNext = "MergedWithNext"
  /// Those in a row are one part.
  case contiguous = "Contiguous"
}

/// Collects ranges that are cut and ranges between, and gives parts as a behavior wants.
struct PartCollector {
  private let behavior: SplitBehavior
  private var start = 0
  private var end = 0
  private var lastIsCut = false

  init(_ behavior: SplitBehavior) { self.behavior = behavior }

  /// Takes the next range, which begins where the one before ended.
  @inline(__always)
  mutating func take(_ range: Range<Int>, isCut: Bool, _ body: (Range<Int>) -> Void) {
    let joins =
      switch behavior {
      case .removed, .isolated: false
      case .mergedWithPrevious: isCut && !lastIsCut
      case .mergedWithNext: !isCut && lastIsCut
      case .contiguous: isCut == lastIsCut
      }
    if !joins {
      finish(body)
      start = range.lowerBound
    }
    end = range.upperBound
    if behavior == .removed, isCut { start = end }
    lastIsCut = isCut
  }

  /// Gives the last part.
  @inline(__always)
  mutating func finish(_ body: (Range<Int>) -> Void) {
    if start < end { body(start..<end) }
    start = end
  }
}
