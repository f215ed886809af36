import Checkpoints
import Configuration
import DataParallel
import Foundation
import Models
import TemporaryFolders
import Tensors
import Testing

@testable import MessagePassing
@testable import Training

@Suite("Stages that follow one another in a run")
struct StageTests {
  private let folder: TemporaryFolder

  init() throws {
    BLAS.setThreads(1)
    folder = try TemporaryFolder()
  }

  /// Trains a small Transformer a little; gives its folder.
  private func transformer() throws -> String {
    let path = folder.file("transformer")
    _ = try train(["model.mixer=llama", "training.steps=3", "log.directory=\(path)"], ranks: 1)
    return path + "/model"
  }

  /// How each rank ended, and why not.
  @discardableResult
  private func train(
    _ keys: [String], ranks: Int, until isAsked: @Sendable (_ asked: Int) -> Bool = { _ in false }
  ) throws -> [TrainingEnd] {
    let run = try SmallRun(
      ["evaluation.every=0", "training.batch=2", "checkpoint.keep=0"] + keys, steps: nil)
    return try ThreadCommunicator.run(ranks: ranks, deadline: 60) { communicator in
      let world = World(
        communicator: communicator, host: Host(ranks: ranks, index: communicator.rank))
      let session = try TrainingSession(run.configuration, world: world, workspace: Workspace())
      var asked = 0
      return try session.train {
        asked += 1
        return isAsked(asked)
      }
    }
  }

  private func bytes(_ path: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: path))
  }

  private func weights(_ run: String) throws -> Data {
    try bytes(run + "/model/model.safetensors")
  }

  /// The events of a run's log of one kind.
  private func events(_ run: String, _ kind: String) throws -> [JSONValue] {
    try String(contentsOfFile: run + "/log.jsonl", encoding: .utf8).split(separator: "\n")
      .map { try JSONValue(Data($0.utf8)) }.filter { $0["event"]?.string == kind }
  }

  private func losses(_ run: String) throws -> [Double?] {
    try events(run, "step").map { $0["loss"]?.number }
  }

  private static let method = ["linearise.method=lolcats", "model.lolcats.window=7"]
  private static let transferThenText =
    "linearise.stages=[{stage: transfer, steps: 4, learning_rate: 0.01, warmup: 0}, {steps: 3, warmup: 2}]"

  @Test(
    "A run that goes on from any of its steps ends with the same bits",
    arguments: [
      (1, []), (3, []), (3, ["parallel.sharding=parameters"]),
      (4, ["parallel.sharding=optimizer", "parallel.data=2", "optimizer.name=muon"]),
      (2, ["parallel.sharding=gradients", "sequence.segments=2", "training.recompute=true"]),
      (2, ["lora.targets=[q_proj, v_proj]"]),
    ] as [(Int, [String])])
  func resumes(ranks: Int, more: [String]) throws {
    let keys =
      ["model.from=\(try transformer())", Self.transferThenText, "checkpoint.every=1"]
      + Self.method + more
    let (whole, parts) = (folder.file("whole"), folder.file("parts"))
    try train(keys + ["log.directory=\(whole)"], ranks: ranks)
    let curve = try losses(whole)
    #expect(curve.count == 7)
    for step in 1...6 {
      let name = "\(parts)-\(step)"
      try train(
        keys + [
          "log.directory=\(name)", "training.resume=\(whole)/checkpoints/step-0000000\(step)",
        ], ranks: ranks)
      #expect(try weights(name) == weights(whole), "from step \(step)")
      #expect(try losses(name) == Array(curve[step...]), "from step \(step)")
      if !more.contains("lora.targets=[q_proj, v_proj]") { continue }
      let adapter = "/adapter/adapter_model.safetensors"
      #expect(try bytes(name + adapter) == bytes(whole + adapter))
    }
  }

  @Test("A run that is asked to stop in each of its stages goes on with the same bits")
  func stops() throws {
    let keys = ["model.from=\(try transformer())", Self.transferThenText] + Self.method
    let (whole, parts) = (folder.file("whole"), folder.file("parts"))
    try train(keys + ["log.directory=\(whole)"], ranks: 2)
    let goesOn = keys + ["log.directory=\(parts)", "training.resume=auto"]
    // After two steps; then at the end of the first stage; then in the second.
    for (asked, steps) in [(2, 2), (2, 4), (1, 5)] {
      let ends = try train(goesOn, ranks: 2) { $0 == asked }
      #expect(ends == [.stopped, .stopped])
      let last = try #require(try CheckpointFolder(path: parts + "/checkpoints").latest())
      #expect(last.state.step == steps)
    }
    #expect(try train(goesOn, ranks: 2) == [.finished, .finished])
    #expect(try weights(parts) == weights(whole))
    let stages = try events(parts, "stage").map { ($0["stage"]?.integer, $0["step"]?.integer) }
    #expect(stages.map(\.0) == [1, 1, 2, 2] && stages.map(\.1) == [0, 2, 4, 5])
  }

  @Test("All ranks and shardings give the losses of one rank in both stages")
  func ranks() throws {
    let keys = ["model.from=\(try transformer())", Self.transferThenText] + Self.method
    let one = folder.file("one")
    try train(keys + ["log.directory=\(one)"], ranks: 1)
    let expected = try losses(one).compactMap { $0 }
    for (ranks, more) in [
      (2, []), (8, []), (3, ["sequence.segments=2"]),
      (4, ["parallel.data=2", "parallel.sharding=parameters"]),
    ] as [(Int, [String])] {
      let many = folder.file("many\(ranks)")
      try train(keys + more + ["log.directory=\(many)"], ranks: ranks)
      #expect(greatestDifference(try losses(many).compactMap { $0 }, expected) < 1e-5)
    }
  }

  @Test(
    "Freezing ends with a stage: the next is what a run makes of its checkpoint in which more is trained",
    arguments: [(1, "none"), (3, "none"), (3, "parameters")])
  func unfreezes(ranks: Int, sharding: String) throws {
    let (staged, plain) = (folder.file("staged"), folder.file("plain"))
    let keys = [
      "model.mixer=gla", "schedule.kind=constant", "schedule.warmup=0",
      "parallel.sharding=\(sharding)",
    ]
    try train(
      keys + [
        "linearise.stages=[{steps: 3}, {steps: 4}]", "log.directory=\(staged)",
        "checkpoint.every=7",
        "optimizer.groups=[{pattern: \"*mlp*\", frozen: true, stages: [1]}]",
      ], ranks: ranks)
    // A run without stages, which trains everything from the same checkpoint.
    try train(
      keys + [
        "training.steps=7", "log.directory=\(plain)",
        "training.resume=\(staged)/checkpoints/step-00000003",
      ], ranks: ranks)
    #expect(try weights(plain) == weights(staged))
    let warnings = try events(plain, "warning").compactMap { $0["message"]?.string }
    #expect(warnings.contains { $0.contains("the moments of all begin anew, from zero") })
    let trained = try events(staged, "stage").map { $0["trainable_parameters"]?.integer ?? 0 }
    #expect(trained.count == 2 && trained[0] < trained[1])
    // What was frozen is bitwise as it was drawn.
    let untouched = folder.file("untouched")
    try train(
      keys + [
        "training.steps=1", "optimizer.learning_rate=1e-30", "log.directory=\(untouched)",
        "checkpoint.every=1",
      ], ranks: 1)
    let drawn = try channels(untouched, after: 1)
    #expect(drawn.count == 6)
    #expect(try channels(staged, after: 3) == drawn)
    #expect(try channels(staged, after: 7) != drawn)
  }

  @Test("A run with stages does not go on from a checkpoint that tells of none")
  func withoutStages() throws {
    let plain = folder.file("no-stages")
    let keys = ["model.mixer=gla", "checkpoint.every=2"]
    try train(keys + ["training.steps=2", "log.directory=\(plain)"], ranks: 1)
    let error = #expect(throws: CheckpointError.self) {
      try train(
        keys + [
          "linearise.stages=[{steps: 2}, {steps: 2}]", "log.directory=\(folder.file("stages"))",
          "training.resume=\(plain)/checkpoints/step-00000002",
        ], ranks: 1)
    }
    #expect(error.map { "\($0)" }?.contains("a run without linearise.stages") == true)
  }

  /// The weights of the channel mixers in a checkpoint of a run.
  private func channels(_ run: String, after step: Int) throws -> [[Float]] {
    let file = try SafetensorsFile(
      path: "\(run)/checkpoints/step-0000000\(step)/model.safetensors")
    return try file.tensors.map(\.name).sorted().filter { $0.contains(".mlp.") }
      .map { try file.readFloats($0) }
  }

  @Test("A rule on the loss ends a stage early, on all ranks, and the run is as much shorter")
  func rules() throws {
    let run = folder.file("run")
    let keys = [
      "model.mixer=gla", "checkpoint.every=1",
      "linearise.stages=[{steps: 30, until: 100, window: 2}, {steps: 20, plateau: 0.9, window: 3}, {steps: 4}]",
    ]
    try train(keys + ["log.directory=\(run)"], ranks: 3)
    #expect(try losses(run).count == 2 + 6 + 4)
    let stages = try events(run, "stage")
    #expect(stages.map { $0["start"]?.integer } == [0, 2, 8])
    #expect(stages[1]["reason"]?.string?.contains("not above 100") == true)
    #expect(stages[2]["reason"]?.string?.hasPrefix("the mean loss of 3 steps is") == true)
    // What was seen before the interruption counts.
    for step in [1, 2, 7] {
      let resumed = folder.file("resumed\(step)")
      try train(
        keys + [
          "log.directory=\(resumed)", "training.resume=\(run)/checkpoints/step-0000000\(step)",
        ], ranks: 3)
      #expect(try weights(resumed) == weights(run), "from step \(step)")
    }
  }

  @Test("In transfer what the Transformer does not have is trained alone, and no adapter")
  func trainable() throws {
    let run = folder.file("run")
    let from = try transformer()
    try train(
      [
        "model.from=\(from)", "log.directory=\(run)", "lora.targets=[q_proj]",
        "linearise.stages=[{stage: transfer, steps: 2}, {steps: 2}]",
      ] + Self.method, ranks: 2)
    // Two heads of 8 numbers in two layers: two maps of 8 × 8 and a factor a head; an adapter of rank 8.
    let trained = try events(run, "stage").map { $0["trainable_parameters"]?.integer }
    #expect(trained == [2 * 2 * (2 * 64 + 1), 2 * 2 * 8 * 16])
    let path = "/model.safetensors"
    let (old, new) = (
      try SafetensorsFile(path: from + path), try SafetensorsFile(path: run + "/model" + path)
    )
    for name in old.tensors.map(\.name) {
      #expect(try old.readFloats(name) == new.readFloats(name), "\(name)")
    }
    let config = try JSONValue(file: run + "/adapter/adapter_config.json")
    #expect(config["base_model_name_or_path"]?.string?.hasSuffix("run/model") == true)
  }

  @Test("A teacher is heard in the stages that learn the text, with the weight of each")
  func distils() throws {
    let run = folder.file("run")
    let keys =
      [
        "model.from=\(try transformer())", "checkpoint.every=1",
        "linearise.stages=[{stage: transfer, steps: 2}, {steps: 2, distillation: 0.5}, {steps: 2}]",
      ] + Self.method
    try train(keys + ["log.directory=\(run)"], ranks: 2)
    let weights = try events(run, "step").map { $0["terms"]?["distillation"]?["weight"]?.number }
    // The last stage says nothing of it, and nor does the section.
    #expect(weights == [nil, nil, 0.5, 0.5, nil, nil])
    for step in [1, 2, 3, 4, 5] {
      let resumed = folder.file("resumed\(step)")
      try train(
        keys + [
          "log.directory=\(resumed)", "training.resume=\(run)/checkpoints/step-0000000\(step)",
        ], ranks: 2)
      #expect(try self.weights(resumed) == self.weights(run), "from step \(step)")
    }
  }

  @Test("Streams that are carried begin anew with a stage, and go on in it with the same bits")
  func carries() throws {
    let text = folder.file("text.txt")
    try Data((0..<4000).map { UInt8(97 + ($0 * $0) % 23) }).write(to: URL(fileURLWithPath: text))
    let run = folder.file("run")
    let keys = [
      "model.mixer=gla", "checkpoint.every=1", "data.path=\(text)", "data.carry=true",
      "data.held_out=0", "linearise.stages=[{steps: 3}, {steps: 3}]",
    ]
    try train(keys + ["log.directory=\(run)"], ranks: 2)
    for step in [2, 3, 4, 5] {
      let resumed = folder.file("resumed\(step)")
      try train(
        keys + [
          "log.directory=\(resumed)", "training.resume=\(run)/checkpoints/step-0000000\(step)",
        ], ranks: 2)
      #expect(try weights(resumed) == weights(run), "from step \(step)")
    }
  }

  @Test("The dry run tells of every stage, and what the one needs that needs the most memory")
  func plan() throws {
    let run = try SmallRun(
      ["model.from=\(try transformer())", Self.transferThenText] + Self.method, steps: nil)
    let plans = try Plan.stages(of: run.configuration, processes: 2)
    #expect(plans[1].memoryBytes > plans[0].memoryBytes)
    let text = Plan.description(of: plans, speed: Plan.Speed(gigaflops: 1))
    let expected = [
      "stages    1, transfer: 4 steps at most, 516 trainable, ", "2, finetune: 3 steps at most, ",
      "what follows is stage 2, which needs the most",
    ]
    for words in expected { #expect(text.contains(words), "\(words)") }
    #expect(text.hasSuffix(plans[1].description(speed: Plan.Speed(gigaflops: 1))))
  }

  @Test("What is wrong with stages is said by their key")
  func refusals() {
    func message(_ keys: String...) -> String {
      do {
        _ = try RunConfiguration.load(overrides: keys.map { Override($0) })
        return ""
      } catch {
        return error.description
      }
    }
    #expect(
      message("linearise.stages=[{steps: 2}, {frozen: true}]").contains("item 2 has no steps"))
    #expect(
      message("linearise.stages=[{steps: 2}]", "linearise.frozen=true").contains(
        "each of linearise.stages says it itself"))
    #expect(
      message("linearise.stages=[{steps: 2}, {steps: 4}]", "training.steps=7").contains(
        "7 steps are not the 6 of linearise.stages"))
    #expect(
      message("linearise.stages=[{steps: 40, plateau: 0.1}]").contains(
        "two windows of 20 can never end it early"))
    #expect(
      message("linearise.stages=[{stage: transfer, steps: 4, distillation: 1}]").contains(
        "no distribution is formed"))
    #expect(
      message("linearise.stages=[{steps: 4, distillation: 1}]").contains("there is no teacher"))
    #expect(
      message("linearise.stages=[{steps: 40, window: 3}]").contains("nothing that ends it early"))
    #expect(
      message("optimizer.groups=[{pattern: \"*\", stages: [1]}]").contains(
        "a stage that the run does not have"))
    #expect(
      message(
        "linearise.stages=[{steps: 9}, {steps: 5}]", "schedule.kind=wsd", "schedule.decay=4",
        "schedule.warmup=3"
      ).contains("are more than stage 2's 5"))
    #expect(
      message("linearise.stages=[{steps: 9, stage: transfer}]", "lora.targets=[q_proj]").contains(
        "attention transfer trains new weights alone"))
  }

  @Test("A mean is compared with what was asked, or with the mean of the window before")
  func ends() throws {
    func stage(_ keys: String) throws -> LineariseStage {
      let keys = ["linearise.stages=[{steps: 99, \(keys)}]"]
      return try RunConfiguration.load(overrides: keys.map { Override($0) }).linearise.stages[0]
    }
    let until = try stage("until: 2, window: 3")
    #expect(until.end(after: [1, 1]) == nil && until.end(after: [1, 1, 5]) == nil)
    #expect(until.end(after: [9, 1, 2, 3]) == .reached(2, until: 2, window: 3))
    let plateau = try stage("plateau: 0.1, window: 2")
    #expect(plateau.end(after: [5, 5, 5]) == nil)
    #expect(plateau.end(after: [9, 11, 8, 8]) == nil)
    #expect(plateau.end(after: [0, 9, 11, 9, 10]) == .plateau(9.5, before: 10, window: 2))
    #expect(try stage("warmup: 3").memory == 0)
  }

  @Test("A checkpoint of a stage that the run does not have is refused")
  func foreignStage() throws {
    let run = folder.file("run")
    let keys = ["model.mixer=gla", "checkpoint.every=1"]
    try train(
      keys + ["linearise.stages=[{steps: 1}, {steps: 2}]", "log.directory=\(run)"], ranks: 1)
    let error = #expect(throws: (any Error).self) {
      try train(
        keys + [
          "linearise.stages=[{steps: 4}]", "log.directory=\(folder.file("other"))",
          "training.resume=\(run)/checkpoints/step-00000002",
        ], ranks: 1)
    }
    #expect("\(error!)".contains("it was written in stage 2, but linearise.stages has 1"))
  }
}
