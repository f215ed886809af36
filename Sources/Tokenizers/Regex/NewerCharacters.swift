import CPCRE2

/// Characters that Unicode has since the version that PCRE2 knows, up to the one that Oniguruma knows.
enum NewerCharacters {
  /// Oniguruma's version of Unicode in Hugging Face's `tokenizers`.
  private static let known = (major: 16, minor: 0)

  /// Their categories.
  private static let all: [(Unicode.Scalar, Unicode.GeneralCategory)] = {
    var text = [UInt8](repeating: 0, count: 64)
    pcre2_config_8(UInt32(PCRE2_CONFIG_UNICODE_VERSION), &text)
    let numbers = String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
      .split(separator: ".").compactMap { Int($0) }
    let old = (numbers.first ?? known.major, numbers.dropFirst().first ?? 0)
    guard old < (known.major, known.minor) else { return [] }
    return (0..<0x11_0000 as Range<UInt32>).compactMap { value in
      guard let scalar = Unicode.Scalar(value), let age = scalar.properties.age,
        (age.major, age.minor) > old, (age.major, age.minor) <= (known.major, known.minor)
      else { return nil }
      return (scalar, scalar.properties.generalCategory)
    }
  }()

  /// Those of a general category, such as `L` or `Lu`, as ranges of a character class.
  static func ranges(of category: String) -> String {
    var ranges: [ClosedRange<UInt32>] = []
    for (scalar, own) in all where own.abbreviation.hasPrefix(category) {
      if let last = ranges.last, last.upperBound + 1 == scalar.value {
        ranges[ranges.count - 1] = last.lowerBound...scalar.value
      } else {
        ranges.append(scalar.value...scalar.value)
      }
    }
    return ranges.map { range in
      let first = "\\x{\(String(range.lowerBound, radix: 16))}"
      return range.count == 1 ? first : "\(first)-\\x{\(String(range.upperBound, radix: 16))}"
    }.joined()
  }
}

extension Unicode.GeneralCategory {
  /// Two letters, as patterns write it.
  var abbreviation: String {
    switch self {
    case .uppercaseLetter: "Lu"
    case .lowercaseLetter: "Ll"
    case .titlecaseLetter: "Lt"
    case .modifierLetter: "Lm"
    case .otherLetter: "Lo"
    case .nonspacingMark: "Mn"
    case .spacingMark: "Mc"
    case .enclosingMark: "Me"
    case .decimalNumber: "Nd"
    case .letterNumber: "Nl"
    case .otherNumber: "No"
    case .connectorPunctuation: "Pc"
    case .dashPunctuation: "Pd"
    case .openPunctuation: "Ps"
    case .closePunctuation: "Pe"
    case .initialPunctuation: "Pi"
    case .finalPunctuation: "Pf"
    case .otherPunctuation: "Po"
    case .mathSymbol: "Sm"
    case .currencySymbol: "Sc"
    case .modifierSymbol: "Sk"
    case .otherSymbol: "So"
    case .spaceSeparator: "Zs"
    case .lineSeparator: "Zl"
    case .paragraphSeparator: "Zp"
    case .control: "Cc"
    case .format: "Cf"
    case .surrogate: "Cs"
    case .privateUse: "Co"
    case .unassigned: "Cn"
    @unknown default: "Cn"
    }
  }
}
