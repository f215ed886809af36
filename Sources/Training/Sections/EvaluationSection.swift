import Configuration
import Corpora

/// The run file's `evaluation` section: when and on what the model is evaluated.
package struct EvaluationSection: ConfigurationSection, Equatable {
  /// Steps between evaluations; 0 for none.
  package var every: Int
  /// File to evaluate on; nil for the held-out part of the data.
  package var path: String?
  /// Tokens of one evaluation; 0 for all there are.
  package var tokens: Int

  /// The keys of `evaluation`.
  package static let schema = SectionSchema(
    "evaluation", "When and on what the model is evaluated.",
    [
      .integer("every", 100, unit: "steps", "Steps between evaluations; 0 = never."),
      .string("path", nil, "File to evaluate on; null = the held-out part of the data."),
      .integer("tokens", 65536, unit: "tokens", "Tokens of one evaluation; 0 = all of the file."),
    ])

  /// Reads the section.
  package init(_ values: SectionValues) {
    every = values.integer("every")
    path = values.optionalString("path")
    tokens = values.integer("tokens")
  }

  /// How many of a corpus's steps an evaluation reads.
  ///
  /// All of a corpus that has no end are none; `RunSetup` refuses it.
  package func steps(of corpus: any Corpus) -> Int {
    let wanted = tokens > 0 ? max(1, tokens / (corpus.batch * corpus.length)) : corpus.steps ?? 0
    return min(wanted, corpus.steps ?? wanted)
  }
}
