import Files
import Foundation
import Reporting

/// The jobs at work.
struct ScalingMeasurement {
  private let plan: ScalingPlan
  private let launcher: MPILauncher
  private let folder: JobFolder
  private let facts: MachineFacts
  private let output: TerminalOutput
  /// What has been measured.
  private(set) var results: ScalingResults
  /// What has not, and why.
  private(set) var gaps: [String] = []
  private var failed: Set<ScalingCase> = []
  private var hasSaidCrowded = false

  init(
    plan: ScalingPlan, launcher: MPILauncher, folder: JobFolder, facts: MachineFacts,
    output: TerminalOutput
  ) {
    (self.plan, self.launcher, self.folder) = (plan, launcher, folder)
    (self.facts, self.output) = (facts, output)
    results = ScalingResults(plan: plan)
  }

  /// Runs all jobs; a case that fails is not tried again.
  ///
  /// - Throws: `FileError` where the report cannot be written.
  mutating func run() throws {
    let runner = JobRunner()
    var number = 0
    output.line(ScalingTable.heading(width: output.tableWidth))
    let progress = ProgressDisplay("scaling", output: output)
    defer { progress.end() }
    for repetition in 1...plan.scaling.repetitions {
      for scalingCase in plan.cases {
        number += 1
        guard !failed.contains(scalingCase) else { continue }
        let job = plan.job(scalingCase, repetition: repetition)
        progress.show(
          Double(number - 1), of: Double(plan.jobs),
          note: "job \(number) of \(plan.jobs), \(job.name)")
        do {
          try measure(job, scalingCase, repetition: repetition, runner)
          progress.end()
        } catch JobError.interrupted {
          gaps.append("interrupted in job \(number) of \(plan.jobs), \(job.name)")
          return try write()
        } catch let error as JobError {
          failed.insert(scalingCase)
          gaps.append("job \(job.name) failed: \(error)")
          output.line(
            ScalingTable.row(
              failed: scalingCase, number: number, jobs: plan.jobs, reason: "\(error)",
              width: output.tableWidth))
          continue
        }
        guard let record = results.records.last else { continue }
        if record.isCrowded, !hasSaidCrowded {
          hasSaidCrowded = true
          output.line(ScalingTable.crowded(record))
        }
        output.line(
          ScalingTable.row(record, number: number, of: results, width: output.tableWidth))
        try write()
      }
    }
  }

  private mutating func measure(
    _ job: RankJob, _ scalingCase: ScalingCase, repetition: Int, _ runner: JobRunner
  ) throws {
    let log = try job.run(launcher, runner, in: folder)
    let figures = try JobFigures(
      log, warmup: plan.scaling.warmup, path: "\(folder.path)/jobs/\(job.name)/log.jsonl")
    guard let start = log.start else { preconditionFailure("figures of a log without a start") }
    results.add(
      ScalingResults.Record(
        scalingCase: scalingCase, repetition: repetition, figures: figures, start: start))
  }

  private func write() throws {
    let page = ScalingPage(results, facts, gaps: gaps)
    try AtomicFile.write(
      Data(ScalingCSV.text(results).utf8), to: "\(folder.path)/scaling.csv")
    try AtomicFile.write(Data(page.html.utf8), to: "\(folder.path)/scaling.html")
  }
}
