import Checkpoints
import Configuration
import Foundation
import Testing

@testable import Training

@Suite("Runs that go on")
struct ResumeTests {
  private let runs: SmallRuns

  init() throws { runs = try SmallRuns() }

  @Test(
    "The folder of a run is all that is needed, and the bits are those of a run without a break")
  func alone() throws {
    try runs.train("whole", ["model.window=7", "model.mixer=transformer"])
    try runs.train("parts", ["model.window=7", "model.mixer=transformer"])
    try runs.cut("parts", after: 4)
    #expect(try runs.resume(runs.path("parts")) == [.finished, .finished])
    #expect(try runs.weights("parts") == runs.weights("whole"))
    #expect(try runs.events("parts", "resume").last?["changes"]?.array?.isEmpty == true)
    // From one of its checkpoints, in a run of another name.
    try runs.resume(runs.checkpoint("parts", 2), ["log.directory=\(runs.path("other"))"])
    #expect(try runs.weights("other") == runs.weights("whole"))
    #expect(try runs.steps("parts") == [2, 4, 6])
  }

  @Test("What changes the course is said with both values, and what changes the layout goes unsaid")
  func course() throws {
    try runs.train("run")
    try runs.cut("run", after: 4)
    try runs.resume(
      runs.path("run") + "/",
      [
        "optimizer.learning_rate=5e-4", "parallel.sharding=gradients", "sequence.segments=2",
        "training.steps=5", "parallel.exchange=gather", "threads=2",
      ], ranks: 3)
    let event = try runs.events("run", "resume").last
    #expect(event?["step"]?.integer == 4)
    #expect(
      event?["changes"] == [
        "optimizer.learning_rate 0.001 → 0.0005", "training.steps 6 → 5",
      ])
  }

  @Test(
    "What would make it another run is refused by name with both values, and done where that is accepted",
    arguments: [
      ("model.heads=4", "model.heads 2 → 4"), ("training.seed=2", "training.seed 1 → 2"),
      ("training.batch=8", "training.batch 4 → 8"),
      ("sequence.length=62", "sequence.length 61 → 62"),
      ("data.recall_query_fraction=0.25", "data.recall_query_fraction 0.5 → 0.25"),
      ("model.tnl.scale_embedding=false", "model.tnl.scale_embedding true → false"),
    ])
  func another(key: String, words: String) throws {
    try runs.train("run", ["training.steps=3"])
    for resume in [
      { options in try runs.resume(runs.checkpoint("run", 2), [key], ranks: 1, options) },
      { options in
        try runs.train(
          "run", [key, "training.steps=3", "training.resume=\(runs.checkpoint("run", 2))"],
          ranks: 1, options)
      },
    ] as [(TrainingOptions) throws -> [TrainingEnd]] {
      let error = sentence { _ = try resume(TrainingOptions()) }
      #expect(
        error.contains(words.replacing(key.prefix { $0 != "=" } + " ", with: ""))
          && error
            .contains(String(key.prefix { $0 != "=" }))
          && error.contains("--accept-changes"), "\(error)")
    }
    var options = TrainingOptions()
    options.acceptsChanges = true
    try runs.resume(runs.checkpoint("run", 2), [key], ranks: 1, options)
    let changes = try runs.events("run", "resume").last?["changes"]?.array?.compactMap(\.string)
    #expect(changes?.contains(words) == true)
  }

  @Test(
    "A checkpoint whose run file cannot be read is refused, and gone on from where that is accepted"
  )
  func unread() throws {
    try runs.train("run", ["training.steps=3"])
    let file = runs.checkpoint("run", 2) + "/state.json"
    var state = try #require(JSONValue(Data(contentsOf: URL(fileURLWithPath: file))).object)
    state["sha256"] = nil
    state["given"] = .array((state["given"]?.array ?? []) + ["model.novelty"])
    var configuration = try #require(state["configuration"]?.object)
    configuration["model"] = .object(
      (configuration["model"]?.object ?? [:]).merging(["novelty": 3]) { $1 })
    state["configuration"] = .object(configuration)
    state["sha256"] = .string(ContentHash(of: JSONValue.object(state).encoded).text)
    try JSONValue.object(state).encoded.write(to: URL(fileURLWithPath: file))
    let keys = ["training.steps=3", "training.resume=\(runs.checkpoint("run", 2))"]
    let error = #expect(throws: CheckpointError.self) { try runs.train("run", keys, ranks: 1) }
    #expect("\(error!)".contains("novelty") && "\(error!)".contains("--accept-changes"))
    #expect(sentence { try runs.resume(runs.checkpoint("run", 2)) }.contains("novelty"))
    var options = TrainingOptions()
    options.acceptsChanges = true
    try runs.train("run", keys, ranks: 1, options)
    let changes = try runs.events("run", "resume").last?["changes"]?.array?.compactMap(\.string)
    #expect(changes?.contains { $0.contains("was not compared") } == true)
  }

  @Test("Data that hold something else are refused, and the same data elsewhere are the same")
  func data() throws {
    let text = Data((0..<4000).map { UInt8(97 + ($0 * $0) % 23) })
    let file = try runs.folder.write("text.txt", text)
    try runs.train("run", ["data.path=\(file)"])
    try runs.cut("run", after: 4)
    var other = text
    other[10] ^= 1
    try runs.folder.write("text.txt", other)
    let error = sentence { try runs.resume(runs.path("run")) }
    #expect(error.contains("data.path: \(file) holds other bytes than before, as many"), "\(error)")
    try runs.folder.write("text.txt", text + text)
    #expect(sentence { try runs.resume(runs.path("run")) }.contains("had 4000 bytes → 8000"))
    try FileManager.default.removeItem(atPath: file)
    let moved = try runs.folder.write("moved.txt", text)
    try runs.resume(runs.path("run"), ["data.path=\(moved)"])
    let changes = try runs.events("run", "resume").last?["changes"]?.array?.compactMap(\.string)
    #expect(changes?.count == 1 && changes?[0].hasSuffix("moved.txt, which holds the same") == true)
  }

  @Test("A checkpoint that is damaged is passed over with the reason, and the one before is taken")
  func passesOver() throws {
    try runs.train("run")
    let through = try runs.weights("run")
    try FileManager.default.removeItem(atPath: runs.path("run") + "/model")
    try runs.damage(runs.checkpoint("run", 6) + "/optimizer.safetensors")
    try FileManager.default.removeItem(atPath: runs.checkpoint("run", 4) + "/config.json")
    try runs.resume(runs.path("run"), ranks: 2)
    #expect(try runs.weights("run") == through)
    let warnings = try runs.warnings("run")
    #expect(
      warnings.contains {
        $0.contains("step-00000006 is passed over: ")
          && $0.contains("optimizer.safetensors are not those that were written")
      })
    #expect(
      warnings.contains {
        $0.contains("step-00000004 is passed over: ") && $0.contains("config.json is missing")
      })
    #expect(warnings.contains("the run goes on from \(runs.checkpoint("run", 2)), the one before"))
    #expect(try runs.steps("run") == [2, 4, 6])
  }

  @Test(
    "A damaged checkpoint that is named, and a run of which none is whole, are errors of checkpoints"
  )
  func damaged() throws {
    try runs.train("run", ["training.steps=2"])
    let file = runs.checkpoint("run", 2) + "/model.safetensors"
    try runs.damage(file)
    for path in [runs.checkpoint("run", 2), runs.path("run")] {
      let error = #expect(throws: (any Error).self) { try runs.resume(path, ranks: 1) }
      #expect(ExitReason(error!) == .checkpoint)
      #expect("\(error!)".contains("model.safetensors are not those that were written"))
    }
    #expect(sentence { try runs.resume(runs.folder.file("nothing")) }.contains("is no checkpoint"))
  }

  @Test(
    "Going back sets later checkpoints aside, and the run's latest is the one that it wrote last")
  func goesBack() throws {
    try runs.train("run")
    let through = try runs.weights("run")
    try runs.resume(
      runs.checkpoint("run", 2), ["optimizer.learning_rate=5e-4", "training.steps=4"])
    #expect(try runs.steps("run") == [2, 4])
    let folder = RunFolder(path: runs.path("run")).checkpoints
    #expect(try folder.setAside().map(\.step) == [4, 6])
    let latest = try #require(try folder.latest())
    #expect(latest.state.parent?.path == runs.checkpoint("run", 2))
    #expect(latest.state.serial == 4)
    #expect(
      try runs.warnings("run").contains(
        "the run goes back behind \(runs.checkpoint("run", 6)), which is set aside as "
          + "\(runs.checkpoint("run", 6)).abandoned-1"))
    // It goes on from there, not from what it went back behind.
    try runs.resume(runs.path("run"), ["training.steps=6"])
    #expect(try runs.steps("run") == [2, 4, 6])
    #expect(try runs.weights("run") != through)
    var options = TrainingOptions()
    options.forgets = true
    try runs.resume(runs.path("run"), ["training.steps=7"], options)
    #expect(try folder.setAside().isEmpty)
    #expect(try runs.steps("run") == [2, 4, 6, 7])
  }

  @Test("A finished run has nothing to do, and more steps go on from its end")
  func finished() throws {
    // A course of the learning rate that does not depend on the number of steps.
    let level = ["schedule.minimum=1"]
    try runs.train("run", level)
    let (log, model) = (try runs.folder.read("run/log.jsonl"), try runs.weights("run"))
    #expect(try runs.resume(runs.path("run")) == [.finished, .finished])
    #expect(try runs.folder.read("run/log.jsonl") == log)
    #expect(try runs.weights("run") == model)
    // A model of what the run went back behind is not its own.
    let old = [FileAttributeKey.modificationDate: Date(timeIntervalSince1970: 1e9)]
    try FileManager.default.removeItem(atPath: runs.path("run") + "/model/model.safetensors")
    try FileManager.default.setAttributes(old, ofItemAtPath: runs.path("run") + "/model")
    #expect(try runs.resume(runs.path("run")) == [.finished, .finished])
    #expect(try runs.weights("run") == model)
    try runs.resume(runs.path("run"), ["training.steps=8"])
    try runs.train("whole", level + ["training.steps=8"])
    #expect(try runs.weights("run") == runs.weights("whole"))
  }

  @Test("auto without a name is an error; with one and without a checkpoint it begins, and says so")
  func auto() throws {
    let error = sentence {
      _ = try RunConfiguration.load(overrides: [Override("training.resume=auto")])
    }
    #expect(
      error.contains("training.resume") && error.contains("give training.name or log.directory"))
    try runs.train("run", ["training.resume=auto", "training.steps=1"])
    #expect(
      try runs.warnings("run").contains(
        "there is no checkpoint in \(runs.path("run"))/checkpoints: the run begins at step 0"))
  }

  @Test("A run saves at its end, by steps, and by rank 0's clock")
  func saves() throws {
    try runs.train("none", ["checkpoint.every=0"])
    #expect(try runs.steps("none") == [6])
    // The clock is read once at the start, and then by rank 0 alone before each step and at each checkpoint.
    final class Clock: @unchecked Sendable { var minutes = 0.0 }
    let clock = Clock()
    try runs.train(
      "clock", ["checkpoint.every=0", "checkpoint.minutes=2"], ranks: 1,
      clock: {
        clock.minutes += 1
        return 60 * clock.minutes
      })
    // Read at minutes 1 (start), 2 (step 1), 3 (step 2 is followed by one), 4 (then).
    #expect(try runs.steps("clock").prefix(2) == [2, 4])
    try runs.train("kept", ["checkpoint.every=1", "checkpoint.keep=1", "checkpoint.keep_every=3"])
    #expect(try runs.steps("kept") == [3, 6])
  }

  @Test("What is told of a run in its checkpoint")
  func state() throws {
    try runs.train("run", ["evaluation.every=3", "evaluation.tokens=244", "training.steps=4"])
    let (two, four) = (
      try Checkpoint(path: runs.checkpoint("run", 2)),
      try Checkpoint(path: runs.checkpoint("run", 4))
    )
    let state = four.state
    #expect(state.tokens == 4 * 4 * 61 && state.seed == 1)
    #expect(state.loss == (try runs.events("run", "step")).last?["loss"]?.number)
    #expect(state.evaluationLoss == (try runs.events("run", "evaluation")).last?["loss"]?.number)
    #expect(state.parent == .init(path: two.path, step: 2, identity: two.identity))
    #expect(state.serial == 2 && two.state.serial == 1 && two.state.parent == nil)
    #expect(state.layout["ranks"] == 2)
    #expect(state.configuration["sequence"]?["length"] == 61)
    #expect(try RunConfiguration.of(four).digest == RunConfiguration.of(two).digest)
  }
}
