/// The reference of a run file's keys as Markdown, one table a section.
///
/// - Parameter schemas: The sections, in the order in which they are shown.
public func configurationReference(_ schemas: [SectionSchema]) -> String {
  schemas.map { schema in
    let title = schema.name.isEmpty ? "Outside all sections" : "`\(schema.name)`"
    let rows = schema.keys.map { key in
      let cells = [
        "`\(key.name)`", key.kind.words + (key.unit.map { ", in \($0)" } ?? ""),
        "`\(key.defaultValue.yaml)`", key.documentation,
      ]
      return "| " + cells.map(tableCell).joined(separator: " | ") + " |\n"
    }
    return "## \(title)\n\n\(schema.documentation)\n\n"
      + "| key | takes | default | meaning |\n|---|---|---|---|\n" + rows.joined()
  }.joined(separator: "\n")
}

private func tableCell(_ text: String) -> String {
  text.replacing("|", with: "\\|")
}
