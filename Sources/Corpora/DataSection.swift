import Configuration

/// The run file's `data` section: what the model is trained on.
package struct DataSection: ConfigurationSection, Equatable {
  /// Files to train on, with their shares; empty for the generated `task`.
  package var path: [WeightedPath]
  /// How text becomes tokens.
  package var tokenizer: String
  /// Bytes that a token takes in the files; 0 for 2 in `.bin` files and 1 in others.
  package var tokenBytes: Int
  /// For each file where its documents begin: the number of the token after which one does, or a file
  /// of offsets; one number for all files; empty where files are one text.
  package var documents: [String]
  /// For each file a file of bytes that says which tokens are to be predicted; empty for all.
  package var lossMask: [String]
  /// Whether a file is read as streams whose state is carried from step to step.
  package var carry: Bool
  /// Number of tokens the data may hold; 0 for what the tokenizer or the files say.
  package var vocabulary: Int
  /// The task that is generated where no path is given.
  package var task: String
  /// Keys of the recall task.
  package var recallKeys: Int
  /// Values of the recall task.
  package var recallValues: Int
  /// Share of the sequence, from its start, in which the recall task writes its pairs.
  package var recallKeyFraction: Double
  /// Share of the tokens after it that are queries.
  package var recallQueryFraction: Double
  /// Share of the data, at its end, that is evaluated and never trained on.
  package var heldOut: Double

  /// The keys of `data`.
  package static let schema = SectionSchema(
    "data", "What the model is trained on.",
    [
      .weightedPaths(
        "path", "Text or token files (.bin: uint16 or uint32), with weights; null = the task."),
      .choice("tokenizer", "bytes", of: ["bytes"], "How text becomes tokens."),
      .choice(
        "token_bytes", "auto", of: ["auto", "1", "2", "4"],
        "Bytes of a token in the files; auto = 2 for .bin, else 1."),
      .texts(
        "documents",
        "Where documents begin: after this token, or at the uint64 token offsets in this file."),
      .texts("loss_mask", "File with a byte a token: 1 = predict it, 0 = no loss."),
      .boolean(
        "carry", false,
        "Whether a row goes on where it ended a step before, with its state; for one file."),
      .integer("vocabulary", 0, unit: "tokens", "Tokens a .bin file may hold; 0 = what it holds."),
      .choice("task", "recall", of: ["recall"], "Task that is generated where path is null."),
      .integer("recall_keys", 4, from: 1, "Keys of the recall task, each written once."),
      .integer("recall_values", 4, from: 2, "Values of the recall task; chance is one in so many."),
      .number(
        "recall_key_fraction", 0.25, above: 0, below: 1,
        "Share of a sequence, from its start, in which the pairs are written."),
      .number(
        "recall_query_fraction", 0.5, above: 0, through: 1,
        "Share of the tokens after the pairs that are queries."),
      .number("held_out", 0.05, from: 0, below: 1, "Share of the data kept for evaluation."),
    ])

  /// Reads the section.
  package init(_ values: SectionValues) {
    path = values.weightedPaths("path")
    tokenizer = values.string("tokenizer")
    tokenBytes = Int(values.string("token_bytes")) ?? 0
    documents = values.strings("documents")
    lossMask = values.strings("loss_mask")
    carry = values.boolean("carry")
    vocabulary = values.integer("vocabulary")
    task = values.string("task")
    recallKeys = values.integer("recall_keys")
    recallValues = values.integer("recall_values")
    recallKeyFraction = values.number("recall_key_fraction")
    recallQueryFraction = values.number("recall_query_fraction")
    heldOut = values.number("held_out")
  }

  /// The token that separates documents in every file; nil where there is no such one.
  package var separator: Int32? { documents.count == 1 ? Int32(documents[0]) : nil }

  /// Companions that are not as many as the files.
  package var problems: [KeyProblem] {
    var problems: [KeyProblem] = []
    for (key, companions) in [("documents", documents), ("loss_mask", lossMask)]
    where !companions.isEmpty && companions.count != path.count
      && !(key == "documents" && separator != nil && !path.isEmpty)
    {
      problems.append(
        KeyProblem(
          "data.\(key)", "data.path",
          message: "\(companions.count) given for \(path.count) files in data.path; give one for "
            + "each file, in the same order"))
    }
    if carry, path.count != 1 {
      problems.append(
        KeyProblem(
          "data.carry", "data.path",
          message:
            "state is carried along one file, but data.path has \(path.count); give one file, or "
            + "data.carry=false"))
    }
    for text in documents where Int32(text).map({ $0 < 0 }) ?? false {
      problems.append(
        KeyProblem(
          "data.documents",
          message:
            "\(text) is no token; write the number of the token after which a document begins"))
    }
    return problems
  }
}
