import Configuration
import Corpora
import Files
import Tensors

/// What a dry run reads in the place of files that are not there.
struct AbsentTokens: TrainingCorpus {
  /// The first file that is not there.
  let path: String
  private let tokens: SyntheticTokens
  private let carries: Bool

  /// Stands in for the data of a run where one of its files is not there; nil where all are.
  ///
  /// - Parameter vocabulary: Number of different tokens, as far as it is known; 0 for what the run file says, or for bytes.
  /// - Throws: `ConfigurationError` where nothing tells the vocabulary.
  init?(_ configuration: RunConfiguration, vocabulary: Int) throws {
    let data = configuration.data
    guard let missing = data.path.first(where: { !FileSystem.exists($0.path) }) else { return nil }
    path = missing.path
    let isText =
      TokenFile.isText(path, tokenBytes: data.tokenBytes.count) || data.tokenBytes.count == 1
    guard let known = [vocabulary, data.vocabulary, isText ? 256 : 0].first(where: { $0 > 0 })
    else {
      throw configuration.error([
        KeyProblem(
          "data.path", "model.vocabulary",
          message:
            "\(path) is not here, and nothing else says how many tokens there are; give model.vocabulary"
        )
      ])
    }
    tokens = SyntheticTokens(
      vocabulary: known, length: configuration.sequence.length, batch: configuration.training.batch,
      seed: 1)
    carries = data.carry
  }

  var vocabulary: Int { tokens.vocabulary }
  var length: Int { tokens.length }
  var batch: Int { tokens.batch }
  var steps: Int? { nil }
  var tokensAreBytes: Bool { false }
  var heldOut: (any Corpus)? { nil }

  func fill(_ batch: inout TokenBatch, step: Int) { tokens.fill(&batch, step: step) }
  func continues(step: Int) -> Bool { carries && step > 0 }
}
