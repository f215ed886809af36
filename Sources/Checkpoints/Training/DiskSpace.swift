import Files
import Foundation

/// What is left of a disk.
enum DiskSpace {
  /// Refuses what has no room on the disk, before anything of it is written.
  ///
  /// - Parameters:
  ///   - bytes: What will be written.
  ///   - path: Where, a file or folder that need not exist in a folder that does.
  /// - Throws: `CheckpointError.noRoom`.
  static func check(bytes: Int, for path: String) throws(CheckpointError) {
    var status = statvfs()
    // Where nobody knows, writing will tell.
    guard statvfs(FileSystem.folder(of: path), &status) == 0, status.f_blocks > 0 else { return }
    let free = Int(
      clamping: UInt64(status.f_bavail).multipliedReportingOverflow(
        by: UInt64(status.f_frsize)
      ).partialValue)
    guard free < bytes + reserve else { return }
    throw .noRoom(path: path, needed: bytes, free: free)
  }

  /// What names and lists of blocks take beside.
  private static let reserve = 1 << 20
}
