import Configuration
import Foundation
import Models
import Testing

@testable import Training

@Suite("The run's configuration")
struct RunConfigurationTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  private static func text(_ path: String) throws -> String {
    try String(contentsOf: root.appending(path: path), encoding: .utf8)
  }

  private static func load(_ overrides: String...) throws(ConfigurationError) -> RunConfiguration {
    try RunConfiguration.load(overrides: overrides.map { Override($0) })
  }

  private static func problems(_ overrides: String...) -> [String] {
    do {
      _ = try RunConfiguration.load(overrides: overrides.map { Override($0) })
      return []
    } catch {
      return error.problems.map(\.description)
    }
  }

  @Test("Configs/default.yaml is the built-in default")
  func defaultFile() throws {
    #expect(
      try Self.text("Configs/default.yaml") == RunConfiguration.load().resolved,
      "renew it: lasp-train config > Configs/default.yaml")
  }

  @Test(
    "Numbers that no run can have are refused before anything is laid out by them",
    arguments: [
      ("model.depth", 1_000_000_000, 1024), ("model.dimension", 1_000_000_000_000_000, 1 << 20),
      ("model.heads", Int.max, 1 << 20), ("training.batch", 1 << 40, 1 << 24),
      ("sequence.length", Int.max, 1 << 40), ("data.recall_keys", Int.max, 1 << 40),
    ])
  func extents(key: String, value: Int, most: Int) {
    #expect(
      Self.problems("\(key)=\(value)") == [
        "--\(key): \(value) is more than \(most), the most that is computed"
      ])
  }

  @Test(
    "A width that is no finite number of times another is refused",
    arguments: ["expand_k", "expand_v"], [".inf", ".nan", "1e300", "1025"])
  func ratios(key: String, value: String) {
    let problems = Self.problems("model.mixer=gated_deltanet", "model.\(key)=\(value)")
    #expect(problems.count == 1)
    #expect(problems.first?.hasPrefix("--model.\(key): ") == true)
  }

  @Test("Heads that are wider than a recurrence computes are refused with how many there must be")
  func wideHeads() {
    #expect(
      Self.problems("model.dimension=8192", "model.heads=8") == [
        "--model.heads: 8 heads cut a width of 8192 into 1024 numbers each, and 264 is the most; use at "
          + "least 32 heads"
      ])
  }

  @Test("Numbers that are too many together are refused")
  func extentsTogether() {
    let problems = Self.problems("training.batch=\(1 << 24)", "sequence.length=\(1 << 40)")
    #expect(problems.count == 1)
    #expect(problems.first?.hasPrefix("--training.batch: ") == true)
    #expect(Self.problems("training.seed=\(Int.max)") == [])
  }

  @Test("A key of another update rule is refused; one of the rule's own holds")
  func keysOfRules() throws {
    #expect(
      Self.problems("optimizer.lion.beta2=0.9", "optimizer.muon.momentum=0.9") == [
        "--optimizer.lion.beta2: the update rule adamw does not have it; remove it",
        "--optimizer.muon.momentum: the update rule adamw does not have it; remove it",
      ])
    #expect(
      Self.problems("optimizer.name=lion", "optimizer.beta1=0.8", "optimizer.lion.beta1=0.8") == [
        "--optimizer.beta1: the update rule lion does not have it; remove it"
      ])
    let muon = try Self.load(
      "optimizer.name=muon", "optimizer.beta1=0.8", "optimizer.muon.momentum=0.9")
    #expect(muon.resolved.contains("momentum: 0.9"))
    #expect(!muon.resolved.contains("lion:"))
  }

  @Test("A list of mappings is read, checked and printed by the keys of its items")
  func groups() throws {
    let text = #"[{pattern: "*embed*", learning_rate_factor: 0.1}, {pattern: a.b, frozen: true}]"#
    let run = try Self.load("optimizer.groups=\(text)")
    #expect(run.optimizer.groups.map(\.pattern) == ["*embed*", "a.b"])
    #expect(run.optimizer.groups.map(\.learningRateFactor) == [0.1, 1])
    #expect(run.optimizer.groups.map(\.frozen) == [false, true])
    #expect(run.optimizer.groups.map(\.weightDecay) == [nil, nil])
    var document = ConfigurationDocument(schemas: RunConfiguration.schemas)
    document.read(yaml: run.resolved, named: "resolved")
    #expect(try RunConfiguration(document).optimizer == run.optimizer)
    #expect(
      Self.problems("optimizer.groups=[{patern: a}]") == [
        "--optimizer.groups: item 1: patern is no key; did you mean pattern?"
      ])
    #expect(
      Self.problems("optimizer.groups=[{pattern: a, weight_decay: -1}]") == [
        "--optimizer.groups: item 1: weight_decay -1 is out of range; write a number ≥ 0"
      ])
    #expect(
      Self.problems("optimizer.groups=[{frozen: true}]") == [
        "--optimizer.groups: item 1 has no pattern; write {pattern: \"*embed*\", …}"
      ])
  }

  @Test("Docs/Configuration.md is the reference of the code")
  func reference() throws {
    #expect(
      try Self.text("Docs/Configuration.md") == RunConfiguration.reference,
      "renew it: lasp-train config --reference > Docs/Configuration.md")
  }

  @Test(
    "Every run file that is shipped is right, and reads back from what it resolves to",
    arguments: try FileManager.default.contentsOfDirectory(
      at: root.appending(path: "Configs"), includingPropertiesForKeys: nil
    ).filter { $0.pathExtension == "yaml" }.map(\.lastPathComponent).sorted())
  func shipped(name: String) throws {
    let first = try RunConfiguration.load(file: Self.root.appending(path: "Configs/\(name)").path)
    var document = ConfigurationDocument(schemas: RunConfiguration.schemas)
    document.read(yaml: first.resolved, named: name)
    let again = try RunConfiguration(document)
    #expect(again.resolved == first.resolved)
    #expect(again.digest == first.digest)
    #expect(again.model == first.model)
    #expect(again.data == first.data)
    #expect(again.optimizer == first.optimizer)
  }

  @Test("The resolved values are JSON")
  func json() throws {
    let configuration = try Self.load("data.path=[a, {path: \"b\\\"\", weight: 2}]", "threads=2")
    let object = try JSONSerialization.jsonObject(with: Data(configuration.json.text.utf8))
    let root = try #require(object as? [String: Any])
    #expect(root["threads"] as? Int == 2)
    let data = try #require(root["data"] as? [String: Any])
    let paths = try #require(data["path"] as? [[String: Any]])
    #expect(paths.map { $0["path"] as? String } == ["a", "b\""])
    #expect(paths.map { $0["weight"] as? Double } == [1, 2])
  }

  @Test("With a data path alone the default's model stands, its vocabulary left to the data")
  func dataAlone() throws {
    let configuration = try Self.load("data.path=book.txt")
    #expect(configuration.data.path == [WeightedPath(path: "book.txt")])
    #expect(configuration.model == (try RunConfiguration.load().model))
    #expect(configuration.model.vocabulary == 0)
  }

  @Test("A family has its own section, which no other family takes or prints")
  func families() throws {
    #expect(
      Self.problems("model.gla.clamp_min=-1", "model.kv_heads=2") == [
        "--model.kv_heads: the mixer tnl does not have it; remove it",
        "--model.gla.clamp_min: the mixer tnl does not have it; remove it",
      ])
    #expect(
      Self.problems("model.mixer=gla", "model.tnl.hidden=32") == [
        "--model.tnl.hidden: the mixer gla does not have it; remove it"
      ])
    #expect(
      Self.problems("model.lrpe_layers=[0]") == [
        "--model.lrpe_layers is now model.tnl.lrpe_layers; write lrpe_layers under model: tnl: instead"
      ])
    let gla = try Self.load("model.mixer=gla", "model.gla.feature_map=relu")
    #expect(gla.resolved.contains("  gla:\n") && !gla.resolved.contains("  tnl:\n"))
    let architecture = Architectures.make(gla.model, vocabulary: 16)
    #expect(architecture.configuration["feature_map"] == "relu")
  }

  @Test("What keys get wrong together is reported with the rest, at the key that was given")
  func betweenKeys() {
    #expect(
      Self.problems(
        "model.dimension=66", "training.batch=16", "training.accumulation=3", "schedule.kind=wsd",
        "model.expand_k=2",
        "model.tnl.lrpe_layers=[3]", "training.name=a/b") == [
          "--model.dimension: 4 heads do not divide a width of 66; choose a divisor of 66, "
            + "or another width",
          "--model.tnl.lrpe_layers: there is no block 3 in a depth of 3; name blocks from 0 to 2",
          "--model.expand_k: the mixer tnl does not have it; remove it",
          "--training.accumulation: 3 micro-batches do not divide a batch of 16 sequences; "
            + "choose a divisor of 16",
          "--training.name: 'a/b' cannot name a folder; "
            + "use letters, digits, dashes and underscores",
        ])
    #expect(
      Self.problems("model.layers=[tnl, tnl]") == [
        "--model.layers: a pattern of 2 blocks does not divide a depth of 3; "
          + "name every block, or a pattern that repeats"
      ])
    #expect(
      Self.problems("model.layers=[gla, tnl, gla]").map { $0.prefix(75) } == [
        "--model.layers: tnl cannot stand in one model with gla; those that can are "
      ])
    #expect(Self.problems("model.layers=[gla, delta_net, gla]") == [])
    #expect(
      Self.problems("model.mixer=gla", "model.heads=3", "model.bias=true") == [
        "--model.heads: 3 heads do not divide the keys' width of 32; "
          + "choose a divisor of 32, or another width",
        "--model.bias: the mixer gla does not have it; remove it",
      ])
    #expect(
      Self.problems("model.layers=[tnl, attention, tnl]", "model.window=8") == [
        "--model.layers: the mixer tnl has no attention layers beside it; choose another mixer",
        "--model.window: the mixer tnl sees all tokens before, through a state; only attention "
          + "has a window; remove it",
      ])
    #expect(Self.problems("model.layers=[gla, attention, gla]", "model.window=8") == [])
    #expect(
      Self.problems("model.layers=[mamba2, attention, xlstm]", "model.kv_heads=3", "model.heads=4")
        == [
          "--model.heads: 3 heads of keys and values do not divide 4 heads; choose a divisor of 4"
        ])
    #expect(
      Self.problems("model.layers=[gla, rwkv6, gla]", "model.rwkv6.norm_bias=false") == [
        "--model.rwkv6.norm_bias: it is about what stands around the layers, which is gla's; "
          + "remove it"
      ])
    #expect(
      Self.problems("model.layers=[gla, xlstm, gla]", "model.xlstm.output_logit_soft_cap=20") == [
        "--model.xlstm.output_logit_soft_cap: it is about what stands around the layers, "
          + "which is gla's; remove it"
      ])
    #expect(
      Self.problems("schedule.kind=wsd", "schedule.decay=290") == [
        "--schedule.decay: 20 steps of warmup and 290 of decay are more than the run's 300; "
          + "shorten them or run more steps"
      ])
  }

  @Test(
    "The grid's product is the number of ranks",
    arguments: [
      (0, 0, 8, 8, 1), (4, 0, 8, 4, 2), (0, 4, 8, 2, 4), (2, 4, 8, 2, 4), (1, 0, 3, 1, 3),
    ])
  func grid(sequence: Int, data: Int, ranks: Int, shared: Int, groups: Int) throws {
    let section = try Self.load("parallel.sequence=\(sequence)", "parallel.data=\(data)").parallel
    let grid = try section.grid(ranks: ranks)
    #expect((grid.sequence, grid.data) == (shared, groups))
  }

  @Test("A grid that is not the number of ranks is reported at its key, with the equation")
  func wrongGrid() throws {
    let configuration = try Self.load("parallel.sequence=3", "parallel.data=2")
    let error = try #require(throws: ConfigurationError.self) {
      try GridPlace(configuration, rank: 0, ranks: 8)
    }
    let sentence = "parallel.data 2 × parallel.sequence 3 = 6 ranks, but 8 were started"
    #expect("\(error)".hasPrefix("--parallel.sequence: \(sentence); choose"))
  }

  @Test(
    "The model and the data are told in a few words",
    arguments: [
      (
        [], "tnl, 3 blocks, width 64, 4 heads, 1,234 parameters",
        "recall task, made on the fly, chance 25.0%"
      ),
      (
        ["model.from=folder", "data.path=[a.txt, b.txt]"], "1,234 parameters, from folder",
        "a.txt and 1 more, bytes"
      ),
    ])
  func summaries(overrides: [String], model: String, data: String) throws {
    let configuration = try RunConfiguration.load(overrides: overrides.map { Override($0) })
    #expect(configuration.model.summary(parameters: 1234) == model)
    #expect(configuration.data.summary(chance: 0.25, tokensAreBytes: true) == data)
  }
}
