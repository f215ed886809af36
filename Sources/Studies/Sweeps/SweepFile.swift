import Configuration
import Training

/// A sweep file as it is written: what its runs share, and in what they differ.
struct SweepFile {
  /// Where it lies.
  let path: String
  /// Its keys of one value.
  let section: SweepSection
  /// Run file that all runs share; nil where its keys stand in the sweep file, or nothing is shared.
  let runFile: String?
  /// Keys that all runs share.
  let shared: [WrittenValue.Entry]
  /// In what runs differ, in the order in which they are counted: the last changes fastest.
  let axes: [SweepAxis]

  /// Keys beside those of the section.
  private static let groups = ["run", "grid", "list"]
  /// Keys that a sweep sets itself, and what to do instead.
  private static let owned = [
    "training.name": "leave it out", "training.resume": "leave it out",
    "log.directory": "give --output", "training.seed": "give seeds",
  ]

  /// Reads a file.
  ///
  /// - Throws: All that is wrong with its own keys, at once.
  init(path: String) throws(ConfigurationError) {
    var document = ConfigurationDocument(schemas: [SweepSection.schema])
    let root = document.written(inFile: path)
    self = try SweepFile(root, path: path, &document)
  }

  /// Reads the text of one.
  init(text: String, path: String) throws(ConfigurationError) {
    var document = ConfigurationDocument(schemas: [SweepSection.schema])
    let root = document.written(in: text, named: path)
    self = try SweepFile(root, path: path, &document)
  }

  private init(
    _ root: WrittenValue?, path: String, _ document: inout ConfigurationDocument
  ) throws(ConfigurationError) {
    self.path = path
    let runs = ConfigurationDocument(schemas: RunConfiguration.schemas)
    let entries = Self.top(root, &document)
    var (file, shared): (String?, [WrittenValue.Entry]) = (nil, [])
    var groups: [SweepAxis] = []
    for entry in entries {
      switch entry.key {
      case "run":
        if let map = entry.value.entries {
          shared = runs.keys(in: map)
        } else if let text = entry.value.text {
          file = entry.value.isNull ? nil : text
        } else {
          document.note(
            entry.value.origin, "run",
            "is a \(entry.value.words); write a run file's path, or the keys that all runs share")
        }
      case "grid": groups += Self.grid(entry, runs, &document)
      case "list": groups += Self.list(entry, runs, &document)
      default: Self.set(entry, in: &document)
      }
    }
    let section = document.section(SweepSection.self)
    var given = Set(groups.flatMap(\.keys))
    for entry in shared + groups.flatMap(\.entries) {
      if let cure = Self.owned[entry.key] {
        document.note(entry.origin, entry.key, "is set by the sweep itself; \(cure)")
      }
    }
    if shared.contains(where: { $0.key == "training.steps" }) { given.insert("training.steps") }
    if shared.contains(where: { $0.key == "model.dimension" }) { given.insert("model.dimension") }
    for (key, rule, isRuled) in [
      ("model.dimension", "match_parameters", !section.matchParameters.isEmpty),
      ("training.steps", "tokens", !section.tokens.isEmpty),
      ("training.steps", "tokens_per_parameter", !section.tokensPerParameter.isEmpty),
    ] where isRuled && given.contains(key) {
      document.report([KeyProblem(rule, message: "chooses \(key), which is given too; remove one")])
    }
    (self.section, runFile, self.shared) = (section, file, shared)
    axes = groups + Self.rules(section, document)
    try document.check()
  }

  /// The keys of the file itself; what is no mapping has none, and that is noted.
  private static func top(
    _ root: WrittenValue?, _ document: inout ConfigurationDocument
  ) -> [WrittenValue.Entry] {
    guard let root else { return [] }
    if let entries = root.entries { return entries }
    document.note(
      root.origin, nil, "is a \(root.words), not a sweep; write run:, grid: and the like")
    return []
  }

  /// Sets a key of one value.
  private static func set(
    _ entry: WrittenValue.Entry, in document: inout ConfigurationDocument
  ) {
    let names = SweepSection.schema.keys.map(\.name) + groups
    guard names.contains(entry.key) else {
      let isOfRuns = RunConfiguration.schemas.contains { schema in
        schema.name == entry.key || schema.keys.contains { schema.path(of: $0.name) == entry.key }
      }
      let hint =
        isOfRuns
        ? "it is a run's, and belongs under run:, grid: or list:"
        : nearest(to: entry.key, among: names).map { "did you mean \($0)?" }
          ?? "the keys are \(names.joined(separator: ", "))"
      return document.note(entry.origin, entry.key, "is no key of a sweep; \(hint)")
    }
    if entry.key == "seeds", let text = entry.value.text, !entry.value.isNull {
      guard let count = Int(text), (1...1_000_000).contains(count) else {
        return document.note(
          entry.value.origin, "seeds", "'\(text)' is no number ≥ 1; write such as 3 or [1, 2, 3]")
      }
      return document.set(
        "seeds", to: .list((1...count).map(Value.integer)), at: entry.value.origin)
    }
    document.set(entry.key, to: entry.value, at: entry.origin)
  }

  /// Each key of `grid` with its list.
  private static func grid(
    _ group: WrittenValue.Entry, _ runs: ConfigurationDocument,
    _ document: inout ConfigurationDocument
  ) -> [SweepAxis] {
    guard let map = group.value.entries else {
      if !group.value.isNull {
        document.note(
          group.value.origin, "grid",
          "is a \(group.value.words); write keys with lists of values, such as model.mixer: [tnl, gla]"
        )
      }
      return []
    }
    return runs.keys(in: map).compactMap { entry in
      guard let items = entry.value.items, !items.isEmpty else {
        document.note(
          entry.value.origin, entry.key,
          "has no list of values; write such as \(entry.key): [a, b], or the key under run:")
        return nil
      }
      return SweepAxis(
        items.map { item in
          SweepChoice(
            label: SweepChoice.label(of: entry.key, item),
            entries: [.init(key: entry.key, origin: entry.origin, value: item)])
        })
    }
  }

  /// The sets of keys of `list`.
  private static func list(
    _ group: WrittenValue.Entry, _ runs: ConfigurationDocument,
    _ document: inout ConfigurationDocument
  ) -> [SweepAxis] {
    if group.value.isNull { return [] }
    guard let items = group.value.items, !items.isEmpty else {
      document.note(
        group.value.origin, "list",
        "is a \(group.value.words); write a list of sets of keys, such as - {model.mixer: gla}")
      return []
    }
    let choices = items.compactMap { item -> SweepChoice? in
      guard let map = item.entries else {
        document.note(
          item.origin, "list", "has a \(item.words) in it; write keys, such as {model.mixer: gla}")
        return nil
      }
      let name = map.first { $0.key == "name" }?.value.text
      let entries = runs.keys(in: map.filter { $0.key != "name" })
      let labels = entries.map { SweepChoice.label(of: $0.key, $0.value) }
      return SweepChoice(
        label: SweepChoice.plain(name ?? labels.joined(separator: "-")), entries: entries)
    }
    return [SweepAxis(choices)]
  }

  /// What the rules of the section make: sizes, tokens, seeds.
  private static func rules(
    _ section: SweepSection, _ document: ConfigurationDocument
  ) -> [SweepAxis] {
    func axis(
      _ texts: [String], _ suffix: String, _ rule: (Double) -> SweepChoice.Rule
    ) -> [SweepAxis] {
      let choices = texts.compactMap { text in
        SweepSection.amount(text).map {
          // What all runs have tells none of them.
          SweepChoice(
            label: texts.count > 1 ? SweepChoice.plain(text + suffix) : "", rule: rule($0))
        }
      }
      return choices.isEmpty ? [] : [SweepAxis(choices)]
    }
    let sizes = axis(section.matchParameters, "") { .parameters(Int($0)) }
    let tokens =
      axis(section.tokens, "-tokens") { .tokens($0) }
      + axis(section.tokensPerParameter, "-a-parameter") { .tokensPerParameter($0) }
    let seeds = SweepAxis(
      section.seeds.map {
        SweepChoice(label: "seed\($0)", rule: .seed($0))
      })
    return sizes + tokens + (section.seeds.isEmpty ? [] : [seeds])
  }
}

/// One thing in which runs differ: each has one of its choices.
struct SweepAxis {
  let choices: [SweepChoice]

  init(_ choices: [SweepChoice]) { self.choices = choices }

  /// What is set, over all choices.
  var entries: [WrittenValue.Entry] { choices.flatMap(\.entries) }
  /// The keys that are set.
  var keys: [String] { entries.map(\.key) }
}

/// What one run has of an axis.
struct SweepChoice {
  /// What is computed of a run's other keys, or set beside them.
  enum Rule {
    case parameters(Int), tokens(Double), tokensPerParameter(Double), seed(Int)
  }

  /// What it adds to the name of a run.
  let label: String
  /// Keys of the run file.
  var entries: [WrittenValue.Entry] = []
  var rule: Rule?

  /// What no other choice of the file has.
  var identity: String {
    let places = entries.map { entry -> String in
      guard case .file(_, let line, let column) = entry.value.origin else { return "" }
      return "\(line):\(column)"
    }
    return ([label] + places).joined(separator: " ")
  }

  /// What a key's value adds to a name: `gla`, `depth4`, `gla+attention`.
  static func label(of key: String, _ value: WrittenValue) -> String {
    func words(_ value: WrittenValue) -> String {
      if let text = value.text { return plain(text) }
      if let items = value.items { return items.map(words).joined(separator: "+") }
      return (value.entries ?? []).map { "\($0.key)-\(words($0.value))" }.joined(separator: "-")
    }
    let text = words(value)
    let isWord = text.first?.isLetter == true && text != "true" && text != "false"
    return isWord ? text : plain(String(key.split(separator: ".").last ?? "")) + text
  }

  /// Text as it may stand in the name of a folder.
  static func plain(_ text: String) -> String {
    let characters = text.map { character -> Character in
      character.isASCII && (character.isLetter || character.isNumber || "._+-".contains(character))
        ? character : "-"
    }
    var name = String(characters)
    while name.hasPrefix(".") || name.hasPrefix("-") { name.removeFirst() }
    return name.isEmpty ? "x" : name
  }
}
