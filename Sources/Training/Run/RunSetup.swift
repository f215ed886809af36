import Checkpoints
import Configuration
import Corpora
import Files
import Measurement
import MessagePassing
import Models
import Optimizers
import Tokenizers

/// A run's data and model, made to fit each other before any rank starts work.
package struct RunSetup {
  /// What is trained on.
  package let corpus: any TrainingCorpus
  /// What is evaluated, or nil where there is nothing.
  package let evaluation: (any Corpus)?
  /// The model, frozen as its only stage asks; of several stages each freezes its own copy.
  package let model: LanguageModel
  /// The folder that the weights come from, or nil.
  package let folder: ModelFolder?
  /// The folder of the model whose distributions are learnt, or nil.
  package let teacher: ModelFolder?
  /// What that folder hands on to the model that is written.
  package let origin: ModelFolder.Origin?
  /// The folder of the model without the adapters that it has, as the run began with it; nil where that is not there.
  package let basePath: String?
  /// The files of the tokenizer that `data.tokenizer` names, which go along with the model, or nil.
  package let tokenizerFiles: TokenizerFiles?
  /// What stands in for files of data that are not there, in a dry run.
  let absent: AbsentTokens?
  /// Why there is no evaluation although one is wanted.
  package let warning: String?

  /// The model whose distributions are learnt, all of it frozen; nil for none.
  package var teacherModel: LanguageModel? {
    teacher.map {
      var model = $0.model
      model.freezeAll()
      return model
    }
  }

  /// What a user should know of the teacher.
  ///
  /// - Throws: `FileError` for a tokenizer's file that cannot be read.
  func teacherNotices() throws -> [String] {
    guard let teacher else { return [] }
    var notices = teacher.notices
    guard let own = studentTokenizer else { return notices }
    let (other, mine) = (
      try TokenizerFile.hashes(in: teacher.path), try TokenizerFile.hashes(in: own)
    )
    if !mine.isEmpty, !other.isEmpty, !mine.contains(where: other.contains) {
      notices.append(
        "the tokenizer of the teacher in \(teacher.path) is another file than that of \(own); what is learnt of "
          + "it is right only where both mean the same tokens")
    }
    return notices
  }

  /// That model in a stage of the run; nil where the stage learns nothing of it.
  func teacherModel(in stage: RunConfiguration) -> LanguageModel? {
    stage.teacherPath == nil ? nil : teacherModel
  }

  /// The folder or file of the tokenizer of what is trained; nil where it has none.
  private let studentTokenizer: String?

  /// Share of right answers by guessing in a generated task; nil for other data.
  package var chance: Double? { (corpus as? any TaskCorpus)?.chance }

  /// Opens the data on every rank, and makes a model with the vocabulary that it needs.
  ///
  /// Collective. Where nothing says how large the vocabulary is, each rank reads a part of the files to find
  /// out.
  ///
  /// - Throws: `ConfigurationError`, `CorpusError` or `CheckpointError`, whatever does not fit: on the first
  ///   rank that finds it, and `MessagePassingError.peerFailed` on the others.
  ///
  /// - Parameter checkpoint: Where a run goes on whose model is as it was: instead of the folder that the run began with.
  package init(
    _ configuration: RunConfiguration, world: any Communicator,
    resuming checkpoint: Checkpoint? = nil
  ) throws {
    FaultPoint.reach("world")
    let tokenizer = try world.together { try configuration.readTokenizer(resuming: checkpoint) }
    var needed = 0
    if configuration.model.from == nil, configuration.model.vocabulary == 0,
      configuration.teacherPath == nil
    {
      let mine = try world.together {
        try configuration.data.vocabularyOfFiles(
          part: world.rank, of: world.size, tokenizer: tokenizer?.tokenizer)
      }
      needed = Int(try world.allReduceMaximum(Double(mine)))
    }
    self = try world.together {
      try RunSetup(
        configuration, dataVocabulary: needed, tokenizer: tokenizer, resuming: checkpoint)
    }
  }

  /// Opens the data, and makes a model with the vocabulary that it needs.
  ///
  /// - Parameter planning: Whether files of data that are not there are made up for, of which `absent` tells.
  /// - Throws: `ConfigurationError`, `CorpusError`, `TokenizerError` or `CheckpointError`, whatever does not fit.
  package init(
    _ configuration: RunConfiguration, resuming checkpoint: Checkpoint? = nil,
    planning: Bool = false
  ) throws {
    let tokenizer = try configuration.readTokenizer(resuming: checkpoint)
    self = try RunSetup(
      configuration,
      dataVocabulary: configuration.data.vocabularyOfTokenizer(tokenizer?.tokenizer),
      tokenizer: tokenizer, resuming: checkpoint, planning: planning)
  }

  /// Opens the data, and makes a model with the vocabulary that it needs.
  ///
  /// - Parameters:
  ///   - dataVocabulary: What the data's files need; 0 to find out, if that is needed.
  ///   - tokenizer: What makes tokens of text; nil for bytes.
  private init(
    _ configuration: RunConfiguration, dataVocabulary: Int, tokenizer: ModelTokenizer?,
    resuming checkpoint: Checkpoint? = nil, planning: Bool = false
  ) throws {
    folder = try configuration.reportingMisfits {
      try configuration.openModel(resuming: checkpoint)
    }
    basePath =
      checkpoint == nil
      ? folder?.path
      : configuration.model.from.flatMap { try? ModelFolder.modelPath($0) }
        .flatMap { FileSystem.exists("\($0)/config.json") ? $0 : nil }
    origin = try folder?.origin()
    let teacher = try configuration.teacherPath.map { try ModelFolder(verifying: $0) }
    self.teacher = teacher
    studentTokenizer = configuration.data.tokenizer ?? folder?.path
    let said = folder?.model.vocabulary ?? configuration.model.vocabulary
    let asked = said > 0 ? said : teacher?.model.vocabulary ?? 0
    if let teacher, teacher.model.vocabulary != asked {
      throw configuration.error([
        KeyProblem(
          "distillation.from", folder == nil ? "model.vocabulary" : "model.from",
          message:
            "the teacher in \(teacher.path) knows \(teacher.model.vocabulary) tokens but the model "
            + "\(asked); take a teacher with the model's vocabulary and tokenizer")
      ])
    }
    let limit = asked > 0 ? asked : configuration.data.vocabulary
    if limit > 0 { try tokenizer?.check(vocabulary: limit) }
    tokenizerFiles =
      configuration.data.tokenizer == nil && folder != nil
      ? nil : try tokenizer.map { try TokenizerFiles(path: $0.path) }
    let vocabulary = asked > 0 ? asked : dataVocabulary
    // Only how many bytes an evaluation's tokens are depends on what tokens of files stand for.
    let meaning =
      tokenizer?.tokenizer
      ?? (configuration.evaluation.every > 0 && !planning
        ? configuration.data.tokenizerOfTokens(
          model: folder?.path ?? teacher?.path,
          others: configuration.evaluation.path.map { [$0] } ?? [])
        : nil)
    let absent = planning ? try AbsentTokens(configuration, vocabulary: vocabulary) : nil
    self.absent = absent
    let corpus: any TrainingCorpus =
      try absent
      ?? configuration.data.makeCorpus(
        length: configuration.sequence.length, batch: configuration.training.batch,
        seed: UInt64(bitPattern: Int64(configuration.training.seed)),
        vocabulary: vocabulary, tokenizer: tokenizer?.tokenizer, meaning: meaning)
    self.corpus = corpus
    guard asked == 0 || asked >= corpus.vocabulary else {
      throw configuration.error([
        KeyProblem(
          folder != nil
            ? "model.from" : said > 0 ? "model.vocabulary" : "distillation.from",
          message:
            "the data has \(corpus.vocabulary) different tokens but the model knows \(asked); "
            + "use a model of at least \(corpus.vocabulary)")
      ])
    }
    var model =
      try folder?.model
      ?? configuration.newModel(vocabulary: asked > 0 ? asked : corpus.vocabulary)
    for index in 0..<configuration.stageCount {
      var stage = model
      try configuration.stage(index).freeze(&stage)
      if configuration.stageCount == 1 { model = stage }
    }
    self.model = model
    if let path = configuration.evaluation.path, !(planning && !FileSystem.exists(path)) {
      guard configuration.data.labels.isEmpty else {
        throw configuration.error([
          KeyProblem(
            "evaluation.path",
            message:
              "the file has no labels, but what is trained on has data.labels; keep a part of "
              + "that by data.held_out, and remove evaluation.path")
        ])
      }
      var file = try TokenFile(
        data: path, tokenBytes: configuration.data.tokenBytes.count, tokenizer: tokenizer?.tokenizer
      )
      if file.text == nil { file.tokenizer = meaning }
      if let separator = configuration.data.separator { file.documents = .separator(separator) }
      try file.check(
        said: configuration.data.vocabulary > 0
          ? configuration.data.vocabulary : model.vocabulary)
      evaluation = SequentialWindows(
        [(file, 0..<file.count)], length: configuration.sequence.length,
        batch: configuration.training.batch, vocabulary: model.vocabulary)
    } else {
      evaluation = corpus.heldOut
    }
    if let evaluation, evaluation.steps == nil, configuration.evaluation.every > 0,
      configuration.evaluation.tokens == 0
    {
      throw configuration.error([
        KeyProblem(
          "evaluation.tokens",
          message: "0 means all there are, but the \(configuration.data.task) task has no end; "
            + "give a number of tokens, or evaluation.every=0 for no evaluation")
      ])
    }
    warning =
      evaluation == nil && configuration.evaluation.every > 0
      ? "the data is too short to keep a part for evaluation; give evaluation.path, or "
        + "evaluation.every=0" : nil
  }
}

extension RunConfiguration {
  /// What is minimised at the head.
  func objective(hasTeacher: Bool) -> any Objective {
    let nextToken = NextToken(zLoss: training.zLoss)
    return hasTeacher ? distillation.objective(nextToken) : nextToken
  }

  /// The folder that the model comes from; nil for a new model.
  ///
  /// A run that goes on finds all of it in its checkpoint, whatever has become of the folder that it began with.
  fileprivate func openModel(resuming checkpoint: Checkpoint?) throws -> ModelFolder? {
    guard let from = model.from else { return nil }
    guard let checkpoint else {
      return try ModelFolder(
        verifying: from, adapter: model.adapter, adapting: lora.lora,
        linearising: linearise.linearisation(model), training: expertTraining)
    }
    return try ModelFolder(
      path: lora.lora == nil ? checkpoint.path : checkpoint.modelPath, adapting: lora.lora,
      training: expertTraining, inheriting: checkpoint.state.inherited)
  }

  /// What makes tokens of the run's texts; nil for bytes.
  fileprivate func readTokenizer(resuming checkpoint: Checkpoint? = nil) throws -> ModelTokenizer? {
    let from = model.from == nil ? nil : checkpoint?.path ?? model.from
    let folder = try (from ?? teacherPath).map { try ModelFolder.modelPath($0) }
    let others = evaluation.path.map { [$0] } ?? []
    try data.checkTokenizer(model: folder, others: others)
    return try data.readTokenizer(model: folder, others: others)
  }

  /// A model as the run file describes it, with its adapters.
  fileprivate func newModel(vocabulary: Int) throws -> LanguageModel {
    let architecture = Architectures.make(model, vocabulary: vocabulary)
    return try reportingMisfits {
      try lora.lora.map { try LanguageModel(architecture, adapting: $0) }
        ?? LanguageModel(architecture)
    }
  }

  /// Runs what may find that a model cannot have the adapters of the run file, or not be made linear so, and then names
  /// the key.
  fileprivate func reportingMisfits<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch let error as LinearisationError {
      let key = if case .noLayer = error { "linearise.layers" } else { "linearise.method" }
      throw self.error([KeyProblem(key, "model.from", message: error.description)])
    } catch let error as AdapterError {
      let key = if case .nothingToSave = error { "lora.modules_to_save" } else { "lora.targets" }
      throw self.error([KeyProblem(key, message: error.description)])
    }
  }

  /// Freezes what `optimizer.groups` says, and where a model has adapters all but them and what is trained with them.
  ///
  /// - Returns: The groups.
  /// - Throws: `ConfigurationError` for a pattern that names nothing, or where nothing is left to train.
  @discardableResult
  func freeze(_ model: inout LanguageModel) throws -> ParameterGroups {
    let groups = try groups(of: model)
    let isTransfer = linearise.stage == .transfer
    guard !isTransfer || model.students > 0 else {
      throw error([
        KeyProblem(
          "linearise.stage", "linearise.stages",
          message:
            "no layer of the model stands in for attention, and so none can learn from it; give "
            + "linearise.method, or the stage finetune")
      ])
    }
    guard !isTransfer || linearise.crossEntropy == 0 || model.comparesWeights else {
      throw error([
        KeyProblem(
          "linearise.cross_entropy", "linearise.method",
          message:
            "no layer of the model has weights of learned features that could be compared with the "
            + "attention's, as those of hedgehog, t2r and lolcats are; remove it")
      ])
    }
    let ofTransformer = isTransfer || linearise.frozen ? model.weightsOfTransformer : []
    // Adapters wait until the model learns the text.
    let byAdapters =
      isTransfer
      ? model.table.parameters.filter { model.table[$0].isAdapter } : model.frozenByAdapters
    model.freeze(groups.frozen + byAdapters + ofTransformer)
    guard model.table.trainable.count > 0 else {
      throw error([
        KeyProblem("optimizer.groups", message: ParameterGroupError.allFrozen.description)
      ])
    }
    return groups
  }

  /// `optimizer.groups` on a model.
  private func groups(of model: LanguageModel) throws -> ParameterGroups {
    do {
      return try ParameterGroups(
        optimizer.groups,
        tensors: (model.tensors + model.adapterTensors).map {
          ($0.name, $0.pieces.map(\.parameter))
        })
    } catch {
      throw self.error([KeyProblem("optimizer.groups", message: error.description)])
    }
  }
}
