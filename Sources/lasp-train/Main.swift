import ArgumentParser
import Configuration
import Faults
import Foundation
import MessagePassing
import Reporting
import Tensors
import Training

@main
enum Main {
  static func main() {
    StandardStreams.open()
    StopSignal.hold()
    CoreType.choose()
    CrashHandler.install()
    ProcessWatch.current.begin(environment: ProcessInfo.processInfo.environment)
    var code = run(Array(CommandLine.arguments.dropFirst()))
    if let reason = StandardStreams.flush() {
      code = Failure.report(reason, .failure)
    }
    exit(code)
  }

  /// Runs a command line and gives the exit code, an `ExitReason`.
  nonisolated static func run(_ arguments: [String]) -> Int32 {
    let (overrides, rest) = Override.extract(from: arguments, schemas: RunConfiguration.schemas)
    // Until the run file has been read, this is what is known of it.
    if let seconds = overrides.last(where: { $0.key == "parallel.timeout" })?.text.flatMap(
      Double.init),
      seconds > 0
    {
      ProcessWatch.current.limit = seconds
    }
    if let shell = Completions.shell(in: rest) {
      print(Completions.script(for: shell))
      return 0
    }
    if let unknown = UnknownCommand(in: rest) {
      return Failure.report("\(unknown)", .configuration)
    }
    let end = rest.firstIndex(of: "--") ?? rest.endIndex
    let expanded = rest[..<end] + overrides.map { "--set=" + $0.description } + rest[end...]
    do {
      var command = try LaspTrain.parseAsRoot(Array(expanded))
      // Only training has something to save.
      if !(command is TrainCommand) { StopSignal.release() }
      try command.run()
      return 0
    } catch let code as ExitCode {
      return code.rawValue
    } catch  where LaspTrain.exitCode(for: error).isSuccess {
      print(LaspTrain.fullMessage(for: error))
      return 0
    } catch  where LaspTrain.exitCode(for: error) == .validationFailure {
      return Failure.report(LaspTrain.fullMessage(for: error), .configuration)
    } catch {
      return Failure.report("\(error)", ExitReason(error))
    }
  }
}

/// The program; alone it trains.
struct LaspTrain: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lasp-train",
    abstract: "Trains linear-attention language models whose sequences are cut over MPI ranks.",
    usage: """
      lasp-train [<run file>] \(OverrideOptions.usage)
      lasp-train <command> ...
      """,
    discussion: """
      lasp-train                                train the built-in default, alone
      mpirun -n 8 lasp-train                    train it on eight ranks
      lasp-train --data.path FILE               train on any file, as bytes
      lasp-train run.yaml --training.steps 500  train a run file, one key changed
      lasp-train --resume runs/NAME             go on with a run from its last checkpoint
      lasp-train --dry-run --ranks 8 run.yaml   what that will need, without doing it
      lasp-train help train                     all options of training

      As root, or with more ranks than cores, mpirun wants to be told that this is \
      meant: `Launch/mpirun` in the source folder does so, and README names the variables.

      \(OverrideOptions.help)

      Exit code: 0 if all went well; 2 if the command line or run file is wrong, 3 data, 4 a model \
      or checkpoint; 5 if ranks lost each other, 6 if a number is not finite, 7 if disk or memory \
      is full; 75 if a signal stopped a run that can go on; else 1.
      """,
    version: ProgramVersion.text,
    subcommands: [
      TrainCommand.self, EvaluateCommand.self, GenerateCommand.self, BenchmarkCommand.self,
      ExportCommand.self, ScalingCommand.self, ParityCommand.self, ModelsCommand.self,
      LineariseCommand.self, PrepareCommand.self, TokenizeCommand.self, CheckpointsCommand.self,
      ConfigCommand.self, SweepCommand.self, RunsCommand.self, ReportCommand.self,
      LawCommand.self, WatchCommand.self, LogCommand.self, DoctorCommand.self, PlanCommand.self,
      ManualCommand.self,
    ],
    defaultSubcommand: TrainCommand.self)
}
