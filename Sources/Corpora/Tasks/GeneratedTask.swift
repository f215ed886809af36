import Configuration

/// A task that `data.task` names: sequences made by a rule, whose answers are exact.
package protocol GeneratedTask: Sendable {
  /// What `data.task` calls it.
  static var task: String { get }
  /// The section with its keys; nil where they stand in `data`.
  static var section: (any ConfigurationSection.Type)? { get }
  /// What is wrong between its keys.
  static func problems(_ data: DataSection) -> [KeyProblem]
  /// Its sequences.
  ///
  /// - Parameters:
  ///   - length: Tokens of a sequence.
  ///   - batch: Sequences of a step.
  ///   - seed: The run's seed.
  /// - Throws: `CorpusError` when the keys do not fit the length, or a file cannot be read.
  static func corpus(
    _ data: DataSection, length: Int, batch: Int, seed: UInt64
  ) throws(CorpusError) -> any TaskCorpus
}

/// The tasks there are.
package enum Tasks {
  /// All, in the order in which they are listed.
  package static let all: [any GeneratedTask.Type] = [
    RecallTask.self, MultiQueryRecallTask.self, CopyTask.self, ParityTask.self,
    PermutationTask.self, ModularTask.self, NeedleTask.self,
  ]

  /// The values of `data.task`.
  package static let names = all.map { $0.task }

  /// The task of a name, which is one of `names`.
  package static func named(_ name: String) -> any GeneratedTask.Type {
    guard let task = all.first(where: { $0.task == name }) else {
      preconditionFailure("there is no task \(name)")
    }
    return task
  }
}

/// The sequences of a task.
package protocol TaskCorpus: TrainingCorpus {
  /// Share of guessed answers that are right.
  var chance: Double { get }
  /// What its answers are told apart by.
  var depth: TaskDepth { get }
}

/// What is called the depth of an answer: a place in the sequence, as a share of its length.
package enum TaskDepth: String, Sendable {
  /// Where the answer stands that a question asks for.
  case answer
  /// Where the question stands: how much has been read.
  case question
}
