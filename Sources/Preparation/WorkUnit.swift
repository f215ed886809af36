import Files

/// A part of a source file that one worker turns into tokens.
///
/// How files are cut depends on their sizes alone, so that the result is the same for any number of workers.
struct WorkUnit: Sendable {
  /// The file's place among all.
  let file: Int
  let source: SourceFile
  /// Which bytes of it; of lines, those that begin there.
  let range: Range<Int>

  /// The parts of all files, in their order.
  ///
  /// - Parameter lineBytes: Bytes of a file of lines that are one part.
  static func all(_ sources: [SourceFile], lineBytes: Int) -> [WorkUnit] {
    sources.enumerated().flatMap { file, source -> [WorkUnit] in
      guard source.kind == .lines, source.format == .none, source.bytes > lineBytes else {
        return [WorkUnit(file: file, source: source, range: 0..<source.bytes)]
      }
      return stride(from: 0, to: source.bytes, by: lineBytes).map {
        WorkUnit(file: file, source: source, range: $0..<min($0 + lineBytes, source.bytes))
      }
    }
  }
}
