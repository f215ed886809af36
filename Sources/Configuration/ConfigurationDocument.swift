import Foundation

/// The values that a run file and a command line give to the keys of some schemas, where each
/// stands, and what is wrong with them.
///
/// Concretely: a key's value is the last of default, run file, command line. A value that does not
/// fit its key is noted in `problems` and the default takes its place, so that reading goes on and
/// all problems are found at once.
package struct ConfigurationDocument: Sendable {
  /// The sections, in the order in which they are printed.
  package let schemas: [SectionSchema]
  /// What is wrong so far.
  package internal(set) var problems: [Problem] = []
  /// Values by `section.key`, only where one was given.
  var values: [String: Value] = [:]
  /// Sections that are not printed, since nothing in the run reads them.
  package var unprinted: Set<String> = []
  /// Values that something else than the run file decides, by `section.key`: they are printed in the place of its own.
  package var decided: [String: Value] = [:]
  /// Keys, as `section.key`, that are not printed, since something else decides what they would say.
  package var unprintedKeys: Set<String> = []
  /// Where each given value stands, right or wrong, by `section.key`.
  var origins: [String: Origin] = [:]

  /// Makes a document in which every key has its default.
  package init(schemas: [SectionSchema]) {
    self.schemas = schemas
  }

  /// Where the value of a key comes from.
  package func origin(of path: String) -> Origin {
    origins[path] ?? .defaults
  }

  /// The value that the run file or the command line gives to a key; nil for none.
  package func value(_ path: String) -> Value? { values[path] }

  /// Whether a key has a value that the run file or the command line gives.
  package func isGiven(_ path: String) -> Bool { values[path] != nil }

  /// Throws where anything is wrong.
  package func check() throws(ConfigurationError) {
    if !problems.isEmpty { throw ConfigurationError(problems) }
  }

  /// Reads a section, and notes what its keys together get wrong if each is right by itself.
  package mutating func section<Section: ConfigurationSection>(_: Section.Type) -> Section {
    let section = Section(given(in: Section.schema))
    note(section.problems, of: [Section.schema])
    return section
  }

  /// Reads a section and those in it, and notes what their keys together get wrong.
  package mutating func section<Section: OuterSection>(_: Section.Type) -> Section {
    var section = Section(given(in: Section.schema))
    func fill<Inner: ConfigurationSection>(_: Inner.Type) {
      section.subsections[Inner.self] = Inner(given(in: Inner.schema))
    }
    for type in Section.subsectionTypes { fill(type) }
    note(section.problems, of: Section.schemas)
    return section
  }

  private mutating func note(_ found: [KeyProblem], of schemas: [SectionSchema]) {
    let paths = Set(schemas.flatMap { schema in schema.keys.map { schema.path(of: $0.name) } })
    guard !problems.contains(where: { paths.contains($0.key ?? "") }) else { return }
    report(
      found.map { problem in
        KeyProblem(
          keys: problem.keys.map { $0.contains(".") ? $0 : schemas[0].path(of: $0) },
          message: problem.message)
      })
  }

  /// The values that were given to keys of a section.
  func given(in schema: SectionSchema) -> [String: Value] {
    let given = schema.keys.compactMap { key in
      values[schema.path(of: key.name)].map { (key.name, $0) }
    }
    return Dictionary(uniqueKeysWithValues: given)
  }

  /// The value of a key: what was given, or its default.
  func value(of key: KeySchema, in schema: SectionSchema) -> Value {
    values[schema.path(of: key.name)] ?? key.defaultValue
  }

  /// The value of a key as it is printed; nil where it is not.
  func printed(_ key: KeySchema, in schema: SectionSchema) -> Value? {
    let path = schema.path(of: key.name)
    return unprintedKeys.contains(path) ? nil : decided[path] ?? value(of: key, in: schema)
  }

  /// Notes problems between keys.
  package mutating func report(_ found: [KeyProblem]) {
    problems += found.map(located)
  }

  /// The problem with its place: the first of its keys that was given.
  package func located(_ problem: KeyProblem) -> Problem {
    let path = problem.keys.first { origins[$0] != nil } ?? problem.keys[0]
    return Problem(origin: origin(of: path), key: path, message: problem.message)
  }

  /// Applies the command line; a later value for a key replaces an earlier one.
  package mutating func apply(_ overrides: [Override]) {
    for override in overrides {
      let origin = Origin.commandLine(override.key)
      guard let (schema, key) = find(override.key, at: origin) else { continue }
      guard let text = override.text else {
        note(origin, override.key, "has no value; write --\(override.key)=VALUE")
        continue
      }
      if text.isEmpty {
        note(origin, override.key, "is empty; write a value, or null for the default")
        continue
      }
      assign(key.kind.read(text: text), to: schema.path(of: key.name), at: origin)
    }
  }

  /// The key of a path, or a noted problem that names the nearest one.
  mutating func find(_ path: String, at origin: Origin) -> (SectionSchema, KeySchema)? {
    let point = path.lastIndex(of: ".")
    let sectionName = point.map { String(path[..<$0]) } ?? ""
    let name = point.map { String(path[path.index(after: $0)...]) } ?? path
    guard let schema = schemas.first(where: { $0.name == sectionName }) else {
      noteUnknownSection(sectionName, path: path, at: origin)
      return nil
    }
    guard let key = schema.key(name) else {
      noteUnknownKey(name, in: schema, at: origin)
      return nil
    }
    return (schema, key)
  }

  mutating func noteUnknownSection(_ name: String, path: String, at origin: Origin) {
    let sections = schemas.map(\.name).filter { !$0.isEmpty }
    let keys = schemas.filter(\.name.isEmpty).flatMap(\.keys).map(\.name)
    let near = nearest(to: name, among: path == name ? sections + keys : sections)
    let hint = near.map { "did you mean \($0)?" }
    note(
      origin, path,
      "there is no section \(name); "
        + (hint ?? "the sections are " + sections.joined(separator: ", ")))
  }

  mutating func noteUnknownKey(_ name: String, in schema: SectionSchema, at origin: Origin) {
    let path = schema.path(of: name)
    for other in schemas {
      guard let key = other.keys.first(where: { $0.former == path }) else { continue }
      let place = other.components.map { "\($0):" }.joined(separator: " ")
      return note(
        origin, path,
        "is now \(other.path(of: key.name)); write \(key.name) under \(place) instead")
    }
    let elsewhere = schemas.filter { $0.key(name) != nil }.map { $0.path(of: name) }
    let hint: String
    if let near = nearest(to: name, among: schema.keys.map(\.name)) {
      hint = "did you mean \(schema.path(of: near))?"
    } else if let other = elsewhere.first {
      hint = "did you mean \(other)?"
    } else {
      hint = "the keys are " + schema.keys.map(\.name).joined(separator: ", ")
    }
    note(origin, path, "is no key; \(hint)")
  }

  mutating func assign(_ reading: Reading, to path: String, at origin: Origin) {
    origins[path] = origin
    switch reading {
    case .unset: values[path] = nil
    case .value(let value): values[path] = value
    case .problem(let message): note(origin, path, message)
    }
  }

  /// Notes something that is wrong at a place.
  package mutating func note(_ origin: Origin, _ key: String?, _ message: String) {
    // What was given may be of any length, and stands in the message.
    let text = message.count <= 1000 ? message : "\(message.prefix(500)) … \(message.suffix(400))"
    problems.append(Problem(origin: origin, key: key, message: text))
  }
}
