import ArgumentParser
import Configuration
import Studies
import Training

/// `lasp-train benchmark`; alone it measures training steps.
struct BenchmarkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "benchmark",
    abstract: "Measure training steps, or recurrences, beside the machine's matrix products.",
    usage: """
      lasp-train benchmark [step] \(RunFileOption.usage) \(OverrideOptions.usage)
      lasp-train benchmark recurrence [--tokens N] [--heads N] [--curve]
      lasp-train benchmark experts \(RunFileOption.usage) \(OverrideOptions.usage)
      lasp-train benchmark bytes [--ranks N]
      """,
    subcommands: [
      StepBenchmarkCommand.self, RecurrenceBenchmarkCommand.self, ExpertsBenchmarkCommand.self,
      StateBytesCommand.self,
    ],
    defaultSubcommand: StepBenchmarkCommand.self)
}

/// `lasp-train benchmark step`.
struct StepBenchmarkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "step",
    abstract: "Measure training steps on synthetic tokens.",
    usage: "lasp-train benchmark [step] \(RunFileOption.usage) \(OverrideOptions.usage)",
    discussion: """
      By default a model of 21 million parameters, one sequence of 16,384 tokens and one thread: \
      \(defaults.map { "--\($0)" }.joined(separator: " "))

      \(OverrideOptions.help)
      """)

  /// What is set before the user does: 21 million parameters, 16,384 tokens, one thread.
  private static let defaults = [
    "model.dimension=512", "model.depth=6", "model.heads=8", "model.glu=1408",
    "model.vocabulary=256", "sequence.length=16384", "training.batch=1", "training.steps=5",
    "threads=1",
  ].map { Override($0) }

  @OptionGroup var runFile: RunFileOption

  @OptionGroup var overrides: OverrideOptions

  func run() throws {
    // A run file says all of the model; what is set here stands for one.
    try Benchmark.run(
      overrides.load(file: runFile.path, defaults: runFile.path == nil ? Self.defaults : []))
  }
}

/// `lasp-train benchmark recurrence`.
struct RecurrenceBenchmarkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "recurrence",
    abstract: "Measure every recurrence, forward and backward, on one thread, without MPI.",
    usage: "lasp-train benchmark recurrence [--tokens N] [--heads N] [--curve]")

  @Option(help: ArgumentHelp("Tokens of the sequence.", valueName: "N"))
  var tokens = 16384

  @Option(help: ArgumentHelp("Heads, each with a state of its own.", valueName: "N"))
  var heads = 8

  @Flag(help: "Print the time per token from 1K to 256K tokens instead, for one head.")
  var curve = false

  func validate() throws {
    guard tokens > 0 else { throw ValidationError("--tokens is \(tokens); give 1 or more.") }
    guard heads > 0 else { throw ValidationError("--heads is \(heads); give 1 or more.") }
  }

  func run() {
    RecurrenceBenchmark.run(tokens: tokens, heads: heads, curve: curve)
  }
}

/// `lasp-train benchmark experts`.
struct ExpertsBenchmarkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "experts",
    abstract: "Measure a layer of experts beside a dense one of the width that a token takes.",
    usage: "lasp-train benchmark experts \(RunFileOption.usage) \(OverrideOptions.usage)",
    discussion: """
      By default 16 experts, of which a token takes two, 4,096 tokens and one thread: \
      \(defaults.map { "--\($0)" }.joined(separator: " "))

      \(OverrideOptions.help)
      """)

  private static let defaults = [
    "model.dimension=512", "model.heads=8", "model.glu=1408", "model.vocabulary=256",
    "model.channels=experts", "model.experts.count=16", "model.experts.active=2",
    "model.experts.width=704", "sequence.length=4096", "training.batch=1", "training.steps=11",
    "threads=1",
  ].map { Override($0) }

  @OptionGroup var runFile: RunFileOption

  @OptionGroup var overrides: OverrideOptions

  func run() throws {
    try ExpertsBenchmark.run(
      overrides.load(file: runFile.path, defaults: runFile.path == nil ? Self.defaults : []))
  }
}

/// `lasp-train benchmark bytes`.
struct StateBytesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bytes",
    abstract: "Count the bytes of states that every recurrence and exchange sends, without MPI.",
    usage: "lasp-train benchmark bytes [--ranks N]")

  @Option(help: ArgumentHelp("Ranks that share the sequence.", valueName: "N"))
  var ranks = 8

  func validate() throws {
    guard (1...1024).contains(ranks) else {
      throw ValidationError("--ranks is \(ranks); give a number from 1 to 1024.")
    }
  }

  func run() throws { try StateBytes.run(ranks: ranks) }
}
