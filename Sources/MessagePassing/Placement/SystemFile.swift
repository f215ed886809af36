import Foundation

/// A small file of the system's, without its last line break; none if it cannot be read.
func readSystemFile(_ path: String) -> String? {
  (try? String(contentsOfFile: path, encoding: .utf8))?.trimmingCharacters(
    in: .whitespacesAndNewlines)
}
