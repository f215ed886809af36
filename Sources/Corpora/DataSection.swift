import Configuration

/// The run file's `data` section: what the model is trained on.
package struct DataSection: OuterSection, Equatable {
  /// How wide a token is in a file.
  package enum TokenBytes: String, KeyChoice {
    /// 2 in `.bin` files and 1 in others.
    case auto
    /// So many.
    case one = "1", two = "2", four = "4"

    /// Bytes of a token; 0 for `auto`.
    package var count: Int { Int(rawValue) ?? 0 }
  }

  package static let name = "data"
  package static let documentation = "What the model is trained on."

  /// The sections of tasks with keys of their own.
  package static let subsectionTypes = Tasks.all.compactMap { $0.section }

  /// The tasks' own keys.
  package var subsections = Subsections()

  @Key(
    "path", .data,
    "Text or token files (.bin of nanoGPT, llm.c, Megatron), with weights; null = the task."
  )
  package var path: [WeightedPath] = []

  @Key(
    "tokenizer", .data,
    "What makes tokens of text: a folder or file, or bytes; null = that of model.from, else bytes.")
  package var tokenizer: String?

  @Key("token_bytes", .data, "Bytes of a token; auto = what the file says, or 2 for .bin, else 1.")
  package var tokenBytes = TokenBytes.auto

  @Key(
    "documents", .data,
    "Where documents begin: after this token, or at the uint64 token offsets in this file.")
  package var documents: [String] = []

  @Key("loss_mask", .data, "File with a byte a token: 1 = predict it, 0 = no loss.")
  package var lossMask: [String] = []

  @Key(
    "labels", .data,
    "Token files with the target at each token, all bits set = none; else it is the next token.")
  package var labels: [String] = []

  @Key(
    "carry", .data,
    "Whether a row goes on where it ended a step before, with its state; for one file.")
  package var carry = false

  @Key("vocabulary", .data, unit: "tokens", "Tokens a .bin file may hold; 0 = what it holds.")
  package var vocabulary = 0

  @Key("task", .data, of: Tasks.names, "Task that is generated where path is null.")
  package var task = "recall"

  @Key("recall_keys", .data, from: 1, "Keys of the recall task, each written once.")
  package var recallKeys = 4

  @Key("recall_values", .data, from: 2, "Values of the recall task; chance is one in so many.")
  package var recallValues = 4

  @Key(
    "recall_key_fraction", .data, above: 0, below: 1,
    "Share of a sequence, from its start, in which the pairs are written.")
  package var recallKeyFraction = 0.25

  @Key(
    "recall_query_fraction", .data, above: 0, through: 1,
    "Share of the tokens after the pairs that are queries.")
  package var recallQueryFraction = 0.5

  @Key("held_out", .data, from: 0, below: 1, "Share of the data kept for evaluation.")
  package var heldOut = 0.05

  package init() {}

  /// The token that separates documents in every file; nil where there is no such one.
  package var separator: Int32? { documents.count == 1 ? Int32(documents[0]) : nil }

  /// Companions that are not as many as the files.
  package var problems: [KeyProblem] {
    var problems: [KeyProblem] = []
    for (key, companions) in [
      ("documents", documents), ("loss_mask", lossMask), ("labels", labels),
    ]
    where !companions.isEmpty && companions.count != path.count
      && !(key == "documents" && separator != nil && !path.isEmpty)
    {
      problems.append(
        KeyProblem(
          "data.\(key)", "data.path",
          message: "\(companions.count) given for \(path.count) files in data.path; give one for "
            + "each file, in the same order"))
    }
    if !labels.isEmpty, !lossMask.isEmpty {
      problems.append(
        KeyProblem(
          "data.loss_mask", "data.labels",
          message: "labels say themselves where nothing is to be predicted (all bits set); "
            + "remove data.loss_mask"))
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
    return problems + Tasks.named(task).problems(self) + foreign
  }

  /// A problem for each key of another task that was given.
  private var foreign: [KeyProblem] {
    subsections.changes.filter { $0.key != ownSection }.sorted { $0.key < $1.key }
      .flatMap { section, keys in
        keys.keys.sorted().map {
          KeyProblem(
            "\(section).\($0)",
            message: "the task \(task) does not have it; remove it, or choose another data.task")
        }
      }
  }

  /// Names of the sections of other tasks.
  package var otherTasks: Set<String> {
    Set(Self.subsectionTypes.map { $0.name }.filter { $0 != ownSection })
  }

  private var ownSection: String? { Tasks.named(task).section?.name }
}
