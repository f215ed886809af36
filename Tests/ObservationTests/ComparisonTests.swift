import Configuration
import Foundation
import TemporaryFolders
import Testing

@testable import Observation

@Suite("Runs compared")
struct ComparisonTests {
  private let files: TemporaryFolder

  init() throws { files = try TemporaryFolder() }

  /// Writes the log of a run of so many steps of 100 tokens, the first of 10 seconds and the others of one.
  ///
  /// - Parameters:
  ///   - end: Why it ended; nil for one that was killed or goes on.
  ///   - losses: Of its evaluations, one after each step.
  @discardableResult
  private func write(
    _ name: String, mixer: String = "tnl", seed: Int = 1, width: Int = 64, steps: Int = 3,
    end: String? = "finished", losses: [Double] = [], bits: Bool = true
  ) throws -> String {
    var lines = [
      """
      {"event":"start","time":"2026-11-21T08:42:13Z","ranks":1,"parameters":\(1000 * width),"tokens_per_step":100,"steps_done":0,\
      "configuration":{"threads":1,"model":{"mixer":"\(mixer)","dimension":\(width)},\
      "training":{"steps":3,"seed":\(seed)},"log":{"directory":"\(name)"}}}
      """
    ]
    for step in 1..<(steps + 1) {
      lines.append(
        "{\"event\":\"step\",\"step\":\(step),\"loss\":2,\"tokens\":100,\"seconds\":\(step == 1 ? 10 : 1)}"
      )
      if step <= losses.count {
        let loss = losses[step - 1]
        let more =
          bits ? "\"bits_per_byte\":\(loss / log(2))," : ""
        lines.append(
          "{\"event\":\"evaluation\",\"step\":\(step),\"loss\":\(loss),\(more)\"perplexity\":\(exp(loss))}"
        )
      }
    }
    if let end { lines.append("{\"event\":\"end\",\"reason\":\"\(end)\",\"steps\":\(steps)}") }
    try files.write("\(name)/log.jsonl", lines.joined(separator: "\n") + "\n")
    return files.file(name)
  }

  private func records() throws -> [RunRecord] { try RunFinder.find([files.path]) }

  @Test("Runs are found below folders, each once, and not what lies within them")
  func found() throws {
    try write("a/one")
    try write("a/two")
    try write("b/one")
    try write("a/one/model/inner")
    #expect(
      try records().map(\.folder) == ["a/one", "a/two", "b/one"].map { files.file($0) })
    let twice = try RunFinder.find([files.file("a/one/"), files.file("a")])
    #expect(twice.map(\.name) == ["one", "two"])
    #expect(RunFinder.names(of: try records()) == ["a/one", "two", "b/one"])
    try files.write("a/sweep.json", "{}")
    let all = ["one", "sweep.json", "two"].map { files.file("a/\($0)") }
    #expect(try RunFinder.find(all).map(\.name) == ["one", "two"])
    try files.write("empty/x", "")
    #expect(throws: ObservationError.noRuns(files.file("empty"))) {
      try RunFinder.find([files.file("empty")])
    }
  }

  @Test("How a run stands is told by its end, and by the sign of life of its writer")
  func states() throws {
    func state(_ name: String) throws -> RunState {
      RunState(try LogFollower.read(run: files.file(name)))
    }
    try write("finished")
    try write("stopped", end: "stopped by a signal")
    try write("failed", end: "no memory")
    try write("killed", end: nil)
    #expect(try state("finished") == .finished && state("stopped") == .interrupted)
    #expect(try state("failed") == .failed(reason: "no memory"))
    #expect(try state("killed") == .interrupted)
    try files.write("killed/writer.json", "{}")
    #expect(try state("killed") == .running)
    let record = try LogFollower.read(run: files.file("killed"))
    #expect(RunState(record, now: Date().timeIntervalSince1970 + 21) == .interrupted)
  }

  @Test(
    "The figures of a run: its last and its best evaluation, and its speed without the first step")
  func figures() throws {
    let run = RunFigures(try LogFollower.read(run: try write("a", losses: [2, 1, 1.5])))
    #expect(run.last?.loss == 1.5 && run.best == 1)
    #expect(run.tokensPerSecond == 100 && run.tokens == 300 && run.stepsDone == 3)
    #expect(run.parameters == 64000 && run.mixer == "tnl" && run.seconds == 12)
  }

  @Test("Of a group mean and standard deviation of the sample; the better group comes first")
  func statistics() throws {
    for (seed, loss) in [1.0, 2, 4].enumerated() {
      try write("tnl-\(seed)", mixer: "tnl", seed: seed, losses: [9, 9, loss])
    }
    try write("gla-0", mixer: "gla", seed: 0, width: 60, losses: [1, 1, 1])
    let comparison = try RunComparison(try records(), by: ["model.mixer"])
    #expect(comparison.groups.map(\.name) == ["gla", "tnl"])
    let measure = try #require(RunMeasure.all.first { $0.key == "held_out_loss" })
    let spread = try #require(comparison.groups[1].spread(measure))
    #expect(spread.count == 3 && abs(spread.mean - 7.0 / 3) < 1e-12)
    // Squares of −4/3, −1/3 and 5/3 over 2.
    #expect(abs((spread.deviation ?? 0) - (7.0 / 3).squareRoot()) < 1e-12)
    #expect(comparison.groups[0].spread(measure)?.deviation == nil)
    #expect(comparison.notes == [])
    #expect(comparison.measures.map(\.key).contains("bits_per_byte"))
    #expect(!comparison.measures.map(\.key).contains("perplexity"))

    let table = comparison.lines(width: 80)
    #expect(table[0].hasPrefix("model.mixer  runs"))
    #expect(table[1].hasPrefix("gla") && table[2].contains("2.3333 ± 1.5275"))
    let json = comparison.json["groups"]?.array?[1]
    #expect(json?["held_out_loss"]?["runs"] == 3 && json?["finished"] == 3)
    #expect(json?["keys"]?["model.mixer"] == "tnl" && json?["runs"]?.array?.count == 3)
  }

  @Test(
    "Where nothing is said, groups are told apart by as few keys as it takes, and never by seeds")
  func grouping() throws {
    for mixer in ["tnl", "gla"] {
      for seed in 1...2 {
        // The width follows from the mixer.
        try write(
          "\(mixer)-\(seed)", mixer: mixer, seed: seed, width: mixer == "tnl" ? 64 : 60,
          losses: [1, 1, 1])
      }
    }
    let comparison = try RunComparison(try records())
    #expect(comparison.keys == ["model.mixer"] && comparison.groups.count == 2)
    #expect(RunKeys([["a": "1", "b": "x"], ["a": "2", "b": "x"]]).grouping == ["a"])
    #expect(RunKeys([[:], [:]]).grouping == [])
    let families = RunKeys([
      ["model.mixer": "tnl", "model.dimension": "64", "model.tnl.scaled": "true"],
      ["model.mixer": "gla", "model.dimension": "60", "model.gla.rank": "16"],
    ])
    #expect(families.grouping == ["model.mixer"])
    let sizes = RunKeys(
      [("tnl", "10"), ("tnl", "20"), ("gla", "11"), ("gla", "21")].map {
        ["model.mixer": $0.0, "training.steps": $0.1]
      })
    #expect(sizes.grouping == ["model.mixer", "training.steps"])
  }

  @Test("Runs that are not at their end are compared as far as they are, and that is said")
  func unfinished() throws {
    try write("a", seed: 1, losses: [3, 2, 1])
    try write("b", seed: 2, steps: 2, end: nil, losses: [3, 2])
    try files.write("c/log.jsonl", "")
    let comparison = try RunComparison(try records(), by: ["model.mixer"])
    #expect(comparison.groups[0].finished == 1)
    #expect(
      comparison.notes == [
        "tnl: 1 interrupted; what counts is the last evaluation so far",
        "evaluated after 2 to 3 steps", "1 run left out, not begun yet",
      ])
  }

  @Test("Keys that no run has are refused; runs that differ in more than seeds are told")
  func keys() throws {
    try write("a", width: 32)
    try write("b", width: 64)
    #expect(throws: ObservationError.noKey("model.mixr", near: "model.mixer")) {
      try RunComparison(try records(), by: ["model.mixr"])
    }
    let notes = try RunComparison(try records(), by: ["model.mixer"]).notes
    #expect(
      notes.count == 1 && notes[0].hasPrefix("runs of a group differ in model.dimension, too"))
  }

  @Test("Two runs side by side: keys that differ, but not where they write, and their figures")
  func difference() throws {
    let runs = [
      try write("a", losses: [2, 2, 2], bits: false),
      try write("b", mixer: "gla", steps: 1, end: "no memory"),
    ]
    let difference = RunDifference(try runs.map { try LogFollower.read(run: $0) })
    let lines = difference.lines(width: 80)
    #expect(lines.allSatisfy { $0.count <= 80 })
    #expect(lines[1].hasPrefix("model.mixer") && lines[1].hasSuffix("gla"))
    #expect(!lines.contains { $0.contains("log.directory") })
    #expect(lines.contains { $0.hasPrefix("state") && $0.contains("finished") })
    #expect(lines.contains { $0.hasPrefix("ranks") })
    #expect(
      lines.contains { $0.hasPrefix("perplexity") && $0.contains("7.39") && $0.hasSuffix("–") })
    #expect(difference.json["keys"] == ["model.mixer": ["tnl", "gla"]])
  }

  @Test("A table fits the terminal: what is too long for it is shortened in its middle")
  func table() throws {
    let name = "a-very-long-name-of-a-run-that-nobody-would-want-to-read-in-a-terminal"
    try write(name, losses: [2])
    try write("failed", end: "no memory for 3 TB")
    let table = RunTable(try records())
    let lines = table.lines(width: 80)
    #expect(lines.count == 5 && lines.prefix(3).allSatisfy { $0.count <= 80 })
    #expect(lines[1].hasPrefix("a-very") && lines[1].contains("…"))
    #expect(lines[4] == "failed failed: no memory for 3 TB")
    #expect(table.lines(width: 200)[1].contains(name))
    #expect(table.json.array?[0]["tokens"] == 300)
  }

  @Test(
    "The page has the figures and the curves of the groups, and nothing of a name becomes markup")
  func page() throws {
    try write("<b>x", seed: 1, losses: [3, 2, 1])
    try write("y", seed: 2, losses: [3, 3, 3])
    let page = ComparisonPage(try RunComparison(try records()), title: "<b>")
    let curves = page.json["curves"]?.array?[0]
    #expect(curves?["held"]?["tokens"] == [100, 200, 300])
    #expect(curves?["held"]?["mean"] == [3, 2.5, 2] && curves?["held"]?["least"] == [3, 2, 1])
    #expect(curves?["loss"]?["mean"] == [2, 2, 2])
    try page.write(to: files.file("page.html"))
    let html = try files.text("page.html")
    #expect(!html.contains("<b>") && html.contains("</html>"))
  }
}
