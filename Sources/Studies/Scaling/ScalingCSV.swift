/// `scaling.csv`: a row a job, every figure.
enum ScalingCSV {
  /// The whole file: the names of the columns, then the jobs in their order.
  static func text(_ results: ScalingResults) -> String {
    let rows = results.records.map { cells($0, results) }
    let lines = [rows.first.map { $0.map(\.0) } ?? []] + rows.map { $0.map(\.1) }
    return lines.map { $0.map(quoted).joined(separator: ",") + "\n" }.joined()
  }

  private static func cells(
    _ record: ScalingResults.Record, _ results: ScalingResults
  ) -> [(String, String)] {
    let (scalingCase, figures, start) = (record.scalingCase, record.figures, record.start)
    return [
      ("repetition", "\(record.repetition)"), ("ranks", "\(scalingCase.ranks)"),
      ("sequence_ranks", "\(scalingCase.sequenceRanks)"),
      ("data_groups", "\(scalingCase.dataGroups)"), ("hosts", "\(Set(start.hosts).count)"),
      ("threads", "\(start.threads)"), ("parallel_threads", "\(figures.parallelThreads)"),
      ("length", "\(scalingCase.length)"), ("batch", "\(scalingCase.batch)"),
      ("tokens_a_rank", "\(scalingCase.shard)"), ("exchange", scalingCase.exchangeName),
      ("steps", "\(figures.steps)"), ("step_seconds", "\(figures.stepSeconds)"),
      ("tokens_per_second", "\(figures.tokensPerSecond)"), ("gigaflops", "\(figures.gigaflops)"),
      ("sgemm_peak_gigaflops", start.sgemmPeak.map { "\($0)" } ?? ""),
      ("weak_efficiency", results.efficiency(record, .weak).map { "\($0)" } ?? ""),
      ("strong_efficiency", results.efficiency(record, .strong).map { "\($0)" } ?? ""),
      ("peak_memory_bytes", "\(figures.peakMemory)"),
      ("mean_memory_bytes", "\(figures.meanMemory)"), ("state_bytes", "\(figures.stateBytes)"),
      ("state_bytes_model", "\(results.plan.modelBytes(scalingCase))"),
      ("state_bytes_all_ranks", "\(figures.allStateBytes)"),
      ("halo_bytes", "\(figures.haloBytes)"), ("gradient_bytes", "\(figures.gradientBytes)"),
      ("weight_bytes", "\(figures.weightBytes)"),
      ("wait_share", "\(figures.waitShare)"), ("reduce_share", "\(figures.reduceShare)"),
      ("hidden_share", figures.hiddenShare.map { "\($0)" } ?? ""),
      ("without_core_share", figures.shareWithoutCore.map { "\($0)" } ?? ""),
      ("disturbed", record.isDisturbed ? "yes" : "no"),
      ("data_share", "\(figures.dataShare)"), ("parameters", "\(start.parameters)"),
      ("blas_core", start.blasCore), ("version", start.version),
    ]
  }

  /// A cell as RFC 4180 wants it.
  static func quoted(_ text: String) -> String {
    guard text.contains(where: { ",\"\n\r".contains($0) }) else { return text }
    return "\"" + text.replacing("\"", with: "\"\"") + "\""
  }
}
