import Configuration
import Foundation
import ScalingLaws
import TemporaryFolders
import Testing

@testable import Observation

@Suite("Scaling laws of runs")
struct LawReportTests {
  private let files: TemporaryFolder

  init() throws { files = try TemporaryFolder() }

  private static let laws = [
    "tnl": ScalingLaw(
      irreducible: 0.9, logA: log(60), logB: log(900), alpha: 0.4, beta: 0.45),
    "hgrn2": ScalingLaw(
      irreducible: 1.1, logA: log(30), logB: log(500), alpha: 0.35, beta: 0.42),
  ]

  /// Writes a log of a run of four steps.
  ///
  /// - Parameter lines: What is done with its lines.
  private func write(
    _ name: String, mixer: String, parameters: Int, tokens: Int, path: String = "text",
    loss: Double? = nil, _ lines: (inout [String]) -> Void = { _ in }
  ) throws -> String {
    let law = Self.laws[mixer]!
    let loss =
      loss ?? law.loss(parameters: Double(parameters), tokens: Double(tokens))
    let step = tokens / 4
    var log = [
      """
      {"event":"start","time":"2026-11-21T08:42:13Z","parameters":\(parameters),"tokens_per_step":\(step),\
      "steps_done":0,"configuration":{"model":{"mixer":"\(mixer)"},"data":{"path":"\(path)"}}}
      """
    ]
    for number in 1...4 {
      log.append("{\"event\":\"step\",\"step\":\(number),\"loss\":3,\"tokens\":\(step)}")
    }
    log.append("{\"event\":\"evaluation\",\"step\":2,\"loss\":9,\"perplexity\":1}")
    log.append("{\"event\":\"evaluation\",\"step\":4,\"loss\":\(loss),\"perplexity\":1}")
    log.append("{\"event\":\"end\",\"reason\":\"finished\",\"steps\":4,\"seconds\":1}")
    lines(&log)
    try files.write("\(name)/log.jsonl", log.joined(separator: "\n") + "\n")
    return files.file(name)
  }

  private func grid(_ mixer: String) throws -> [String] {
    try [100_000, 300_000, 1_000_000].flatMap { n in
      try [1_000_000, 4_000_000, 20_000_000].map { d in
        try write("\(mixer)-\(n)-\(d)", mixer: mixer, parameters: n, tokens: d)
      }
    }
  }

  @Test("Logs are sorted by the key, and each group's law is found")
  func laws() throws {
    let runs = try grid("tnl") + grid("hgrn2")
    let report = try LawReport(
      runs: runs, by: "model.mixer",
      .init(predictions: [(1e9, 2e10)], budgets: [1e15], resamples: 20))
    #expect(report.laws.map(\.group.name) == ["hgrn2", "tnl"])
    for (group, fit) in report.fitted {
      let law = try #require(Self.laws[group.name])
      #expect(group.runs.count == 9)
      #expect(abs(fit.law.alpha - law.alpha) < 1e-2 && abs(fit.law.beta - law.beta) < 1e-2)
    }
    let lines = report.lines
    #expect(lines.contains { $0.hasPrefix("mixer") && $0.hasSuffix("β") })
    #expect(lines.contains { $0.hasPrefix("tnl             9 ") && $0.count <= 80 }, "\(lines)")
    #expect(
      lines.contains { $0.contains("1.00G parameters, 20.0G tokens: loss 0.9") })
    #expect(lines.contains { $0.hasSuffix("1.00k times beyond the largest run") })
    #expect(lines.allSatisfy { $0.count <= 132 })
    let json = report.json.value
    let tnl = try #require(json["groups"]?.array?.last)
    #expect(tnl["name"]?.string == "tnl" && tnl["runs"]?.array?.count == 9)
    #expect(abs((tnl["E"]?["value"]?.number ?? 0) - 0.9) < 0.01)
    let right = Self.laws["tnl"]!.loss(parameters: 1e9, tokens: 2e10)
    #expect(
      abs((tnl["predictions"]?.array?.first?["loss"]?["value"]?.number ?? 0) - right) < 0.02)
    let best = Self.laws["tnl"]!.optimum(compute: 1e15)
    let found = tnl["optima"]?.array?.first?["parameters"]?["value"]?.number ?? 0
    #expect(abs(found / best.parameters - 1) < 0.1)
  }

  @Test("Runs that have no loss at their end are left out, with the reason")
  func leftOut() throws {
    var runs = try grid("tnl")
    runs += [
      try write("going", mixer: "tnl", parameters: 5, tokens: 8) { $0.removeLast() },
      try write("stopped", mixer: "tnl", parameters: 5, tokens: 8) {
        $0[$0.count - 1] = "{\"event\":\"end\",\"reason\":\"a signal\",\"steps\":4}"
      },
      try write("blind", mixer: "tnl", parameters: 5, tokens: 8) { $0.remove(at: $0.count - 2) },
      try write("after", mixer: "tnl", parameters: 5, tokens: 8) {
        $0[0] = $0[0].replacing("{\"mixer\"", with: "{\"from\":\"runs/a\",\"mixer\"")
      },
      try write("other", mixer: "tnl", parameters: 500_000, tokens: 2_000_000, path: "else"),
    ]
    let report = try LawReport(runs: runs, by: "model.mixer", .init(resamples: 20))
    #expect(report.fitted[0].group.runs.count == 10)
    let reasons = report.runs.leftOut.map(\.reason)
    #expect(reasons.count == 4 && reasons[3].hasPrefix("it began with a trained model"))
    #expect(reasons[0].hasPrefix("it has not ended") && reasons[1] == "it did not finish: a signal")
    #expect(reasons[2].hasPrefix("it has no evaluation after its last step"))
    #expect(
      report.lines.last
        == "caution: runs differ in data.path, so that their losses do not compare; give runs that have it in common"
    )
  }

  @Test(
    "Runs of which none carries a law are refused with the reasons; beside others they are named")
  func refused() throws {
    let few = try [1_000_000, 2_000_000].map {
      try write("hgrn2-few-\($0)", mixer: "hgrn2", parameters: 200_000, tokens: $0)
    }
    let error = try #require(throws: ObservationError.self) {
      try LawReport(runs: few, by: "model.mixer", .init(resamples: 20))
    }
    #expect(
      "\(error)".hasPrefix(
        "the runs carry no scaling law: hgrn2: 2 runs differ in parameters or tokens"))
    let key = try #require(throws: ObservationError.self) {
      try LawReport(runs: few, by: "model.mixr", .init(resamples: 20))
    }
    #expect("\(key)".contains("its run file has no key model.mixr"))
    let report = try LawReport(runs: try grid("tnl") + few, by: "model.mixer", .init(resamples: 20))
    #expect(report.fitted.count == 1)
    #expect(report.lines.contains { $0.hasPrefix("hgrn2: no law: 2 runs differ") })
    #expect(report.json.value["groups"]?.array?.first?["problem"]?.string != nil)
  }

  @Test("The page has a chart of all runs and three of each law")
  func page() throws {
    let report = try LawReport(
      runs: try grid("tnl") + grid("hgrn2"), by: "model.mixer",
      .init(predictions: [(1e9, 2e10)], resamples: 20))
    let html = LawPage(report).html
    #expect(html.components(separatedBy: "<figure>").count == 1 + 1 + 2 * 3)
    #expect(!html.contains("nan") && !html.contains("inf"))
    #expect(html.contains("</html>"))
  }
}
