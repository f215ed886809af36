import Configuration
import Reporting
import Tensors
import Training

/// `lasp-train plan`: the fastest layouts of a run on machines that need not be there.
package struct Planning: Sendable {
  package var file: String?
  package var overrides: [Override]
  /// The machines; what this one reaches is measured where they do not say.
  package var cluster: Cluster
  /// Whether the result is printed as JSON.
  package var isJSON: Bool
  /// Layouts that are printed.
  package var count: Int

  package init(
    file: String?, overrides: [Override], cluster: Cluster, json: Bool, count: Int
  ) {
    (self.file, self.overrides, self.cluster) = (file, overrides, cluster)
    (isJSON, self.count) = (json, count)
  }

  /// Searches and prints.
  ///
  /// - Returns: Whether any layout fits.
  package func run() throws -> Bool {
    BLAS.setThreads(1)
    var cluster = cluster
    if cluster.gigaflops <= 0 { cluster.gigaflops = SgemmPeak.measure(seconds: 1) }
    if OneDNN.hasBFloat16, let settings = try? ProductSettings(.bf16) {
      var peak = ProductPeak(settings)
      for _ in 0..<5 { peak.run() }
      cluster.bfloat16Speed = peak.median * 1e-9 / SgemmPeak.measure(seconds: 0.3)
    }
    let output = TerminalOutput.standard()
    var search = try PlanSearch(file: file, overrides: overrides, cluster: cluster)
    let result = try search.run(best: count) { rehearsed in
      output.foot?(isJSON ? "" : "\(Format.number(rehearsed, of: "layout")) rehearsed")
    }
    output.foot?("")
    let report = PlanReport(result)
    if isJSON {
      print(report.json.text)
    } else {
      report.lines(width: output.tableWidth).forEach(output.line)
    }
    return report.fits
  }
}
