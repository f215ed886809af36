import Foundation

/// A folder that appears under its name only when all its files are complete and on the disk.
///
/// Files are written to a hidden folder beside it. An old folder of that name stays whole until the
/// new one has taken its place, and is deleted only then.
package final class AtomicFolder {
  /// Where the folder will lie.
  package let destination: String
  /// The folder to write files to.
  package let path: String
  private var isOpen = true

  /// Begins a folder, after removing what a killed run left of the same one.
  ///
  /// - Throws: `FileError` when the place may not be written.
  package init(destination: String) throws(FileError) {
    self.destination = destination
    let parent = FileSystem.folder(of: destination)
    let prefix = ".tmp-\(FileSystem.name(of: destination))-"
    try FileSystem.checkOutput(destination)
    try FileSystem.makeFolder(parent)
    try AtomicFolder.recover(destination)
    for name in try FileSystem.names(in: parent) where name.hasPrefix(prefix) {
      try FileSystem.remove("\(parent)/\(name)")
    }
    path = "\(parent)/\(prefix)\(getpid())"
    guard mkdir(path, 0o777) == 0 else { throw FileError("make the folder", path) }
  }

  /// Puts the folder in its place and waits until that is on the disk.
  ///
  /// - Throws: `FileError`; then an old folder of that name is still there.
  package func commit() throws(FileError) {
    precondition(isOpen, "\(destination) was committed twice")
    try AtomicFolder.synchronizeAll(in: path)
    let parent = FileSystem.folder(of: destination)
    let old = AtomicFolder.oldPath(of: destination)
    let replaces = FileSystem.exists(destination)
    if replaces { try FileSystem.rename(destination, to: old) }
    do throws(FileError) {
      try FileSystem.rename(path, to: destination)
    } catch {
      try AtomicFolder.recover(destination)
      throw error
    }
    isOpen = false
    try FileSystem.synchronize(parent)
    if replaces { try FileSystem.remove(old) }
  }

  /// Finishes what a run began that was killed while it replaced a folder.
  ///
  /// Between the two renames of `commit` the old folder has a hidden name and the new one none yet:
  /// the old one is put back. After them the old one is deleted. Call it before reading a folder.
  package static func recover(_ destination: String) throws(FileError) {
    let old = oldPath(of: destination)
    guard FileSystem.exists(old) else { return }
    if FileSystem.exists(destination) {
      try FileSystem.remove(old)
    } else {
      try FileSystem.rename(old, to: destination)
    }
  }

  private static func oldPath(of destination: String) -> String {
    "\(FileSystem.folder(of: destination))/.old-\(FileSystem.name(of: destination))"
  }

  deinit {
    // Nothing can be done about a failure here; the next writer of this folder removes the rest.
    if isOpen { try? FileSystem.remove(path) }
  }

  private static func synchronizeAll(in folder: String) throws(FileError) {
    for name in try FileSystem.names(in: folder) {
      let path = "\(folder)/\(name)"
      if FileSystem.isFolder(path) {
        try synchronizeAll(in: path)
      } else {
        try FileSystem.synchronize(path)
      }
    }
    try FileSystem.synchronize(folder)
  }
}
