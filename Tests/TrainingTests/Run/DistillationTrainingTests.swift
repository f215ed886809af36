import Checkpoints
import DataParallel
import Foundation
import Models
import TemporaryFolders
import Tensors
import Testing

@testable import MessagePassing
@testable import Training

/// Folders of small teachers of all kinds, as a seed makes them.
final class Teachers {
  private let folder: TemporaryFolder

  init(_ mixers: [String], _ keys: String...) throws {
    folder = try TemporaryFolder()
    for mixer in mixers {
      let run = try SmallRun(
        [
          "model.mixer=\(mixer)", "model.init_std=0.5", "model.dimension=24", "training.seed=9",
        ] + keys)
      let made = try run.make(on: SoloCommunicator())
      try ModelFolder.write(made.model, to: path(mixer)) {
        try $0(0..<made.model.table.count, made.store.kept[0].values)
      }
    }
  }

  /// The key that names one.
  func key(_ mixer: String) -> String { "distillation.from=\(path(mixer))" }

  func path(_ mixer: String) -> String { folder.file(mixer) }

  func file(_ name: String) -> String { folder.file(name) }
}

@Suite("Training with a teacher")
struct DistillationTrainingTests {
  init() { BLAS.setThreads(1) }

  private static let student = [
    "model.mixer=gla", "training.steps=4", "optimizer.learning_rate=1e-2", "model.init_std=0.3",
    "distillation.weight=2", "distillation.temperature=1.5", "parallel.bucket_bytes=2000",
  ]

  private static let lora = ["lora.targets=[q_proj, k_proj, lm_head]", "lora.rank=3"]
  private static let groups = [
    "optimizer.groups=[{pattern: \"*embed*\", frozen: true}, {pattern: \"*layers.0.*\", frozen: true}]"
  ]

  @Test(
    "Losses, divergences and norms are those of one rank, on any grid, in segments, in any sharding",
    arguments: ["transformer", "llama", "gated_deltanet"],
    [
      (3, []), (8, []), (4, ["parallel.data=2"]), (2, ["sequence.segments=3"]),
      (2, ["sequence.segments=4", "sequence.carry_bytes=0"]), (2, ["training.accumulation=2"]),
      (3, ["parallel.sharding=parameters", "training.recompute=true"]),
      (4, ["parallel.data=2", "parallel.sharding=parameters", "sequence.segments=2"]),
      (3, ["parallel.attention=ring", "parallel.exchange=scan"]), (3, lora), (3, groups),
    ] as [(Int, [String])])
  func grids(teacher: String, way: (ranks: Int, keys: [String])) throws {
    let teachers = try Teachers([teacher])
    let what = way.keys.filter { $0.hasPrefix("lora") || $0.hasPrefix("optimizer.groups") }
    let keys = Self.student + [teachers.key(teacher)]
    let one = try SmallRun(keys + what).train(ranks: 1)[0]
    let many = try SmallRun(keys + way.keys).train(ranks: way.ranks)
    #expect(one.terms.count == 4 && one.terms[0] > 1e-3)
    for result in many {
      #expect(greatestDifference(result.losses, one.losses) < 1e-5)
      #expect(greatestDifference(result.terms, one.terms) < 1e-5)
      #expect(greatestDifference(result.norms, one.norms) < 1e-4)
    }
  }

  @Test("A student comes near to its teacher")
  func learns() throws {
    let teachers = try Teachers(["llama"])
    let run = try SmallRun(
      "model.mixer=llama", teachers.key("llama"), "distillation.weight=20",
      "optimizer.learning_rate=1e-2", "model.init_std=0.3")
    let terms = try run.train(ranks: 1)[0].terms
    #expect(terms[49] < 0.6 * terms[0])
  }

  @Test("Sharding the weights of both changes no bit", arguments: Sharding.allCases)
  func bits(sharding: Sharding) throws {
    let teachers = try Teachers(["llama"])
    let keys = Self.student + [teachers.key("llama")]
    let plain = try SmallRun(keys).train(ranks: 3)
    let cut = try SmallRun(
      keys + ["parallel.sharding=\(sharding)", "training.recompute=true"]
    ).train(ranks: 3)
    #expect(cut[0].losses == plain[0].losses && cut[0].terms == plain[0].terms)
  }

  @Test("With reproducible, any number of processes gives the same bits")
  func reproducible() throws {
    let teachers = try Teachers(["transformer"])
    let run = try SmallRun(
      Self.student + [teachers.key("transformer"), "parallel.reproducible=4"])
    func train(_ processes: Int) throws -> [SmallRun.Result] {
      let ranks = try run.configuration.virtualRanks(processes: processes)
      return try ThreadCommunicator.run(ranks: processes, deadline: 60) { process in
        try process.run(virtualRanks: ranks) { try run.train(on: $0) }
      }.flatMap { $0 }
    }
    let alone = try train(1)
    for processes in [2, 4] { #expect(try train(processes) == alone) }
  }

  @Test(
    "With a weight of 0 the run is that without a teacher, to the last bit; the divergence is told")
  func told() throws {
    let teachers = try Teachers(["transformer"])
    let keys = Self.student.filter { !$0.hasPrefix("distillation") }
    let plain = try SmallRun(keys).train(ranks: 2)
    let taught = try SmallRun(
      keys + [teachers.key("transformer"), "distillation.weight=0"]
    ).train(ranks: 2)
    #expect(taught.map(\.weights) == plain.map(\.weights))
    #expect(taught[0].losses == plain[0].losses && taught[0].terms.allSatisfy { $0 > 0 })
  }

  @Test(
    "A teacher's states are carried from step to step, and from a checkpoint",
    arguments: ["gated_deltanet", "transformer"], [1, 3])
  func carry(teacher: String, ranks: Int) throws {
    let file = try TextFile((0..<300).map { UInt8(($0 * $0 + $0 / 7) % 11) })
    let teachers = try Teachers([teacher], "data.path=\(file.path)", "model.vocabulary=11")
    let keys =
      Self.student + [
        teachers.key(teacher), "data.path=\(file.path)", "data.carry=true", "data.held_out=0",
        "training.batch=2", "optimizer.learning_rate=1e-12", "model.vocabulary=11",
      ]
    // Six windows of 11 tokens are one of 66.
    let whole = try SmallRun(keys + ["sequence.length=66", "training.steps=1"]).train(ranks: 1)[0]
    let folder = teachers.file("checkpoints")
    func terms(from start: Int) throws -> [Double] {
      let run = try SmallRun(keys + ["sequence.length=11", "training.steps=6"])
      return try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
        let run = try run.make(on: world)
        if start > 0 {
          let checkpoint = try #require(try CheckpointFolder(path: folder).latest())
          try run.read(checkpoint)
          try run.readStreams(checkpoint, step: start)
        }
        return try (start..<6).map { step in
          if step == 2, start == 0 {
            let writer =
              world.rank == 0
              ? try CheckpointWriter(
                TrainingState(step: step, seed: 1, version: "1"), run.checkpointLayout,
                below: folder) : nil
            try run.write(to: writer)
            try run.writeStreams(to: writer, step: step)
            _ = try writer?.finish()
          }
          let sums = try run.step(step).sums
          return sums.mean(sums.terms[0])
        }
      }[0]
    }
    let parts = try terms(from: 0)
    #expect(abs(parts.reduce(0, +) / 6 - whole.terms[0]) < 1e-5 * whole.terms[0])
    #expect(try terms(from: 2) == Array(parts[2...]))
  }

  @Test(
    "The dry run's bytes are those of a step, and it tells what the teacher costs",
    arguments: ["transformer", "gla"], [[], ["parallel.sharding=parameters"]])
  func plan(teacher: String, keys: [String]) throws {
    let teachers = try Teachers([teacher])
    let run = try SmallRun(Self.student + keys + [teachers.key(teacher)])
    let setup = try RunSetup(run.configuration)
    let real = try run.train(ranks: 2)[0]
    let plan = try setup.rehearsals(run.configuration, ranks: 2).step(rank: 0, exchange: .chain)
    #expect(plan.stateBytes == real.stateBytes && plan.gradientBytes == real.gradientBytes)
    let words = try Plan(run.configuration, processes: 2).description(
      speed: Plan.Speed(gigaflops: 1))
    #expect(words.contains("for the teacher") && words.contains(" parameters, frozen; "))
    #expect(
      !(try Plan(SmallRun().configuration, processes: 2).description(
        speed: Plan.Speed(gigaflops: 1)))
        .contains("teacher"))
  }

  @Test("Evaluations tell the divergence, the same on any number of ranks")
  func evaluation() throws {
    let teachers = try Teachers(["llama"])
    let run = try SmallRun(Self.student + [teachers.key("llama"), "sequence.segments=2"])
    func mean(_ ranks: Int) throws -> Double {
      try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
        let run = try run.make(on: world)
        let sums = try #require(try run.evaluate(run.corpus, steps: 2))
        #expect(sums.terms.map(\.name) == ["distillation"])
        return sums.mean(sums.terms[0])
      }[0]
    }
    let (one, three) = (try mean(1), try mean(3))
    #expect(one > 0 && abs(three - one) < 1e-5 * one)
  }

  @Test(
    "A Transformer that a run makes linear is its teacher, where a key of distillation is given")
  func ownTeacher() throws {
    let teachers = try Teachers(["llama"])
    let from = ["model.from=\(teachers.path("llama"))", "linearise.method=hedgehog"]
    let given = try SmallRun(from + ["distillation.weight=1"]).configuration
    #expect(given.teacherPath == teachers.path("llama"))
    let setup = try RunSetup(given)
    #expect(setup.teacher?.model.architecture.configuration["model_type"]?.string == "llama")
    #expect(setup.model.architecture.configuration["model_type"]?.string == "hedgehog_llama")
    #expect(try RunSetup(SmallRun(from).configuration).teacher == nil)
  }

  @Test("A teacher with another tokenizer than the student's is told of")
  func tokenizers() throws {
    let teachers = try Teachers(["gla", "llama"])
    func notices(_ other: String) throws -> [String] {
      for (mixer, content) in [("gla", "{}"), ("llama", other)] {
        try Data(content.utf8).write(
          to: URL(fileURLWithPath: teachers.path(mixer) + "/tokenizer.json"))
      }
      let run = try SmallRun("model.from=\(teachers.path("gla"))", teachers.key("llama"))
      return try RunSetup(run.configuration).teacherNotices()
    }
    #expect(try notices("{}") == [])
    #expect(try notices("{ }").count == 1)
  }

  @Test("A student whose vocabulary nobody says has the teacher's")
  func vocabulary() throws {
    let teachers = try Teachers(["gla"], "model.vocabulary=57")
    let setup = try RunSetup(SmallRun([teachers.key("gla")]).configuration)
    #expect(setup.model.vocabulary == 57)
  }

  @Test("What does not fit is refused with its key")
  func refused() throws {
    let teachers = try Teachers(["gla"], "model.vocabulary=57")
    let pickle = teachers.file("pickle")
    try FileManager.default.createDirectory(atPath: pickle, withIntermediateDirectories: true)
    try Data("x".utf8).write(to: URL(fileURLWithPath: pickle + "/pytorch_model.bin"))
    let cases: [([String], String)] = [
      (
        [teachers.key("gla"), "model.vocabulary=60"],
        "distillation.from: the teacher in \(teachers.path("gla")) knows 57 tokens but the model 60"
      ),
      (["distillation.from=/nowhere"], "/nowhere is no model folder: it has no config.json"),
      (["distillation.from=\(pickle)"], "pytorch_model.bin is a pickle"),
      (["distillation.weight=2"], "distillation.weight"),
      (["distillation.weight=2"], "there is no teacher; give its folder as distillation.from"),
      (
        [teachers.key("gla"), "linearise.stage=transfer"],
        "a teacher belongs to the stage finetune"
      ),
    ]
    for (keys, reason) in cases {
      #expect {
        _ = try RunSetup(SmallRun(keys).configuration)
      } throws: {
        "\($0)".contains(reason)
      }
    }
  }
}
