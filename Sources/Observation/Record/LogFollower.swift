import Files
import Foundation

/// Follows a run's log: reads what has been written since, also where the file is not there yet, or is another now.
package struct LogFollower: Sendable {
  /// What has been read.
  package private(set) var record: RunRecord
  /// Where the log lies.
  package let path: String
  private var offset: UInt64 = 0
  private var file: FileIdentity?
  private var partial: [UInt8] = []

  private struct FileIdentity: Equatable {
    let device, number: UInt64
  }

  /// Begins at the start of the log in a run's folder.
  ///
  /// - Parameter run: The folder, or its log.
  package init(run: String) {
    var folder = run
    while folder.count > 1, folder.hasSuffix("/") { folder.removeLast() }
    if folder.hasSuffix(".jsonl") {
      path = folder
      folder = URL(fileURLWithPath: folder).deletingLastPathComponent().relativePath
    } else {
      path = "\(folder)/log.jsonl"
    }
    record = RunRecord(folder: folder)
  }

  /// Reads what there is more.
  ///
  /// A file that has been replaced or cut is read from its start, and what it said before is forgotten. A last line
  /// without its end is kept for the next time.
  ///
  /// - Parameter each: Called with each event.
  /// - Returns: Whether there was anything new.
  /// - Throws: `FileError` where the file is there but cannot be read.
  @discardableResult
  package mutating func poll(
    _ each: (RunRecord.Event) -> Void = { _ in }
  ) throws(FileError) -> Bool {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno == ENOENT { return false }
      throw FileError("read", path)
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw FileError("read", path) }
    let identity = FileIdentity(device: UInt64(status.st_dev), number: UInt64(status.st_ino))
    if file != nil, identity != file || UInt64(status.st_size) < offset {
      record = RunRecord(folder: record.folder)
      (offset, partial) = (0, [])
    }
    file = identity
    let before = offset
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let count = pread(descriptor, &buffer, buffer.count, off_t(offset))
      if count < 0 {
        if errno == EINTR { continue }
        throw FileError("read", path)
      }
      guard count > 0 else { break }
      offset += UInt64(count)
      take(buffer[..<count], each)
    }
    return offset > before
  }

  /// How a run begins and how it stands, of a log of any length: its first line, and its end.
  ///
  /// - Returns: A record that lacks what stands between; an empty one where there is no log.
  /// - Throws: `FileError` where the log is there but cannot be read.
  package static func glance(run: String) throws(FileError) -> RunRecord {
    let follower = LogFollower(run: run)
    var record = follower.record
    let descriptor = open(follower.path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno == ENOENT { return record }
      throw FileError("read", follower.path)
    }
    defer { close(descriptor) }
    func read(at offset: Int, _ count: Int) throws(FileError) -> ArraySlice<UInt8> {
      var bytes = [UInt8](repeating: 0, count: count)
      let read = pread(descriptor, &bytes, count, off_t(offset))
      guard read >= 0 else { throw FileError("read", follower.path) }
      return bytes[..<read]
    }
    let (head, tail) = (1 << 20, 1 << 16)
    let length = Int(lseek(descriptor, 0, SEEK_END))
    let newline = UInt8(ascii: "\n")
    let first = try read(at: 0, min(length, head))
    guard let end = first.firstIndex(of: newline) else { return record }
    record.take(line: String(decoding: first[..<end], as: UTF8.self))
    // What begins within a line is left out, and so is a last line without its end.
    let start = max(end, length - tail)
    var rest = try read(at: start, max(0, length - start))
    guard let from = rest.firstIndex(of: newline), let last = rest.lastIndex(of: newline) else {
      return record
    }
    rest = rest[from...last]
    for line in rest.split(separator: newline) {
      record.take(line: String(decoding: line, as: UTF8.self))
    }
    return record
  }

  /// What stands in a run's log now.
  ///
  /// - Throws: `ObservationError`; `FileError`.
  package static func read(run: String) throws -> RunRecord {
    var follower = LogFollower(run: run)
    try follower.poll()
    guard follower.record.lastTime != nil else { throw ObservationError.noLog(follower.path) }
    return follower.record
  }

  private mutating func take(_ bytes: ArraySlice<UInt8>, _ each: (RunRecord.Event) -> Void) {
    var rest = bytes
    while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
      let line = partial + rest[..<end]
      partial.removeAll()
      if !line.isEmpty, let event = record.take(line: String(decoding: line, as: UTF8.self)) {
        each(event)
      }
      rest = rest[(end + 1)...]
    }
    partial += rest
  }
}

/// A run that cannot be looked at.
package enum ObservationError: Error, Equatable, CustomStringConvertible {
  /// There is no log, or nothing in it.
  case noLog(String)
  /// There is no run in a folder.
  case noRuns(String)
  /// A key by which runs are to be compared, and which none has; the one that may be meant.
  case noKey(String, near: String?)
  /// An address that is open to others, without a token.
  case needsToken(String)
  /// What is no address.
  case address(String)
  /// An address that cannot be listened at.
  case taken(String, reason: String)
  /// A program that was built without what serves pages.
  case noServer
  /// Runs of which no group can carry a scaling law: why, a sentence each.
  case noLaw([String])

  /// What is wrong and what to do.
  package var description: String {
    switch self {
    case .noLog(let path):
      "\(path) is not there, or has no event in it; give the folder of a run, such as runs/NAME"
    case .noRuns(let folder):
      "there is no run in \(folder), nor below it: no folder with a log.jsonl; give the folder of a run, or of a sweep"
    case .noKey(let key, let near):
      "no run has the key \(key); "
        + (near.map { "did you mean \($0)?" } ?? "lasp-train config --reference lists them")
    case .needsToken(let address):
      "others can reach \(address): give --token with a secret that they must know, or serve at 127.0.0.1 and "
        + "reach it by ssh -L"
    case .address(let text):
      "--serve \(text) is no address; write it such as 127.0.0.1:8080 or [::1]:8080"
    case .taken(let address, let reason):
      "\(address) cannot be served at: \(reason); take another port"
    case .noServer:
      "this program was built without a server (LASP_SERVER=no, or installed without libcurl4-openssl-dev): install that "
        + "and make install again, or take a program built by swift build; lasp-train report makes the page once"
    case .noLaw(let reasons):
      "the runs carry no scaling law: \(reasons.joined(separator: "; "))"
    }
  }
}
