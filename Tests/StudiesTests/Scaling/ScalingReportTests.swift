import Foundation
import Reporting
import Testing

@testable import Studies

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite("The files of a scaling measurement")
struct ScalingReportTests {
  private func html(gaps: [String] = []) throws -> String {
    let launcher = try MPILauncher(launcher: "true", program: "/p", environment: ["PATH": "/bin"])
    let facts = MachineFacts(
      launcher, arguments: ["lasp-train", "scaling", "--launcher", "a <b> & c"])
    return ScalingPage(
      try ScalingFixture.results(ScalingFixture.plan(repetitions: 2)), facts, gaps: gaps
    ).html
  }

  @Test("The table of figures has a row a job, and as many cells in each as names")
  func csv() throws {
    let results = try ScalingFixture.results(ScalingFixture.plan(repetitions: 2))
    let lines = ScalingCSV.text(results).split(separator: "\n").map {
      $0.split(separator: ",", omittingEmptySubsequences: false)
    }
    #expect(lines.count == 1 + 2 * results.plan.cases.count)
    #expect(lines.allSatisfy { $0.count == lines[0].count })
    let rows = lines.dropFirst().map { Dictionary(uniqueKeysWithValues: zip(lines[0], $0)) }
    #expect(rows[1]["ranks"] == "2" && rows[1]["exchange"] == "chain")
    #expect(rows[1]["tokens_per_second"] == "1000.0" && rows[1]["weak_efficiency"] == "0.5")
    #expect(rows.last?["repetition"] == "2" && rows[0]["strong_efficiency"] == "")
  }

  @Test(
    "Cells that need quotes have them",
    arguments: [("plain", "plain"), ("a,b", "\"a,b\""), ("say \"so\"", "\"say \"\"so\"\"\"")])
  func quotes(text: String, cell: String) {
    #expect(ScalingCSV.quoted(text) == cell)
  }

  @Test("A measurement without any job has empty figures and a page that says so")
  func empty() throws {
    let plan = try ScalingFixture.plan()
    #expect(ScalingCSV.text(ScalingResults(plan: plan)) == "\n")
    let launcher = try MPILauncher(launcher: "true", program: "/p", environment: ["PATH": "/bin"])
    let html = ScalingPage(
      ScalingResults(plan: plan), MachineFacts(launcher), gaps: ["interrupted in job 1"]
    ).html
    #expect(html.contains("Not measured: interrupted in job 1"))
    #expect(!html.contains("nan"))
  }

  @Test("The page needs nothing from elsewhere and escapes what it quotes")
  func selfContained() throws {
    let page = try html(gaps: ["job <1>"])
    for word in ["http:", "https:", "<script", "<link", "url(", "@import"] {
      #expect(!page.contains(word))
    }
    #expect(page.contains("'a &lt;b&gt; &amp; c'") && page.contains("job &lt;1&gt;"))
    #expect(page.contains("4 ranks share 2 cores"))
  }

  @Test("The page's plots are well-formed and all their numbers finite")
  func plots() throws {
    let page = try html()
    let plots = page.matches(of: /<svg viewBox(?s:.*?)<\/svg>/).map { String($0.output) }
    // Two studies: throughput, efficiency, memory, two kinds of waiting; memory by length; three of bytes.
    #expect(plots.count == 2 * 5 + 1 + 3)
    for plot in plots {
      #expect(XMLParser(data: Data(plot.utf8)).parse(), "\(plot)")
      #expect(!plot.contains("nan") && !plot.contains("inf"))
      #expect(plot.contains("<title>") && plot.contains("class=\"tick\""))
    }
  }

  @Test("The whole page is well-formed, its table has every case")
  func wellFormed() throws {
    let page = try html()
    let plain = page.replacing("<!DOCTYPE html>", with: "")
      .replacing(/<meta [^>]*>/, with: "")
    #expect(XMLParser(data: Data(plain.utf8)).parse())
    #expect(page.matches(of: /<tr><td class="n">/).count == (try ScalingFixture.plan().cases.count))
  }
}

@Suite("The axes of plots")
struct ChartAxisTests {
  @Test(
    "Linear axes end at a round number that is not below the greatest value",
    arguments: [
      (1.0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
      (7600.0, ["0", "2,000", "4,000", "6,000", "8,000"]),
      (23.0, ["0", "5", "10", "15", "20", "25"]),
    ])
  func linear(most: Double, labels: [String]) {
    let axis = ChartAxis("", upTo: most) { ChartAxis.short($0) }
    #expect(axis.ticks.map(\.label) == labels)
    #expect(axis.place(0) == 0 && axis.place(most) <= 1)
  }

  @Test("Axes of bytes have round numbers of their unit")
  func bytes() {
    #expect(
      ChartAxis("", bytesUpTo: 90 * 0x1p20).ticks.map(\.label)
        == ["0 MiB", "20 MiB", "40 MiB", "60 MiB", "80 MiB", "100 MiB"])
    #expect(
      ChartAxis("", bytesUpTo: 1.2 * 0x1p30).ticks.map(\.label)
        == ["0 GiB", "0.25 GiB", "0.5 GiB", "0.75 GiB", "1 GiB", "1.25 GiB"])
  }

  @Test("Logarithmic axes of bytes name powers of two and hold all values")
  func logarithmicBytes() {
    let axis = ChartAxis("", bytes: [0, 256, 3 * 0x1p20])
    #expect(axis.ticks.count >= 4 && axis.ticks.count <= 8)
    #expect(axis.ticks.allSatisfy { log2($0.value) == log2($0.value).rounded() })
    #expect(axis.place(256) > 0 && axis.place(3 * 0x1p20) < 1)
    #expect(axis.place(512) - axis.place(256) == axis.place(2048) - axis.place(1024))
  }

  @Test("Rank counts are named where there is room for their names")
  func ranks() {
    let few = ChartAxis("", values: [1, 2, 4, 8, 16]) { ChartAxis.short($0) }
    #expect(few.ticks.map(\.label) == ["1", "2", "4", "8", "16"])
    let many = ChartAxis("", values: (0..<16).map { Double(1024 << $0) }) { ChartAxis.short($0) }
    #expect(many.ticks.count < 8 && many.ticks.first?.label == "1,024")
    #expect(ChartAxis("", values: [4]) { ChartAxis.short($0) }.place(4) == 0.5)
  }

  @Test(
    "Logarithmic axes of any values name powers of ten, and what lies between where there is room",
    arguments: [
      ([1e5, 1e6], ["100000", "200000", "500000", "1e+06"]), ([3e4, 4e6], ["100000", "1e+06"]),
      ([5, 7], ["5"]), ([1, 1e20], ["1000", "1e+07", "1e+11"]),
    ] as [([Double], [String])])
  func decades(values: [Double], labels: [String]) {
    let axis = ChartAxis("", decades: values) { String(format: "%g", $0) }
    #expect(labels.allSatisfy(axis.ticks.map(\.label).contains), "\(axis.ticks)")
    #expect(axis.ticks.count <= 7)
    #expect(axis.place(values[0]) > 0 && axis.place(values[1]) < 1)
  }
}
