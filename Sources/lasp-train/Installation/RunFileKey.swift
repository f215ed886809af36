import Configuration
import Training

/// A key of the run file as the command line takes it.
struct RunFileKey {
  /// What its value is completed with.
  enum Values {
    /// One of these.
    case words([String])
    /// A path.
    case files
    /// Nothing that could be listed.
    case none
  }

  /// `model.mixer`.
  let path: String
  let schema: KeySchema

  /// All of them, in the order of the reference.
  static var all: [RunFileKey] {
    RunConfiguration.schemas.flatMap { section in
      section.keys.map { RunFileKey(path: section.path(of: $0.name), schema: $0) }
    }
  }

  var values: Values {
    switch schema.kind {
    case .boolean: .words(["true", "false"])
    case .choice(let names), .list(.choice(let names)): .words(names)
    case .string, .weightedPaths, .list(.string): .files
    default: .none
    }
  }
}
