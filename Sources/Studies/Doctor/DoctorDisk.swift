import Files
import Foundation
import Measurement
import MessagePassing
import Reporting

/// How fast the folder of runs is written, how much room it has, and whether all ranks see it.
struct DoctorDisk: Sendable {
  /// The findings; on rank 0.
  let findings: [Finding]

  private static let bytes = 64 << 20

  /// Writes a file and removes it; collective.
  init(_ world: World, folder: String) throws {
    let ranks = world.communicator
    // The nearest folder that is there: a run makes the others.
    var place = folder
    while !place.isEmpty, !FileSystem.isFolder(place) { place = FileSystem.folder(of: place) }
    if place.isEmpty { place = "." }
    let name = try ranks.broadcast(".lasp-doctor-\(UInt64.random(in: 0 ... .max))")
    let path = "\(place)/\(name)"
    var (speed, problem) = (0.0, "")
    if ranks.rank == 0 {
      do { speed = try Self.write(path) } catch { problem = "\(error)" }
    }
    try ranks.synchronize(for: "rank 0 to write a file")
    let sees = try ranks.allGather([FileSystem.exists(path) ? 1 : 0]).map { $0[0] == 1 }
    if ranks.rank == 0 { unlink(path) }
    let blind = sees.indices.filter { !sees[$0] }
    guard problem.isEmpty else {
      findings = [
        .warning(
          "disk", problem, cure: "give log.directory a folder that can be written", matters: false)
      ]
      return
    }
    var system = statvfs()
    let free = statvfs(place, &system) == 0 ? Int(system.f_bavail) * Int(system.f_frsize) : 0
    let said =
      "\(place): \(Format.digits(speed * 1e-6)) MB/s written and synchronised, \(Format.bytes(free)) free"
    var findings: [Finding] = [
      speed < 50e6
        ? .warning(
          "disk", said, cure: "name a faster one as log.directory, or keep checkpoint.background")
        : .fine("disk", said)
    ]
    if ranks.size > 1 {
      findings.append(
        blind.isEmpty
          ? .fine("disk", "all ranks see the folder")
          : .warning(
            "disk",
            "\(Format.number(blind.count, of: "rank")) of \(ranks.size) do not see \(place), rank \(blind[0]) among them",
            cure:
              "a folder that all hosts share lets all ranks write checkpoints; without it rank 0 writes alone"
          ))
    }
    self.findings = findings
  }

  /// Bytes a second of a file that is written and brought to the disk.
  private static func write(_ path: String) throws -> Double {
    let data = Data(count: 4 << 20)
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw FileError("write", path) }
    defer { close(descriptor) }
    let start = Clock.seconds
    for _ in 0..<bytes / data.count {
      let written = data.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress!, $0.count) }
      guard written == data.count else { throw FileError("write", path) }
    }
    guard fsync(descriptor) == 0 else { throw FileError("write", path) }
    return Double(bytes) / (Clock.seconds - start)
  }
}
