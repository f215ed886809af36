import Files
import Foundation

/// Finds runs in and below folders.
package enum RunFinder {
  /// The runs of folders: each folder that has a log itself, else all below it that have one, by path.
  ///
  /// What a run has in its own folder, its checkpoints and model, is not looked into.
  ///
  /// - Throws: `ObservationError.noRuns` for a folder without any; `FileError` where one cannot be read.
  package static func find(_ folders: [String]) throws -> [RunRecord] {
    var (records, seen): ([RunRecord], Set<String>) = ([], [])
    for folder in folders {
      let found = try runs(in: trimmed(folder))
      // Of all that lies in the folder of a sweep, what is no folder is passed over.
      let isBeside =
        folders.count > 1 && FileSystem.exists(folder) && !FileSystem.isFolder(folder)
      guard !found.isEmpty || isBeside else { throw ObservationError.noRuns(folder) }
      for path in found where seen.insert(path).inserted {
        var follower = LogFollower(run: path)
        try follower.poll()
        records.append(follower.record)
      }
    }
    guard !records.isEmpty else { throw ObservationError.noRuns(folders.joined(separator: ", ")) }
    return records
  }

  /// What runs are called together: the last part of their folder, or as much of the path as tells them apart.
  package static func names(of records: [RunRecord]) -> [String] {
    let parts = records.map {
      URL(fileURLWithPath: $0.folder).standardizedFileURL.pathComponents.filter { $0 != "/" }
    }
    var depth = parts.map { min(1, $0.count) }
    func name(_ index: Int) -> String { parts[index].suffix(depth[index]).joined(separator: "/") }
    while true {
      let names = parts.indices.map(name)
      let alike = parts.indices.filter { index in
        names.count { $0 == names[index] } > 1 && depth[index] < parts[index].count
      }
      if alike.isEmpty { return names }
      for index in alike { depth[index] += 1 }
    }
  }

  private static func runs(in folder: String) throws(FileError) -> [String] {
    if folder.hasSuffix(".jsonl") || FileSystem.exists("\(folder)/log.jsonl") { return [folder] }
    guard FileSystem.isFolder(folder) else { return [] }
    var found: [String] = []
    for name in try FileSystem.names(in: folder) where !name.hasPrefix(".") {
      let path = "\(folder)/\(name)"
      var status = stat()
      // A link could lead back up.
      guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { continue }
      found += try runs(in: path)
    }
    return found
  }

  private static func trimmed(_ folder: String) -> String {
    var folder = folder
    while folder.count > 1, folder.hasSuffix("/") { folder.removeLast() }
    return folder
  }
}
