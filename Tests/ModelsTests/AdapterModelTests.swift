import Autodiff
import Configuration
import ReferenceMath
import Tensors
import Testing

@testable import Models

@Suite("Models with adapters")
struct AdapterModelTests {
  init() { BLAS.setThreads(1) }

  private static let samples =
    [ModelCase.all[1]] + ModelCase.families + ModelCase.pretrained
    + ModelCase.fixtures.filter { $0.testDescription.contains("fused") }

  private static func lora(_ targets: LoRA.Targets, rank: Int = 3) -> LoRA {
    LoRA(targets, rank: rank, alpha: 4)
  }

  /// A case's model with adapters, weights as those of the case, and B drawn or 0.
  ///
  /// - Parameter draw: Which B; nil for 0.
  private static func run(_ sample: ModelCase, _ lora: LoRA, draw: UInt64?) throws -> (
    plain: ModelRun, adapted: ModelRun
  ) {
    let plain = try ModelRun(sample, rows: 2, length: 27)
    let model = try LanguageModel(
      try Architectures.read(sample.configuration).architecture, adapting: lora)
    var weights = [Float](repeating: 0, count: model.table.count)
    weights.withUnsafeMutableBufferPointer {
      model.table.initialize(0..<model.table.count, seed: 5, into: $0.baseAddress!)
    }
    var draws = Draws(seed: 9 + (draw ?? 0))
    for entry in model.table.entries {
      if entry.isAdapter {
        guard draw != nil, entry.name.contains("lora_B") else { continue }
        for index in entry.range { weights[index] = 0.1 * draws.normals(1)[0] }
      } else {
        let own = plain.model.table[plain.model.table.parameter(named: entry.name)!].range
        weights.replaceSubrange(entry.range, with: plain.weights[own])
      }
    }
    return (plain, try ModelRun(sample, model: model, rows: 2, length: 27).with(weights))
  }

  @Test(
    "The model's own weights begin as without adapters, and with B = 0 the logits are bitwise those of the model",
    arguments: samples)
  func zero(sample: ModelCase) throws {
    let (plain, adapted) = try Self.run(sample, Self.lora(.allLinear), draw: nil)
    let (table, other) = (plain.model.table, adapted.model.table)
    var (first, second) = (
      [Float](repeating: 0, count: table.count), [Float](repeating: 0, count: other.count)
    )
    table.initialize(0..<table.count, seed: 3, into: &first)
    other.initialize(0..<other.count, seed: 3, into: &second)
    #expect(!adapted.model.adapterTensors.isEmpty)
    for entry in other.entries where !entry.isAdapter {
      let own = table[table.parameter(named: entry.name)!].range
      #expect(first[own] == second[entry.range], "\(entry.name)")
    }
    let (right, found) = (try plain.run(ranks: 3), try adapted.run(ranks: 3))
    #expect(found.map(\.logits) == right.map(\.logits))
  }

  @Test(
    "Logits and gradients are those of the merged weights, on any number of ranks",
    arguments: samples, [1, 3])
  func merged(sample: ModelCase, ranks: Int) throws {
    try compare(sample, Self.lora(.allLinear), ranks: ranks)
  }

  @Test(
    "The head has an adapter where it is named, with a cap on logits, too",
    arguments: ["gla", "xlstm"])
  func head(type: String) throws {
    let sample = ModelCase.families.first { $0.testDescription == type }!
    let lora = Self.lora(
      .suffixes(
        ["lm_head", "o_proj", "out_proj"].filter {
          $0 != (type == "gla" ? "out_proj" : "o_proj")
        }))
    let names = try Self.run(sample, lora, draw: nil).adapted.model.adapterTensors.map(\.name)
    #expect(names.contains("lm_head.lora_A.weight"))
    try compare(sample, lora, ranks: 2)
  }

  /// A model with adapters, and the one whose weights have them merged.
  private struct Pair {
    let adapted, merged: ModelRun

    init(_ sample: ModelCase, _ lora: LoRA, draw: UInt64) throws {
      let (plain, adapted) = try AdapterModelTests.run(sample, lora, draw: draw)
      self.adapted = adapted
      let table = adapted.model.table
      let store = WholeParameters(table: table, gradients: false, pool: BufferPool())
      store.values.pointer.update(from: adapted.weights, count: table.count)
      #expect(store.mergeAdapters() == table.adapters.count)
      var weights = plain.weights
      for weight in table.adapters.keys {
        let range = table[weight].range
        weights.replaceSubrange(
          plain.model.table[plain.model.table.parameter(named: table[weight].name)!].range,
          with: UnsafeBufferPointer(
            start: store.values.pointer + range.lowerBound, count: range.count))
      }
      merged = plain.with(weights)
    }

    /// How far the merged model's gradients move when its weights move by their last bit.
    func movement() throws -> Double {
      let right = try merged.run(ranks: 1)[0].gradients
      let all = right.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
      var draws = Draws(seed: 3)
      let moved = try merged.with(
        merged.weights.map { $0 * (1 + 0x1p-23 * Float(draws.integer(-1...1))) }
      ).run(ranks: 1)[0].gradients
      return merged.model.table.entries.map {
        relativeError(
          Array(moved[$0.range]), right[$0.range].map(Double.init), normAtLeast: 1e-3 * all)
      }.max()!
    }
  }

  /// Compares a model that has adapters with the merged one, for the B of a few that moves least by rounding.
  private func compare(_ sample: ModelCase, _ lora: LoRA, ranks: Int) throws {
    let pairs = try (0..<5).map { draw in
      let pair = try Pair(sample, lora, draw: UInt64(draw))
      return (pair: pair, movement: try pair.movement())
    }
    let pair = pairs.min { $0.movement < $1.movement }!.pair
    let (table, plain) = (pair.adapted.model.table, pair.merged.model.table)
    func own(_ weight: Parameter) -> Range<Int> {
      plain[plain.parameter(named: table[weight].name)!].range
    }
    let right = try pair.merged.run(ranks: ranks)
    let found = try pair.adapted.run(ranks: ranks, recompute: ranks > 1)
    for (found, right) in zip(found, right) {
      #expect(relativeError(found.logits, right.logits.map(Double.init)) < 1e-5)
    }
    let (gradients, rightGradients) = (ModelRun.sum(found), ModelRun.sum(right))
    let all = rightGradients.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
    func check(_ parameter: Parameter, _ expected: [Double]) {
      let error = relativeError(
        Array(gradients[table[parameter].range]), expected, normAtLeast: 1e-3 * all)
      #expect(error < 2e-5, "\(table[parameter].name)")
    }
    for parameter in table.parameters where !table[parameter].isAdapter {
      check(parameter, rightGradients[own(parameter)].map(Double.init))
    }
    // Of W + s B A: dB = s dW Aᵀ, dA = Σ s Bᵀ dW, over all weights that share A.
    var ofDown: [Parameter: [Double]] = [:]
    for (weight, adapter) in table.adapters {
      let (rows, columns) = (table[weight].shape.rows, table[weight].shape.columns)
      let rank = table[adapter.down].shape.rows
      let dW = rightGradients[own(weight)].map(Double.init)
      let a = pair.adapted.weights[table[adapter.down].range].map(Double.init)
      let b = pair.adapted.weights[table[adapter.up].range].map(Double.init)
      var dB = [Double](repeating: 0, count: rows * rank)
      var dA = ofDown[adapter.down] ?? [Double](repeating: 0, count: rank * columns)
      for i in 0..<rows {
        for r in 0..<rank {
          for j in 0..<columns {
            dB[i * rank + r] += Double(adapter.scale) * dW[i * columns + j] * a[r * columns + j]
            dA[r * columns + j] += Double(adapter.scale) * dW[i * columns + j] * b[i * rank + r]
          }
        }
      }
      ofDown[adapter.down] = dA
      check(adapter.up, dB)
    }
    for (down, expected) in ofDown { check(down, expected) }
  }

  @Test(
    "Modules are meant as PEFT means them",
    arguments: [
      (LoRA.Targets.suffixes(["q_proj"]), "model.layers.0.attn.q_proj", true),
      (.suffixes(["proj"]), "model.layers.0.attn.q_proj", false),
      (.suffixes(["attn.q_proj"]), "model.layers.0.attn.q_proj", true),
      (.suffixes(["lm_head"]), "lm_head", true),
      (.pattern("q_proj"), "model.layers.0.attn.q_proj", false),
      (.pattern(".*\\.[qv]_proj"), "model.layers.0.attn.v_proj", true),
      (.pattern("model\\.layers\\.[01]\\..*"), "model.layers.1.mlp.gate", true),
      (.pattern("model\\.layers\\.[01]\\..*"), "model.layers.12.mlp.gate", false),
    ])
  func targets(targets: LoRA.Targets, module: String, isMeant: Bool) {
    #expect(Self.lora(targets).adapts(module) == isMeant)
  }

  @Test("Layers, exclusions and modules that are trained as a whole narrow what is meant")
  func narrowed() {
    var lora = Self.lora(.suffixes(["q_proj", "lm_head"]))
    lora.layers = [1, 12]
    #expect(lora.adapts("model.layers.12.attn.q_proj"))
    #expect(!lora.adapts("model.layers.2.attn.q_proj"))
    // What is named as it is needs no layer.
    #expect(lora.adapts("lm_head"))
    lora.layerNames = ["blocks"]
    #expect(!lora.adapts("model.layers.12.attn.q_proj"))
    #expect(lora.adapts("model.blocks.12.attn.q_proj"))
    lora.excluded = .suffixes(["blocks.12.attn.q_proj"])
    #expect(!lora.adapts("model.blocks.12.attn.q_proj"))
    lora.modulesToSave = ["lm_head"]
    #expect(!lora.adapts("lm_head"))
    #expect(lora.saves("lm_head.weight"))
    #expect(!lora.saves("model.embed.weight"))
  }

  @Test("Patterns of ranks and α count where a path's end fits them")
  func patterns() {
    var lora = Self.lora(.suffixes(["q_proj"]), rank: 4)
    lora.ranks = [("layers.1.attn.q_proj", 2), ("v_.*", 7)]
    lora.alphas = [("q_proj", 6)]
    #expect(lora.rank(of: "model.layers.1.attn.q_proj") == 2)
    #expect(lora.rank(of: "model.layers.11.attn.q_proj") == 4)
    #expect(lora.rank(of: "model.layers.0.attn.v_proj") == 7)
    #expect(lora.scale(of: "model.layers.1.attn.q_proj") == 3)
    #expect(lora.scale(of: "model.layers.1.attn.v_proj") == 4.0 / 7)
    lora.usesRootOfRank = true
    #expect(lora.scale(of: "model.layers.0.attn.q_proj") == 3)
  }

  @Test(
    "What cannot have an adapter is refused by name, with what there is",
    arguments: [
      (
        "gla", LoRA.Targets.suffixes(["q_proj", "qq"]),
        "no projection of the model fits qq; it has q_proj, "
      ),
      (
        "gla", .suffixes(["embeddings"]), "model.embeddings can have no adapter: it is an embedding"
      ),
      ("gla", .suffixes(["attn_norm"]), "attn_norm can have no adapter: it is no projection"),
      (
        "transformer", .suffixes(["lm_head"]), "lm_head can have no adapter: it has the embedding's"
      ),
      ("rwkv6", .suffixes(["x_proj.2"]), "its columns belong to different projections"),
    ])
  func refused(type: String, targets: LoRA.Targets, reason: String) throws {
    let sample = ModelCase.families.first { $0.testDescription == type }!
    let error = #expect(throws: AdapterError.self) {
      try LanguageModel(
        try Architectures.read(sample.configuration).architecture, adapting: Self.lora(targets))
    }
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
  }
}
