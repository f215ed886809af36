import Configuration
import Models
import Reporting

/// The width with which a model has nearly as many parameters as are asked for.
struct MatchedWidth: Sendable, Equatable {
  /// `model.dimension`.
  let dimension: Int
  /// Parameters of the model with it.
  let parameters: Int

  /// The widest model that is looked at.
  private static let most = 1 << 16

  /// Finds the width: of all that the mixer, its heads and the other keys allow, the one whose number of parameters is
  /// nearest.
  ///
  /// Concretely: with more width come more parameters, so the widths on either side of the number are found by bisection.
  ///
  /// - Parameters:
  ///   - target: Parameters.
  ///   - model: All else of the model.
  ///   - vocabulary: Tokens that it knows.
  /// - Throws: `MatchError` where no width is possible, or none comes near.
  init(_ target: Int, model: ModelSection, vocabulary: Int) throws(MatchError) {
    func count(_ dimension: Int) -> Int {
      var model = model
      model.dimension = dimension
      return LanguageModel(Architectures.make(model, vocabulary: vocabulary)).table.count
    }
    var low: Self?
    var high: Self?
    var bound = 1
    while high == nil, bound < Self.most {
      if let dimension = Self.first(of: model, in: bound..<2 * bound) {
        let found = Self(dimension, count(dimension))
        if found.parameters < target { low = found } else { high = found }
      }
      bound *= 2
    }
    guard var high = high ?? low else {
      throw MatchError(reason: model.problems.first?.message ?? "no width is possible")
    }
    if high.parameters >= target {
      // Nothing below `floor` is nearer from below, and nothing from `ceiling` on from above.
      var (floor, ceiling) = (low?.dimension ?? 0, high.dimension)
      while floor + 1 < ceiling {
        let middle = (floor + ceiling) / 2
        guard let dimension = Self.first(of: model, in: middle..<ceiling) else {
          ceiling = middle
          continue
        }
        let found = Self(dimension, count(dimension))
        if found.parameters >= target {
          (high, ceiling) = (found, middle)
        } else {
          (low, floor) = (found, dimension)
        }
      }
      if let low, target - low.parameters < high.parameters - target { high = low }
    }
    guard Double(abs(high.parameters - target)) <= 0.5 * Double(target) else {
      throw MatchError(
        reason:
          "the nearest is model.dimension \(high.dimension), with \(Format.count(high.parameters)); "
          + "change model.depth, or what else makes the model large")
    }
    self = high
  }

  /// The least width in a range that the mixer, its heads and the other keys allow; nil for none.
  static func first(of model: ModelSection, in range: Range<Int>) -> Int? {
    var model = model
    return range.first {
      model.dimension = $0
      return model.problems.isEmpty
    }
  }

  private init(_ dimension: Int, _ parameters: Int) {
    (self.dimension, self.parameters) = (dimension, parameters)
  }
}

/// Why no width has nearly as many parameters as are asked for.
struct MatchError: Error {
  let reason: String
}
