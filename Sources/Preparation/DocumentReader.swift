import Configuration
import Files
import Foundation
import Tokenizers

/// Reads a unit's documents and gives their tokens.
struct DocumentReader {
  let unit: WorkUnit
  let options: PreparationOptions

  /// A text longer than this is encoded in pieces that end with a line.
  static let pieceBytes = 16 << 20

  /// Calls `body` for every part of a document, in order.
  ///
  /// - Parameter body: Gets the tokens, how many at their start are a prompt, whether a document begins with them, and
  ///   how many bytes of the file have been read.
  func read(
    _ body: (_ tokens: [Int32], _ prompt: Int, _ begins: Bool, _ position: Int)
      throws(PreparationError)
      -> Void
  ) throws(PreparationError) {
    switch unit.source.kind {
    case .text: try readText(body)
    case .lines: try readLines(body)
    }
  }

  private func readText(
    _ body: ([Int32], Int, Bool, Int) throws(PreparationError) -> Void
  ) throws(PreparationError) {
    guard options.maskField == nil else { throw .maskOfText(path: unit.source.path) }
    let path = unit.source.path
    var input = BufferedInput(try inputs { () throws(InputError) in try InputFile(path: path) })
    var isFirst = true
    while true {
      let (bytes, isLast) = try input.piece(most: Self.pieceBytes)
      if isFirst && isLast && bytes.isEmpty { return }
      var tokens = isFirst ? options.tokenizer.opening : []
      tokens += encode(bytes)
      if isLast { tokens += ending }
      try body(tokens, 0, isFirst, input.position)
      guard !isLast else { return }
      isFirst = false
    }
  }

  private func readLines(
    _ body: ([Int32], Int, Bool, Int) throws(PreparationError) -> Void
  ) throws(PreparationError) {
    let path = unit.source.path
    // A line belongs to the part that its first byte lies in; the byte before tells whether one begins.
    let start = max(0, unit.range.lowerBound - 1)
    var input = BufferedInput(
      try inputs { () throws(InputError) in try InputFile(path: path, from: start) })
    var offset = start
    if unit.range.lowerBound > 0 {
      guard let skipped = try input.line() else { return }
      offset += skipped.count
    }
    let isPacked = unit.source.format != .none
    while isPacked || offset < unit.range.upperBound, let line = try input.line() {
      let place = offset
      offset += line.count
      guard line.contains(where: { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }) else { continue }
      let fields = try fields(line, at: place)
      let text = try text(of: options.field, in: fields, at: place)
      var tokens = options.tokenizer.opening
      var prompt = 0
      if let maskField = options.maskField {
        tokens += encode(Array(try self.text(of: maskField, in: fields, at: place).utf8)[...])
        prompt = tokens.count
      }
      tokens += encode(Array(text.utf8)[...])
      tokens += ending
      try body(tokens, prompt, true, input.position)
    }
  }

  /// What ends a document.
  private var ending: [Int32] {
    let closing = options.tokenizer.closing
    guard let end = options.end, closing.last != end else { return closing }
    return closing + [end]
  }

  private func encode(_ bytes: ArraySlice<UInt8>) -> [Int32] {
    bytes.withUnsafeBufferPointer { options.tokenizer.encode($0) }
  }

  private func fields(
    _ line: ArraySlice<UInt8>, at place: Int
  ) throws(PreparationError) -> [String: JSONValue] {
    guard let fields = (try? JSONValue(Data(line)))?.object else {
      throw .notJSON(path: unit.source.path, line: lineNumber(at: place))
    }
    return fields
  }

  private func text(
    of field: String, in fields: [String: JSONValue], at place: Int
  ) throws(PreparationError) -> String {
    guard let text = fields[field]?.string else {
      throw .noField(
        path: unit.source.path, line: lineNumber(at: place), field: field,
        present: fields.filter { $0.value.string != nil }.keys.sorted())
    }
    return text
  }

  /// The number, from 1, of the line that begins at a place of the unpacked file.
  private func lineNumber(at place: Int) -> Int {
    guard let input = try? InputFile(path: unit.source.path) else { return 1 }
    var lines = BufferedInput(input)
    var (offset, number) = (0, 1)
    while offset < place, let line = try? lines.line() {
      offset += line.count
      number += 1
    }
    return number
  }
}
