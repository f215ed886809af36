import Measurement
import MessagePassing
import Reporting
import Tensors
import Training

/// How fast each rank multiplies, alone on its host and together with all others.
struct DoctorSpeeds: Sendable {
  /// What the first rank of each host reaches while the others wait, by rank; nil of others.
  let alone: [MachinePeak?]
  /// What each rank reaches by the clock while all multiply, in GFLOP/s, by rank.
  let together: [Double]
  /// What the first rank reaches in products of bf16; nil where nothing computes them here.
  let bfloat16: Double?

  /// Measures; collective, and the same on all ranks.
  init(_ world: World) throws {
    let ranks = world.communicator
    func all() throws { try ranks.synchronize(for: "all ranks to measure products") }
    try all()
    let mine = world.host.index == 0 ? MachinePeak.measure(seconds: 0.4) : nil
    try all()
    let crowd = ProductPeak.measureByClock(seconds: 0.4)
    try all()
    let numbers = try ranks.allGather([mine?.sgemm ?? -1, mine?.multiplyAdd ?? -1, crowd])
    let cores = try ranks.allGather(BLAS.coreName)
    alone = zip(numbers, cores).map { numbers, core in
      numbers[0] < 0
        ? nil : MachinePeak(sgemm: numbers[0], multiplyAdd: numbers[1], core: core)
    }
    together = numbers.map { $0[2] }
    let settings = ranks.rank == 0 ? try? ProductSettings(.bf16) : nil
    bfloat16 = settings.flatMap { $0.widens ? nil : ProductPeak.measure($0, seconds: 0.3) }
  }

  /// What that means.
  func findings(_ facts: [HostFacts], precision: Precision) -> [Finding] {
    var findings: [Finding] = []
    let hosts = Dictionary(grouping: facts.indices) { "\(facts[$0].identity) \(facts[$0].host)" }
      .values.sorted { $0[0] < $1[0] }
    for host in hosts {
      guard let first = host.first(where: { alone[$0] != nil }), let peak = alone[first] else {
        continue
      }
      let name = facts[first].host
      let said =
        "\(name): \(peak.core) kernels, \(Format.digits(peak.sgemm))"
        + (peak.multiplyAdd > peak.sgemm ? " of \(Format.digits(peak.multiplyAdd))" : "")
        + " GFLOP/s"
      findings.append(
        peak.complaint.map {
          .warning(
            "sgemm", "\(name): \($0.prefix { $0 != ";" })",
            cure: String($0.drop { $0 != ";" }.dropFirst(2)))
        }
          ?? .fine("sgemm", said))
      guard host.count > 1 else { continue }
      let speeds = host.map { together[$0] }
      let slowest = host.min { together[$0] < together[$1] }!
      let (mean, least) = (speeds.reduce(0, +) / Double(speeds.count), together[slowest])
      let all =
        "\(name): \(Format.digits(mean)) GFLOP/s a rank with all \(host.count) at once, \(Format.digits(peak.sgemm)) alone"
      if least < 0.7 * mean {
        findings.append(
          .warning(
            "all at once", "\(all); rank \(slowest) has \(Format.digits(least))",
            cure:
              "something holds its core back: a process beside it, heat, or a hyper-thread of another rank"
          ))
      } else if mean < 0.6 * peak.sgemm {
        findings.append(
          .warning(
            "all at once", all,
            cure:
              "ranks share cores, with each other or with others, or memory, or a clock that falls: fewer ranks with more threads may be as fast"
          ))
      } else {
        findings.append(.fine("all at once", all))
      }
    }
    findings.append(halves(facts[0], precision: precision, peak: alone[0]?.sgemm ?? 0))
    return findings
  }

  private func halves(_ facts: HostFacts, precision: Precision, peak: Double) -> Finding {
    let has = facts.instructions.contains { $0.hasSuffix("bf16") }
    let asked = precision == .bf16
    guard OneDNN.version != nil else {
      let said =
        "the program is built without oneDNN"
        + (has ? ", and this CPU has \(facts.instructions.last!)" : "")
      return has || asked
        ? .warning(
          "bf16", said,
          cure:
            "apt-get install libdnnl-dev and build again: training.precision=bf16 is faster then")
        : .fine("bf16", said)
    }
    guard has else {
      let said = "this CPU has no instructions for bf16"
      return asked
        ? .warning("bf16", said, cure: "training.precision=fp32 is as fast here, and exact")
        : .fine("bf16", said)
    }
    guard let bfloat16 else {
      return .warning(
        "bf16",
        "this CPU has \(facts.instructions.last!), and oneDNN \(OneDNN.version!) multiplies no bf16",
        cure: "unset ONEDNN_MAX_CPU_ISA, or install libdnnl-dev anew and build again")
    }
    let said =
      "oneDNN \(OneDNN.version!) by \(facts.instructions.last!), \(Format.digits(bfloat16)) GFLOP/s"
    return bfloat16 > 1.2 * peak || !asked
      ? .fine("bf16", said)
      : .warning(
        "bf16", "\(said), no more than fp32",
        cure: "look at ONEDNN_MAX_CPU_ISA, or take training.precision=fp32")
  }
}
