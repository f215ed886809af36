import Files
import Reporting

/// How a run looks after its place on the disk.
extension TrainingSession {
  /// Makes sure that what the run writes still lies in its folder, and makes anew what somebody removed.
  ///
  /// - Throws: `TrainingError.folderLost` where another run has the folder now.
  func keepPlace() throws {
    guard let outputs, !outputs.lock.isHeld || !outputs.log.isInPlace else { return }
    let folder = outputs.folder.path
    if !outputs.lock.isHeld {
      if let holder = outputs.lock.holder {
        throw TrainingError.folderLost(folder: folder, to: holder.description)
      }
      try FileSystem.makeFolder(folder)
      self.outputs?.lock = try RunLock(folder)
    }
    if !outputs.log.isInPlace {
      if try outputs.log.reopen() {
        var start = outputs.start
        start.stepsDone = done
        try outputs.log.start(start)
      }
      try warn(
        "\(outputs.log.path) was removed, moved or replaced while the run writes it; it goes on after step \(done) in the file "
          + "that has this name now")
    }
  }
}
