import Foundation
import Reporting
import ScalingLaws

/// The curves of a law, with the runs that it was fitted to.
struct LawCharts: Sendable {
  private let fit: LawFit
  private var law: ScalingLaw { fit.law }
  private var points: [ScalingPoint] { fit.points }

  init(_ fit: LawFit) { self.fit = fit }

  /// The loss over parameters, a curve for each of a few numbers of tokens.
  var byParameters: Chart {
    Chart(
      title: "loss against parameters",
      x: ChartAxis("parameters", decades: points.map(\.parameters), label: Format.count),
      y: Self.lossAxis(points.map(\.loss)),
      series: curves(along: \.parameters, across: \.tokens, of: "tokens") {
        law.loss(parameters: $0, tokens: $1)
      })
  }

  /// The loss over tokens, a curve for each of a few numbers of parameters.
  var byTokens: Chart {
    Chart(
      title: "loss against tokens",
      x: ChartAxis("tokens", decades: points.map(\.tokens), label: Format.count),
      y: Self.lossAxis(points.map(\.loss)),
      series: curves(along: \.tokens, across: \.parameters, of: "parameters") {
        law.loss(parameters: $1, tokens: $0)
      })
  }

  /// Where parameters and tokens give the same loss, and how both grow best.
  var isoLoss: Chart {
    let (n, d) = (points.map(\.parameters), points.map(\.tokens))
    let (least, most) = (points.map(\.loss).min() ?? 1, points.map(\.loss).max() ?? 1)
    let (fewest, greatest) = ((d.min() ?? 1) / 1.15, (d.max() ?? 1) * 1.15)
    let levels = (0..<5).map { least + (most - least) * (0.1 + 0.2 * Double($0)) }
    let contours = levels.enumerated().map { hue, level in
      Chart.Series(
        "loss \(String(format: "%.2f", level))", hue: hue, hasMarkers: false,
        Self.spaced((n.min() ?? 1) / 1.15, (n.max() ?? 1) * 1.15, count: 120).compactMap { n in
          law.tokens(reaching: level, parameters: n)
            .flatMap { fewest...greatest ~= $0 ? Chart.Point(x: n, y: $0) : nil }
        })
    }
    let compute = points.map(\.compute)
    let best = Self.spaced((compute.min() ?? 1) / 4, (compute.max() ?? 1) * 4, count: 120)
      .map { law.optimum(compute: $0) }
      .filter {
        fewest...greatest ~= $0.tokens
          && (n.min() ?? 1) / 1.15...(n.max() ?? 1) * 1.15 ~= $0.parameters
      }
      .map { Chart.Point(x: $0.parameters, y: $0.tokens) }
    return Chart(
      title: "tokens and parameters of the same loss",
      x: ChartAxis("parameters", decades: n, label: Format.count),
      y: ChartAxis("tokens", decades: d, label: Format.count),
      series: contours + [
        Chart.Series("best for its operations", hue: nil, line: .dashed, best),
        Chart.Series(
          "runs", hue: 7, line: .none,
          points.map {
            Chart.Point(x: $0.parameters, y: $0.tokens, note: Self.note($0))
          }),
      ])
  }

  /// Curves of the law along one quantity, for a few values of the other, and the runs nearest to each.
  private func curves(
    along: KeyPath<ScalingPoint, Double> & Sendable,
    across: KeyPath<ScalingPoint, Double> & Sendable, of name: String,
    _ loss: (_ along: Double, _ across: Double) -> Double
  ) -> [Chart.Series] {
    let values = points.map { $0[keyPath: along] }
    let levels = Self.levels(points.map { $0[keyPath: across] })
    return levels.enumerated().flatMap { hue, level in
      let near = points.filter { point in
        levels.min { a, b in
          abs(log(a / point[keyPath: across])) < abs(log(b / point[keyPath: across]))
        } == level
      }
      return [
        Chart.Series(
          "\(Format.count(level)) \(name)", hue: hue, hasMarkers: false,
          Self.spaced(values.min() ?? 1, values.max() ?? 1).map {
            Chart.Point(x: $0, y: loss($0, level))
          }),
        Chart.Series(
          "", hue: hue, line: .none,
          near.sorted { $0[keyPath: along] < $1[keyPath: along] }.map(Self.mark(at: along))),
      ]
    }
  }

  /// At most six values that stand for many: these themselves, or evenly spaced ones.
  private static func levels(_ values: [Double]) -> [Double] {
    var levels: [Double] = []
    for value in values.sorted() where levels.last.map({ value > 1.05 * $0 }) ?? true {
      levels.append(value)
    }
    return levels.count <= 6 ? levels : spaced(levels[0], levels[levels.count - 1], count: 5)
  }

  /// Values from one to another, evenly spaced in their logarithm.
  static func spaced(_ low: Double, _ high: Double, count: Int = 60) -> [Double] {
    (0..<count).map { low * pow(high / low, Double($0) / Double(count - 1)) }
  }

  /// An axis of losses that spans those of runs.
  static func lossAxis(_ losses: [Double]) -> ChartAxis {
    let (least, most) = (losses.min() ?? 0, losses.max() ?? 1)
    let start = ((least - 0.1 * (most - least)) * 10).rounded(.down) / 10
    return ChartAxis("held-out loss, nats a token", from: start, upTo: most) {
      String(format: "%g", ($0 * 1e6).rounded() / 1e6)
    }
  }

  /// The mark of a run at one of its quantities.
  static func mark(
    at place: KeyPath<ScalingPoint, Double> & Sendable
  ) -> @Sendable (ScalingPoint) -> Chart.Point {
    { Chart.Point(x: $0[keyPath: place], y: $0.loss, note: note($0)) }
  }

  private static func note(_ point: ScalingPoint) -> String {
    "\(Format.count(point.parameters)) parameters, \(Format.count(point.tokens)) tokens: loss "
      + Format.fixed(point.loss)
  }
}
