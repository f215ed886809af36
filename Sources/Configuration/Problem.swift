/// Where a value comes from.
package enum Origin: Sendable, Equatable, CustomStringConvertible {
  /// A line of a run file, both numbers counted from 1.
  case file(String, line: Int, column: Int)
  /// A run file as a whole.
  case wholeFile(String)
  /// An argument of the command line, by its key.
  case commandLine(String)
  /// The built-in defaults.
  case defaults

  /// The place as a user finds it: `run.yaml:3`, `--model.heads`, `default`.
  package var description: String {
    switch self {
    case .file(let name, let line, _): "\(name):\(line)"
    case .wholeFile(let name): name
    case .commandLine(let key): "--\(key)"
    case .defaults: "default"
    }
  }
}

/// What is wrong with the value of a key, and what to do; the place is added by who knows it.
package struct KeyProblem: Sendable, Equatable {
  /// The keys that disagree, as `section.key`.
  ///
  /// A section that speaks of its own keys may leave the section out. The problem is shown at the
  /// first key that was given.
  package let keys: [String]
  /// What is wrong; what to do.
  package let message: String

  /// Makes a problem of one key, or of several that disagree.
  package init(_ keys: String..., message: String) {
    self.init(keys: keys, message: message)
  }

  /// Makes a problem of the keys in a list that is not empty.
  package init(keys: [String], message: String) {
    precondition(!keys.isEmpty, "a problem needs a key: \(message)")
    self.keys = keys
    self.message = message
  }
}

/// One thing that is wrong with a configuration, and where.
package struct Problem: Sendable, Equatable, CustomStringConvertible {
  /// Where the value stands.
  package let origin: Origin
  /// `section.key`, or nil where the problem is no key's.
  package let key: String?
  /// What is wrong; what to do.
  package let message: String

  /// `file:line: section.key: what is wrong; what to do`, or `file:line: section.key is …` where the message
  /// says what the key is.
  package var description: String {
    guard let key else { return "\(origin): \(message)" }
    let isSentence = ["is ", "has "].contains { message.hasPrefix($0) }
    let place = origin == .commandLine(key) ? "\(origin)" : "\(origin): \(key)"
    return place + (isSentence ? " " : ": ") + message
  }
}

extension Origin {
  /// Files by line, then the command line, then the defaults.
  var order: (Int, Int, Int) {
    switch self {
    case .wholeFile: (0, 0, 0)
    case .file(_, let line, let column): (1, line, column)
    case .commandLine: (2, 0, 0)
    case .defaults: (3, 0, 0)
    }
  }
}

/// Everything that is wrong with a configuration.
package struct ConfigurationError: Error, Sendable, CustomStringConvertible {
  /// The problems in the order of their places; never empty.
  package let problems: [Problem]

  /// Makes an error of problems, at least one, and puts them in the order of their places.
  package init(_ problems: [Problem]) {
    precondition(!problems.isEmpty, "an error needs a problem")
    self.problems = problems.enumerated().sorted {
      $0.element.origin.order == $1.element.origin.order
        ? $0.offset < $1.offset : $0.element.origin.order < $1.element.origin.order
    }.map(\.element)
  }

  /// One problem a line.
  package var description: String {
    problems.map(\.description).joined(separator: "\n")
  }
}
