/// What the environment says about who started this process, and as one of how many.
struct Launcher: Sendable, Equatable {
  /// Whether a launcher that MPI understands started this process.
  let isPresent: Bool
  /// How many processes were started together, and the variable that says so.
  let ranks: (count: Int, variable: String)?

  /// Reads the launcher's variables.
  init(environment: [String: String]) {
    let mine = ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE"]
    // Slurm sets its variables for a job's script too; only a step of srun's has started ranks.
    let isStep = environment["SLURM_STEP_ID"] != nil && environment["SLURM_PROCID"] != nil
    isPresent = mine.contains { environment[$0] != nil } || isStep
    let counts = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"] + (isStep ? ["SLURM_STEP_NUM_TASKS"] : [])
    ranks =
      counts.lazy.compactMap { variable in
        environment[variable].flatMap { Int($0) }.map { ($0, variable) }
      }.first
  }

  /// The sentence for a world that has not the ranks that were started, or `nil` if all is well.
  func complaint(worldSize: Int) -> String? {
    guard let ranks, ranks.count > 1, worldSize == 1 else { return nil }
    return "\(ranks.variable) says that \(ranks.count) processes were started, but each of them is "
      + "a world of its own; start them with the mpirun of the MPI that this program is built with, "
      + "or with `srun --mpi=pmix`"
  }

  static func == (a: Launcher, b: Launcher) -> Bool {
    a.isPresent == b.isPresent && a.ranks?.count == b.ranks?.count
      && a.ranks?.variable == b.ranks?.variable
  }
}
