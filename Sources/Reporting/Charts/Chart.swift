import Foundation

/// A small plot of lines and points as SVG.
///
/// Colours are those of the page around it: classes `h0` to `h7` for series, `ideal` for what they are compared
/// with, `grid`, `axis`.
package struct Chart: Sendable {
  /// A value, and how far it was off at times.
  package struct Point: Sendable, Equatable {
    /// Where it lies.
    package let x, y: Double
    /// The least and most of several measurements.
    package let range: ClosedRange<Double>?
    /// What is said of it when the mouse is over it.
    package let note: String
    /// How far it is moved to the right, in hundredths of the chart's width, so that points in the same place
    /// can be told apart.
    package let shift: Double

    package init(
      x: Double, y: Double, range: ClosedRange<Double>? = nil, note: String = "",
      shift: Double = 0
    ) {
      (self.x, self.y, self.range, self.note, self.shift) = (x, y, range, note, shift)
    }
  }

  /// How the points of a series are connected.
  package enum Line: String, Sendable {
    /// A line.
    case solid
    /// A dashed line.
    case dashed
    /// Not at all.
    case none
  }

  /// Points that belong together.
  package struct Series: Sendable {
    /// What they are.
    package let name: String
    /// Colour and marker, from 0; nil for what others are compared with, which has no markers.
    package let hue: Int?
    /// How they are connected.
    package let line: Line
    /// Whether the points are marked.
    package let hasMarkers: Bool
    /// The points, ascending in x.
    package let points: [Point]

    package init(
      _ name: String, hue: Int?, line: Line = .solid, hasMarkers: Bool = true, _ points: [Point]
    ) {
      (self.name, self.hue, self.line, self.points) = (name, hue, line, points)
      self.hasMarkers = hasMarkers && hue != nil
    }

    /// The class of its colour.
    package var style: String { hue.map { "h\($0 % 8)" } ?? "ideal" }
  }

  /// What is shown.
  package let title: String
  /// The axes.
  package let x, y: ChartAxis
  /// The series; later ones lie above.
  package let series: [Series]

  package init(title: String, x: ChartAxis, y: ChartAxis, series: [Series]) {
    (self.title, self.x, self.y, self.series) = (title, x, y, series)
  }

  private static let (width, height) = (380.0, 262.0)
  private static let (left, right, top, bottom) = (70.0, 366.0, 30.0, 216.0)

  /// The element.
  package var svg: String {
    """
    <svg viewBox="0 0 \(Int(Self.width)) \(Int(Self.height))" role="img" aria-label="\(Self.escaped(title))">
    <text class="title" x="\(Int(Self.left))" y="16">\(Self.escaped(title))</text>
    \((grid + series.flatMap(lines) + series.flatMap(markers)).joined(separator: "\n"))
    </svg>
    """
  }

  /// A line with its marker, for a legend.
  package static func key(_ series: Series) -> String {
    let dash = series.line == .dashed ? " stroke-dasharray=\"5 4\"" : ""
    let line = series.line == .none ? "" : "<path d=\"M1 7H29\"\(dash)/>"
    let marker = series.hasMarkers ? shape(series.hue ?? 0, 15, 7) : ""
    return "<svg class=\"key \(series.style)\" viewBox=\"0 0 30 14\" width=\"30\" height=\"14\">"
      + line + marker + "</svg>"
  }

  private var grid: [String] {
    let (left, right, top, bottom) = (Self.left, Self.right, Self.top, Self.bottom)
    let rows = y.ticks.flatMap { tick in
      let place = number(across(y: tick.value))
      return [
        "<path class=\"grid\" d=\"M\(number(left)) \(place)H\(number(right))\"/>",
        "<text class=\"tick\" text-anchor=\"end\" x=\"\(number(left - 7))\" y=\"\(place)\" dy=\"0.34em\">"
          + "\(Self.escaped(tick.label))</text>",
      ]
    }
    let columns = x.ticks.map { tick in
      "<text class=\"tick\" text-anchor=\"middle\" x=\"\(number(across(x: tick.value)))\" "
        + "y=\"\(number(bottom + 16))\">\(Self.escaped(tick.label))</text>"
    }
    let marks = x.ticks.map {
      "<path class=\"axis\" d=\"M\(number(across(x: $0.value))) \(number(bottom))v4\"/>"
    }
    let middle = number((top + bottom) / 2)
    return rows + columns + marks + [
      "<path class=\"axis\" d=\"M\(number(left)) \(number(bottom))H\(number(right))\"/>",
      "<text class=\"name\" text-anchor=\"middle\" x=\"\(number((left + right) / 2))\" "
        + "y=\"\(number(bottom + 36))\">\(Self.escaped(x.title))</text>",
      "<text class=\"name\" text-anchor=\"middle\" transform=\"translate(11 \(middle)) rotate(-90)\">"
        + "\(Self.escaped(y.title))</text>",
    ]
  }

  private func lines(_ series: Series) -> [String] {
    guard series.line != .none, series.points.count > 1 else { return [] }
    let path = series.points.map {
      "\(number(across(x: $0.x, shift: $0.shift))) \(number(across(y: $0.y)))"
    }
    let dash = series.line == .dashed ? " stroke-dasharray=\"5 4\"" : ""
    return ["<path class=\"\(series.style)\"\(dash) d=\"M\(path.joined(separator: "L"))\"/>"]
  }

  private func markers(_ series: Series) -> [String] {
    guard let hue = series.hue, series.hasMarkers else { return [] }
    return series.points.map { point in
      let place = across(x: point.x, shift: point.shift)
      let whisker = point.range.map {
        let (low, high) = (across(y: $0.lowerBound), across(y: $0.upperBound))
        return "<path class=\"whisker\" d=\"M\(number(place)) \(number(low))V\(number(high))\"/>"
      }
      return "<g class=\"\(series.style)\"><title>\(Self.escaped(point.note))</title>"
        + (whisker ?? "") + Self.shape(hue, place, across(y: point.y)) + "</g>"
    }
  }

  /// Series differ by shape too, and shapes are hollow: those in the same place stay visible.
  private static func shape(_ hue: Int, _ x: Double, _ y: Double) -> String {
    func at(_ dx: Double, _ dy: Double) -> String {
      String(format: "%.1f %.1f", x + dx, y + dy)
    }
    switch hue % 4 {
    case 0: return String(format: "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>", x, y)
    case 1: return "<path d=\"M\(at(-3.6, -3.6))h7.2v7.2h-7.2Z\"/>"
    case 2: return "<path d=\"M\(at(0, -4.8))L\(at(4.6, 3.4))L\(at(-4.6, 3.4))Z\"/>"
    default: return "<path d=\"M\(at(0, -5))L\(at(5, 0))L\(at(0, 5))L\(at(-5, 0))Z\"/>"
    }
  }

  private func across(x value: Double, shift: Double = 0) -> Double {
    Self.left + (x.place(value) + shift / 100) * (Self.right - Self.left)
  }

  private func across(y value: Double) -> Double {
    Self.bottom - min(1.02, max(0, y.place(value))) * (Self.bottom - Self.top)
  }

  private func number(_ value: Double) -> String { String(format: "%.1f", value) }

  /// Text as it stands in XML and HTML.
  package static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
      .replacing("\"", with: "&quot;")
  }
}
