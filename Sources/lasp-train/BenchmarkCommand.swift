import ArgumentParser
import Training

/// `lasp-train benchmark`.
struct BenchmarkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "benchmark",
    abstract: "Measure training steps on synthetic tokens beside the machine's matrix products.",
    usage: "lasp-train benchmark \(OverrideOptions.usage)",
    discussion: """
      By default a model of 21 million parameters, one sequence of 16,384 tokens and one thread: \
      \(BenchmarkRequest.defaults.map { "--\($0)" }.joined(separator: " "))

      \(OverrideOptions.help)
      """)

  @OptionGroup var overrides: OverrideOptions

  func run() throws {
    try Benchmark.run(
      BenchmarkRequest(configuration: overrides.load(defaults: BenchmarkRequest.defaults)))
  }
}
