import Checkpoints
import Foundation
import MessagePassing
import TemporaryFolders
import Testing

@testable import Training

@Suite("Ranks agree on what they hold before the first step")
struct AgreementTests {
  private let agreement = Agreement([
    .init("build of the program", "a", cure: "copy it"), .init("step", "1", cure: "share it"),
  ])

  @Test(
    "The first rank that differs from most is named; of two ranks, the second",
    arguments: [
      (["a", "a", "a"], nil), (["a", "b", "a"], 1), (["b", "a", "a"], 0),
      (["a", "b", "b", "c"], 0),
      (["a", "b"], 1), (["a", "a", "b", "b"], 2),
    ] as [([String], Int?)])
  func odd(values: [String], rank: Int?) {
    let ofBuild = agreement.disagreement(values.map { [$0, "1"] })
    #expect(ofBuild?.rank == rank && ofBuild?.item ?? 0 == 0)
    let ofStep = agreement.disagreement(values.map { ["a", $0] })
    #expect(ofStep?.rank == rank && ofStep?.item ?? 1 == 1)
  }

  @Test("What is wrong says which rank on which host, what differs, and what to do")
  func sentence() throws {
    let hosts = ["n0", "n1", "n2", "n3"]
    let odd = try #require(
      agreement.disagreement([["a", "1"], ["a", "1"], ["a", "2"], ["a", "1"]]))
    #expect(
      agreement.sentence(odd, hosts: hosts)
        == "rank 2 (n2) has another step than 3 of 4 ranks: 2, not 1; share it")
    // One that has told other things altogether.
    #expect(agreement.disagreement([["a", "1"], ["a", "1"], ["a"]])?.rank == 2)
  }

  @Test(
    "A rank with other keys, data or checkpoint ends the start on all ranks",
    arguments: ["keys", "data", "seed"])
  func ranks(what: String) throws {
    let folder = try TemporaryFolder()
    let place = folder.path
    for rank in 0..<3 {
      let own = place + "/\(rank)"
      try FileManager.default.createDirectory(atPath: own, withIntermediateDirectories: true)
      let bytes = (0..<600).map { UInt8(($0 * 7 + (what == "data" && rank == 2 ? 1 : 0)) % 11) }
      try Data(bytes).write(to: URL(fileURLWithPath: own + "/text.bin"))
    }
    let errors = try ThreadCommunicator.run(ranks: 3, deadline: 60) { world in
      let own = place + "/\(world.rank)"
      let small = try SmallRun(
        "data.path=\(own)/text.bin", "training.seed=\(what == "seed" && world.rank == 2 ? 2 : 1)",
        "training.steps=\(what == "keys" && world.rank == 2 ? 60 : 50)")
      return #expect(throws: TrainingError.self) {
        if what == "data" {
          try Agreement.ofRun(
            from: nil, reading: small.configuration.dataFingerprint(), products: nil
          ).check(world)
        } else {
          // The path is no rank's own here.
          let same = try SmallRun(
            "training.seed=\(small.configuration.training.seed)",
            "training.steps=\(small.configuration.training.steps)")
          try Agreement.ofProgram(same.configuration).check(world)
        }
      }.map { ("\($0)", ExitReason($0)) }
    }
    for error in errors {
      let (text, reason) = try #require(error)
      #expect(reason == .communication && text == errors[0]?.0)
      #expect(text.hasPrefix("rank 2 (") && text.contains(" than 2 of 3 ranks: "))
      #expect(text.contains(what == "data" ? "data.path" : "configuration"))
    }
  }

  @Test("A build is told by the linker's note, and without one by the file's content")
  func build() throws {
    let folder = try TemporaryFolder()
    let copy = folder.path + "/copy"
    try FileManager.default.copyItem(atPath: "/proc/self/exe", toPath: copy)
    #expect(BuildIdentity.ofProgram(at: copy) == BuildIdentity.current)
    #expect(BuildIdentity.current != BuildIdentity.ofProgram(at: "/bin/ls"))
    let text = Data("no program".utf8)
    try text.write(to: URL(fileURLWithPath: copy + ".txt"))
    #expect(BuildIdentity.ofProgram(at: copy + ".txt") == ContentHash(of: text).text)
    #expect(BuildIdentity.ofProgram(at: copy + ".none") == "unknown")
  }
}
