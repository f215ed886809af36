import Files
import Foundation

/// `lasp-train report`: a page that shows runs, one laid over the other.
package enum Report {
  /// Reads the logs of runs and writes the page.
  ///
  /// - Parameters:
  ///   - runs: Folders of runs.
  ///   - output: The file; nil for `report.html`, in the run's folder where there is one run.
  /// - Returns: Where it lies.
  /// - Throws: `ObservationError`; `FileError`.
  package static func write(runs: [String], output: String?) throws -> String {
    let records = try runs.map { try LogFollower.read(run: $0) }
    let path = output ?? (records.count == 1 ? "\(records[0].folder)/report.html" : "report.html")
    let page = ReportPage(
      PageData(records).json.text, title: records.map(\.name).joined(separator: ", "))
    try AtomicFile.write(Data(page.html.utf8), to: path)
    return path
  }
}
