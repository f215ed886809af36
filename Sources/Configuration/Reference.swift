/// The reference of a run file's keys as Markdown, one table a section.
///
/// - Parameter schemas: The sections, in the order in which they are shown.
package func configurationReference(_ schemas: [SectionSchema]) -> String {
  schemas.map { schema in
    let title = schema.name.isEmpty ? "Outside all sections" : "`\(schema.name)`"
    let rows = schema.keys.map { key in
      let cells = [
        "`\(key.name)`", key.takes,
        "`\(key.defaultValue.yaml)`", key.documentation,
      ]
      return "| " + cells.map(tableCell).joined(separator: " | ") + " |\n"
    }
    return "## \(title)\n\n\(schema.documentation)\n\n"
      + "| key | takes | default | meaning |\n|---|---|---|---|\n" + rows.joined()
  }.joined(separator: "\n")
}

extension KeySchema {
  /// What the key takes, its unit, and whether it may be left without a value.
  fileprivate var takes: String {
    kind.words + (unit.map { ", in \($0)" } ?? "") + (defaultValue == .none ? "; or null" : "")
  }
}

private func tableCell(_ text: String) -> String {
  text.replacing("|", with: "\\|")
}
