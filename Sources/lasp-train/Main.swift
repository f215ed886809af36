import ArgumentParser
import Configuration
import Foundation
import Tensors
import Training

@main
enum Main {
  static func main() {
    CoreType.choose()
    exit(run(Array(CommandLine.arguments.dropFirst())))
  }

  /// Runs a command line and gives the exit code: 0, 1 where a run failed, 2 where it was asked
  /// wrongly.
  nonisolated static func run(_ arguments: [String]) -> Int32 {
    let (overrides, rest) = Override.extract(from: arguments, schemas: RunConfiguration.schemas)
    let end = rest.firstIndex(of: "--") ?? rest.endIndex
    let expanded = rest[..<end] + overrides.map { "--set=" + $0.description } + rest[end...]
    do {
      var command = try LaspTrain.parseAsRoot(Array(expanded))
      try command.run()
      return 0
    } catch let error as ConfigurationError {
      return Failure.report("\(error)", code: 2)
    } catch  where LaspTrain.exitCode(for: error).isSuccess {
      print(LaspTrain.fullMessage(for: error))
      return 0
    } catch  where LaspTrain.exitCode(for: error) == .validationFailure {
      return Failure.report(LaspTrain.fullMessage(for: error), code: 2)
    } catch {
      return Failure.report("\(error)", code: 1)
    }
  }
}

/// The program; alone it trains.
struct LaspTrain: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lasp-train",
    abstract: "Trains linear-recurrent language models whose sequences are cut over MPI ranks.",
    discussion: """
      lasp-train                               train the built-in default
      lasp-train run.yaml --training.steps=500 train a run file, one key overridden
      lasp-train train --help                  the options of training
      lasp-train config --reference            every key of the run file
      mpirun -n 8 lasp-train                   train on eight ranks

      \(OverrideOptions.help)
      """,
    version: Release.version,
    subcommands: [
      TrainCommand.self, EvaluateCommand.self, GenerateCommand.self, BenchmarkCommand.self,
      ConfigCommand.self,
    ],
    defaultSubcommand: TrainCommand.self)
}
