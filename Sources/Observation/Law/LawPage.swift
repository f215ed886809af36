import Foundation
import Reporting
import ScalingLaws

/// `law.html`: the laws and their curves, complete in itself, for light and dark screens.
struct LawPage: Sendable {
  private let report: LawReport

  init(_ report: LawReport) { self.report = report }

  /// The whole file.
  var html: String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Scaling laws by \(text(report.runs.key))</title>
    <style>
    \(PageStyle.common)
    \(PageStyle.figures)
    .legend { font-size: 12px; margin: 4px 6px 6px; }
    figure .legend .key { display: inline; width: 30px; height: 14px; }
    .charts { margin-top: 12px; }
    </style>
    </head>
    <body>
    <main>
    <h1>Scaling laws by \(text(report.runs.key))</h1>
    <p>\(text(LawReport.legend)). In brackets where 95 of 100 resamples of the runs have a figure. Fitted to held-out losses
    at the end of training by least Huber loss of their logarithms, as in arXiv 2203.15556.</p>
    \(table)
    \(notes(report.runs.notices + problems))
    <h2>Loss against operations</h2>
    <p>Each mark is a run, at C = 6 N D operations. Lines: the least loss that so many operations pay for, by the law.</p>
    <div class="charts">\(figure(compute))</div>
    \(report.fitted.map(section).joined(separator: "\n"))
    \(leftOut)
    </main>
    </body>
    </html>

    """
  }

  private var problems: [String] {
    report.laws.compactMap { law in
      if case .failure(let problem) = law.fit {
        "\(law.group.name): no law: \(problem)"
      } else {
        nil
      }
    }
  }

  private var leftOut: String {
    guard !report.runs.leftOut.isEmpty else { return "" }
    let items = report.runs.leftOut.map { "<li>\(text($0.run)): \(text($0.reason))</li>" }
    return "<h2>Runs left out</h2>\n<ul>\(items.joined(separator: "\n"))</ul>"
  }

  private func notes(_ notes: [String]) -> String {
    notes.map { "<p class=\"note\">\(text($0)).</p>" }.joined(separator: "\n")
  }

  private var table: String {
    let rows = report.fitted.map { group, fit in
      let cells = [
        "\(group.runs.count)", LawReport.text(fit.estimate(\.irreducible)),
        LawReport.text(fit.estimate { exp($0.logA) }), LawReport.text(fit.estimate(\.alpha)),
        LawReport.text(fit.estimate { exp($0.logB) }), LawReport.text(fit.estimate(\.beta)),
        LawReport.text(fit.estimate(\.parameterShare)), Format.percent(fit.error, decimals: 2),
      ]
      return "<tr><th>\(text(group.name))</th>"
        + cells.map { "<td class=\"n\">\(text($0))</td>" }.joined() + "</tr>"
    }
    let heads = ["runs", "E", "A", "α", "B", "β", "best N grows as C to the", "error"]
    return """
      <div class="wide"><table>
      <thead><tr><th>\(text(report.runs.key))</th>\(heads.map { "<th class=\"n\">\($0)</th>" }.joined())</tr></thead>
      <tbody>\(rows.joined(separator: "\n"))</tbody>
      </table></div>
      """
  }

  private func section(_ law: (group: LawRuns.Group, fit: LawFit)) -> String {
    let charts = LawCharts(law.fit)
    return """
      <h2>\(text(law.group.name))</h2>
      <p>\(text(LawReport.formula(law.fit))), \(text(LawReport.extent(law.fit))). Marks are runs, in the colour of the nearest
      line; lines are the law.</p>
      \(notes(law.fit.cautions))
      \(answers(law.fit))
      <div class="charts">
      \([charts.byParameters, charts.byTokens, charts.isoLoss].map(figure).joined(separator: "\n"))
      </div>
      """
  }

  /// What was asked of a law.
  private func answers(_ fit: LawFit) -> String {
    func row(_ cells: [String]) -> String {
      "<tr>" + cells.map { "<td class=\"n\">\(text($0))</td>" }.joined() + "</tr>"
    }
    let predictions = report.questions.predictions.map { n, d in
      row([
        Format.count(n), Format.count(d), LawReport.operations(6 * n * d),
        LawReport.text(fit.estimate { $0.loss(parameters: n, tokens: d) })
          + LawReport.beyond(fit.reach(parameters: n, tokens: d)),
      ])
    }
    let optima = report.questions.budgets.map { budget in
      let best = fit.law.optimum(compute: budget)
      return row([
        Format.count(best.parameters), Format.count(best.tokens), LawReport.operations(budget),
        LawReport.text(fit.estimate { $0.leastLoss(compute: budget) })
          + LawReport.beyond(fit.reach(parameters: best.parameters, tokens: best.tokens)),
      ])
    }
    guard !(predictions + optima).isEmpty else { return "" }
    return """
      <div class="wide"><table>
      <thead><tr><th class="n">parameters</th><th class="n">tokens</th><th class="n">operations</th>
      <th class="n">loss by the law</th></tr></thead>
      <tbody>\((predictions + optima).joined(separator: "\n"))</tbody></table></div>
      """
  }

  /// All runs against what their training took, and the best that the laws know.
  private var compute: Chart {
    let all = report.fitted
    let values = all.flatMap { $0.fit.points.map(\.compute) }
    let losses = all.flatMap { $0.fit.points.map(\.loss) }
    let series = all.enumerated().flatMap { hue, one in
      let points = one.fit.points.sorted { $0.compute < $1.compute }
      let frontier = LawCharts.spaced(values.min() ?? 1, values.max() ?? 1).map {
        Chart.Point(x: $0, y: one.fit.law.leastLoss(compute: $0))
      }
      return [
        Chart.Series(one.group.name, hue: hue, hasMarkers: false, frontier),
        Chart.Series(
          "runs of \(one.group.name)", hue: hue, line: .none,
          points.map(LawCharts.mark(at: \.compute))),
      ]
    }
    return Chart(
      title: "all runs",
      x: ChartAxis("operations of training, 6 N D", decades: values, label: LawReport.operations),
      y: LawCharts.lossAxis(losses), series: series)
  }

  private func figure(_ chart: Chart) -> String {
    let keys = chart.series.filter { !$0.points.isEmpty && !$0.name.isEmpty }.map {
      "<span>\(Chart.key($0)) \(text($0.name))</span>"
    }
    return "<figure>\(chart.svg)<p class=\"legend\">\(keys.joined(separator: "\n"))</p></figure>"
  }

  private func text(_ text: String) -> String { Chart.escaped(text) }
}
