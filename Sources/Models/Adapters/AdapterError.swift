/// Why a model cannot have the adapters that were asked for.
package enum AdapterError: Error, Equatable, CustomStringConvertible {
  /// Targets that fit no projection, and what there is.
  case noMatch(targets: String, projections: [String])
  /// Modules to be trained as a whole of which there is none.
  case nothingToSave(module: String, tensors: [String])
  /// A module that is none of the projections that an adapter can be added to.
  case noProjection(module: String, why: String)
  /// A rank that no adapter has.
  case rank(module: String, rank: Int)

  /// The highest rank of an adapter: more than any projection's.
  static let mostRank = 1 << 20

  /// What is wrong, and what is possible.
  package var description: String {
    switch self {
    case .noMatch(let targets, let projections):
      "no projection of the model fits \(targets); it has \(projections.joined(separator: ", "))"
    case .nothingToSave(let module, let tensors):
      "no module of the model ends in \(module); it has "
        + tensors.joined(separator: ", ")
    case .noProjection(let module, let why):
      "\(module) can have no adapter: \(why)"
    case .rank(let module, let rank):
      "an adapter of \(module) cannot have the rank \(rank); a rank is from 1 to \(Self.mostRank)"
    }
  }
}
