/// A value given on the command line for a key of the run file.
package struct Override: Sendable, Equatable, CustomStringConvertible {
  /// `section.key`, or `key` outside all sections.
  package let key: String
  /// The text after the key; nil where none followed.
  package let text: String?

  package init(key: String, text: String?) {
    self.key = key
    self.text = text
  }

  /// `section.key=value`, or `section.key` where there is no value.
  package var description: String {
    text.map { "\(key)=\($0)" } ?? key
  }

  /// Reads `section.key=value`; without `=` there is no value.
  package init(_ argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    self.init(key: String(parts[0]), text: parts.count == 2 ? String(parts[1]) : nil)
  }
}

extension Override {
  /// Takes the overrides out of a command line.
  ///
  /// An argument is an override where it is `--section.key` (any name with a dot) or `--key` for a
  /// key outside all sections. Its value follows after `=` or as the next argument, which may begin
  /// with one dash but not with two. A key that is `true` or `false` may stand alone, meaning
  /// `true`. Everything after `--` is left alone.
  ///
  /// - Parameters:
  ///   - arguments: The command line without the program's name.
  ///   - schemas: The sections of the run file.
  /// - Returns: The overrides, and the other arguments, both in their order.
  package static func extract(
    from arguments: [String], schemas: [SectionSchema]
  ) -> (overrides: [Override], rest: [String]) {
    let topLevel = Set(schemas.filter(\.name.isEmpty).flatMap(\.keys).map(\.name))
    let booleans = Set(
      schemas.flatMap { schema in
        schema.keys.filter(\.isBoolean).map { schema.path(of: $0.name) }
      })
    var overrides: [Override] = []
    var rest: [String] = []
    var index = 0
    while index < arguments.count {
      let argument = arguments[index]
      index += 1
      if argument == "--" {
        rest += arguments[(index - 1)...]
        break
      }
      let override = Override(String(argument.dropFirst(2)))
      guard argument.hasPrefix("--"), override.key.contains(".") || topLevel.contains(override.key)
      else {
        rest.append(argument)
        continue
      }
      let next = index < arguments.count ? arguments[index] : nil
      if override.text != nil {
        overrides.append(override)
      } else if booleans.contains(override.key), next != "true", next != "false" {
        overrides.append(Override(key: override.key, text: "true"))
      } else if let next, !next.hasPrefix("--") {
        overrides.append(Override(key: override.key, text: next))
        index += 1
      } else {
        overrides.append(override)
      }
    }
    return (overrides, rest)
  }
}

extension KeySchema {
  /// Whether the key is `true` or `false`.
  var isBoolean: Bool {
    if case .boolean = kind { true } else { false }
  }
}
