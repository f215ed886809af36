import Configuration
import Foundation
import MessagePassing
import Reporting
import Tensors
import Training

/// `lasp-train doctor`: what of the machines that it runs on would make a run slow or end it, and what cures that.
package struct Doctor: Sendable {
  /// The run file, which says threads, precision and where runs are written.
  package var configuration: RunConfiguration
  /// Whether the findings are printed as JSON.
  package var isJSON: Bool

  package init(_ configuration: RunConfiguration, json: Bool) {
    (self.configuration, isJSON) = (configuration, json)
  }

  /// Looks at every rank's machine, measures, and prints what was found; collective.
  package func run() throws {
    let (isJSON, folder) = (isJSON, configuration.log.directory ?? "runs")
    let precision = configuration.training.precision
    try RankProgram.run(configuration) { world, workspace in
      let facts = try HostFacts.gather(world, threads: workspace.team.size, deep: true)
      let speeds = try DoctorSpeeds(world)
      let networks = try DoctorNetwork(world, facts)
      let disk = try DoctorDisk(world, folder: folder)
      let memory = try Self.memory(world, facts)
      guard world.communicator.rank == 0 else { return }
      let findings =
        HostFindings.all(facts) + memory + speeds.findings(facts, precision: precision)
        + networks.findings + disk.findings + [Self.libraries(facts)]
      if isJSON {
        print(JSONValue.array(findings.map(\.json)).text)
      } else {
        Self.show(findings)
      }
    }
  }

  private static func show(_ findings: [Finding]) {
    let output = TerminalOutput.standard()
    for line in Finding.table(findings, width: min(output.width, 120)) { output.line(line) }
    let warnings = findings.count(where: \.isWarning)
    output.line("")
    output.line(
      warnings == 0
        ? "all is well" : "\(Format.number(warnings, of: "warning")); what is marked → cures them")
  }

  /// How much memory the ranks of each host can have; collective.
  private static func memory(_ world: World, _ facts: [HostFacts]) throws -> [Finding] {
    let left = HostMemory.left(processes: world.host.ranks)
    let said = try world.communicator.allGather(
      left.map { "\(Format.bytes($0.bytes)) \($0.limit) are left" } ?? "")
    let first = Dictionary(grouping: facts.indices) { "\(facts[$0].identity) \(facts[$0].host)" }
      .values.map { $0[0] }.sorted()
    return first.filter { !said[$0].isEmpty }.map {
      .fine("memory", "\(facts[$0].host): \(said[$0])")
    }
  }

  /// Whether the MPI that runs is that of the build.
  private static func libraries(_ facts: [HostFacts]) -> Finding {
    let built = MPIRelease.built
    let running = facts.first?.mpi ?? ""
    let said =
      "\(running), built with \(built); OpenBLAS for \(facts.first?.kernels ?? ""); \(OneDNN.version.map { "oneDNN \($0)" } ?? "without oneDNN")"
    // Releases of one series are made to be exchanged.
    let series = built.split(separator: ".").prefix(1).joined()
    guard running.contains("Open MPI"), !running.contains("v\(series).") else {
      return .fine("libraries", said)
    }
    return .warning(
      "libraries", said,
      cure: "build the program where it runs, or take the Open MPI that it was built with")
  }
}
