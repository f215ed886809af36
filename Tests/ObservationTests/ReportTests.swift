import Configuration
import Foundation
import LogFixtures
import Reporting
import TemporaryFolders
import Testing

@testable import Observation

@Suite("The page of runs")
struct ReportTests {
  private let files: TemporaryFolder

  init() throws { files = try TemporaryFolder() }

  private func record(_ name: String, steps: Int, keys: JSONLine = JSONLine()) throws -> RunRecord {
    let folder = "\(files.path)/\(name)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let log = try RunLog(path: "\(folder)/log.jsonl")
    var start = LogFixture.start(steps: steps)
    start.configuration = keys
    try log.start(start)
    for step in 0..<steps { try log.step(LogFixture.step(step, loss: Double(step))) }
    return try LogFollower.read(run: folder)
  }

  private func numbers(_ value: JSONValue?) -> [Double?] { (value?.array ?? []).map(\.number) }

  @Test("A short run has every step; a long one bins that lose no least and no most")
  func bins() throws {
    let short = PageData([try record("a", steps: 3)]).json["runs"]?.array?[0]
    #expect(numbers(short?["curves"]?["loss"]) == [0, 1, 2])
    #expect(numbers(short?["curves"]?["tokens"]) == [8192, 16384, 24576])
    let steps = 2 * PageData.points
    let long = PageData([try record("b", steps: steps)]).json["runs"]?.array?[0]
    let loss = numbers(long?["curves"]?["loss"])
    #expect(loss.count == PageData.points)
    #expect(loss[1] == 2.5)
    #expect(numbers(long?["curves"]?["loss_least"])[1] == 2)
    #expect(numbers(long?["curves"]?["loss_most"])[1] == 3)
    #expect(Bins(0, most: 5).ranges.isEmpty)
    #expect(Bins(7, most: 3).ranges == [0..<2, 2..<4, 4..<7])
  }

  @Test("Shares of the time add up, and waits are told rank by rank")
  func time() throws {
    let run = PageData([try record("a", steps: 2)]).json["runs"]?.array?[0]
    let shares = ["compute", "state wait", "sums", "data", "unnamed"].map {
      numbers(run?["time"]?[$0])[0] ?? .nan
    }
    #expect(abs(shares.reduce(0, +) - 1) < 1e-4)
    #expect(run?["waits"]?["rows"]?.array?.map(\.string) == ["0", "1"])
    #expect(run?["waits"]?["state"]?.array?.map { numbers($0) } == [[0, 0], [0.1, 0.1]])
    #expect(run?["memory"]?["plan"]?.integer == 200 << 20)
  }

  @Test("Of runs with other keys those that differ are listed")
  func differences() throws {
    func keys(_ width: Int) -> JSONLine {
      var (model, all) = (JSONLine(), JSONLine())
      model.set("dimension", width)
      model.set("depth", 2)
      all.set("model", model)
      return all
    }
    let page = PageData([
      try record("a", steps: 1, keys: keys(64)), try record("b", steps: 1, keys: keys(128)),
    ]).json
    #expect(page["differences"] == [["key": "model.dimension", "values": ["64", "128"]]])
  }

  @Test("Nothing that a file says can become a part of the page")
  func escaping() throws {
    let name = "<img src=x onerror=alert(1)>"
    var keys = JSONLine()
    keys.set("evil", "</script><script>alert(2)</script><!--")
    let record = try record(name, steps: 1, keys: keys)
    let path = try Report.write(runs: [record.folder], output: "\(files.path)/page.html")
    let html = try String(contentsOfFile: path, encoding: .utf8)
    #expect(!html.contains("<img") && !html.contains("<script>alert"))
    #expect(html.contains("&lt;img src=x onerror=alert(1)&gt;</title>"))
    let begin = try #require(html.range(of: "id=\"data\">"))
    let rest = html[begin.upperBound...]
    let end = try #require(rest.range(of: "</script>"))
    let data = try JSONValue(Data(rest[..<end.lowerBound].utf8))
    let run = data["runs"]?.array?[0]
    #expect(run?["name"]?.string == name)
    #expect(run?["keys"]?["evil"]?.string == "</script><script>alert(2)</script><!--")
  }

  @Test("The trace that a log names is drawn: a lane a rank, of the last step")
  func trace() throws {
    let record = try record("a", steps: 1)
    let log = try RunLog(path: "\(record.folder)/log.jsonl")
    try log.trace(2...3, path: "elsewhere/trace.json")
    let spans = [(0, "step 2", 0, 100), (0, "step 3", 100, 200), (0, "recurrence", 110, 160)]
      .map { lane, name, start, end in
        "{\"ph\":\"X\",\"tid\":\(lane),\"name\":\"\(name)\",\"ts\":\(start),\"dur\":\(end - start)}"
      }
    try Data("{\"traceEvents\":[\(spans.joined(separator: ","))]}".utf8).write(
      to: URL(fileURLWithPath: "\(record.folder)/trace.json"))
    let trace = PageData([try LogFollower.read(run: record.folder)]).json["runs"]?.array?[0][
      "trace"]
    #expect(trace?["step"] == "3")
    #expect(trace?["rows"]?.array?[0]["spans"] == [[0.1, 0.5, "recurrence"]])
  }
}
