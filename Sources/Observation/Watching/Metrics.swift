import Foundation

/// Runs as Prometheus reads them.
///
/// - Source: Prometheus' text-based exposition format, version 0.0.4.
struct Metrics {
  private let runs: [RunRecord]

  init(_ runs: [RunRecord]) { self.runs = runs }

  /// The whole answer.
  var text: String {
    var text = ""
    func add(
      _ name: String, _ help: String, _ kind: String = "gauge",
      _ samples: (RunRecord) -> [(labels: [(String, String)], value: Double?)]
    ) {
      let lines = runs.flatMap { run in
        samples(run).compactMap { labels, value in
          value.map { Self.sample("lasp_\(name)", [("run", run.name)] + labels, $0) }
        }
      }
      guard !lines.isEmpty else { return }
      text += "# HELP lasp_\(name) \(help)\n# TYPE lasp_\(name) \(kind)\n" + lines.joined()
    }
    func addStep(_ name: String, _ help: String, _ value: (RunRecord.Step) -> Double?) {
      add(name, help) { [([], $0.steps.last.flatMap(value))] }
    }
    add("run_info", "A run, with its folder and the program's version.") { run in
      [([("folder", run.folder), ("version", run.start?.version ?? "")], 1)]
    }
    add("run_running", "Whether the log has no end.") { [([], $0.end == nil ? 1 : 0)] }
    add("last_event_seconds", "When the log was written last, in seconds since 1970.") {
      [([], $0.lastTime.map { Moment.seconds($0) })]
    }
    add("steps", "Steps of the whole run.") { [([], $0.start?.steps.map(Double.init))] }
    add("ranks", "Ranks of the run.") { [([], ($0.start?.ranks).map(Double.init))] }
    add("step", "Steps done.") { [([], Double($0.steps.last?.number ?? $0.start?.stepsDone ?? 0))] }
    addStep("loss_nats", "Mean cross-entropy of a target in the last step.") { $0.loss }
    addStep("gradient_norm", "Norm of the gradient before clipping.") { $0.gradientNorm }
    addStep("learning_rate", "Learning rate of the last step.") { $0.learningRate }
    addStep("step_seconds", "Seconds of the last step.") { $0.seconds }
    addStep("tokens_per_second", "Tokens a second over all ranks.") { $0.tokensPerSecond }
    addStep("gigaflops", "Operations a second over all ranks, in units of 1e9.") { $0.gigaflops }
    add("held_out_loss_nats", "Loss of the last evaluation.") {
      [([], $0.evaluations.last?.loss)]
    }
    add("warnings", "Warnings, skipped steps and spikes in the log.") { run in
      ["warning", "skip", "spike"].map { kind in
        ([("kind", kind)], Double(run.notes.count { $0.kind == kind }))
      }
    }
    func addRanks(
      _ name: String, _ help: String, _ figure: @escaping (RunRecord.Step) -> RankFigure
    ) {
      add(name, help) { run in
        guard let figure = run.steps.last.map(figure) else { return [] }
        guard figure.values.isEmpty else {
          return figure.values.enumerated().map { ([("rank", "\($0)")], Double($1)) }
        }
        return [("least", figure.least), ("median", figure.median), ("most", figure.most)].map {
          ([("rank", $0)], $1)
        }
      }
    }
    addRanks("state_wait_seconds", "Seconds of the last step that a rank waited for states.") {
      $0.stateWait
    }
    addRanks("reduce_seconds", "Seconds of the last step that a rank waited for sums.") {
      $0.reduce
    }
    addRanks("compute_seconds", "Seconds of the last step that a rank computed.") { $0.compute }
    addRanks("peak_memory_bytes", "The most memory that a rank's process ever had.") { $0.memory }
    return text
  }

  private static func sample(_ name: String, _ labels: [(String, String)], _ value: Double)
    -> String
  {
    let list = labels.map { "\($0)=\"\(escaped($1))\"" }.joined(separator: ",")
    let number =
      value.isNaN ? "NaN" : value.isInfinite ? (value > 0 ? "+Inf" : "-Inf") : "\(value)"
    return "\(name){\(list)} \(number)\n"
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
  }
}
