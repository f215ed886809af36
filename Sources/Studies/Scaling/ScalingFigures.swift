import Reporting
import SequenceParallel

/// Charts under one title and one legend.
struct ScalingFigure: Sendable {
  /// What they show.
  let title: String
  /// How to read them.
  let caption: String
  /// The charts.
  let charts: [Chart]
}

/// The plots of a report.
struct ScalingFigures: Sendable {
  /// What was measured.
  let results: ScalingResults
  private var plan: ScalingPlan { results.plan }

  /// Of what was measured.
  init(_ results: ScalingResults) { self.results = results }

  /// The figures in their order.
  var all: [ScalingFigure] {
    [throughput, efficiency, memory, memoryByLength, bytes, waiting, reduction]
  }

  private var throughput: ScalingFigure {
    ScalingFigure(
      title: "Tokens a second",
      caption:
        "Over all ranks. Dashed: the fewest ranks' figure times the threads that have a core. "
        + "Bars: least and most of the repetitions.",
      charts: plan.studies.map { study in
        let series = lines(study) { results.spread($0, \.tokensPerSecond) }
        let ideal = ideal(study)
        return Chart(
          title: study.title, x: ranksAxis(study),
          y: ChartAxis("tokens a second", upTo: most(series + [ideal])) { ChartAxis.short($0) },
          series: [ideal] + series)
      })
  }

  private var efficiency: ScalingFigure {
    ScalingFigure(
      title: "Efficiency against ranks",
      caption:
        "Share of the fewest ranks' throughput that a thread with a core keeps. Where ranks share "
        + "cores it is the share of the total throughput.",
      charts: plan.studies.map { study in
        let series = lines(study) { results.efficiency($0, in: study) }
        let full = Chart.Series(
          "ideal", hue: nil, line: .dashed, ranks(study).map { Chart.Point(x: $0, y: 1) })
        return Chart(
          title: study.title, x: ranksAxis(study),
          y: percentAxis("efficiency", series + [full]), series: [full] + series)
      })
  }

  private var memory: ScalingFigure {
    ScalingFigure(
      title: "Memory a rank",
      caption: "The most that a rank's process ever had resident, of the rank that had most.",
      charts: plan.studies.map { study in
        let series = lines(study) { results.spread($0) { Double($0.peakMemory) } }
        return Chart(
          title: study.title, x: ranksAxis(study),
          y: ChartAxis("memory a rank", bytesUpTo: most(series)), series: series)
      })
  }

  private var memoryByLength: ScalingFigure {
    let counts = Set(plan.cases.map(\.ranks)).sorted()
    let exchange = plan.scaling.exchanges.first
    let series = counts.enumerated().map { index, count in
      let cases = plan.cases.filter {
        $0.ranks == count && ($0.exchange == exchange || $0.exchange == nil)
      }
      return Chart.Series(
        Format.number(count, of: "rank"), hue: index,
        points(cases, x: { Double($0.length) }) { results.spread($0) { Double($0.peakMemory) } })
    }
    let values = series.flatMap(\.points).map(\.x)
    return ScalingFigure(
      title: "Memory a rank against the sequence",
      caption: "More ranks hold longer sequences in the same memory.",
      charts: values.isEmpty
        ? []
        : [
          Chart(
            title: "all lengths" + (exchange.map { ", \($0.rawValue)" } ?? ""),
            x: ChartAxis("tokens of a sequence", values: values) { ChartAxis.short($0) },
            y: ChartAxis("memory a rank", bytesUpTo: most(series)), series: series)
        ])
  }

  private var waiting: ScalingFigure {
    shares("Waiting for states", "Mean share of a step that ranks wait for states.", \.waitShare)
  }

  private var reduction: ScalingFigure {
    shares(
      "Waiting for sums",
      "Mean share of a step that ranks wait for sums over ranks: gradients, losses.",
      \.reduceShare)
  }

  private func shares(
    _ title: String, _ caption: String, _ share: @Sendable (JobFigures) -> Double
  ) -> ScalingFigure {
    ScalingFigure(
      title: title, caption: caption,
      charts: plan.studies.map { study in
        let series = lines(study) { results.spread($0, share) }
        return Chart(
          title: study.title, x: ranksAxis(study), y: percentAxis("share of a step", series),
          series: series)
      })
  }

  // MARK: Parts

  /// A line an exchange over the ranks of a study.
  private func lines(
    _ study: ScalingStudy, _ figure: (ScalingCase) -> ScalingResults.Spread?
  ) -> [Chart.Series] {
    let exchanges = study.exchanges
    return exchanges.enumerated().map { index, exchange in
      Chart.Series(
        exchange?.rawValue ?? "no exchange", hue: hue(exchange),
        points(
          study.cases(exchange), x: { Double($0.ranks) },
          shift: 3 * (Double(index) - Double(exchanges.count - 1) / 2), figure))
    }
  }

  /// The points of cases, ascending in x; those of an exchange are moved by `shift`.
  func points(
    _ cases: [ScalingCase], x: (ScalingCase) -> Double, shift: Double = 0,
    _ figure: (ScalingCase) -> ScalingResults.Spread?
  ) -> [Chart.Point] {
    cases.compactMap { scalingCase in
      figure(scalingCase).map { spread in
        Chart.Point(
          x: x(scalingCase), y: spread.median, range: spread.least...spread.most,
          note: "\(Format.number(scalingCase.ranks, of: "rank")), "
            + "\(Format.grouped(scalingCase.length)) tokens, \(scalingCase.exchangeName): "
            + Format.digits(spread.median), shift: scalingCase.exchange == nil ? 0 : shift)
      }
    }.sorted { $0.x < $1.x }
  }

  /// The throughput that the fewest ranks promise.
  private func ideal(_ study: ScalingStudy) -> Chart.Series {
    let base = study.base(of: study.cases[0])
    let records = base.map(results.records) ?? []
    let points: [Chart.Point] =
      records.isEmpty
      ? []
      : study.cases(study.exchanges[0]).compactMap { scalingCase in
        guard let threads = results.records(scalingCase).first?.figures.parallelThreads else {
          return nil
        }
        let speed = records.map {
          $0.figures.tokensPerSecond / Double($0.figures.parallelThreads)
        }.median
        return Chart.Point(x: Double(scalingCase.ranks), y: speed * Double(threads))
      }
    return Chart.Series("ideal", hue: nil, line: .dashed, points)
  }

  /// The colour of an exchange.
  func hue(_ exchange: ExchangeKind?) -> Int {
    exchange.flatMap { ExchangeKind.allCases.firstIndex(of: $0) } ?? 3
  }

  private func ranks(_ study: ScalingStudy) -> [Double] {
    Set(study.cases.map { Double($0.ranks) }).sorted()
  }

  private func ranksAxis(_ study: ScalingStudy) -> ChartAxis {
    ChartAxis("ranks", values: ranks(study)) { ChartAxis.short($0) }
  }

  private func percentAxis(_ title: String, _ series: [Chart.Series]) -> ChartAxis {
    ChartAxis(title, upTo: max(0.01, most(series)), unit: 0.01) { ChartAxis.short($0 * 100) + "%" }
  }

  private func most(_ series: [Chart.Series]) -> Double {
    series.flatMap(\.points).map { max($0.y, $0.range?.upperBound ?? 0) }.max() ?? 1
  }
}
