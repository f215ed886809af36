import Reporting

/// The table of a report: a row a case, all figures, medians over the repetitions.
struct ScalingFigureTable: Sendable {
  private let results: ScalingResults

  /// Of what was measured.
  init(_ results: ScalingResults) { self.results = results }

  /// The element with its heading.
  var html: String {
    let heading = columns.map { "<th class=\"n\">\(Chart.escaped($0.name))</th>" }
    let rows = results.plan.cases.compactMap(row)
    return """
      <h2>All figures</h2>
      <p>A row a case, medians over its repetitions; scaling.csv has every job. Bytes and memory are of the rank
      that has most. Docs/Scaling.md says what each column means.</p>
      <div class="wide"><table class="all">
      <thead><tr>\(heading.joined())</tr></thead>
      <tbody>\(rows.joined(separator: "\n"))</tbody>
      </table></div>
      """
  }

  private var columns: [(name: String, cell: (ScalingCase) -> String)] {
    [
      ("ranks", { Format.grouped($0.ranks) }), ("length", { Format.grouped($0.length) }),
      ("batch", { Format.grouped($0.batch) }), ("tokens a rank", { Format.grouped($0.shard) }),
      ("exchange", \.exchangeName), ("jobs", { "\(results.records($0).count)" }),
      ("step, ms", median(\.stepSeconds) { short($0 * 1e3) }),
      ("tokens a second", median(\.tokensPerSecond, whole)),
      ("GFLOP/s", median(\.gigaflops, short)),
      ("weak", efficiency(.weak)), ("strong", efficiency(.strong)),
      ("memory, MiB", median({ Double($0.peakMemory) / 0x1p20 }, whole)),
      ("states, bytes", median({ Double($0.stateBytes) }, whole)),
      ("by the model", { Format.grouped(results.plan.modelBytes($0)) }),
      ("halos, bytes", median({ Double($0.haloBytes) }, whole)),
      ("gradients, bytes", median({ Double($0.gradientBytes) }, whole)),
      ("weights, bytes", median({ Double($0.weightBytes) }, whole)),
      ("wait", median(\.waitShare) { Format.percent($0) }),
      ("reduce", median(\.reduceShare) { Format.percent($0) }),
      ("hidden", median({ $0.hiddenShare ?? .nan }) { Format.percent($0) }),
      ("data", median(\.dataShare) { Format.percent($0) }),
    ]
  }

  private func row(_ scalingCase: ScalingCase) -> String? {
    guard !results.records(scalingCase).isEmpty else { return nil }
    let cells = columns.map { "<td class=\"n\">\(Chart.escaped($0.cell(scalingCase)))</td>" }
    return "<tr>\(cells.joined())</tr>"
  }

  private func median(
    _ figure: @escaping (JobFigures) -> Double, _ text: @escaping (Double) -> String
  ) -> (ScalingCase) -> String {
    { scalingCase in results.spread(scalingCase, figure).map { text($0.median) } ?? "-" }
  }

  private func efficiency(_ kind: ScalingStudy.Kind) -> (ScalingCase) -> String {
    { scalingCase in
      let study = results.plan.studies.first {
        $0.kind == kind && $0.cases.contains(scalingCase)
      }
      return Format.percent(study.flatMap { results.efficiency(scalingCase, in: $0)?.median })
    }
  }

  /// A decimal where it says something.
  private func short(_ value: Double) -> String {
    value < 999.95 ? String(format: "%.1f", value) : whole(value)
  }

  private func whole(_ value: Double) -> String { Format.grouped(Int(value.rounded())) }
}
