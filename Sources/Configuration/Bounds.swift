/// An interval of numbers; either end may be open, closed or absent.
package struct Bounds<Number: Comparable & Sendable & CustomStringConvertible>: Sendable {
  /// Least value that is allowed.
  package var from: Number?
  /// Greatest value that is not allowed, below all that are.
  package var above: Number?
  /// Greatest value that is allowed.
  package var through: Number?
  /// Least value that is not allowed, above all that are.
  package var below: Number?

  /// Whether `value` lies in the interval.
  package func contains(_ value: Number) -> Bool {
    (from.map { value >= $0 } ?? true) && (above.map { value > $0 } ?? true)
      && (through.map { value <= $0 } ?? true) && (below.map { value < $0 } ?? true)
  }

  /// The interval in words, such as ` > 0 and < 1`; empty for the whole line.
  var words: String {
    let ends = [("≥", from), (">", above), ("≤", through), ("<", below)].compactMap { sign, end in
      end.map { "\(sign) \($0)" }.map { $0.hasSuffix(".0") ? String($0.dropLast(2)) : $0 }
    }
    return ends.isEmpty ? "" : " " + ends.joined(separator: " and ")
  }
}
