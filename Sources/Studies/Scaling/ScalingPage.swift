import Reporting

/// `scaling.html`: the report, complete in itself, for light and dark screens.
struct ScalingPage: Sendable {
  /// What was measured.
  let results: ScalingResults
  let facts: MachineFacts
  /// What could not be measured, and why.
  let gaps: [String]

  /// Makes the page of what is known so far.
  init(_ results: ScalingResults, _ facts: MachineFacts, gaps: [String]) {
    (self.results, self.facts, self.gaps) = (results, facts, gaps)
  }

  /// The whole file.
  var html: String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Scaling: \(text(results.plan.model))</title>
    <style>
    \(Self.style)
    </style>
    </head>
    <body>
    <main>
    <h1>Scaling</h1>
    \(header)
    \(notes)
    \(efficiencies)
    \(figures.map(section).joined(separator: "\n"))
    \(ScalingFigureTable(results).html)
    </main>
    </body>
    </html>

    """
  }

  private var header: String {
    let plan = results.plan
    let start = results.records.first?.start
    let hosts = Set(results.records.flatMap(\.start.hosts)).sorted()
    let rows: [(String, String)] = [
      ("model", plan.model),
      ("machine", [facts.machine, facts.cores, facts.cpu, facts.memory].joined(separator: ", ")),
      ("hosts", hosts.prefix(8).joined(separator: ", ") + (hosts.count > 8 ? ", …" : "")),
      (
        "ranks",
        start.map { "\(Format.number($0.threads, of: "thread")) each, OpenBLAS for \($0.blasCore)" }
          ?? ""
      ),
      ("versions", "lasp-train \(Release.version), \(facts.launcher), \(facts.system)"),
      (
        "jobs",
        "\(results.records.count) of \(plan.jobs): "
          + "\(Format.number(plan.cases.count, of: "case")) taking turns, "
          + "\(Format.number(plan.scaling.repetitions, of: "repetition")), "
          + "\(Format.number(plan.scaling.steps, of: "step")) each, the first "
          + "\(plan.scaling.warmup) not counted"
      ),
      ("date", facts.date), ("command", facts.command),
    ]
    return "<dl>"
      + rows.filter { !$0.1.isEmpty }
      .map { "<dt>\($0.0)</dt><dd>\(text($0.1))</dd>" }.joined(separator: "\n") + "</dl>"
  }

  private var notes: String {
    let crowded = results.records.filter(\.isCrowded)
      .min { $0.scalingCase.ranks < $1.scalingCase.ranks }
    let lines =
      (crowded.map { ["<p class=\"note\">\(text(ScalingTable.crowded($0))).</p>"] } ?? [])
      + (ScalingTable.disturbed(results.records).map { ["<p class=\"note\">\(text($0)).</p>"] }
        ?? [])
      + gaps.map { "<p class=\"note\">Not measured: \(text($0))</p>" }
    return lines.joined(separator: "\n")
  }

  /// The result in a few numbers: an efficiency for each study, exchange and number of ranks.
  private var efficiencies: String {
    let ranks = Set(results.plan.cases.map(\.ranks)).sorted()
    let rows = results.plan.studies.flatMap { study in
      study.exchanges.map { exchange in
        let cells = ranks.map { count in
          study.cases(exchange).first { $0.ranks == count }
            .flatMap { results.efficiency($0, in: study)?.median }
        }
        return "<tr><th>\(text(study.title))</th><td>\(exchange?.rawValue ?? "none")</td>"
          + cells.map { "<td class=\"n\">\(Format.percent($0))</td>" }.joined() + "</tr>"
      }
    }
    let heading = ranks.map {
      "<th class=\"n\">\(Format.grouped($0)) rank\($0 == 1 ? "" : "s")</th>"
    }
    return """
      <h2>Efficiency</h2>
      <p>Throughput by thread that has a core, against the fewest ranks: the median over repetitions.</p>
      <div class="wide"><table>
      <thead><tr><th>study</th><th>exchange</th>\(heading.joined())</tr></thead>
      <tbody>\(rows.joined(separator: "\n"))</tbody>
      </table></div>
      """
  }

  private var figures: [ScalingFigure] { ScalingFigures(results).all }

  private func section(_ figure: ScalingFigure) -> String {
    let charts = figure.charts.filter { $0.series.contains { !$0.points.isEmpty } }
    var keys: [String] = []
    for series in charts.flatMap(\.series) where !series.points.isEmpty {
      let key = "<span>\(Chart.key(series)) \(text(series.name))</span>"
      if !keys.contains(key) { keys.append(key) }
    }
    guard !charts.isEmpty else { return "" }
    return """
      <h2>\(text(figure.title))</h2>
      <p>\(text(figure.caption))</p>
      <p class="legend">\(keys.joined(separator: "\n"))</p>
      <div class="charts">
      \(charts.map { "<figure>\($0.svg)</figure>" }.joined(separator: "\n"))
      </div>
      """
  }

  private func text(_ text: String) -> String { Chart.escaped(text) }

  private static let style = """
    \(PageStyle.common)
    \(PageStyle.figures)
    .all { font-size: 12px; }
    .all th, .all td { padding: 3px 7px; }
    """
}
