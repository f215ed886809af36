import Configuration
import Corpora

/// The run file's `evaluation` section: when and on what the model is evaluated.
package struct EvaluationSection: ConfigurationSection, Equatable {
  package static let name = "evaluation"
  package static let documentation = "When and on what the model is evaluated."

  @Key("every", .course, unit: "steps", "Steps between evaluations; 0 = never.")
  package var every = 100

  @Key("path", .course, "File to evaluate on; null = the held-out part of the data.")
  package var path: String?

  @Key("tokens", .course, unit: "tokens", "Tokens of one evaluation; 0 = all of the file.")
  package var tokens = 65536

  package init() {}

  /// How many of a corpus's steps an evaluation reads.
  ///
  /// All of a corpus that has no end are none; `RunSetup` refuses it.
  package func steps(of corpus: any Corpus) -> Int {
    let wanted = tokens > 0 ? max(1, tokens / (corpus.batch * corpus.length)) : corpus.steps ?? 0
    return min(wanted, corpus.steps ?? wanted)
  }
}
