import Reporting

/// What the console shows of a measurement: a row a job, and in the end the efficiencies.
enum ScalingTable {
  private static let columns: [(name: String, width: Int)] = [
    ("job", 8), ("ranks", 6), ("length", 11), ("a rank", 10), ("exchange", 9), ("step", 9),
    ("tok/s", 7), ("weak", 7), ("strong", 7), ("memory", 9), ("states", 9), ("wait", 5),
    ("reduce", 7),
  ]
  /// Columns that a narrow line has no room for, the first first.
  private static let dropping = ["states", "memory", "reduce", "a rank"]

  /// The names of the columns, of which as many are shown as a line of `width` characters has room for.
  static func heading(width: Int) -> String { row(columns.map(\.name), width: width) }

  /// The row of a job that has just ended.
  ///
  /// - Parameter number: Which job it is, from 1.
  static func row(
    _ record: ScalingResults.Record, number: Int, of results: ScalingResults, width: Int
  ) -> String {
    let figures = record.figures
    return row(
      names(record.scalingCase, number: number, of: results.plan.jobs) + [
        Format.seconds(figures.stepSeconds), Format.count(figures.tokensPerSecond),
        Format.percent(results.efficiency(record, .weak)),
        Format.percent(results.efficiency(record, .strong)), Format.bytes(figures.peakMemory),
        Format.bytes(figures.stateBytes), Format.percent(figures.waitShare, decimals: 0),
        Format.percent(figures.reduceShare, decimals: 0),
      ], width: width) + (record.isDisturbed ? " *" : "")
  }

  /// What the mark of a row means; nil where no row has it.
  static func disturbed(_ records: [ScalingResults.Record]) -> String? {
    let marked = records.filter(\.isDisturbed)
    guard !marked.isEmpty else { return nil }
    let most = marked.compactMap(\.figures.shareWithoutCore).max()
    return
      "\(Format.number(marked.count, of: "job")) of \(records.count) ran on a busy machine: something else had their "
      + "cores for up to \(Format.percent(most, decimals: 0)) of the computing time; measure them again"
  }

  /// The row of a job that failed: its first columns, and why there are no others.
  static func row(
    failed scalingCase: ScalingCase, number: Int, jobs: Int, reason: String, width: Int
  ) -> String {
    row(names(scalingCase, number: number, of: jobs), width: width) + "  failed: \(reason)"
  }

  /// The efficiencies of a study: a row an exchange, a column a number of ranks.
  static func summary(_ study: ScalingStudy, of results: ScalingResults) -> [String] {
    let ranks = Set(study.cases.map(\.ranks)).sorted()
    let rows = study.exchanges.map { exchange in
      let cells = ranks.map { count in
        study.cases(exchange).first { $0.ranks == count }
          .flatMap { results.efficiency($0, in: study)?.median }
      }
      return Format.left("  \(exchange?.rawValue ?? "none")", 44)
        + cells.map { Format.right(Format.percent($0), 8) }.joined()
    }
    let heading = ranks.map { Format.right(Format.grouped($0), 8) }.joined()
    return [Format.left(study.title + ", ranks:", 44) + heading] + rows
  }

  /// What efficiency means where ranks share cores.
  static func crowded(_ record: ScalingResults.Record) -> String {
    let ranks = Format.number(record.scalingCase.ranks * record.start.threads, of: "rank")
    let cores = Format.number(record.figures.parallelThreads, of: "core")
    return
      "\(ranks) share \(cores): where ranks exceed cores, efficiency means the total throughput kept, "
      + "not a gain by more ranks"
  }

  private static func names(_ scalingCase: ScalingCase, number: Int, of jobs: Int) -> [String] {
    [
      "\(number)/\(jobs)", Format.grouped(scalingCase.ranks), Format.grouped(scalingCase.length),
      Format.grouped(scalingCase.shard), scalingCase.exchangeName,
    ]
  }

  private static func row(_ cells: [String], width: Int) -> String {
    // The mark of a disturbed job stands behind.
    var room = width - 2 - columns.reduce(0) { $0 + $1.width }
    var dropped: Set<String> = []
    for name in dropping where room < 0 {
      dropped.insert(name)
      room += columns.first { $0.name == name }!.width
    }
    return zip(cells, columns).filter { !dropped.contains($1.name) }
      .map { Format.right($0, $1.width) }.joined()
  }
}
