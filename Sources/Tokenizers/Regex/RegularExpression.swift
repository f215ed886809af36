import CPCRE2

/// A regular expression on UTF-8, compiled to machine code where the system allows it.
///
/// Unchecked: what is compiled is only read.
final class RegularExpression: @unchecked Sendable {
  private let code: OpaquePointer

  /// Compiles a pattern of Hugging Face's `tokenizers`, which Oniguruma reads.
  ///
  /// - Throws: `RegularExpressionError` that says what in the pattern cannot be read.
  init(_ pattern: String) throws(RegularExpressionError) {
    let translated = Array(try OnigurumaPattern(pattern).translated.utf8)
    var number: Int32 = 0
    var place = 0
    let options = UInt32(PCRE2_UTF) | UInt32(PCRE2_UCP) | UInt32(PCRE2_MULTILINE)
    guard let code = pcre2_compile_8(translated, translated.count, options, &number, &place, nil)
    else {
      var message = [UInt8](repeating: 0, count: 256)
      pcre2_get_error_message_8(number, &message, message.count)
      throw RegularExpressionError(
        pattern: pattern, reason: String(decoding: message.prefix { $0 != 0 }, as: UTF8.self))
    }
    // Where it is refused, as on systems without writable code, patterns are interpreted.
    pcre2_jit_compile_8(code, UInt32(PCRE2_JIT_COMPLETE))
    self.code = code
  }

  deinit { pcre2_code_free_8(code) }

  /// Calls a function with the range of each match, from left to right; an empty one only where no match ended.
  ///
  /// - Parameters:
  ///   - text: Valid UTF-8.
  ///   - match: Room for a match of one range.
  @inline(__always)
  func forEachMatch(
    in text: UnsafeBufferPointer<UInt8>, _ match: OpaquePointer, _ body: (Range<Int>) -> Void
  ) {
    guard let base = text.baseAddress else { return }
    var start = 0
    var lastEnd = -1
    while start <= text.count {
      guard let range = firstMatch(base, text.count, from: start, match) else { return }
      if range.isEmpty {
        if range.lowerBound != lastEnd { body(range) }
        guard range.upperBound < text.count else { return }
        start = range.upperBound + utf8Length(base[range.upperBound])
      } else {
        body(range)
        (start, lastEnd) = (range.upperBound, range.upperBound)
      }
    }
  }

  @inline(__always)
  private func firstMatch(
    _ text: UnsafePointer<UInt8>, _ count: Int, from start: Int, _ match: OpaquePointer
  ) -> Range<Int>? {
    var result = pcre2_match_8(code, text, count, start, UInt32(PCRE2_NO_UTF_CHECK), match, nil)
    if result == PCRE2_ERROR_JIT_STACKLIMIT || result == PCRE2_ERROR_MATCHLIMIT {
      result = interpreted(text, count, from: start, match)
    }
    guard result >= 0, let found = pcre2_get_ovector_pointer_8(match) else { return nil }
    return found[0]..<max(found[0], found[1])
  }

  /// The slow way, without limits, for texts that machine code has no room for.
  private func interpreted(
    _ text: UnsafePointer<UInt8>, _ count: Int, from start: Int, _ match: OpaquePointer
  ) -> Int32 {
    let context = pcre2_match_context_create_8(nil)
    defer { pcre2_match_context_free_8(context) }
    pcre2_set_match_limit_8(context, .max)
    pcre2_set_depth_limit_8(context, .max)
    pcre2_set_heap_limit_8(context, .max)
    return pcre2_match_8(
      code, text, count, start, UInt32(PCRE2_NO_UTF_CHECK) | UInt32(PCRE2_NO_JIT), match, context)
  }
}

/// A pattern that cannot be read.
struct RegularExpressionError: Error {
  /// The pattern.
  let pattern: String
  /// What is wrong with it.
  let reason: String
}
