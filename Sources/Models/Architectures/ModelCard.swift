/// What people are told about a family of models when they choose one.
package struct ModelCard: Sendable, Equatable {
  /// Its name in words, such as `Gated Linear Attention`.
  package let title: String
  /// What carries it, in a few words, such as `vector decay`.
  package let recurrence: String
  /// The papers it follows, by their arXiv numbers.
  package let papers: [String]

  package init(_ title: String, recurrence: String, papers: [String]) {
    (self.title, self.recurrence, self.papers) = (title, recurrence, papers)
  }
}
