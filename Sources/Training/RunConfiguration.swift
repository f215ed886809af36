import Checkpoints
import Configuration
import Corpora
import MessagePassing
import Models
import Optimizers
import SequenceParallel

/// Everything that a run file and the command line decide, checked.
///
/// Concretely: defaults, then the run file, then `--section.key=value`; the last one holds. With no
/// file and no override this is the built-in default, `Configs/default.yaml`.
package struct RunConfiguration: Sendable {
  /// Threads of a rank; 0 for the host's cores over its ranks.
  package let threads: Int
  /// The model.
  package let model: ModelSection
  /// Adapters of the model.
  package let lora: LoRASection
  /// What is made of a Transformer.
  package internal(set) var linearise: LineariseSection
  /// The teacher.
  package internal(set) var distillation: DistillationSection
  /// The data.
  package internal(set) var data: DataSection
  /// The sequences.
  package let sequence: SequenceSection
  /// The grid of ranks.
  package let parallel: ParallelSection
  /// The optimizer.
  package internal(set) var optimizer: OptimizerSection
  /// The learning rate's schedule.
  package internal(set) var schedule: ScheduleSection
  /// Steps and batches.
  package internal(set) var training: TrainingSection
  /// Evaluation during a run.
  package let evaluation: EvaluationSection
  /// Console and log.
  package let log: LogSection
  package let checkpoint: CheckpointSection
  /// The values as they were written, and where each stands.
  package private(set) var document: ConfigurationDocument
  /// The keys that the run file or the command line gives, without those that follow from others.
  package let given: [String]

  /// The key of the learning rate.
  static let rate = "optimizer.learning_rate"

  /// All sections, in the order in which they are printed.
  package static let schemas = [
    [HostSection.schema], ModelSection.schemas, [LoRASection.schema, LineariseSection.schema],
    [DistillationSection.schema],
    DataSection.schemas, [SequenceSection.schema, ParallelSection.schema],
    OptimizerSection.schemas,
    [
      ScheduleSection.schema, TrainingSection.schema, EvaluationSection.schema, LogSection.schema,
      CheckpointSection.schema,
    ],
  ].flatMap { $0 }

  /// Reads and checks a configuration.
  ///
  /// - Parameters:
  ///   - file: Run file; nil for the built-in default.
  ///   - overrides: Values from the command line, in their order.
  /// - Throws: All that is wrong, at once.
  package static func load(
    file: String? = nil, overrides: [Override] = []
  ) throws(ConfigurationError) -> RunConfiguration {
    var document = ConfigurationDocument(schemas: schemas)
    if let file { document.read(file: file) }
    document.apply(overrides)
    return try RunConfiguration(document)
  }

  /// Reads and checks a configuration from a document that was made with `schemas`.
  package init(_ document: ConfigurationDocument) throws(ConfigurationError) {
    var document = document
    given = document.given
    let extents = Self.extents(document)
    if !extents.isEmpty {
      // Nothing is laid out by them.
      document.report(extents)
      try document.check()
    }
    threads = document.section(HostSection.self).threads
    lora = document.section(LoRASection.self)
    linearise = document.section(LineariseSection.self)
    distillation = document.section(DistillationSection.self)
    let folder = document.folder.flatMap { from in
      Self.description(ofFolder: from).map { (path: from, keys: $0) }
    }
    if let folder, document.problems.isEmpty {
      // What else is wrong with such keys is of no interest.
      document.report(
        Self.problems(given, beside: folder.path, folder.keys, linearise, in: document))
      try document.check()
      document.report(Self.problems(ofExpertsIn: folder.path, linearise, in: document))
    }
    // The method's own keys are those of its mixer.
    if let mixer = linearise.mixer { document.apply([Override("model.mixer=\(mixer)")]) }
    data = document.section(DataSection.self)
    sequence = document.section(SequenceSection.self)
    var model = document.section(ModelSection.self)
    model.sequenceLength = sequence.length
    self.model = model
    parallel = document.section(ParallelSection.self)
    if linearise.stage == .transfer, !document.isGiven(Self.rate) {
      document.apply([Override("\(Self.rate)=\(LineariseSection.transferRate)")])
    }
    optimizer = document.section(OptimizerSection.self)
    schedule = document.section(ScheduleSection.self)
    training = document.section(TrainingSection.self)
    let lengthProblem = document.sumSteps(of: linearise.stages, in: &training)
    evaluation = document.section(EvaluationSection.self)
    log = document.section(LogSection.self)
    checkpoint = document.section(CheckpointSection.self)
    document.unprinted = model.otherFamilies.union(optimizer.otherRules).union(data.otherTasks)
    if let folder { Self.print(folder.keys, linearise, in: &document) }
    self.document = document
    if document.problems.isEmpty {
      document.report(
        lengthProblem + problemsOfStages + problemsOfResuming
          + Self.extents(model, batch: training.batch, length: sequence.length)
          + Self.problems(model, reading: data, sequence)
          + Self.problems(linearise, of: model, lora)
          + Self.problems(distillation, linearise))
    }
    try document.check()
    self.document = document
  }

  /// The resolved run file: YAML with a comment for each key, which reads back as this
  /// configuration.
  package var resolved: String { document.yaml }

  /// The resolved run file of some keys alone.
  package func resolved(_ isWanted: (_ section: String, _ key: String) -> Bool) -> String {
    document.yaml(of: isWanted)
  }

  /// The resolved values as one line of JSON.
  package var json: JSONLine { document.json }

  /// A number that is equal on two ranks where their configurations are.
  package var digest: UInt64 { document.digest }

  /// The reference of all keys as Markdown: `Docs/Configuration.md`.
  package static var reference: String {
    """
    # Configuration

    A run file is YAML: sections of keys. Every key has a default, so a run file holds only what
    differs from it; a key that is `null` has its default. On the command line
    `--section.key=value` or `--section.key value` overrides a key, and `lasp-train config` prints
    all keys as they are resolved. Paths are relative to the current directory. This page is what
    `lasp-train config --reference` prints.

    \(configurationReference(schemas))
    """
  }

  /// The error to throw for problems that only the world or the data shows, such as a grid that
  /// does not have as many places as there are ranks; each is placed where its key was given.
  package func error(_ problems: [KeyProblem]) -> ConfigurationError {
    ConfigurationError(problems.map(document.located))
  }

  /// Documents that are longer than a mixer can read, as far as keys tell.
  private static func problems(
    _ model: ModelSection, reading data: DataSection, _ sequence: SequenceSection
  ) -> [KeyProblem] {
    guard model.from == nil, let limit = model.longestDocument, data.documents.isEmpty else {
      return []
    }
    if data.carry {
      return [
        KeyProblem(
          "data.carry", limit.key,
          message: "documents would be as long as the file, and \(model.mixer) reads "
            + "\(limit.tokens) tokens of one at most; give data.documents, or data.carry=false")
      ]
    }
    guard sequence.length > limit.tokens else { return [] }
    return [
      KeyProblem(
        limit.key, "sequence.length",
        message:
          "sequences of \(sequence.length) tokens are longer than \(limit.tokens), beyond which "
          + "weights are negative; choose at least \(sequence.length), or shorter sequences")
    ]
  }

  /// A method without a model, and adapters in a stage that does not train them.
  private static func problems(
    _ linearise: LineariseSection, of model: ModelSection, _ lora: LoRASection
  ) -> [KeyProblem] {
    if linearise.changes["method"] != nil, model.from == nil {
      return [
        KeyProblem(
          "linearise.method", "model.from",
          message: "there is no Transformer to make linear; give its folder as model.from")
      ]
    }
    if Set(linearise.kinds) == [.transfer], lora.lora != nil {
      return [
        KeyProblem(
          "lora.targets", "linearise.stage", "linearise.stages",
          message:
            "attention transfer trains new weights alone; adapters belong to the stage finetune")
      ]
    }
    return []
  }

  /// Where the teacher lies; nil where there is none.
  ///
  /// A Transformer that is made linear in this run is its own student's teacher, where a key of the section is given.
  package var teacherPath: String? {
    if let from = distillation.from { return from }
    let isAsked =
      !distillation.changes.isEmpty || linearise.stages.contains { $0.distillation != nil }
    return linearise.changes["method"] != nil && isAsked ? model.from : nil
  }

  /// A teacher in a stage without a head, and keys that say something of a teacher where there is none.
  private static func problems(
    _ distillation: DistillationSection, _ linearise: LineariseSection
  ) -> [KeyProblem] {
    let ofStage = linearise.stages.contains { $0.distillation != nil } ? "weight" : nil
    guard let key = distillation.changes.keys.sorted().first ?? ofStage else { return [] }
    if Set(linearise.kinds) == [.transfer] {
      return [
        KeyProblem(
          "distillation.\(key)", "linearise.stage", "linearise.stages",
          message: "layers learn from attention in this stage, and no distribution is formed; "
            + "a teacher belongs to the stage finetune")
      ]
    }
    guard distillation.from == nil, linearise.changes["method"] == nil else { return [] }
    return [
      KeyProblem(
        "distillation.\(key)", "distillation.from",
        message: "there is no teacher; give its folder as distillation.from, or remove it")
    ]
  }
}
