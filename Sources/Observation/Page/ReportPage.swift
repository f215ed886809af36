/// The page of a report: complete in itself, drawn by its own script from the data in it.
package struct ReportPage: Sendable {
  private let data: String
  private let title: String
  private let isLive: Bool

  /// The page of some runs.
  ///
  /// - Parameters:
  ///   - data: What `PageData` makes, as text.
  ///   - isLive: Whether the page is served, and hears of more at the address `events` beside it.
  package init(_ data: String, title: String, isLive: Bool = false) {
    (self.data, self.title, self.isLive) = (data, title, isLive)
  }

  /// The whole file.
  package var html: String {
    DrawnPage(data: data, title: title, script: Self.script, isLive: isLive).html
  }
}
