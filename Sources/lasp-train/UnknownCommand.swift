import ArgumentParser
import Configuration
import Files

/// A word that stands where a command may, and is neither a command nor a path: most likely one that was spelt otherwise.
struct UnknownCommand: Error, CustomStringConvertible {
  let description: String

  /// Looks for one among the first words of a command line; nil where they are what they can be.
  init?(in arguments: [String]) {
    var command: any ParsableCommand.Type = LaspTrain.self
    var path: [String] = []
    for word in arguments {
      let subcommands = command.configuration.subcommands
      guard !subcommands.isEmpty, !word.hasPrefix("-") else { return nil }
      let names = subcommands.map { $0._commandName } + (path.isEmpty ? ["help"] : [])
      if let next = subcommands.first(where: { $0._commandName == word }) {
        command = next
        path.append(word)
        continue
      }
      // A path has points or slashes, or is there.
      guard !names.contains(word), !word.contains(where: { "./".contains($0) }),
        !FileSystem.exists(word)
      else { return nil }
      let what = (path + ["command"]).joined(separator: " ")
      let hint =
        nearest(to: word, among: names).map { "did you mean \($0)?" }
        ?? "the commands are \(names.joined(separator: ", "))"
      description = "there is no \(what) \(word), nor a file or folder of this name; \(hint)"
      return
    }
    return nil
  }
}
