import Foundation
import MessagePassing
import Reporting
import Training

/// What messages between neighbours cost, on one host and from host to host.
struct DoctorNetwork: Sendable {
  /// The slowest neighbours of a host, and the slowest of all; nil where there are none.
  let inside, across: NetworkProbe.Network?
  /// Seconds between the clocks of the ranks.
  let clockSpread: Double
  private let ranks: Int

  /// Measures; collective.
  init(_ world: World, _ facts: [HostFacts]) throws {
    let communicator = world.communicator
    ranks = communicator.size
    let names = facts.map { "\($0.identity) \($0.host)" }
    let numbers = names.map { name in names.firstIndex(of: name)! }
    let (hosts, own) = (Set(numbers).count, numbers[communicator.rank])
    let group = try communicator.split(color: own, key: communicator.rank)
    inside =
      hosts < ranks
      ? try NetworkProbe.measure(group, world: communicator, bytes: 4 << 20) : nil
    across =
      hosts > 1 ? try NetworkProbe.measure(communicator, world: communicator, bytes: 4 << 20) : nil
    try communicator.synchronize(for: "all ranks to look at their clocks")
    let clocks = try communicator.allGather(Date().timeIntervalSince1970)
    clockSpread = (clocks.max() ?? 0) - (clocks.min() ?? 0)
  }

  /// What that means.
  var findings: [Finding] {
    guard ranks > 1 else { return [.fine("network", "one rank, which sends nothing")] }
    var findings: [Finding] = []
    func words(_ network: NetworkProbe.Network) -> String {
      "\(Format.seconds(network.latency)) a message, \(Format.digits(1e-9 / network.secondsPerByte)) GB/s"
    }
    if let inside {
      let said = "neighbours on a host: \(words(inside))"
      findings.append(
        inside.latency > 100e-6 || inside.secondsPerByte > 2e-9
          ? .warning(
            "network", said,
            cure:
              "ranks of a host should meet in shared memory: look at /dev/shm, at OMPI_MCA_btl, and whether they have cores"
          )
          : .fine("network", said))
    }
    if let across {
      let said = "from host to host: \(words(across))"
      findings.append(
        across.latency > 300e-6 || across.secondsPerByte > 10e-9
          ? .warning(
            "network", said,
            cure:
              "name the fast network to Open MPI: --mca btl_tcp_if_include INTERFACE, or its UCX or libfabric"
          )
          : .fine("network", said))
    }
    findings.append(
      clockSpread > 2
        ? .warning(
          "time", "clocks of hosts are \(Format.seconds(clockSpread)) apart",
          cure: "let chrony or ntpd set them: checkpoints and logs are told apart by time")
        : .fine("time", "clocks agree within \(Format.seconds(max(clockSpread, 0.001)))"))
    return findings
  }
}
