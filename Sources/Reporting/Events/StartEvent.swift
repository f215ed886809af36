import Configuration
import MessagePassing

/// What a run says of itself when it starts: the log's `start` event and the console's banner.
package struct StartEvent: Sendable {
  /// What the run file and the command line decided.
  package var configuration: JSONLine
  /// Steps of the whole run.
  package var steps: Int
  /// Sequences of a step over the whole world, and tokens of each.
  package var batch, length: Int
  /// The model in a few words.
  package var model: String
  /// The data in a few words.
  package var data: String
  /// How many tokens there are to train on, how wide, and how often the run reads them; nil for what is made.
  package var tokens: String?
  /// Tokens that the model knows; 0 where that is not told.
  package var vocabulary = 0
  /// Whether ranks are virtual: threads of fewer processes.
  package var areRanksVirtual: Bool
  /// The folder this run writes to.
  package var folder: String
  /// The host of each rank, in rank order.
  package var hosts: [String]
  /// The number that the launcher gave to each rank, in rank order.
  package var launchRanks: [Int]
  /// Processes of the run; fewer than ranks where these are virtual.
  package var processes: Int
  /// Threads of a rank.
  package var threads: Int
  /// Threads that can run at once over all hosts; fewer than all ranks' where ranks share cores.
  package var parallelThreads: Int
  /// Ranks that share a sequence.
  package var sequenceRanks: Int
  /// Groups of ranks that hold different sequences.
  package var dataGroups: Int
  /// Tokens of a sequence that each rank of a sequence group holds, in their order.
  package var shardLengths: [Int]
  /// Number of weights, and how many of them training leaves as they are.
  package var parameters, frozenParameters: Int
  /// Steps done before, by the run that this one continues; 0 for a new one.
  package var stepsDone: Int
  /// Share of right answers by guessing in a generated task; nil for other data.
  package var recallChance: Double?
  /// The model whose distributions are learnt, in a few words; nil for none.
  package var teacher: String?
  /// The generated task's name, if there is one.
  package var task: String
  /// Memory that the largest rank is expected to need, in bytes; nil where it is not known.
  package var expectedMemoryBytes: Int?
  /// The CPU family whose kernels OpenBLAS chose.
  package var blasCore: String
  /// Speed of matrix products on one thread, in GFLOP/s, or of multiply-adds alone where the products are far from it; nil where it
  /// was not measured.
  package var sgemmPeak: Double?

  /// Why products are slower than the machine could have them, in one sentence; nil where they are not.
  package var slowKernels: String?

  /// What computes products.
  package var products: Products

  /// A library of matrix products, and the precision of their operands.
  package struct Products: Sendable {
    /// `fp32` or `bf16`.
    package var precision: String
    /// `openblas` or `onednn`.
    package var library: String
    /// The version of oneDNN; nil where the program was built without it.
    package var oneDNN: String?

    package init(precision: String = "fp32", library: String = "openblas", oneDNN: String? = nil) {
      (self.precision, self.library, self.oneDNN) = (precision, library, oneDNN)
    }
  }

  /// Describes a start.
  ///
  /// - Parameters:
  ///   - processes: Processes of the run; nil for as many as there are ranks.
  ///   - launchRanks: The launcher's numbers of the ranks; nil where they are the ranks' own.
  ///   - parallelThreads: Threads that can run at once; nil for all ranks' threads.
  package init(
    configuration: JSONLine, steps: Int, batch: Int, length: Int, model: String, data: String,
    tokens: String? = nil, areRanksVirtual: Bool = false, folder: String, hosts: [String],
    processes: Int? = nil,
    launchRanks: [Int]? = nil,
    threads: Int, parallelThreads: Int? = nil, sequenceRanks: Int, dataGroups: Int,
    shardLengths: [Int],
    parameters: Int, frozenParameters: Int = 0, stepsDone: Int = 0, recallChance: Double? = nil,
    teacher: String? = nil,
    task: String = "recall", expectedMemoryBytes: Int? = nil, blasCore: String,
    sgemmPeak: Double? = nil, slowKernels: String? = nil,
    products: Products = Products()
  ) {
    self.slowKernels = slowKernels
    self.configuration = configuration
    (self.steps, self.batch, self.length) = (steps, batch, length)
    (self.model, self.data, self.areRanksVirtual) = (model, data, areRanksVirtual)
    self.tokens = tokens
    self.folder = folder
    self.hosts = hosts
    self.processes = processes ?? hosts.count
    self.launchRanks = launchRanks ?? Array(hosts.indices)
    self.threads = threads
    self.parallelThreads = parallelThreads ?? hosts.count * threads
    self.sequenceRanks = sequenceRanks
    self.dataGroups = dataGroups
    self.shardLengths = shardLengths
    (self.parameters, self.frozenParameters) = (parameters, frozenParameters)
    self.stepsDone = stepsDone
    self.recallChance = recallChance
    self.teacher = teacher
    self.task = task
    self.expectedMemoryBytes = expectedMemoryBytes
    self.blasCore = blasCore
    self.sgemmPeak = sgemmPeak
    self.products = products
  }

  /// Tokens of a step over the whole world.
  package var tokensPerStep: Int { batch * length }

  /// Which ranks and sequence groups lie on which host.
  package var placement: Placement { Placement(hosts: hosts, sequence: sequenceRanks) }

  /// What all ranks' threads could reach if they did nothing but matrix products, in GFLOP/s.
  package var worldPeak: Double? { sgemmPeak.map { $0 * Double(parallelThreads) } }
}
