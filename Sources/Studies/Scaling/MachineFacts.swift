import Foundation
import MessagePassing
import Reporting

/// What a report says of where its figures come from.
struct MachineFacts: Sendable {
  /// Name of this machine, its CPU, its cores that may be used, its memory.
  let machine, cpu, cores, memory: String
  /// The operating system's kernel and the launcher, with versions.
  let system, launcher: String
  /// When it was measured: UTC.
  let date: String
  /// The command line.
  let command: String

  /// Looks at this machine.
  init(_ launcher: MPILauncher, arguments: [String] = CommandLine.arguments) {
    let host = Host(ranks: 1, index: 0)
    machine = host.name
    cores = Format.number(host.cores, of: "core")
    cpu = Self.field("model name", in: "/proc/cpuinfo") ?? "unknown CPU"
    let kibibytes = Self.field("MemTotal", in: "/proc/meminfo")
      .flatMap { Int($0.prefix { $0.isNumber }) }
    memory = kibibytes.map { Format.bytes($0 * 1024) } ?? "unknown memory"
    let release = try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8)
    system = "Linux " + (release ?? "").trimmingCharacters(in: .whitespacesAndNewlines)
    self.launcher = Self.version(launcher)
    date = Date().formatted(.iso8601)
    command = arguments.map(Self.quoted).joined(separator: " ")
  }

  /// The first field of that name in a file of `name : value` lines.
  private static func field(_ name: String, in path: String) -> String? {
    let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
    return line?.split(separator: ":", maxSplits: 1).last?.trimmingCharacters(in: .whitespaces)
  }

  /// The first line of what the launcher says of its version.
  private static func version(_ launcher: MPILauncher) -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: launcher.words[0])
    process.arguments = ["--version"]
    process.environment = launcher.environment
    process.standardInput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    let pipe = Pipe()
    process.standardOutput = pipe
    guard (try? process.run()) != nil else { return launcher.words[0] }
    let said = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let line = String(decoding: said, as: UTF8.self).split(separator: "\n").first
    return line.map(String.init) ?? launcher.words[0]
  }

  /// An argument as a shell reads it back.
  static func quoted(_ argument: String) -> String {
    let isPlain = argument.allSatisfy { $0.isLetter || $0.isNumber || "-_./=,:@+%".contains($0) }
    return isPlain && !argument.isEmpty
      ? argument : "'" + argument.replacing("'", with: "'\\''") + "'"
  }
}
