import Foundation

/// One axis of a chart: where a value lies, and which values are named.
package struct ChartAxis: Sendable, Equatable {
  /// A named value.
  package struct Tick: Sendable, Equatable {
    /// Where it lies.
    package let value: Double
    /// Its name.
    package let label: String
  }

  /// What the axis measures, with its unit.
  package let title: String
  /// The named values, ascending.
  package let ticks: [Tick]
  private let low, high: Double
  private let isLogarithmic: Bool

  /// Where a value lies: 0 at the axis's start, 1 at its end.
  package func place(_ value: Double) -> Double {
    let value = isLogarithmic ? log2(max(value, .leastNormalMagnitude)) : value
    return (value - low) / (high - low)
  }

  /// A linear axis from 0 to at least `most`, with round numbers.
  ///
  /// - Parameters:
  ///   - unit: What a tick of 1 is, such as 0.01 for per cent or 1024 for KiB: ticks are round in it.
  ///   - label: The name of a tick.
  package init(
    _ title: String, from least: Double = 0, upTo most: Double, unit: Double = 1,
    label: (Double) -> String
  ) {
    let step = Self.roundStep((max(most, unit * 1e-6) - least) / unit / 5) * unit
    let count = Int(((most - least) / step - 1e-9).rounded(.up))
    self.title = title
    ticks = (0...max(1, count)).map {
      let value = least + Double($0) * step
      return Tick(value: value, label: label(value))
    }
    (low, high, isLogarithmic) = (least, least + Double(max(1, count)) * step, false)
  }

  /// A logarithmic axis whose ticks are the values themselves, such as rank counts.
  ///
  /// - Parameters:
  ///   - values: At least one value above 0.
  ///   - characters: How many characters of labels there is room for; others get no label.
  package init(
    _ title: String, values: [Double], characters: Int = 44, label: (Double) -> String
  ) {
    let values = Set(values).sorted()
    precondition(values.first.map { $0 > 0 } ?? false, "a logarithmic axis of \(values)")
    let (first, last) = (log2(values[0]), log2(values[values.count - 1]))
    let margin = max(0.35, (last - first) * 0.06)
    (low, high, isLogarithmic) = (first - margin, last + margin, true)
    self.title = title
    var ticks: [Tick] = []
    var free = -Double.infinity
    for value in values {
      let text = label(value)
      let half = Double(text.count + 1) / 2 / Double(characters)
      let place = (log2(value) - low) / (high - low)
      if place - half >= free {
        ticks.append(Tick(value: value, label: text))
        free = place + half
      }
    }
    self.ticks = ticks
  }

  /// A logarithmic axis that spans all values, each above 0, with powers of ten as ticks, and 2 and 5 times them where
  /// there is room.
  package init(_ title: String, decades values: [Double], label: (Double) -> String) {
    precondition(
      !values.isEmpty && values.allSatisfy { $0 > 0 && $0.isFinite },
      "a logarithmic axis of \(values)")
    let (least, most) = (values.min()!, values.max()!)
    let margin = max(0.25, (log2(most) - log2(least)) * 0.05)
    (low, high, isLogarithmic) = (log2(least) - margin, log2(most) + margin, true)
    self.title = title
    let (from, through) = (exp2(low), exp2(high))
    let powers = Int(log10(from).rounded(.down))...Int(log10(through).rounded(.up))
    func ticks(_ factors: [Double]) -> [Double] {
      powers.flatMap { power in factors.map { $0 * pow(10, Double(power)) } }
        .filter { from <= $0 && $0 <= through }
    }
    let choices = [[1, 2, 5], [1, 3], [1]].map(ticks)
    var chosen = choices.first { $0.count <= 6 } ?? choices[2]
    let stride = (chosen.count + 5) / 6
    if stride > 1 {
      chosen = chosen.enumerated().filter { $0.offset.isMultiple(of: stride) }.map(\.element)
    }
    self.ticks = chosen.map { Tick(value: $0, label: label($0)) }
  }

  /// A logarithmic axis of bytes that spans all values above 0, with powers of two as ticks.
  package init(_ title: String, bytes values: [Double]) {
    let exponents = values.filter { $0 > 0 }.map { log2($0) }
    let first = Int((exponents.min() ?? 0).rounded(.down)) - 1
    let last = max(first + 4, Int((exponents.max() ?? 0).rounded(.up)) + 1)
    let stride = max(1, (last - first + 4) / 6)
    let start = (first + stride - 1) / stride * stride
    self.title = title
    ticks = Swift.stride(from: start, through: last, by: stride).map {
      Tick(value: exp2(Double($0)), label: Self.binary($0))
    }
    (low, high, isLogarithmic) = (Double(first), Double(last), true)
  }

  /// A linear axis of bytes from 0, with round numbers of KiB, MiB or GiB as ticks.
  package init(_ title: String, bytesUpTo most: Double) {
    let exponent = max(0, min(4, Int(log2(max(most, 1)) / 10)))
    let unit = exp2(Double(exponent * 10))
    self.init(title, upTo: most, unit: unit) {
      "\(Self.short($0 / unit)) \(["B", "KiB", "MiB", "GiB", "TiB"][exponent])"
    }
  }

  /// A number without needless digits.
  package static func short(_ value: Double) -> String {
    value == value.rounded() ? Format.grouped(Int(value)) : String(format: "%g", value)
  }

  /// `512 KiB` for 19.
  private static func binary(_ exponent: Int) -> String {
    guard exponent >= 0 else { return String(format: "%g", exp2(Double(exponent))) }
    return
      "\(1 << (exponent % 10)) \(["B", "KiB", "MiB", "GiB", "TiB", "PiB"][min(5, exponent / 10)])"
  }

  /// The least of 1, 2, 2.5, 5, 10, … that is not below a value.
  private static func roundStep(_ value: Double) -> Double {
    let power = pow(10, log10(max(value, 1e-300)).rounded(.down))
    return [1, 2, 2.5, 5, 10].map { $0 * power }.first { $0 >= value * (1 - 1e-9) } ?? 10 * power
  }
}
