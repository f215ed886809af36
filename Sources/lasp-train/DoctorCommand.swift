import ArgumentParser
import Studies
import Training

/// `lasp-train doctor`.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Find out what of these machines would make a run slow, and what cures it.",
    usage: """
      lasp-train doctor [--json] \(RunFileOption.usage) \(OverrideOptions.usage)
      mpirun -n 8 lasp-train doctor
      """,
    discussion: """
      Alone or under mpirun, started as the run will be. Looks at hosts, cores, binding, memories, control groups, load, \
      shared memory, clocks, libraries; measures matrix products alone and by all ranks at once, messages between \
      neighbours and the folder of runs (log.directory). Takes some seconds. What matters of it and costs nothing to find \
      every run tells at its start, too.

      \(OverrideOptions.help)
      """)

  @Flag(help: "Print the findings as JSON.")
  var json = false

  @OptionGroup var runFile: RunFileOption

  @OptionGroup var overrides: OverrideOptions

  func run() throws { try Doctor(overrides.load(file: runFile.path), json: json).run() }
}
