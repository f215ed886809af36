import ArgumentParser

/// How commands that start whole jobs of ranks find their ranks and their folder.
struct JobOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Launcher with its options, such as \"mpirun --bind-to core\" or \"srun --mpi=pmix\" (default: Open MPI's mpirun).",
      valueName: "command"))
  var launcher: String?

  @Option(
    help: ArgumentHelp("Hosts to run on, one a line, as mpirun reads them.", valueName: "file"),
    completion: .file())
  var hostfile: String?

  @Option(
    help: ArgumentHelp(
      "Folder for all that is written (default: a new one in runs/).", valueName: "folder"),
    completion: .directory)
  var output: String?
}

/// A list on the command line, items apart by commas.
struct List<Item: Sendable>: Sendable {
  /// The items.
  let items: [Item]

  /// Reads a list.
  ///
  /// - Parameters:
  ///   - text: The items.
  ///   - option: The option, for the error.
  ///   - example: How it should look like, for the error.
  ///   - item: Reads an item; nil for what is none.
  /// - Throws: `ValidationError`.
  init(_ text: String, _ option: String, example: String, _ item: (String) -> Item?) throws {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    items = try parts.map { part in
      guard let value = item(String(part)) else {
        throw ValidationError(
          "\(option): '\(part)' does not fit; write such as \(option) \(example)")
      }
      return value
    }
  }
}
