import Tensors

/// Which parameters decay, and how much: ranges of the index space with a factor each.
package struct WeightDecay: Sendable, Equatable {
  /// Ascending ranges that do not overlap; what lies in none of them does not decay.
  private let ranges: [Range<Int>]
  private let factors: [Double]

  /// Makes a decay from ranges.
  ///
  /// - Parameter ranges: Ascending, without overlap; neighbours of one factor are joined.
  package init(_ ranges: [(range: Range<Int>, factor: Double)]) {
    var joined: [Range<Int>] = []
    var factors: [Double] = []
    for (range, factor) in ranges where !range.isEmpty {
      precondition(
        range.lowerBound >= (joined.last?.upperBound ?? 0),
        "decay of \(range) after \(joined.last ?? 0..<0)")
      if let last = joined.last, last.upperBound == range.lowerBound, factors.last == factor {
        joined[joined.count - 1] = last.lowerBound..<range.upperBound
      } else {
        joined.append(range)
        factors.append(factor)
      }
    }
    self.ranges = joined
    self.factors = factors
  }

  /// The usual rule: matrices decay; norms, biases and embeddings only on request.
  ///
  /// - Parameters:
  ///   - table: The model's parameters.
  ///   - factor: The decay of what decays.
  ///   - norms: Whether norms' weights and biases decay too.
  ///   - embeddings: Whether embeddings decay too.
  ///   - groups: Parameters with a decay of their own.
  package init(
    _ table: ParameterTable, factor: Double, norms: Bool, embeddings: Bool,
    groups: ParameterGroups? = nil
  ) {
    self.init(
      table.parameters.compactMap { parameter in
        let entry = table[parameter]
        if let own = groups?[parameter]?.weightDecay { return own > 0 ? (entry.range, own) : nil }
        let decays =
          switch entry.role {
          case .matrix, .head: true
          case .norm, .bias: norms
          case .embedding: embeddings
          }
        return decays ? (entry.range, factor) : nil
      })
  }

  /// A range cut where the factor changes, each piece with its factor.
  func pieces(of range: Range<Int>) -> [(range: Range<Int>, factor: Double)] {
    var pieces: [(range: Range<Int>, factor: Double)] = []
    var start = range.lowerBound
    // The first range that ends beyond the start, by bisection.
    var (low, high) = (0, ranges.count)
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound > start { high = middle } else { low = middle + 1 }
    }
    for index in low..<ranges.count where start < range.upperBound {
      let decaying = ranges[index].clamped(to: start..<range.upperBound)
      if decaying.isEmpty { break }
      if start < decaying.lowerBound { pieces.append((start..<decaying.lowerBound, 0)) }
      pieces.append((decaying, factors[index]))
      start = decaying.upperBound
    }
    if start < range.upperBound { pieces.append((start..<range.upperBound, 0)) }
    return pieces
  }
}
