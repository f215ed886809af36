import Foundation

/// What a command that has no console of its own tells its user beside its result.
package enum Notices {
  /// Prints each line to the standard error, as a warning.
  package static func print(_ lines: [String]) {
    for line in lines { FileHandle.standardError.write(Data("warning: \(line)\n".utf8)) }
  }
}
