import Checkpoints
import Configuration
import Corpora
import Faults
import Files
import Inference
import MessagePassing
import Models
import SequenceParallel
import Tokenizers

/// Why the program ends, as it tells who started it by its exit code; `Docs/ExitCodes.md` is the table.
package enum ExitReason: Int32, CaseIterable, Sendable {
  /// All went well.
  case success = 0
  /// Anything that has no code of its own.
  case failure = 1
  /// The command line or the run file asks for what cannot be.
  case configuration = 2
  /// Data to train or evaluate on are missing, damaged or do not fit.
  case data = 3
  /// A model folder or a checkpoint is missing, damaged or does not fit.
  case checkpoint = 4
  /// Ranks lost each other, or do not do the same.
  case communication = 5
  /// A loss, a gradient or a weight is no finite number.
  case numerical = 6
  /// The machine has no disk space, memory, threads or file descriptors left.
  case resources = 7
  /// A signal stopped a run that can go on: `EX_TEMPFAIL`, by which schedulers know that trying again helps.
  case stopped = 75

  /// The status of a program that ends by an error.
  package init(_ error: any Error) {
    self =
      switch error {
      case is ConfigurationError: .configuration
      case let error as OutputError: error.isFull ? .resources : .failure
      case let error as any ErrorWithExitReason: error.exitReason
      case GenerationError.emptyPrompt: .configuration
      case TrainingError.folderTaken, TrainingError.folderInUse: .configuration
      case is ExportError, is LinearisationError: .configuration
      case TrainingError.notFinite, TrainingError.weightsNotFinite: .numerical
      case TrainingError.evaluationNotFinite: .numerical
      case CheckpointError.notFinite: .numerical
      case is NotFiniteError: .numerical
      case TrainingError.disagreement: .communication
      case TrainingError.notSaved, TrainingError.diskStandsStill: .resources
      case CorpusError.noRoomForPairs: .configuration
      case let error as CorpusError: Self.ofFiles(error.fileError, else: .data)
      case let error as CheckpointError: error.isExhaustion ? .resources : .checkpoint
      case let error as TokenizerError: Self.ofFiles(error.fileError, else: .checkpoint)
      case is GenerationError: .checkpoint
      case is DocumentLengthError: .configuration
      case let error as FileError: Self.ofFiles(error, else: .failure)
      case MessagePassingError.interrupted(_, by: let error): ExitReason(error)
      case is MessagePassingError, is OutOfStepError: .communication
      default: .failure
      }
  }

  /// `.resources` where the system ran out of something, or else what is given.
  private static func ofFiles(_ error: FileError?, else reason: ExitReason) -> ExitReason {
    error?.isExhaustion == true ? .resources : reason
  }
}

/// An error of a module above this one that names its code itself.
package protocol ErrorWithExitReason: Error {
  /// The code that the program ends with.
  var exitReason: ExitReason { get }
}
