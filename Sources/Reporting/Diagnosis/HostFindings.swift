import MessagePassing

/// What the ranks' facts say of their machines, without anything measured.
package enum HostFindings {
  /// Goes through what can be wrong with the places that ranks have.
  ///
  /// - Parameter facts: Those of every rank, in rank order.
  package static func all(_ facts: [HostFacts]) -> [Finding] {
    let hosts = Dictionary(grouping: facts) { "\($0.identity) \($0.host)" }.values
      .sorted { $0[0].rank < $1[0].rank }
    return machines(hosts) + hosts.flatMap { cores($0) + [binding($0), memory($0)] + groups($0) }
      + hosts.flatMap { [busy($0), shared($0), clocks($0)].compactMap { $0 } } + programs(facts)
  }

  private static func machines(_ hosts: [[HostFacts]]) -> [Finding] {
    let lines = hosts.map { host in
      let first = host[0]
      return Finding.fine(
        "host",
        "\(first.host): \(ranks(host)), \(Format.number(first.machineProcessors, of: "processor")), \(first.cpu)"
      )
    }
    let kinds = Set(hosts.map { $0[0].instructions })
    guard kinds.count > 1 else { return lines }
    let each = hosts.map { "\($0[0].host) \($0[0].instructions.last ?? "none")" }
    return lines + [
      .warning(
        "host", "hosts differ in their instructions: \(each.joined(separator: ", "))",
        cure:
          "a program built for the least of them (LASP_ARCHITECTURE) runs on all, and the slowest sets the pace",
        matters: true)
    ]
  }

  private static func cores(_ host: [HostFacts]) -> [Finding] {
    let threads = host.reduce(0) { $0 + $1.threads }
    let cores = coresTogether(host)
    let said =
      "\(host[0].host): \(Format.number(threads, of: "thread")) of \(Format.number(host.count, of: "rank")) on \(Format.number(cores, of: "core"))"
    guard threads > cores else { return [.fine("cores", said)] }
    return [
      .warning(
        "cores", said,
        cure: "start no more ranks than cores, or set threads: what shares a core waits for it",
        matters: true)
    ]
  }

  /// Cores that the ranks of a host may run on, without the quota.
  private static func coresTogether(_ host: [HostFacts]) -> Int {
    Set(host.flatMap(\.cores)).count
  }

  private static func binding(_ host: [HostFacts]) -> Finding {
    // Ranks that may run on the same processors only.
    let places = Dictionary(grouping: host) { $0.cores }.sorted {
      $0.value[0].rank < $1.value[0].rank
    }
    let machine = host[0].topology.nodes.reduce(0) { $0 + $1.processors.count }
    let all = max(machine, host[0].machineProcessors)
    for (cores, ranks) in places {
      let threads = ranks.reduce(0) { $0 + $1.threads }
      // Where the whole machine is as small, there is nothing to bind otherwise.
      guard threads > cores.count, ranks[0].processors.count < all
      else { continue }
      return .warning(
        "binding",
        "\(self.ranks(ranks)) of \(host[0].host) may run on \(Format.number(cores.count, of: "core")) alone (processor \(list(ranks[0].processors))), of a machine with \(all)",
        cure:
          "mpirun --bind-to core or --bind-to none spreads them; where they are held by taskset, a batch system or a cpuset, ask that for more",
        matters: true)
    }
    let isBound = host.contains { $0.processors.count < all }
    return .fine(
      "binding",
      "\(host[0].host): "
        + (isBound
          ? host.prefix(4).map { "rank \($0.rank) on \(list($0.processors))" }.joined(
            separator: ", ")
            + (host.count > 4 ? ", …" : "")
          : "no rank is bound"))
  }

  private static func memory(_ host: [HostFacts]) -> Finding {
    let nodes = host[0].topology.nodes
    guard nodes.count > 1 else {
      return .fine("NUMA", "\(host[0].host): one memory for all cores (\(host[0].topology.source))")
    }
    let wide = host.filter { rank in
      nodes.count { !Set($0.processors).isDisjoint(with: rank.processors) } > 1
    }
    let said =
      "\(host[0].host): \(nodes.count) memories of \(nodes.map { "\($0.processors.count)" }.joined(separator: ", ")) processors (\(host[0].topology.source))"
    guard let first = wide.first, host.count > 1 || host[0].threads > 1 else {
      return .fine("NUMA", said)
    }
    return .warning(
      "NUMA",
      "\(said); \(Format.number(wide.count, of: "rank")) (\(first.rank)…) may move from one to another",
      cure: "mpirun --map-by numa --bind-to numa keeps a rank beside its memory")
  }

  private static func groups(_ host: [HostFacts]) -> [Finding] {
    guard let quota = host.compactMap(\.quota).min() else {
      return [.fine("control group", "\(host[0].host): no limit of processor time")]
    }
    let threads = host.reduce(0) { $0 + $1.threads }
    let said =
      "the control group of \(host[0].host) allows \(Format.digits(quota)) cores' time, for \(Format.number(threads, of: "thread"))"
    guard quota + 0.01 < Double(threads) else { return [.fine("control group", said)] }
    return [
      .warning(
        "control group", said,
        cure:
          "raise its limit (cpu.max; docker --cpus; a pod's limits), or start fewer ranks: threads are stopped where it is used up",
        matters: true)
    ]
  }

  private static func busy(_ host: [HostFacts]) -> Finding? {
    let others = max(0, (host.map(\.running).min() ?? 0) - host.count)
    let cores = max(1, coresTogether(host))
    let said =
      "\(host[0].host): \(Format.number(others, of: "process")) of others run, load \(Format.digits(host[0].load))"
    guard 2 * others >= cores else { return .fine("load", said) }
    return .warning(
      "load", said + " on \(Format.number(cores, of: "core"))",
      cure:
        "wait for them, or take another machine: a rank that shares its core holds all others up",
      matters: true)
  }

  private static func shared(_ host: [HostFacts]) -> Finding? {
    guard let all = host[0].sharedMemoryBytes, let free = host[0].sharedMemoryFree else {
      return host.count == 1
        ? nil
        : .warning(
          "shared memory", "\(host[0].host) has no /dev/shm",
          cure: "mount a tmpfs there: ranks of a host exchange messages in it",
          matters: true)
    }
    // What Open MPI takes of it for a rank.
    let wanted = host.count * 5 << 20
    let said = "\(host[0].host): \(Format.bytes(free)) of \(Format.bytes(all)) free in /dev/shm"
    guard host.count > 1, free < wanted else { return .fine("shared memory", said) }
    return .warning(
      "shared memory", "\(said), and \(host.count) ranks take up to \(Format.bytes(wanted))",
      cure:
        "docker run --shm-size=1g, or mount -o remount,size=1g /dev/shm; remove what killed jobs left there",
      matters: true)
  }

  private static func clocks(_ host: [HostFacts]) -> Finding? {
    if let stolen = host.map(\.stolen).max(), stolen >= 0.05 {
      return .warning(
        "clocks",
        "\(host[0].host): its hypervisor gave \(Format.percent(stolen, decimals: 0)) of the processors' time to others",
        cure: "a machine with processors of its own", matters: true)
    }
    guard let governor = host[0].governor else {
      return .fine("clocks", "\(host[0].host): set by the hardware, or by a hypervisor")
    }
    let most = host[0].greatestMHz.map { ", \(Format.digits($0 / 1000)) GHz at most" } ?? ""
    let said = "\(host[0].host): \(governor)\(most)"
    guard governor == "powersave", host[0].currentMHz ?? 0 < 0.7 * (host[0].greatestMHz ?? 0) else {
      return .fine("clocks", said)
    }
    return .warning(
      "clocks", said, cure: "cpupower frequency-set --governor performance", matters: true)
  }

  private static func programs(_ facts: [HostFacts]) -> [Finding] {
    var findings: [Finding] = []
    for (subject, values) in [("MPI", facts.map(\.mpi)), ("build", facts.map(\.build))] {
      let kinds = Dictionary(grouping: facts.indices) { values[$0] }
      guard kinds.count > 1 else {
        findings.append(.fine(subject, values.first.map { "\($0) on all ranks" } ?? ""))
        continue
      }
      let each = kinds.sorted { $0.value[0] < $1.value[0] }
        .map { "\($0.key) on \(facts[$0.value[0]].host)" }
      findings.append(
        .warning(
          subject, "ranks run different ones: \(each.joined(separator: ", "))",
          cure: "install the same on every host, or let all start it from one folder", matters: true
        ))
    }
    return findings
  }

  /// `rank 3`, `ranks 0–3`, `ranks 0, 2, 5 …`.
  private static func ranks(_ facts: [HostFacts]) -> String {
    let numbers = facts.map(\.rank)
    guard numbers.count > 1 else { return "rank \(numbers.first ?? 0)" }
    if numbers.last! - numbers.first! == numbers.count - 1 {
      return "ranks \(numbers.first!)–\(numbers.last!)"
    }
    return
      "ranks \(numbers.prefix(6).map(String.init).joined(separator: ", "))\(numbers.count > 6 ? " …" : "")"
  }

  /// Numbers as ranges: `0-3,8`.
  private static func list(_ numbers: [Int]) -> String {
    var parts: [ClosedRange<Int>] = []
    for number in numbers.sorted() {
      if let last = parts.last, last.upperBound == number - 1 {
        parts[parts.count - 1] = last.lowerBound...number
      } else {
        parts.append(number...number)
      }
    }
    return parts.prefix(8).map {
      $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)"
    }
    .joined(separator: ",") + (parts.count > 8 ? ",…" : "")
  }
}
