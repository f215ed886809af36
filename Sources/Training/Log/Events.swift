import Foundation
import MessagePassing

/// What a run says of itself when it starts: the log's `start` event and the console's banner.
public struct StartEvent: Sendable {
  /// What the run file and the command line decided.
  public var configuration: RunConfiguration
  /// The folder this run writes to.
  public var folder: String
  /// The host of each rank, in rank order.
  public var hosts: [String]
  /// The number that the launcher gave to each rank, in rank order.
  public var launchRanks: [Int]
  /// Processes of the run; fewer than ranks where these are virtual.
  public var processes: Int
  /// Threads of a rank.
  public var threads: Int
  /// Threads that can run at once over all hosts; fewer than all ranks' where ranks share cores.
  public var parallelThreads: Int
  /// Ranks that share a sequence.
  public var sequenceRanks: Int
  /// Groups of ranks that hold different sequences.
  public var dataGroups: Int
  /// Tokens of a sequence that each rank of a sequence group holds, in their order.
  public var shardLengths: [Int]
  /// Number of weights.
  public var parameters: Int
  /// Steps done before, by the run that this one continues; 0 for a new one.
  public var stepsDone: Int
  /// Share of right answers by guessing in the recall task; nil for other data.
  public var recallChance: Double?
  /// Whether tokens are bytes, so that losses can be given in bits per byte.
  public var tokensAreBytes: Bool
  /// Memory that the largest rank is expected to need, in bytes; nil where it is not known.
  public var expectedMemoryBytes: Int?
  /// The CPU family whose kernels OpenBLAS chose.
  public var blasCore: String
  /// Speed of matrix products on one thread, in GFLOP/s; nil where it was not measured.
  public var sgemmPeak: Double?

  /// Describes a start.
  ///
  /// - Parameters:
  ///   - processes: Processes of the run; nil for as many as there are ranks.
  ///   - launchRanks: The launcher's numbers of the ranks; nil where they are the ranks' own.
  ///   - parallelThreads: Threads that can run at once; nil for all ranks' threads.
  public init(
    configuration: RunConfiguration, folder: String, hosts: [String],
    processes: Int? = nil, launchRanks: [Int]? = nil,
    threads: Int, parallelThreads: Int? = nil, sequenceRanks: Int, dataGroups: Int,
    shardLengths: [Int],
    parameters: Int, stepsDone: Int = 0, recallChance: Double? = nil, tokensAreBytes: Bool,
    expectedMemoryBytes: Int? = nil, blasCore: String, sgemmPeak: Double? = nil
  ) {
    self.configuration = configuration
    self.folder = folder
    self.hosts = hosts
    self.processes = processes ?? hosts.count
    self.launchRanks = launchRanks ?? Array(hosts.indices)
    self.threads = threads
    self.parallelThreads = parallelThreads ?? hosts.count * threads
    self.sequenceRanks = sequenceRanks
    self.dataGroups = dataGroups
    self.shardLengths = shardLengths
    self.parameters = parameters
    self.stepsDone = stepsDone
    self.recallChance = recallChance
    self.tokensAreBytes = tokensAreBytes
    self.expectedMemoryBytes = expectedMemoryBytes
    self.blasCore = blasCore
    self.sgemmPeak = sgemmPeak
  }

  /// Tokens of a step over the whole world.
  public var tokensPerStep: Int {
    configuration.training.batch * configuration.sequence.length
  }

  /// Which ranks and sequence groups lie on which host.
  public var placement: Placement { Placement(hosts: hosts, sequence: sequenceRanks) }

  /// What all ranks' threads could reach if they did nothing but matrix products, in GFLOP/s.
  public var worldPeak: Double? { sgemmPeak.map { $0 * Double(parallelThreads) } }
}

/// The loss on data that is not trained on.
public struct EvaluationReport: Sendable {
  /// Training steps done.
  public var step: Int
  /// Sums over all that was evaluated.
  public var sums: LossSums
  /// Seconds it took on rank 0.
  public var seconds: Double
  /// Whether tokens are bytes.
  public var tokensAreBytes: Bool
  /// Share of right answers by guessing in the recall task; nil for other data.
  public var recallChance: Double?

  /// Describes an evaluation.
  public init(
    step: Int, sums: LossSums, seconds: Double, tokensAreBytes: Bool, recallChance: Double? = nil
  ) {
    self.step = step
    self.sums = sums
    self.seconds = seconds
    self.tokensAreBytes = tokensAreBytes
    self.recallChance = recallChance
  }

  /// Mean loss a target, in nats.
  public var loss: Double { sums.meanLoss }
  /// Bits that a byte takes under the model; nil where tokens are not bytes.
  public var bitsPerByte: Double? { tokensAreBytes ? loss / log(2) : nil }
  /// `exp(loss)`; nil where tokens are bytes.
  public var perplexity: Double? { tokensAreBytes ? nil : exp(loss) }
}
