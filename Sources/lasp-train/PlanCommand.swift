import ArgumentParser
import Configuration
import Studies
import Training

/// `lasp-train plan`.
struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Find the fastest layouts of a run that fit machines, without them and without data.",
    usage: """
      lasp-train plan [<run file>] --ranks <P> [--hosts <n>] [--memory <bytes>] [--network <speed>,<latency>] \
      [--threads-per-rank <n>] [--gflops <speed>] [--top <n>] [--json] \(OverrideOptions.usage)

      lasp-train plan run.yaml --ranks 64 --hosts 8 --memory 128GiB --network 12GB/s,5us
      """,
    discussion: """
      Tries grids, shardings, accumulation, segments, recomputation, exchanges and precisions by the dry run's rehearsal, \
      and prints the best with memory, time, the network's share of it and bytes sent, why the first is first, what the \
      next step down in memory costs, and the lines for the run file. The batch and the model stay what they are. Times are \
      a model's, in Docs/Scaling.md: they tell layouts apart, and Launch/scaling measures.

      \(OverrideOptions.help)
      """)

  @Argument(
    help: ArgumentHelp(
      "YAML file of what differs from the default; without one, the built-in default.",
      valueName: "run file"), completion: .file())
  var config: String?

  @Option(help: ArgumentHelp("Ranks to plan for.", valueName: "P"))
  var ranks: Int

  @Option(help: ArgumentHelp("Hosts that they are dealt to evenly.", valueName: "n"))
  var hosts = 1

  @Option(
    help: ArgumentHelp("Memory of a host that ranks may take, such as 128GiB.", valueName: "bytes"))
  var memory = "64GiB"

  @Option(
    help: ArgumentHelp(
      "A host's link to others, such as 12GB/s,5us.", valueName: "speed,latency"))
  var network = "1GB/s,30us"

  @Option(help: ArgumentHelp("Threads of a rank.", valueName: "n"))
  var threadsPerRank = 1

  @Option(
    help: ArgumentHelp(
      "GFLOP/s of a thread in products of fp32 (default: this machine's).", valueName: "speed"))
  var gflops: Double?

  @Option(help: ArgumentHelp("Layouts to print.", valueName: "n"))
  var top = 10

  @Flag(help: "Print the result as JSON.")
  var json = false

  @OptionGroup var overrides: OverrideOptions

  func validate() throws { _ = try cluster }

  func run() throws {
    let fits = try Planning(
      file: config, overrides: overrides.overrides, cluster: cluster, json: json, count: top
    ).run()
    if !fits { throw ExitCode(ExitReason.resources.rawValue) }
  }

  private var cluster: Cluster {
    get throws {
      for (option, value) in [
        ("--ranks", ranks), ("--hosts", hosts), ("--threads-per-rank", threadsPerRank),
        ("--top", top),
      ] where value < 1 {
        throw ValidationError("\(option) \(value) is not 1 or more.")
      }
      guard ranks <= 1 << 16, ranks % hosts == 0 else {
        throw ValidationError("--ranks \(ranks) cannot be dealt evenly to \(hosts) hosts.")
      }
      guard let bytes = Quantity.bytes(memory), bytes >= 1, bytes < 0x1p60 else {
        throw ValidationError("--memory '\(memory)' is no amount; write such as 128GiB.")
      }
      guard let link = Cluster.Network(network) else {
        throw ValidationError("--network '\(network)' is no link; write such as 12GB/s,5us.")
      }
      if let gflops, !(gflops > 0 && gflops.isFinite) {
        throw ValidationError("--gflops \(gflops) is not above 0.")
      }
      return Cluster(
        ranks: ranks, hosts: hosts, memoryBytes: Int(bytes), network: link,
        threads: threadsPerRank, gigaflops: gflops ?? 0)
    }
  }
}
