import Configuration
import Foundation
import Observation
import Reporting
import TemporaryFolders
import Testing

@testable import Studies

@Suite("Runs of a sweep")
struct SweepTests {
  private let files: TemporaryFolder

  init() throws { files = try TemporaryFolder() }

  /// A sweep of three runs whose launcher is a script: it has the folder of a run as `$place`, and notes each attempt.
  private func sweep(_ script: String, jobs: Int = 1) throws -> Sweep {
    try files.write(
      "launch",
      """
      #!/bin/sh
      for word; do case $word in --log.directory=*) place=${word#*=} ;; esac; done
      echo "$*" >>"$place/attempts"
      start() { echo '{"event":"start","ranks":1,"parameters":5,"tokens_per_step":128}' >>"$place/log.jsonl"; }
      step() { echo "{\\"event\\":\\"step\\",\\"step\\":$1,\\"seconds\\":1,\\"tokens\\":128}" >>"$place/log.jsonl"; }
      finish() { echo '{"event":"end","reason":"finished","steps":2}' >>"$place/log.jsonl"; }
      \(script)
      """)
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o755], ofItemAtPath: files.file("launch"))
    try files.write("s.yaml", SweepFileTests.small + "\nseeds: 3\njobs: \(jobs)\n")
    var sweep = Sweep(file: files.file("s.yaml"), overrides: [])
    sweep.launcher = files.file("launch")
    sweep.output = files.file("out")
    sweep.console = .quiet
    return sweep
  }

  private func states() throws -> [String?] {
    let json = try JSONValue(try files.read("out/sweep.json"))
    return (json["runs"]?.array ?? []).map { $0["state"]?.string }
  }

  private func attempts(_ seed: Int) throws -> Int {
    try files.text("out/seed\(seed)/attempts").split(separator: "\n").count
  }

  @Test("Each run is done once, by its own run file and in its own folder", arguments: [1, 3])
  func once(jobs: Int) throws {
    let sweep = try sweep("start; step 1; step 2; finish", jobs: jobs)
    try sweep.run()
    try sweep.run()
    #expect(try states() == ["finished", "finished", "finished"])
    for seed in 1...3 {
      #expect(try attempts(seed) == 1)
      #expect(try files.text("out/seed\(seed)/run.yaml").contains("\n  seed: \(seed)\n"))
      let command = try files.text("out/seed\(seed)/attempts")
      #expect(command.contains("train \(files.path)/out/seed\(seed)/run.yaml"))
      #expect(command.contains("--training.resume=auto"))
    }
    #expect(files.has("out/sweep.html"))
  }

  @Test(
    "A run that fails is kept apart with its last words, and is tried again where that is asked for"
  )
  func failing() throws {
    var sweep = try sweep(
      """
      start
      case $place in *seed2) if [ ! -e "$place/cured" ]; then echo begun; echo "no such thing" >&2; exit 3; fi ;; esac
      step 1; step 2; finish
      """)
    #expect(throws: SweepError.failed("1 run of 3 failed; --retry tries them again")) {
      try sweep.run()
    }
    #expect(try states() == ["finished", "failed", "finished"])
    let run = try JSONValue(try files.read("out/sweep.json"))["runs"]?.array?[1]
    #expect(run?["code"] == 3 && run?["words"] == "no such thing")
    #expect(try files.text("out/seed2/output.txt") == "begun\nno such thing\n")
    #expect(throws: SweepError.self) { try sweep.run() }
    #expect(try attempts(2) == 1)
    try files.write("out/seed2/cured", "")
    sweep.retries = true
    try sweep.run()
    #expect(try states() == ["finished", "finished", "finished"])
    #expect(try (1...3).map(attempts) == [1, 2, 1])
  }

  @Test(
    "A run that stops with a checkpoint is no failure, and goes on when the sweep is started again")
  func stopping() throws {
    let sweep = try sweep(
      """
      start; step 1
      case $place in *seed1) if [ ! -e "$place/before" ]; then touch "$place/before"; exit 75; fi ;; esac
      step 2; finish
      """)
    #expect {
      try sweep.run()
    } throws: {
      guard case .stopped(let sentence)? = $0 as? SweepError else { return false }
      return sentence.hasPrefix("stopped with 1 run left of 3; the same command goes on: ")
    }
    #expect(try states() == ["interrupted", "finished", "finished"])
    try sweep.run()
    #expect(try (1...3).map(attempts) == [2, 1, 1])
    #expect(try states() == ["finished", "finished", "finished"])
  }

  @Test("A run that was killed with its sweep goes on")
  func killed() throws {
    let sweep = try sweep("start; step 1; step 2; finish")
    // What a sweep leaves that ends within its first run.
    let plan = try SweepPlan(try SweepFile(path: sweep.file), overrides: [])
    try sweep.folder.prepare(plan.runs[0])
    try files.write(
      "out/seed1/log.jsonl",
      "{\"event\":\"start\",\"parameters\":5}\n{\"event\":\"step\",\"step\":1}\n{\"ev")
    #expect(try sweep.folder.state(plan.runs[0]) == .interrupted)
    #expect(try sweep.folder.state(plan.runs[1]) == .waiting)
    try sweep.run()
    #expect(try (1...3).map(attempts) == [1, 1, 1])
  }

  @Test("One run alone, as a task of an array does it")
  func only() throws {
    var sweep = try sweep("start; step 2; finish")
    sweep.only = 2
    try sweep.run()
    #expect(try states() == ["waiting", "finished", "waiting"])
    sweep.only = 4
    #expect(throws: SweepError.request("--only 4: there are runs 1 to 3")) { try sweep.run() }
  }

  @Test("Runs that are there with other keys are refused, or done anew where that is asked for")
  func changed() throws {
    var sweep = try sweep("start; step 2; finish")
    try sweep.run()
    sweep.overrides = [Override("training.steps=7")]
    #expect {
      try sweep.run()
    } throws: {
      "\($0)".contains("holds this run with other keys: steps: 3, where")
        && "\($0)".contains("now asks for steps: 7; give another --output, or --overwrite")
    }
    sweep.overwrites = true
    try sweep.run()
    #expect(try (1...3).map(attempts) == [1, 1, 1])
    #expect(try files.text("out/seed3/run.yaml").contains("steps: 7"))
  }

  @Test("Of a finished run what is not kept is removed")
  func kept() throws {
    let sweep = try sweep("mkdir $place/checkpoints $place/model; start; step 2; finish")
    try files.write("s.yaml", try files.text("s.yaml") + "keep: model\n")
    try sweep.run()
    #expect(!files.has("out/seed1/checkpoints") && files.has("out/seed1/model"))
  }

  @Test("The script for Slurm is an array with a task for each run, and shell")
  func script() throws {
    var sweep = try sweep("", jobs: 2)
    sweep.overrides = [Override("data.path=a file")]
    let plan = try SweepPlan(try SweepFile(path: sweep.file), overrides: [])
    let text = SweepScript(sweep, plan).text
    #expect(text.hasPrefix("#!/usr/bin/env bash\n"))
    #expect(text.contains("\n#SBATCH --array=1-3%2\n") && text.contains("\n#SBATCH --ntasks=1\n"))
    #expect(text.contains("sweep \(files.path)/s.yaml --output \(files.path)/out"))
    #expect(text.contains(" '--data.path=a file' --only \"$SLURM_ARRAY_TASK_ID\" &\n"))
    try files.write("script", text)
    let check = Process()
    check.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    check.arguments = ["bash", "-n", files.file("script")]
    try check.run()
    check.waitUntilExit()
    #expect(check.terminationStatus == 0)
  }
}
