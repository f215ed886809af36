import Foundation

/// The terminals at which a process's standard output and standard error end, seen through a launcher.
///
/// A launcher gives its ranks pipes, or a pseudo-terminal where its own output is a file: what counts is where the
/// launcher's streams end. `Launch/mpirun` says so in `LASP_TERMINALS`; mpirun itself is asked by its descriptors.
struct Terminals: Sendable, Equatable {
  /// The device behind the standard output; nil where that is no terminal.
  var output: String?
  /// The device behind the standard error.
  var error: String?

  /// Those of this process.
  static func find(_ environment: [String: String]) -> Terminals {
    let kind = environment["TERM"] ?? ""
    guard !kind.isEmpty, kind != "dumb" else { return Terminals() }
    if environment["OMPI_COMM_WORLD_RANK"] == nil {
      return Terminals(output: device(STDOUT_FILENO), error: device(STDERR_FILENO))
    }
    if let told = environment["LASP_TERMINALS"] { return Terminals(told) }
    return Terminals(output: launcherDevice(STDOUT_FILENO), error: launcherDevice(STDERR_FILENO))
  }

  init(output: String? = nil, error: String? = nil) { (self.output, self.error) = (output, error) }

  /// What a launcher tells: two devices, `-` for none.
  init(_ told: String) {
    let parts = told.split(separator: " ").map { $0 == "-" ? nil : String($0) }
    if parts.count == 2 { (output, error) = (parts[0], parts[1]) }
  }

  /// Columns of a device's lines now; nil where it does not tell.
  static func columns(of device: String) -> Int? {
    let descriptor = open(device, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return Int(size.ws_col)
  }

  private static func device(_ descriptor: Int32) -> String? {
    guard isatty(descriptor) == 1 else { return nil }
    var name = [CChar](repeating: 0, count: 256)
    guard ttyname_r(descriptor, &name, name.count) == 0 else { return "/dev/tty" }
    return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// The terminal of the process that started this one.
  private static func launcherDevice(_ descriptor: Int32) -> String? {
    let link = "/proc/\(getppid())/fd/\(descriptor)"
    guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: link),
      target.hasPrefix("/dev/pts/") || target.hasPrefix("/dev/tty")
    else { return nil }
    return target
  }
}
