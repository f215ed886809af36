import Files
import Foundation
import Tensors

/// How a program is started on several ranks: the words of a command.
///
/// Concretely: `mpirun -n 4 [--hostfile FILE] program arguments…`. Inside an allocation of Slurm nothing is
/// added: Open MPI's mpirun reads the allocation and starts ranks on its nodes.
struct MPILauncher: Sendable, Equatable {
  /// The launcher and its options.
  let words: [String]
  /// File with a host a line, for `--hostfile`; nil for this machine or an allocation.
  let hostfile: String?
  /// The program that all ranks run.
  let program: String
  /// The launcher's environment.
  let environment: [String: String]

  /// Finds a launcher.
  ///
  /// - Parameters:
  ///   - launcher: A command with options, such as `mpirun --bind-to core`; nil for Open MPI's mpirun.
  ///   - hostfile: File with a host a line.
  ///   - program: Path of the program; the running one's unless given.
  ///   - environment: Where `PATH` stands; what Open MPI needs to start in containers and on few cores is
  ///     added for the launcher, unless it is there.
  /// - Throws: `JobError.launcher`.
  init(
    launcher: String? = nil, hostfile: String? = nil, program: String? = nil,
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(JobError) {
    if let variable = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK"].first(where: { environment[$0] != nil })
    {
      throw .launcher(
        "\(variable) says that this is a rank already; start this command alone, without mpirun: it starts "
          + "its ranks itself")
    }
    let given = (launcher ?? "").split(separator: " ").map(String.init)
    let names = given.isEmpty ? ["mpirun.openmpi", "mpirun"] : [given[0]]
    let found = names.lazy.compactMap { Self.find($0, path: environment["PATH"] ?? "") }.first
    guard let found else {
      throw .launcher(
        given.isEmpty
          ? "Open MPI's mpirun is not in PATH; install openmpi-bin, or name a launcher by --launcher"
          : "--launcher: there is no program '\(given[0])'; give its path, or a name that is in PATH"
      )
    }
    if let hostfile {
      guard !found.hasSuffix("/srun") else {
        throw .launcher("--hostfile is for mpirun; srun takes its hosts from Slurm")
      }
      guard FileManager.default.isReadableFile(atPath: hostfile) else {
        throw .launcher("--hostfile: cannot read '\(hostfile)'; give a file with a host a line")
      }
    }
    words = [found] + given.dropFirst()
    self.hostfile = hostfile
    self.program = program ?? RunningProgram.path
    self.environment = environment.merging(Self.openMPI) { mine, _ in mine }
  }

  /// The command that starts so many ranks.
  func command(ranks: Int, arguments: [String]) -> [String] {
    words + ["-n", "\(ranks)"] + (hostfile.map { ["--hostfile", $0] } ?? []) + [program]
      + arguments
  }

  /// What `Launch/mpirun` says to Open MPI too: root and more ranks than cores are meant; time to end;
  /// no warning about hardware that is not there.
  private static let openMPI = [
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_odls_base_sigkill_timeout": "3",
    "OMPI_MCA_btl_base_warn_component_unused": "0",
  ]

  private static func find(_ name: String, path: String) -> String? {
    let places = name.contains("/") ? [name] : path.split(separator: ":").map { "\($0)/\(name)" }
    return places.first {
      FileManager.default.isExecutableFile(atPath: $0) && !FileSystem.isFolder($0)
    }
  }
}
