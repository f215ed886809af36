import ArgumentParser
import Configuration
import Files
import Foundation
import Inference
import MessagePassing
import Reporting
import SequenceParallel
import Training

/// `lasp-train evaluate`.
struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract:
      "Compute a model's loss on a file, its answers to a task, or its logits and gradients on given tokens.",
    usage: """
      lasp-train evaluate <model> --data.path <file> [--tokens <n>] [--by-position] [--json] [--precision <p>] \
      \(RunFileOption.usage) \(OverrideOptions.usage)
      lasp-train evaluate <model> --task <name> [--lengths <list>] [--sequences <n>] [--depths <n>] \
      [--output <file>] [--precision <p>] \(RunFileOption.usage) \(OverrideOptions.usage)
      lasp-train evaluate <model> --tokens <file> --output <file> [--gradients] [--precision <p>]
      """,
    discussion: """
      With --data.path, here or in the run file of --config: prints the loss over the whole file as one stream, \
      in nats a token, bits per byte and perplexity; with a number as --tokens, of so many predicted tokens from its \
      start. The state is carried over windows of sequence.length tokens. Bits per byte need to know the bytes: the tokens \
      are bytes, or data.tokenizer, the model's folder or that of data.path says what they stand for. With --by-position: \
      also by how many tokens of its document a prediction sees, in bins that double; where nothing says where documents \
      begin, a file is one.

      With --task: the share of right answers to a generated task (a value of data.task, with \
      its keys as in training) by the sequence's length, shorter or longer than the trained one, and by \
      depth: where the answer stands, or in tasks that ask everywhere the question. --output writes \
      the same as JSON.

      With a file as --tokens: reads input_ids [B, T] and writes logits [B, T, vocabulary], loss (the \
      mean over the first T-1 positions of all rows) and, with --gradients, grad.<name> of each \
      parameter.

      Alone or under mpirun, whose ranks then share each sequence. The model may be by anybody, \
      in Hugging Face's layout of a model that this program knows.

      \(OverrideOptions.help)
      """)

  @Argument(
    help: "Folder with config.json and model.safetensors.", completion: .directory)
  var model: String

  @OptionGroup var adapter: AdapterOption

  @OptionGroup var precision: PrecisionOption

  @Option(
    help: ArgumentHelp(
      "Safetensors file with input_ids, I32 or I64, [B, T]; or how many tokens of data.path are predicted.",
      valueName: "file or n"),
    completion: .file())
  var tokens: String?

  @Option(
    help: ArgumentHelp("Generated task: a value of data.task.", valueName: "name"))
  var task: String?

  @Option(
    help: ArgumentHelp(
      "Tokens of the task's sequences, such as 512,1024 (default: sequence.length).",
      valueName: "list"))
  var lengths: String?

  @Option(help: ArgumentHelp("Sequences of each length (default: 64).", valueName: "n"))
  var sequences: Int?

  @Option(help: ArgumentHelp("Parts of a sequence by depth (default: 5).", valueName: "n"))
  var depths: Int?

  @Option(
    help: ArgumentHelp(
      "File to write: safetensors with --tokens, JSON with --task.", valueName: "file"),
    completion: .file())
  var output: String?

  @Flag(help: "Write the gradient of every parameter too, with --tokens.")
  var gradients = false

  @Flag(
    help: "Tell losses of data.path apart by how many tokens of its document a prediction sees.")
  var byPosition = false

  @Flag(help: "Print the result on data.path as JSON.")
  var json = false

  @OptionGroup var console: ConsoleOption

  @OptionGroup var runFile: RunFileOption

  @OptionGroup var overrides: OverrideOptions

  /// How many tokens of a file are predicted; nil for all.
  private var count: Int? { tokens.flatMap { Int($0) } }
  /// The file of token numbers, or nil.
  private var tokenFile: String? { count == nil ? tokens : nil }

  func validate() throws {
    try precision.check(against: overrides)
    let isFile = overrides.gives("data.path")
    // A run file may name the data, and the task, too; what is asked for here counts.
    let asked = [tokenFile != nil, task != nil, isFile].count(where: { $0 })
    guard asked == 1 || asked == 0 && runFile.path != nil else {
      throw ValidationError(
        "Give one of --data.path FILE, --task NAME and --tokens FILE, or --config with a run file that has data.path."
      )
    }
    if let count, count < 1 { throw ValidationError("--tokens \(count) is not 1 or more.") }
    if count != nil, task != nil {
      throw ValidationError("--tokens N is for --data.path; --task has --lengths and --sequences.")
    }
    if tokenFile == nil, gradients { throw ValidationError("--gradients needs --tokens FILE.") }
    if asked == 0 || isFile, output != nil {
      throw ValidationError("--output needs --tokens FILE or --task NAME.")
    }
    if task != nil || tokenFile != nil {
      for (option, isGiven) in [("--by-position", byPosition), ("--json", json)] where isGiven {
        throw ValidationError("\(option) is for --data.path; give it, or leave \(option) out.")
      }
    }
    if tokenFile != nil, output == nil {
      throw ValidationError("--tokens needs --output FILE to write the results to.")
    }
    guard task != nil else {
      guard lengths == nil, sequences == nil, depths == nil else {
        throw ValidationError("--lengths, --sequences and --depths need --task NAME.")
      }
      return
    }
    if overrides.gives("data.task") {
      throw ValidationError("--task says what --data.task does; give one of them.")
    }
    for (option, value) in [("--sequences", sequences), ("--depths", depths)] {
      if let value, value < 1 { throw ValidationError("\(option) \(value) is not 1 or more.") }
    }
    _ = try listedLengths
  }

  func run() throws {
    if let task { return try evaluate(task: task) }
    let configuration = try overrides.load(file: runFile.path, defaults: precision.overrides)
    guard tokenFile != nil || !configuration.data.path.isEmpty else {
      throw ValidationError(
        "\(runFile.path ?? "") names no data.path; give --data.path FILE, or --task NAME.")
    }
    let (model, gradients, parallel, count) = (model, gradients, configuration.parallel, count)
    let (byPosition, json) = (byPosition, json)
    let console = console.mode
    let adapter = adapter.path
    let given = tokenFile.flatMap { tokens in output.map { (tokens: tokens, output: $0) } }
    try RankProgram.run(configuration, weightsStay: !gradients) { world, workspace in
      let ranks = world.communicator
      let output = TerminalOutput.standard(console)
      if ranks.rank == 0, let slow = workspace.productSettings?.warning { output.warning(slow) }
      let progress = ranks.rank == 0 ? ProgressDisplay("evaluation", output: output) : nil
      defer { progress?.end() }
      if let given {
        let loss = try TokenEvaluation(
          modelFolder: model, adapter: adapter, gradients: gradients,
          exchange: parallel.exchange.kind ?? .chain,
          attention: parallel.attention, experts: parallel.experts,
          reproducible: parallel.reproducible > 0, world: ranks,
          workspace: workspace
        ).run(tokens: given.tokens, output: given.output, progress: progress)
        progress?.end()
        guard ranks.rank == 0 else { return }
        print("loss \(String(format: "%.6f", loss)) nats a token; results in \(given.output)")
      } else {
        let result = try StreamEvaluation(
          modelFolder: model, adapter: adapter, data: configuration.data,
          length: configuration.sequence.length, tokens: count,
          parallel: parallel, world: ranks, workspace: workspace
        ).run(byPosition: byPosition, progress: progress)
        progress?.end()
        guard ranks.rank == 0 else { return }
        let paths = configuration.data.path.map(\.path)
        print(
          json
            ? result.json(model: model, paths: paths, ranks: ranks.size).text
            : result.description)
      }
    }
  }

  private var listedLengths: [Int]? {
    get throws {
      try lengths.map {
        try List($0, "--lengths", example: "512,1024") { Int($0).flatMap { $0 > 0 ? $0 : nil } }
          .items
      }
    }
  }

  private func evaluate(task: String) throws {
    let configuration = try overrides.load(
      file: runFile.path, defaults: precision.overrides + [Override("data.task=\(task)")])
    let lengths = try listedLengths ?? [configuration.sequence.length]
    let (model, sequences, depths, file) = (model, sequences ?? 64, depths ?? 5, output)
    let (adapter, console) = (adapter.path, console.mode)
    try RankProgram.run(configuration, weightsStay: true) { world, workspace in
      let writes = world.communicator.rank == 0
      let evaluation = try TaskEvaluation(
        modelFolder: model, adapter: adapter, data: configuration.data, lengths: lengths,
        sequences: sequences,
        depths: depths, seed: UInt64(bitPattern: Int64(configuration.training.seed)),
        parallel: configuration.parallel, world: world.communicator, workspace: workspace)
      let output = TerminalOutput.standard(console)
      if writes {
        if let slow = workspace.productSettings?.warning { output.warning(slow) }
        for line in evaluation.heading(task: task, sequences: sequences) { output.line(line) }
      }
      let rows = try evaluation.run(
        progress: { writes ? ProgressDisplay("sequences of \($0) tokens", output: output) : nil }
      ) { if writes { output.line(evaluation.line($0)) } }
      guard writes, let file else { return }
      let json = evaluation.json(rows, model: model, task: task, sequences: sequences)
      try AtomicFile.write(Data((json.text + "\n").utf8), to: file)
    }
  }
}
