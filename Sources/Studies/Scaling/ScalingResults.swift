import Observation

/// What the jobs have measured so far.
struct ScalingResults: Sendable {
  /// One job.
  struct Record: Sendable {
    /// What was measured.
    let scalingCase: ScalingCase
    /// Which time, from 1.
    let repetition: Int
    /// The figures.
    let figures: JobFigures
    /// What the run said of itself.
    let start: RunRecord.Start

    /// Whether ranks shared cores.
    var isCrowded: Bool { figures.parallelThreads < scalingCase.ranks * start.threads }

    /// Whether something beside the job took cores from it: more than its own ranks take from each other.
    var isDisturbed: Bool {
      let threads = Double(scalingCase.ranks * start.threads)
      let own = max(0, 1 - Double(figures.parallelThreads) / threads)
      return (figures.shareWithoutCore ?? 0) > own + 0.1
    }
  }

  /// A figure over the repetitions of a case.
  struct Spread: Sendable, Equatable {
    /// Median, least and most.
    let median, least, most: Double

    /// Of several values; nil of none.
    init?(_ values: [Double]) {
      guard let least = values.min(), let most = values.max() else { return nil }
      (median, self.least, self.most) = (values.median, least, most)
    }
  }

  /// What was to be measured.
  let plan: ScalingPlan
  /// The jobs that ended well, in their order.
  private(set) var records: [Record] = []

  init(plan: ScalingPlan) { self.plan = plan }

  /// Adds a job.
  mutating func add(_ record: Record) { records.append(record) }

  /// The jobs of a case.
  func records(_ scalingCase: ScalingCase) -> [Record] {
    records.filter { $0.scalingCase == scalingCase }
  }

  /// A case's figure over its repetitions; nil where none ended well.
  func spread(_ scalingCase: ScalingCase, _ figure: (JobFigures) -> Double) -> Spread? {
    Spread(records(scalingCase).map { figure($0.figures) })
  }

  /// A case's efficiency in a study over its repetitions.
  func efficiency(_ scalingCase: ScalingCase, in study: ScalingStudy) -> Spread? {
    Spread(records(scalingCase).compactMap { efficiency($0, in: study) })
  }

  /// A job's efficiency in the study of a kind that it belongs to; nil where there is none.
  func efficiency(_ record: Record, _ kind: ScalingStudy.Kind) -> Double? {
    plan.studies.first { $0.kind == kind && $0.cases.contains(record.scalingCase) }
      .flatMap { efficiency(record, in: $0) }
  }

  /// Against the fewest ranks in the same repetition, so that both met the same state of the machine.
  private func efficiency(_ record: Record, in study: ScalingStudy) -> Double? {
    guard let base = study.base(of: record.scalingCase) else { return nil }
    return records(base).first { $0.repetition == record.repetition }
      .map { record.figures.efficiency(over: $0.figures) }
  }
}
