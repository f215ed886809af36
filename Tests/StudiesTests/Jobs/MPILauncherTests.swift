import Foundation
import TemporaryFolders
import Testing

@testable import Studies

@Suite("How jobs are launched")
struct MPILauncherTests {
  private func launcher(
    _ words: String? = nil, hostfile: String? = nil, environment: [String: String] = [:]
  ) throws -> MPILauncher {
    var all = ["PATH": "/nowhere:/usr/bin:/bin"]
    all.merge(environment) { _, new in new }
    return try MPILauncher(
      launcher: words, hostfile: hostfile, program: "/p/lasp-train", environment: all)
  }

  @Test("The launcher's own options come first, then ranks, hosts, the program and its arguments")
  func command() throws {
    let files = try TemporaryFolder()
    try files.write("hosts", "a slots=2\n")
    let hosts = "\(files.path)/hosts"
    #expect(
      try launcher("env --bind-to core", hostfile: hosts).command(
        ranks: 4, arguments: ["train", "--threads=1"])
        == [
          "/usr/bin/env", "--bind-to", "core", "-n", "4", "--hostfile", hosts, "/p/lasp-train",
          "train", "--threads=1",
        ])
  }

  @Test("Open MPI is told that root and crowded cores are meant, unless the user says otherwise")
  func environment() throws {
    let mine = try launcher("env", environment: ["OMPI_ALLOW_RUN_AS_ROOT": "0"]).environment
    #expect(mine["OMPI_ALLOW_RUN_AS_ROOT"] == "0")
    #expect(mine["OMPI_MCA_rmaps_base_oversubscribe"] == "1")
  }

  @Test("What cannot launch is refused in one sentence")
  func refused() throws {
    func sentence(_ body: () throws -> MPILauncher) -> String {
      do {
        _ = try body()
        return ""
      } catch {
        return "\(error)"
      }
    }
    #expect(
      sentence { try launcher("no-such-launcher -x") }
        == "--launcher: there is no program 'no-such-launcher'; give its path, or a name that is in PATH"
    )
    #expect(
      sentence { try launcher("env", hostfile: "/nowhere") }
        == "--hostfile: cannot read '/nowhere'; give a file with a host a line")
    #expect(
      sentence { try launcher(environment: ["PATH": "/nowhere"]) }
        == "Open MPI's mpirun is not in PATH; install openmpi-bin, or name a launcher by --launcher"
    )
  }
}

@Suite("Jobs that are run")
struct JobRunnerTests {
  @Test("A job that ends badly tells its exit code and its own last words")
  func failed() throws {
    let files = try TemporaryFolder()
    // Without its count of ranks, the program stands first.
    try files.write("launch", "#!/bin/sh\nshift 2\nexec sh -c \"$1\"\n")
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o755], ofItemAtPath: "\(files.path)/launch")
    let launcher = try MPILauncher(
      launcher: "\(files.path)/launch", program: "echo starting; echo the reason >&2; exit 3",
      environment: ["PATH": "/bin"])
    let output = "\(files.path)/output.txt"
    #expect {
      try JobRunner().run(launcher, ranks: 1, arguments: [], output: output)
    } throws: {
      $0 as? JobError == .failed(code: 3, lastWords: "the reason", output: output)
    }
    #expect(try files.text("output.txt") == "starting\nthe reason\n")
  }

  @Test("What the launcher adds below a failed program's own words does not hide them")
  func lastWords() {
    let output = """
      lasp-train 0.1.0
      rank 1 (vm): no memory; use more ranks
      --------------------------------------------------------------------------
      Primary job  terminated normally, but 1 process returned
      a non-zero exit code.
      --------------------------------------------------------------------------
      """
    #expect(JobRunner.lastWords(output) == "rank 1 (vm): no memory; use more ranks")
    #expect(JobRunner.lastWords("") == "")
    #expect(JobRunner.lastWords("-----\nno such host\n-----\n") == "no such host")
  }
}
