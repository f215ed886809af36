import Checkpoints
import Configuration
import Corpora
import Models

/// A run's data and model, made to fit each other before any rank starts work.
struct RunSetup {
  /// What is trained on.
  let corpus: any TrainingCorpus
  /// What is evaluated, or nil where there is nothing.
  let evaluation: (any Corpus)?
  /// The model.
  let model: LanguageModel
  /// The folder that the weights come from, or nil.
  let folder: ModelFolder?
  /// Why there is no evaluation although one is wanted.
  let warning: String?

  /// Share of right answers by guessing in the recall task; nil for other data.
  var chance: Double? { (corpus as? RecallTask)?.chance }

  /// Opens the data, and makes a model with the vocabulary that it needs.
  ///
  /// - Throws: `ConfigurationError`, `CorpusError` or `CheckpointError`, whatever does not fit.
  init(_ configuration: RunConfiguration) throws {
    folder = try configuration.model.from.map { try ModelFolder(path: $0) }
    let asked = folder?.model.vocabulary ?? configuration.model.vocabulary
    let corpus = try configuration.data.makeCorpus(
      length: configuration.sequence.length, batch: configuration.training.batch,
      seed: UInt64(bitPattern: Int64(configuration.training.seed)), vocabulary: asked)
    self.corpus = corpus
    guard asked == 0 || asked >= corpus.vocabulary else {
      throw configuration.error([
        KeyProblem(
          folder == nil ? "model.vocabulary" : "model.from",
          message:
            "the data has \(corpus.vocabulary) different tokens but the model knows \(asked); "
            + "use a model of at least \(corpus.vocabulary)")
      ])
    }
    model =
      folder?.model
      ?? LanguageModel(
        Architectures.make(
          configuration.model, vocabulary: asked > 0 ? asked : corpus.vocabulary))
    if let path = configuration.evaluation.path {
      var file = try TokenFile(path: path, tokenBytes: configuration.data.tokenBytes)
      file.documents = configuration.data.separator.map(Documents.separator)
      try file.check(vocabulary: model.vocabulary, in: 0..<file.count)
      evaluation = SequentialWindows(
        [(file, 0..<file.count)], length: configuration.sequence.length,
        batch: configuration.training.batch, vocabulary: model.vocabulary)
    } else {
      evaluation = corpus.heldOut
    }
    warning =
      evaluation == nil && configuration.evaluation.every > 0
      ? "the data is too short to keep a part for evaluation; give evaluation.path, or "
        + "evaluation.every=0" : nil
  }
}
