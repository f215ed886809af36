import Files
import Foundation

/// `lasp-train scaling`: the same training on more and more ranks, as whole jobs.
///
/// Concretely: every case of the plan once, then every case again, and so on, so that a drift of the machine
/// meets all alike. After every job `scaling.csv` and `scaling.html` hold all that is known so far.
public enum Scaling {
  /// Runs all jobs, prints a row as each ends, and writes the report.
  ///
  /// - Throws: What is wrong with the request, before anything runs; `ScalingError` where a job failed or the
  ///   measurement was interrupted, once what there is has been written.
  public static func run(_ request: ScalingRequest) throws {
    let launcher = try MPILauncher(launcher: request.launcher, hostfile: request.hostfile)
    let plan = try ScalingPlan(request)
    let folder = try JobFolder(request.output, purpose: "scaling")
    let facts = MachineFacts(launcher)
    let output = TerminalOutput.standard()
    for line in banner(plan, facts, folder) { output.line(line) }
    var measurement = ScalingMeasurement(
      plan: plan, launcher: launcher, folder: folder, facts: facts, output: output)
    try measurement.run()
    for study in plan.studies {
      output.line("")
      for line in ScalingTable.summary(study, of: measurement.results) { output.line(line) }
    }
    output.line("\nfigures  \(folder.path)/scaling.csv\nreport   \(folder.path)/scaling.html")
    guard measurement.gaps.isEmpty else {
      throw ScalingError("incomplete: " + measurement.gaps.joined(separator: "; "))
    }
  }

  private static func banner(
    _ plan: ScalingPlan, _ facts: MachineFacts, _ folder: JobFolder
  ) -> [String] {
    let request = plan.request
    return [
      "lasp-train \(Release.version): scaling",
      "  machine  \(facts.machine), \(facts.cores), \(facts.cpu)",
      "  model    \(plan.model)",
      "  jobs     \(plan.jobs) = \(Human.number(plan.cases.count, of: "case")) × "
        + "\(Human.number(request.repetitions, of: "repetition")), each of "
        + "\(Human.number(request.steps, of: "step")), the first \(request.warmup) not counted",
      "  folder   \(folder.path)", "",
    ]
  }
}

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

  /// Begins.
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
    output.line(ScalingTable.heading)
    for repetition in 1...plan.request.repetitions {
      for scalingCase in plan.cases {
        number += 1
        guard !failed.contains(scalingCase) else { continue }
        let job = plan.job(scalingCase, repetition: repetition)
        do {
          try measure(job, scalingCase, repetition: repetition, runner)
        } catch JobError.interrupted {
          gaps.append("interrupted in job \(number) of \(plan.jobs), \(job.name)")
          return try write()
        } catch let error as JobError {
          failed.insert(scalingCase)
          gaps.append("job \(job.name) failed: \(error)")
          output.line(
            ScalingTable.row(
              failed: scalingCase, number: number, jobs: plan.jobs, reason: "\(error)"))
          continue
        }
        guard let record = results.records.last else { continue }
        if record.isCrowded, !hasSaidCrowded {
          hasSaidCrowded = true
          output.line(ScalingTable.crowded(record))
        }
        output.line(ScalingTable.row(record, number: number, of: results))
        try write()
      }
    }
  }

  private mutating func measure(
    _ job: RankJob, _ scalingCase: ScalingCase, repetition: Int, _ runner: JobRunner
  ) throws {
    let log = try job.run(launcher, runner, in: folder)
    let figures = try JobFigures(
      log, warmup: plan.request.warmup, path: "\(folder.path)/jobs/\(job.name)/log.jsonl")
    results.add(
      ScalingResults.Record(
        scalingCase: scalingCase, repetition: repetition, figures: figures, start: log.start))
  }

  private func write() throws {
    let page = ScalingPage(results, facts, gaps: gaps)
    try AtomicFile.write(
      Data(ScalingCSV.text(results).utf8), to: "\(folder.path)/scaling.csv")
    try AtomicFile.write(Data(page.html.utf8), to: "\(folder.path)/scaling.html")
  }
}
