/// How experts are dealt over ranks: consecutive ranks form a group, which has all of them.
///
/// Concretely: of groups of n ranks and E experts, rank r has those from `(r mod n) E / n` on, E / n of them. So ranks with
/// the same r mod n have the same experts, each for the tokens of its group.
package struct ExpertShape: Sendable, Equatable {
  /// Ranks of a group; 1 where every rank has all experts.
  package let size: Int
  /// Whether products and sums are formed as where every rank has all experts, so that how experts are dealt changes no bit: the
  /// rows of each rank of the group apart.
  package let keepsRanksApart: Bool

  /// Fits groups to a number of ranks.
  ///
  /// - Parameter reproducible: Whether how experts are dealt may change no bit. Gradients of ranks are added up as a binary tree;
  ///   what a group adds up has to be a part of it, as it is where the group is all ranks, or a power of two of them.
  /// - Throws: `MessagePassingError.grid` where the ranks do not make whole groups, or groups no parts of the tree.
  package init(
    ranks: Int, size: Int, reproducible: Bool = false
  ) throws(MessagePassingError) {
    guard size >= 1, ranks % size == 0 else {
      throw .grid(
        "experts dealt over groups of \(size) ranks need a multiple of \(size) ranks, and \(ranks) were started; "
          + "choose a divisor of \(ranks), or start another number of ranks")
    }
    guard !reproducible || size == ranks || size & (size - 1) == 0 else {
      throw .grid(
        "experts dealt over groups of \(size) of \(ranks) ranks add gradients up in an order of their own, so that a "
          + "reproducible run would have other bits than with other groups; choose a power of two, or \(ranks)"
      )
    }
    self.size = size
    keepsRanksApart = reproducible && size > 1
  }

  /// Ranks of whose tokens a rank forms the gradients of its experts apart.
  package var sources: Int { keepsRanksApart ? size : 1 }

  /// Checks that a model's experts can be dealt so.
  ///
  /// - Parameter count: The experts of a layer; nil for a model without any.
  /// - Throws: `MessagePassingError.grid` where they cannot.
  package func check(experts count: Int?) throws(MessagePassingError) {
    guard size > 1 else { return }
    guard let count else {
      throw .grid(
        "experts cannot be dealt over \(size) ranks, since the model has none; remove parallel.experts"
      )
    }
    guard count % size == 0 else {
      throw .grid(
        "\(count) experts cannot be dealt evenly over \(size) ranks; choose a divisor of \(count)")
    }
  }

  /// Every rank has all experts.
  package static let whole = ExpertShape(size: 1)

  private init(size: Int) { (self.size, keepsRanksApart) = (size, false) }

  /// A rank's place in its group, in `0..<size`.
  package func member(of rank: Int) -> Int { rank % size }

  /// The group of a rank.
  package func group(of rank: Int) -> Int { rank / size }

  /// The experts of a member.
  ///
  /// - Parameter count: All experts, a multiple of `size`.
  package func experts(of member: Int, among count: Int) -> Range<Int> {
    precondition(count % size == 0, "\(count) experts over groups of \(size) ranks")
    return member * (count / size)..<(member + 1) * (count / size)
  }
}
