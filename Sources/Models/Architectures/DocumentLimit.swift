/// The longest document that a mixer can read.
package struct DocumentLimit: Sendable, Equatable {
  /// Its tokens.
  package let tokens: Int
  /// The key of the run file that says so.
  package let key: String

  package init(tokens: Int, key: String) { (self.tokens, self.key) = (tokens, key) }
}

extension ModelSection {
  /// The longest document that all mixers of the model can read; nil where there is no limit.
  package var longestDocument: DocumentLimit? {
    families.compactMap { $0.init(self).longestDocument }.min { $0.tokens < $1.tokens }
  }
}
