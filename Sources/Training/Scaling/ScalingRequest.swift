import Configuration
import SequenceParallel

/// What `lasp-train scaling` was asked for.
public struct ScalingRequest: Sendable {
  /// What is set before the user does where no run file is given: a small model, one sequence.
  public static let modelDefaults = [
    "model.dimension=128", "model.depth=4", "model.heads=2", "model.vocabulary=256",
    "training.batch=1",
  ].map { Override($0) }

  /// What is set before the user does in any case.
  public static let defaults = ["threads=1", "evaluation.every=0", "checkpoint.every=0"]
    .map { Override($0) }

  /// Run file; nil for the built-in default and `modelDefaults`.
  public var runFile: String?
  /// The user's keys of the run file.
  public var overrides: [Override]
  /// Rank counts.
  public var ranks: [Int]
  /// Tokens of a sequence that a rank holds, for weak scaling.
  public var tokens: [Int]
  /// Lengths of a sequence over all ranks, for strong scaling.
  public var lengths: [Int]
  /// How states cross ranks.
  public var exchanges: [ExchangeKind]
  /// Times that each case runs.
  public var repetitions: Int
  /// Steps of a job, and how many of them, the first ones, do not count.
  public var steps, warmup: Int
  /// The launcher with its options; nil for Open MPI's mpirun.
  public var launcher: String?
  /// File with a host a line.
  public var hostfile: String?
  /// Folder for all that is written; nil for one named by the time.
  public var output: String?

  /// Makes a request.
  public init(
    runFile: String? = nil, overrides: [Override] = [], ranks: [Int] = [1, 2, 4],
    tokens: [Int] = [512, 2048], lengths: [Int] = [4096],
    exchanges: [ExchangeKind] = ExchangeKind.allCases, repetitions: Int = 3, steps: Int = 8,
    warmup: Int = 2, launcher: String? = nil, hostfile: String? = nil, output: String? = nil
  ) {
    (self.runFile, self.overrides) = (runFile, overrides)
    (self.ranks, self.tokens, self.lengths) = (ranks, tokens, lengths)
    (self.exchanges, self.repetitions) = (exchanges, repetitions)
    (self.steps, self.warmup) = (steps, warmup)
    (self.launcher, self.hostfile, self.output) = (launcher, hostfile, output)
  }
}

/// A measurement that cannot be made, or was not made in full.
public struct ScalingError: Error, Equatable, CustomStringConvertible {
  /// What is wrong and what to do.
  public let description: String

  init(_ description: String) { self.description = description }
}
