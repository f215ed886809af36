import Reporting
import SequenceParallel

extension ScalingFigures {
  /// What crosses ranks, beside the communication model.
  var bytes: ScalingFigure {
    ScalingFigure(
      title: "Bytes that a rank sends a step",
      caption:
        "Of the rank that sends most. Points are measured, lines are the communication model: by "
        + "formula, from the sizes of the states. Grey: what other ways to share a sequence would send, by "
        + "formula too.",
      charts: [statesByRanks, statesByLength, others].compactMap { $0 })
  }

  /// Cases that share sequences, of the study with the longest ones.
  private var widest: ScalingStudy? {
    results.plan.studies.filter { $0.cases.contains { $0.exchange != nil } }
      .max { $0.tokens < $1.tokens }
  }

  private var statesByRanks: Chart? {
    guard let study = widest else { return nil }
    let series = study.exchanges.flatMap { exchange in
      pair(
        exchange, study.cases.filter { $0.exchange == exchange }, x: { Double($0.ranks) })
    }
    return chart(
      "states, any length", "ranks", series, label: { ChartAxis.short($0) })
  }

  private var statesByLength: Chart? {
    guard let ranks = results.plan.cases.filter({ $0.exchange != nil }).map(\.ranks).max() else {
      return nil
    }
    let cases = results.plan.cases.filter { $0.ranks == ranks && $0.exchange != nil }
    let series = results.plan.scaling.exchanges.flatMap { exchange in
      pair(exchange, cases.filter { $0.exchange == exchange }, x: { Double($0.length) })
    }
    var seen: Set<Int> = []
    let lengths = cases.filter { seen.insert($0.length).inserted }
    func other(_ name: String, _ bytes: (StateTraffic, Int) -> Double) -> Chart.Series {
      let points = lengths.compactMap { scalingCase in
        results.plan.traffic[scalingCase].map {
          Chart.Point(x: Double(scalingCase.length), y: bytes($0, scalingCase.length))
        }
      }
      return Chart.Series(name, hue: nil, line: .dashed, points.sorted { $0.x < $1.x })
    }
    let others = [
      other("Ring Attention (upper), DeepSpeed-Ulysses (lower)") {
        $0.ringAttentionBytes(length: $1)
      },
      other("Ring Attention (upper), DeepSpeed-Ulysses (lower)") { $0.ulyssesBytes(length: $1) },
    ]
    return chart(
      "states, \(Format.grouped(ranks)) ranks", "tokens of a sequence", others + series,
      label: { ChartAxis.short($0) })
  }

  /// Gradients, weights and halos.
  private var others: Chart? {
    guard let study = widest, let exchange = study.exchanges[0] else { return nil }
    let cases = study.cases.filter { $0.exchange == exchange }
    let kinds: [(String, Int, @Sendable (JobFigures) -> Double)] = [
      ("gradients", 3, { Double($0.gradientBytes) }),
      ("weights", 5, { Double($0.weightBytes) }),
      ("headers and halos, \(exchange.rawValue)", 4, { Double($0.haloBytes) }),
    ]
    let series = kinds.map { name, hue, bytes in
      Chart.Series(
        name, hue: hue,
        points(cases, x: { Double($0.ranks) }) { results.spread($0, bytes) }.filter { $0.y > 0 })
    }
    return chart("the rest", "ranks", series, label: { ChartAxis.short($0) })
  }

  /// What an exchange sends: measured points, and the model's line.
  private func pair(
    _ exchange: ExchangeKind?, _ cases: [ScalingCase], x: (ScalingCase) -> Double
  ) -> [Chart.Series] {
    let hue = hue(exchange)
    let name = exchange?.rawValue ?? "none"
    let model = cases.map { Chart.Point(x: x($0), y: Double(results.plan.modelBytes($0))) }
    let measured = points(cases, x: x) { results.spread($0) { Double($0.stateBytes) } }
    return [
      Chart.Series(
        "\(name), model", hue: hue, hasMarkers: false, model.sorted { $0.x < $1.x }),
      Chart.Series("\(name), measured", hue: hue, line: .none, measured),
    ]
  }

  private func chart(
    _ title: String, _ xTitle: String, _ series: [Chart.Series], label: (Double) -> String
  ) -> Chart? {
    let points = series.flatMap(\.points)
    guard points.contains(where: { $0.y > 0 }) else { return nil }
    return Chart(
      title: title, x: ChartAxis(xTitle, values: points.map(\.x), label: label),
      y: ChartAxis("bytes a step", bytes: points.map(\.y)), series: series)
  }
}
