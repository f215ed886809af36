import Configuration

/// The run file's `evaluation` section: when and on what the model is evaluated.
public struct EvaluationSection: ConfigurationSection, Equatable {
  /// Steps between evaluations; 0 for none.
  public var every: Int
  /// File to evaluate on; nil for the held-out part of the data.
  public var path: String?
  /// Tokens of one evaluation; 0 for all there are.
  public var tokens: Int

  /// The keys of `evaluation`.
  public static let schema = SectionSchema(
    "evaluation", "When and on what the model is evaluated.",
    [
      .integer("every", 100, unit: "steps", "Steps between evaluations; 0 = never."),
      .string("path", nil, "File to evaluate on; null = the held-out part of the data."),
      .integer("tokens", 65536, unit: "tokens", "Tokens of one evaluation; 0 = all there are."),
    ])

  /// Reads the section.
  public init(_ values: SectionValues) {
    every = values.integer("every")
    path = values.optionalString("path")
    tokens = values.integer("tokens")
  }
}
