import ArgumentParser
import Training

/// `lasp-train checkpoints`.
struct CheckpointsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "checkpoints",
    abstract: "List the checkpoints of a run, or compare them with what was written.",
    usage: """
      lasp-train checkpoints <run>
      lasp-train checkpoints verify <run or checkpoint>
      """,
    subcommands: [List.self, Verify.self], defaultSubcommand: List.self)

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Step, loss, size, time and state of each checkpoint, in the order of writing.",
      usage: "lasp-train checkpoints <run>")

    @Argument(help: "Folder of a run, or of a checkpoint.", completion: .directory)
    var path: String

    func run() throws {
      for line in try CheckpointList(path).lines { print(line) }
    }
  }

  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Read every file again; exit code 4 where one is not as it was written.",
      usage: "lasp-train checkpoints verify <run or checkpoint>")

    @Argument(help: "Folder of a run, or of a checkpoint.", completion: .directory)
    var path: String

    func run() throws {
      try CheckpointList(path).verify { print($0) }
    }
  }
}
