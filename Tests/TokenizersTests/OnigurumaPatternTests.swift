import Testing

@testable import Tokenizers

/// Patterns as Oniguruma reads them; what matches was found with Python's `tokenizers`.
@Suite struct OnigurumaPatterns {
  private func matches(_ pattern: String, _ text: String) throws -> [String] {
    let expression = try RegularExpression(pattern)
    let scratch = EncodingScratch()
    var found: [String] = []
    var text = text
    text.withUTF8 { bytes in
      expression.forEachMatch(in: bytes, scratch.match) {
        found.append(String(decoding: bytes[$0], as: UTF8.self))
      }
    }
    return found
  }

  @Test("A quantified range with a plus repeats, and takes all")
  func repeatedRange() throws {
    #expect(try matches(#"\p{N}{1,3}+"#, "12345 6") == ["12345", "6"])
    #expect(try matches(#"(?:ab){2}+c"#, "ababababc abc") == ["ababababc"])
  }

  @Test("White space has no Mongolian vowel separator, but a next line")
  func whiteSpace() throws {
    #expect(try matches(#"\s"#, "a\u{180e}b\u{85}c\u{3000}d") == ["\u{85}", "\u{3000}"])
    #expect(try matches(#"[^\S]+"#, "a \u{180e}\u{2003}") == [" ", "\u{2003}"])
    #expect(try matches(#"[\Sx]+"#, "a \u{180e}") == ["a", "\u{180e}"])
  }

  @Test("Characters that Unicode has since 15 and 16 have their categories")
  func newerCharacters() throws {
    #expect(try matches(#"\p{L}+"#, "a\u{1c89}b 1") == ["a\u{1c89}b"])
    #expect(try matches(#"[^\p{N}\s]+"#, "a\u{10d40}b") == ["a", "b"])
  }

  @Test("Cases of letters do not count where the pattern says so")
  func cases() throws {
    #expect(try matches(#"(?i:'s|'ll)"#, "I'LL 'ſ 'S") == ["'LL", "'ſ", "'S"])
  }

  @Test("An empty match cuts only where no match ended")
  func emptyMatches() throws {
    #expect(try matches(#"a*"#, "baac") == ["", "aa", ""])
  }

  @Test("Long runs of characters have one match")
  func longRuns() throws {
    let text = String(repeating: " ", count: 1 << 20) + "x"
    #expect(try matches(#"\s+(?!\S)|\s+"#, text).map(\.count) == [(1 << 20) - 1, 1])
    let letters = String(repeating: "ab", count: 1 << 18)
    #expect(try matches(#"(?:a|b)+"#, letters).count == 1)
  }
}
