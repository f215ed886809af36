import Configuration

/// What was found of a machine: well, or not, and then what to do.
package struct Finding: Sendable, Equatable {
  /// What it is about, a word or two.
  package var subject: String
  /// What was found.
  package var text: String
  /// What cures it; nil where all is well.
  package var cure: String?
  /// Whether a run's start tells of it, too.
  package var matters = false

  /// What is as it should be.
  package static func fine(_ subject: String, _ text: String) -> Finding {
    Finding(subject: subject, text: text)
  }

  /// What is not.
  package static func warning(
    _ subject: String, _ text: String, cure: String, matters: Bool = false
  ) -> Finding {
    Finding(subject: subject, text: text, cure: cure, matters: matters)
  }

  /// Whether it is a warning.
  package var isWarning: Bool { cure != nil }

  /// The sentence at a run's start.
  package var sentence: String { text + (cure.map { "; \($0)" } ?? "") }

  /// The finding as an object.
  package var json: JSONValue {
    .object([
      "subject": .string(subject), "status": .string(isWarning ? "warning" : "ok"),
      "text": .string(text), "cure": cure.map { .string($0) } ?? .null,
    ])
  }

  /// Findings below one another: what each is about, whether it is well, and what to do.
  ///
  /// - Parameter width: Columns that there are.
  package static func table(_ findings: [Finding], width: Int) -> [String] {
    let subject = (findings.map(\.subject.count).max() ?? 0) + 2
    let indent = String(repeating: " ", count: subject + 9)
    return findings.flatMap { finding in
      let head =
        Format.left(finding.subject, subject) + (finding.isWarning ? "warning  " : "ok       ")
      let lines =
        wrapped(finding.text, width - indent.count)
        + (finding.cure.map { wrapped("→ \($0)", width - indent.count) } ?? [])
      return lines.enumerated().map { ($0 == 0 ? head : indent) + $1 }
    }
  }

  /// A text in lines of so many columns, cut between words.
  static func wrapped(_ text: String, _ width: Int) -> [String] {
    var lines = [""]
    for word in text.split(separator: " ") {
      if lines[lines.count - 1].isEmpty {
        lines[lines.count - 1] = String(word)
      } else if lines[lines.count - 1].count + 1 + word.count <= max(width, 20) {
        lines[lines.count - 1] += " \(word)"
      } else {
        lines.append(String(word))
      }
    }
    return lines
  }
}
