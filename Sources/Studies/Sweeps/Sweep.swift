import Configuration
import Files
import Foundation
import Observation
import Reporting
import Training

/// `lasp-train sweep`: many runs that differ in some keys, as whole jobs, each once.
///
/// Concretely: the runs are what is given in the sweep file, all ways of its lists. Each has a folder of its own in that of
/// the sweep, which says how it stands: what is finished is not done again, what was interrupted goes on.
package struct Sweep: Sendable {
  /// The sweep file.
  package var file: String
  /// Keys of the run file that are set for all runs.
  package var overrides: [Override]
  /// The number of the only run that is done; nil for all.
  package var only: Int?
  /// Whether runs that failed are tried again.
  package var retries = false
  /// Whether runs that are there with other keys are done anew.
  package var overwrites = false
  /// The launcher with its options; nil for Open MPI's mpirun, where a run has several ranks.
  package var launcher: String?
  /// File with a host a line.
  package var hostfile: String?
  /// The sweep's folder; nil for `runs/` and the name of the file.
  package var output: String?
  /// How much is said meanwhile; nil for what suits where it ends.
  package var console: ConsoleMode?

  package init(file: String, overrides: [Override]) {
    (self.file, self.overrides) = (file, overrides)
  }

  /// The sweep's folder.
  var folder: SweepFolder {
    let name = URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent
    return SweepFolder(path: output ?? "runs/\(SweepChoice.plain(name))")
  }

  private func plan() throws -> SweepPlan {
    try SweepPlan(try SweepFile(path: file), overrides: overrides)
  }

  /// Prints the runs, what each needs and how it stands, and starts none.
  package func list() throws {
    let plan = try plan()
    let (folder, output) = (folder, TerminalOutput.standard(console))
    for line in banner(plan) { output.line(line) }
    let table = SweepTable(plan, width: output.width)
    var rows: [[String]] = []
    var known: [String: Int] = [:]
    let progress = ProgressDisplay("rehearsing", output: output)
    for run in plan.runs {
      progress.show(Double(run.number - 1), of: Double(plan.runs.count), note: run.name)
      // Seeds change no memory.
      let text = run.runFile.split(separator: "\n").filter { !$0.contains("seed") }.joined()
      let bytes = try known[text] ?? Plan.memory(run.configuration, processes: plan.section.ranks)
      known[text] = bytes
      rows.append(table.listed(run, bytes: bytes, try folder.state(run)))
    }
    progress.end()
    for line in table.listing(rows) { output.line(line) }
    let most =
      (known.values.max() ?? 0) * plan.section.ranks * min(plan.section.jobs, plan.runs.count)
    let tokens = plan.runs.reduce(0) { $0 + $1.tokens }
    output.line(
      "\n\(Format.count(tokens)) tokens in all; \(Format.bytes(most)) of memory at most, for "
        + "\(Format.number(min(plan.section.jobs, plan.runs.count), of: "run")) at once")
  }

  /// Prints a script for Slurm that does each run as a task of an array.
  package func script() throws {
    let plan = try plan()
    print(SweepScript(self, plan).text, terminator: "")
  }

  /// Does the runs that are left.
  ///
  /// - Throws: What is wrong with what was asked for, before anything runs; `SweepError` where runs failed or were
  ///   stopped, once the others are done.
  package func run() throws {
    let plan = try plan()
    let folder = folder
    if let only, !plan.runs.contains(where: { $0.number == only }) {
      throw SweepError.request("--only \(only): there are runs 1 to \(plan.runs.count)")
    }
    let chosen = plan.runs.filter { only == nil || $0.number == only }
    let states = try chosen.map { try check($0, in: folder) }
    let left = zip(chosen, states).filter { run, state in
      if case .failed = state { return retries }
      return state.isOpen
    }.map(\.0)
    let output = TerminalOutput.standard(console)
    try FileSystem.makeFolder(folder.path)
    if only == nil {
      for line in banner(plan) + standing(chosen, states, left) { output.line(line) }
    }
    let work = try SweepWork(self, plan, left, in: folder, output: output)
    try work.run()
    try report(plan, chosen, folder, output, isInterrupted: work.isInterrupted)
  }

  /// How a run stands; one that is there with other keys is refused, or made room for.
  private func check(_ run: SweepRun, in folder: SweepFolder) throws -> SweepFolder.State {
    let state = try folder.state(run)
    guard let (there, asked) = folder.difference(run) else { return state }
    guard overwrites, state != .running else {
      throw SweepError.request(
        "\(folder.place(run)) holds this run with other keys: \(there), where \(file) now asks for \(asked); give another "
          + "--output, or --overwrite to do such runs anew")
    }
    try folder.remove(run)
    return .waiting
  }

  private func banner(_ plan: SweepPlan) -> [String] {
    let section = plan.section
    let matched = plan.runs.compactMap(\.mismatch).map(abs).max()
    let worst = plan.runs.max { abs($0.mismatch ?? 0) < abs($1.mismatch ?? 0) }
    return [
      "lasp-train \(Release.version): sweep \(file)",
      "  runs     \(Format.number(plan.runs.count, of: "run")), \(section.jobs) at once, each on "
        + Format.number(section.ranks, of: "rank"),
      matched.map {
        "  widths   parameters within \(Format.percent($0)) of the target"
          + ($0 > 0.02 ? ", furthest \(worst?.name ?? "")" : "")
      },
      "  folder   \(folder.path)",
    ].compactMap { $0 }
  }

  private func standing(
    _ runs: [SweepRun], _ states: [SweepFolder.State], _ left: [SweepRun]
  ) -> [String] {
    func count(_ word: String) -> String? {
      let count = states.count { $0.word == word }
      return count > 0 ? "\(count) \(word)" : nil
    }
    let parts = ["finished", "interrupted", "failed", "running", "waiting"].compactMap(count)
    let isRetrying = retries ? "" : ", those that failed are left: --retry tries them again"
    return [
      "  to do    \(left.count) of \(runs.count): \(parts.joined(separator: ", "))"
        + (states.contains { $0.word == "failed" } ? isRetrying : "")
    ]
  }

  /// Says what came of all runs, and throws where that is not all that was asked for.
  private func report(
    _ plan: SweepPlan, _ chosen: [SweepRun], _ folder: SweepFolder, _ output: TerminalOutput,
    isInterrupted: Bool
  ) throws {
    let states = try chosen.map { ($0, try folder.state($0)) }
    if only == nil {
      let records = try chosen.map { try folder.record($0) }.filter { $0.start != nil }
      if !records.isEmpty {
        let comparison = try RunComparison(records)
        output.line("")
        for line in comparison.lines(width: output.width) { output.line(line) }
        let page = "\(folder.path)/sweep.html"
        try ComparisonPage(comparison, title: folder.path).write(to: page)
        output.line("\nruns     \(folder.path)/sweep.json\npage     \(page)")
      }
    }
    let failed = states.compactMap { run, state -> String? in
      guard case .failed(let code, let words) = state else { return nil }
      return "failed   \(run.name), exit code \(code): \(words)\n         all it said is in "
        + folder.output(run)
    }
    for line in failed { output.notice(line) }
    let left = states.count { $0.1.isOpen }
    let again = CommandLine.arguments.map(MachineFacts.quoted).joined(separator: " ")
    let elsewhere = states.count { $0.1 == .running }
    if elsewhere > 0 {
      output.notice(
        "\(Format.number(elsewhere, of: "run")) of them \(elsewhere == 1 ? "is" : "are") at work for another process"
      )
    }
    if isInterrupted || left > 0 && failed.isEmpty {
      throw SweepError.stopped(
        "stopped with \(Format.number(left, of: "run")) left of \(states.count); the same command goes on: \(again)"
      )
    }
    if !failed.isEmpty {
      throw SweepError.failed(
        "\(Format.number(failed.count, of: "run")) of \(states.count) failed; --retry tries them again"
      )
    }
  }
}
