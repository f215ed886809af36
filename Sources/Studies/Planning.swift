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
    if cluster.gigaflops <= 0 { cluster.gigaflops = ProductPeak.measure(seconds: 1) }
    let isMixed =
      try RunConfiguration.load(file: file, overrides: overrides).training.precision == .bf16
    let mixed = try RunConfiguration.load(
      file: file, overrides: overrides + [Override("training.precision=bf16")])
    // Widened it is slower, and no choice unless the run file makes it.
    if let settings = try? mixed.products(), isMixed || !settings.widens {
      cluster.bfloat16Speed =
        ProductPeak.measure(settings, seconds: 0.3) / ProductPeak.measure(seconds: 0.3)
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
