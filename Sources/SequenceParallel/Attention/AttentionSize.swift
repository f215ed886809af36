/// The size of one layer's softmax attention, for the formula that counts its operations.
package struct AttentionSize: Sendable {
  /// Heads of queries, and numbers of each.
  package let heads, dimension: Int
  /// Numbers of a value.
  private let valueDimension: Int
  /// The most keys that a query sees, itself included; nil for all before it.
  package let window: Int?
  /// Tokens of a terrace, where windows go on in terraces; nil where they slide.
  private let terrace: Int?
  /// Keys that every query sees beside those of tokens.
  private let extra: Int

  /// - Parameter valueDimension: Numbers of a value; nil for as many as a key has.
  package init(heads: Int, dimension: Int, valueDimension: Int? = nil, window: Int?) {
    (self.heads, self.dimension, self.window) = (heads, dimension, window)
    self.valueDimension = valueDimension ?? dimension
    (terrace, extra) = (nil, 0)
  }

  /// Attention in a window and to `extra` keys that every query sees.
  package init(heads: Int, dimension: Int, span: AttentionSpan, extra: Int = 0) {
    (self.heads, self.dimension, self.extra) = (heads, dimension, extra)
    valueDimension = dimension
    window = span.reach + 1
    terrace = span == .terraced(span.width) ? span.width : nil
  }

  /// Operations of a pair of a query and a key, for each number of a head's keys and values: two products forward, four
  /// backward.
  static let operationsPerPair = 12.0

  /// Operations of a sequence that is one document, forward and backward.
  ///
  /// Concretely: `12 H d Σ_t min(t, window)` for t from 1 to `length`; in terraces of `w` the t-th token sees t of them up
  /// to `2w`, then `w + 1` to `2w` by turns.
  package func operations(length: Int) -> Double {
    Self.operationsPerPair / 2 * Double(heads * (dimension + valueDimension))
      * (pairs(length) + Double(extra * length))
  }

  /// Operations of comparing its weights with those of linear attention over features, forward twice and back.
  ///
  /// Concretely: `H (6 d + 10 F) Σ_t t`: the products of both three times, and two of gradients.
  package func comparison(length: Int, features: Int) -> Double {
    let all = AttentionSize(heads: heads, dimension: 1, window: nil)
    return Self.comparison(dimension: dimension, features: features)
      * all.operations(length: length) / Self.operationsPerPair
  }

  /// Of a pair of a query and a key, in each head.
  static func comparison(dimension: Int, features: Int) -> Double {
    Double(6 * dimension + 10 * features)
  }

  private func pairs(_ length: Int) -> Double {
    if let terrace {
      let (first, rest) = (min(length, terrace), max(0, length - terrace))
      func triangle(_ n: Int) -> Double { Double(n) * Double(n + 1) / 2 }
      let (whole, part) = (rest / terrace, rest % terrace)
      return triangle(first) + Double(rest) * Double(terrace) + Double(whole) * triangle(terrace)
        + triangle(part)
    }
    let seen = Double(min(length, window ?? length))
    return seen * (seen + 1) / 2 + (Double(length) - seen) * seen
  }
}
