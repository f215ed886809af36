import ArgumentParser
import Files
import Foundation

/// `lasp-train manual`: what `Launch/install --prefix` writes; no command for people.
struct ManualCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "manual", abstract: "Write the manual pages.",
    usage: "lasp-train manual <folder>", shouldDisplay: false)

  @Argument(help: "Folder to write.", completion: .directory)
  var folder: String

  func run() throws {
    try FileSystem.makeFolder(folder)
    for (file, text) in try ManualPages.all() {
      try AtomicFile.write(Data(text.utf8), to: "\(folder)/\(file)")
    }
  }
}
