import Configuration
import Foundation
import Mutations
import Testing
import Training

@testable import Studies

@Suite("What a sweep file makes")
struct SweepFileTests {
  /// A small model on the built-in task.
  static let small = """
    run:
      model: {depth: 1, heads: 2, dimension: 16}
      sequence.length: 64
      training: {batch: 2, steps: 3}
    """

  private func plan(_ text: String, _ overrides: String...) throws -> SweepPlan {
    try SweepPlan(
      try SweepFile(text: text, path: "s.yaml"), overrides: overrides.map { Override($0) })
  }

  /// What is wrong with a text; empty where nothing is.
  private func refusal(_ text: String, _ overrides: String...) -> String {
    do {
      _ = try SweepPlan(
        try SweepFile(text: text, path: "s.yaml"), overrides: overrides.map { Override($0) })
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test("All ways of a grid, the last key fastest, and each with every seed")
  func grid() throws {
    let plan = try plan(
      Self.small + """

        grid:
          model.mixer: [tnl, gla]
          optimizer: {learning_rate: [1e-3, 2e-3]}
        seeds: 2
        """)
    #expect(
      plan.runs.map(\.name) == [
        "tnl-learning_rate1e-3-seed1", "tnl-learning_rate1e-3-seed2",
        "tnl-learning_rate2e-3-seed1", "tnl-learning_rate2e-3-seed2",
        "gla-learning_rate1e-3-seed1", "gla-learning_rate1e-3-seed2",
        "gla-learning_rate2e-3-seed1", "gla-learning_rate2e-3-seed2",
      ])
    #expect(plan.runs.map(\.number) == Array(1...8))
    let last = plan.runs[7].configuration
    #expect(last.model.mixer == "gla" && last.optimizer.learningRate == 2e-3)
    #expect(last.training.seed == 2 && last.model.depth == 1 && last.sequence.length == 64)
    #expect(
      plan.runs[7].varied.map(\.key) == ["model.mixer", "optimizer.learning_rate", "training.seed"])
    #expect(plan.runs[7].varied.map(\.value) == ["gla", "0.002", "2"])
  }

  @Test("A list has sets of keys, with names or without; values that are lists stay lists")
  func list() throws {
    let plan = try plan(
      Self.small + """

        list:
          - {model.mixer: gla, model.expand_k: 1}
          - {name: mixed, model.layers: [gla, attention], model.depth: 2}
        seeds: [7]
        """)
    #expect(plan.runs.map(\.name) == ["gla-expand_k1-seed7", "mixed-seed7"])
    #expect(plan.runs[1].configuration.model.layers == ["gla", "attention"])
    #expect(plan.runs[1].configuration.model.depth == 2)
    #expect(plan.runs.allSatisfy { $0.configuration.training.seed == 7 })
  }

  @Test("The run file that a run gets reads back as the same run")
  func runFile() throws {
    let plan = try plan(
      """
      run: {model.heads: 2, sequence.length: 64, training: {batch: 2, steps: 3}}
      grid: {model.layers: [[gla, attention], [tnl]]}
      match_parameters: 20k
      """,
      "model.depth=2")
    for run in plan.runs {
      var document = ConfigurationDocument(schemas: RunConfiguration.schemas)
      document.read(yaml: run.runFile, named: "run.yaml")
      let read = try RunConfiguration(document)
      #expect(read.digest == run.configuration.digest)
      #expect(run.configuration.model.depth == 2)
    }
  }

  @Test("Tokens by a rule fix the steps, for each model by its own parameters")
  func tokens() throws {
    let text = """
      run: {model.depth: 1, model.heads: 2, sequence.length: 64, training.batch: 2}
      grid: {model.dimension: [16, 32]}
      tokens_per_parameter: [20, 0.5]
      """
    let runs = try plan(text).runs
    #expect(
      runs.map(\.name).prefix(2) == ["dimension16-20-a-parameter", "dimension16-0.5-a-parameter"])
    for (run, ratio) in zip(runs, [20, 0.5, 20, 0.5]) {
      let steps = (ratio * Double(run.parameters) / 128).rounded()
      #expect(run.steps == Int(steps) && run.tokens == Int(steps) * 128)
    }
    #expect(runs[2].parameters > runs[0].parameters)
    let fixed = try plan("run: {sequence.length: 64, training.batch: 2}\ntokens: 12.8k\n").runs
    #expect(fixed.map(\.steps) == [100] && fixed[0].name == "run")
  }

  @Test(
    "A mistake is told with its line and what may be meant",
    arguments: [
      ("seed: 3\n", "s.yaml:1: seed is no key of a sweep; did you mean seeds?"),
      ("jobs: 0\n", "s.yaml:1: jobs: 0 is out of range; write an integer ≥ 1 and ≤ 4096"),
      ("seeds: many\n", "s.yaml:1: seeds: 'many' is no number ≥ 1; write such as 3 or [1, 2, 3]"),
      (
        "grid:\n  model.mixr: [tnl]\n",
        "s.yaml:2: model.mixr is no key; did you mean model.mixer?"
      ),
      (
        "grid:\n  model.mixer: [tnl, glad]\n",
        "s.yaml:2: model.mixer: 'glad' is not a choice; did you mean gla?"
      ),
      ("grid: {model.mixer: tnl}\n", "s.yaml:1: model.mixer has no list of values"),
      (
        "training.steps: 5\n",
        "s.yaml:1: training.steps is no key of a sweep; it is a run's, and belongs under run:"
      ),
      (
        "tokens: 20 * parameters\n", "for tokens by the model's size write tokens_per_parameter: 20"
      ),
      ("tokens: 1M\ntokens_per_parameter: 20\n", "both say how many tokens a run is trained on"),
      (
        "run: {model.dimension: 8}\nmatch_parameters: 1M\n",
        "s.yaml:2: match_parameters: chooses model.dimension, which is given too; remove one"
      ),
      ("run: {training.seed: 2}\n", "training.seed is set by the sweep itself; give seeds"),
      ("run: nowhere.yaml\n", "nowhere.yaml: there is no such run file"),
      ("- a\n", "s.yaml:1: is a list, not a sweep"),
      ("run: {model.heads: 3, model.dimension: 16}\n", "3 heads do not divide"),
      (
        "run: {model.depth: 100, model.heads: 2}\nmatch_parameters: 100\n",
        "no width of tnl has nearly 100 parameters: the nearest is model.dimension 2"
      ),
    ])
  func refused(text: String, words: String) {
    let said = refusal(text)
    #expect(said.contains(words), "\(said)")
  }

  @Test("All that is wrong is told at once, and what many runs have wrong, once")
  func all() {
    let said = refusal(
      "run: {model.depht: 1}\ngrid: {model.mixer: [tnl, gla], model.heads: [1, two]}\nseeds: 5\n")
    #expect(said.split(separator: "\n").count == 2, "\(said)")
  }

  @Test("Every sweep that is shipped is right")
  func shipped() throws {
    let root = URL(filePath: #filePath).appending(path: "../../../..").standardized
    let folder = root.appending(path: "Configs/sweeps").path
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
    #expect(names.contains("mixers.yaml"))
    for name in names {
      let plan = try SweepPlan(try SweepFile(path: "\(folder)/\(name)"), overrides: [])
      #expect(plan.runs.count > 1 && plan.runs.allSatisfy { abs($0.mismatch ?? 0) < 0.05 })
    }
  }

  @Test("A damaged sweep file is read or refused")
  func damaged() {
    let whole =
      Self.small + """

        grid: {model.mixer: [tnl, gla], model.layers: [[gla, attention], tnl]}
        list:
          - {name: a, training.steps: 3}
        seeds: [1, 2]
        match_parameters: [100k, 1M]
        tokens_per_parameter: 20
        jobs: 2
        """
    let failures = Fuzzing("s.yaml", .text, [Array(whole.utf8)]).run {
      let file = try SweepFile(text: String(decoding: $0, as: UTF8.self), path: "s.yaml")
      #expect(file.axes.allSatisfy { !$0.choices.isEmpty })
    }
    #expect(failures == [])
  }

  @Test("A key in which runs differ is not set for all")
  func overridden() {
    let said = refusal("grid: {model.mixer: [tnl]}\n", "model.mixer=gla")
    #expect(said == "--model.mixer: runs of the sweep differ in this key; change it in s.yaml")
  }
}
