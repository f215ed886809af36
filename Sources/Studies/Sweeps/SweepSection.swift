import Configuration
import Training

/// A sweep file's keys of one value; `SweepFile` reads `run`, `grid` and `list` beside them.
package struct SweepSection: ConfigurationSection {
  package static let name = ""
  package static let documentation = "Which runs a sweep has, and how they are started."

  /// What is kept of a run that is finished.
  package enum Kept: String, KeyChoice {
    case all, model, log
  }

  @Key("seeds", .data, "Values of training.seed, or how many: 3 is [1, 2, 3].")
  package var seeds: [Int] = []

  @Key(
    "match_parameters", .model,
    "Parameters that all models shall have, such as 20M; model.dimension is chosen for each.")
  package var matchParameters: [String] = []

  @Key("tokens", .course, "Tokens to train on, such as 50M; training.steps follows.")
  package var tokens: [String] = []

  @Key(
    "tokens_per_parameter", .course,
    "Tokens to train on for each parameter of a model, such as 20; training.steps follows.")
  package var tokensPerParameter: [String] = []

  @Key("jobs", .layout, from: 1, through: 4096, "Runs at once.")
  package var jobs = 1

  @Key("ranks", .layout, from: 1, through: 65536, "Ranks of a run.")
  package var ranks = 1

  @Key(
    "keep", .layout,
    "What stays of a run once it is finished: all, or its log alone, or with its model.")
  package var keep = Kept.all

  package init() {}

  /// Amounts that are none, and two rules for the same.
  package var problems: [KeyProblem] {
    var found: [KeyProblem] = []
    for (key, texts, example) in [
      ("match_parameters", matchParameters, "20M"), ("tokens", tokens, "50M"),
      ("tokens_per_parameter", tokensPerParameter, "20"),
    ] {
      for text in texts where Self.amount(text) == nil {
        let cure =
          key == "tokens" && text.contains("param")
          ? "for tokens by the model's size write tokens_per_parameter: 20"
          : "write such as \(key): \(example)"
        found.append(KeyProblem(key, message: "'\(text)' is no amount above 0; \(cure)"))
      }
    }
    if !tokens.isEmpty, !tokensPerParameter.isEmpty {
      found.append(
        KeyProblem(
          "tokens", "tokens_per_parameter",
          message: "both say how many tokens a run is trained on; remove one"))
    }
    return found
  }

  /// An amount of parameters or tokens; nil for what is none.
  static func amount(_ text: String) -> Double? {
    Quantity.count(text).flatMap { $0 > 0 && $0 <= 1e15 ? $0 : nil }
  }
}
