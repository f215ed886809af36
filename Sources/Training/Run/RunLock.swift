import Configuration
import Files
import Foundation

/// That a run's folder has one writer: a file that names it, as long as it lives.
///
/// Concretely: `writer.json` appears whole by a hard link, which fails where one is there. It holds host, process and the
/// process's start, and its time of modification is renewed every few seconds. One whose process is gone, or from another
/// host and without a sign of life, is taken over.
final class RunLock: @unchecked Sendable {
  /// Seconds between signs of life.
  static let beat = 5
  /// Seconds without one, after which the writer of another host counts as gone.
  static let patience = 60.0

  /// Who writes.
  struct Owner: Sendable, Equatable {
    var host: String
    /// The boot of the host and the namespace in which process numbers are meant.
    var boot, namespace: String
    var process: Int
    /// Start of the process, in the system's ticks since the boot.
    var started: Int
    /// Seconds since 1970 at which it took the folder.
    var since: Double

    var json: JSONValue {
      [
        "host": .string(host), "boot": .string(boot), "namespace": .string(namespace),
        "process": .integer(process), "started": .integer(started), "since": .number(since),
      ]
    }
  }

  /// Where the file lies.
  let path: String
  private let folder: String
  /// The file as it was made: what `path` names is ours as long as it is the same.
  private let descriptor: Int32
  private let timer: any DispatchSourceTimer

  /// Takes a folder.
  ///
  /// - Parameter owner: Who takes it; others than this process are for tests.
  /// - Throws: `TrainingError.folderInUse`; `FileError`.
  init(_ folder: String, owner: Owner = .current) throws {
    self.folder = folder
    path = folder + "/" + Self.name
    descriptor = try Self.take(path, in: folder, owner)
    let timer = DispatchSource.makeTimerSource(queue: .global(qos: .utility))
    timer.schedule(deadline: .now() + .seconds(Self.beat), repeating: .seconds(Self.beat))
    let descriptor = descriptor
    timer.setEventHandler { futimens(descriptor, nil) }
    // After the last sign of life.
    timer.setCancelHandler { close(descriptor) }
    timer.activate()
    self.timer = timer
  }

  deinit { release() }

  /// Gives the folder back, if it is still this lock's.
  func release() {
    guard !isReleased else { return }
    isReleased = true
    if isHeld { unlink(path) }
    timer.cancel()
  }

  private var isReleased = false

  /// Whether the folder still names this writer.
  var isHeld: Bool {
    var (mine, there) = (stat(), stat())
    return fstat(descriptor, &mine) == 0 && stat(path, &there) == 0
      && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev
  }

  /// Who writes to the folder now; nil where nobody says so.
  var holder: Owner? { Self.read(path)?.owner }

  /// Whether a writer of a run's folder is alive: by its process on this host, by its signs of life on another.
  static func isHeld(_ folder: String) -> Bool {
    guard let found = read("\(folder)/\(name)") else { return false }
    let age = Date().timeIntervalSince1970 - found.modified
    return found.owner.life(seenBy: .current, age: age) != nil
  }

  // MARK: Taking

  private static let name = "writer.json"

  private static func take(_ path: String, in folder: String, _ owner: Owner) throws -> Int32 {
    let draft = "\(folder)/.writer-\(owner.process)-\(UInt32.random(in: 0 ... .max))"
    let descriptor = open(draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw FileError("write to", folder) }
    defer { unlink(draft) }
    let text = owner.json.text + "\n"
    guard
      text.utf8.withContiguousStorageIfAvailable({ write(descriptor, $0.baseAddress!, $0.count) })
        == text.utf8.count
    else { throw FileError("write", draft) }
    for _ in 0..<100 {
      if link(draft, path) == 0 { return descriptor }
      guard errno == EEXIST else { throw FileError("make the lock", path) }
      guard let found = read(path) else { continue }
      var now = stat()
      futimens(descriptor, nil)
      fstat(descriptor, &now)
      let age = now.seconds - found.modified
      if let reason = found.owner.life(seenBy: owner, age: age) {
        throw TrainingError.folderInUse(folder: folder, by: reason)
      }
      // Only what was judged is taken away: another that came meanwhile is put back.
      let aside = draft + "-stale"
      guard rename(path, aside) == 0 else { continue }
      if read(aside)?.owner != found.owner { link(aside, path) }
      unlink(aside)
    }
    throw FileError("take the lock", path, code: EBUSY)
  }

  private static func read(_ path: String) -> (owner: Owner, modified: Double)? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var (status, bytes) = (stat(), [UInt8](repeating: 0, count: 4096))
    guard fstat(descriptor, &status) == 0 else { return nil }
    let count = Glibc.read(descriptor, &bytes, bytes.count)
    let json = (try? JSONValue(Data(bytes.prefix(max(count, 0))))) ?? .null
    return (Owner(json), status.seconds)
  }
}

extension RunLock.Owner {
  /// This process.
  static var current: Self {
    func text(_ path: String) -> String {
      ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "")
        .trimmingCharacters(in: .whitespacesAndNewlines)
    }
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, name.count - 1)
    let process = Int(getpid())
    return Self(
      host: String(decoding: name.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self),
      boot: text("/proc/sys/kernel/random/boot_id"),
      namespace: (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid"))
        ?? "",
      process: process, started: start(of: process) ?? 0, since: Date().timeIntervalSince1970)
  }

  /// Reads what a lock says; what is missing is empty.
  init(_ json: JSONValue) {
    self.init(
      host: json["host"]?.string ?? "", boot: json["boot"]?.string ?? "",
      namespace: json["namespace"]?.string ?? "", process: json["process"]?.integer ?? 0,
      started: json["started"]?.integer ?? 0, since: json["since"]?.number ?? 0)
  }

  /// When a process of this host began, in ticks since the boot; nil where none of that number runs.
  static func start(of process: Int) -> Int? {
    guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
      let name = text.lastIndex(of: ")")
    else { return nil }
    // The fields after the name: the third is the state, the 22nd the start.
    let fields = text[text.index(after: name)...].split(separator: " ")
    guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
    return Int(fields[19])
  }

  /// It, for a sentence.
  var description: String { "process \(process) on \(host.isEmpty ? "an unknown host" : host)" }

  /// Why it counts as alive, as a sentence about it; nil where it is gone.
  ///
  /// - Parameters:
  ///   - mine: Who asks.
  ///   - age: Seconds since its last sign of life, by the clock of the files.
  func life(seenBy mine: Self, age: Double) -> String? {
    if boot == mine.boot, namespace == mine.namespace, !boot.isEmpty {
      guard Self.start(of: process) == started else { return nil }
      return "\(description), which runs; end it first"
    }
    guard age < RunLock.patience else { return nil }
    let left = max(1, Int((RunLock.patience - age).rounded(.up)))
    return
      "\(description), whose last sign of life is \(max(0, Int(age))) s old; end it there, or if it is gone, start again in "
      + "\(left) s"
  }
}

extension stat {
  /// Seconds since 1970 of the last change.
  fileprivate var seconds: Double { Double(st_mtim.tv_sec) + 1e-9 * Double(st_mtim.tv_nsec) }
}
