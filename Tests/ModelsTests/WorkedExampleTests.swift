import Configuration
import Foundation
import ReferenceMath
import Tensors
import Testing

@testable import Models

@Suite("The worked example of adding a mixer")
struct WorkedExampleTests {
  init() { BLAS.setThreads(1) }

  private static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

  /// The example's files, by the paths that Docs/Architecture.md gives them.
  private static func files() throws -> [(path: String, text: String)] {
    let text = try String(
      contentsOf: tests.appending(path: "WorkedExample.swift"), encoding: .utf8)
    return text.components(separatedBy: "\n// example: ").dropFirst().dropLast().map { part in
      let lines = part.split(separator: "\n", maxSplits: 1).map(String.init)
      return (lines[0], lines[1])
    }
  }

  @Test("Docs/Architecture.md shows the code that is tested here")
  func documented() throws {
    let page = try String(
      contentsOf: Self.tests.deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Docs/Architecture.md"), encoding: .utf8)
    let files = try Self.files()
    #expect(files.count == 2)
    for file in files {
      #expect(page.contains("`\(file.path)`"))
      #expect(page.contains("```swift\n\(file.text)\n```"), "\(file.path)")
    }
  }

  @Test("Its logits, loss and gradients are the per-token reference's, on any number of ranks")
  func reference() throws {
    var section = ModelSection([
      "dimension": .integer(12), "depth": .integer(2), "heads": .integer(2), "glu": .integer(8),
      "init_std": .number(0.4),
    ])
    section.subsections[Echo.Keys.self].decay = 0.7
    let architecture = FlashModel<Echo>(section, vocabulary: 11)
    #expect(FlashModel<Echo>.problems(section) == [])
    let again = try FlashModel<Echo>(ModelKeys(.object(architecture.configuration)))
    #expect(again.configuration == architecture.configuration)
    #expect(again.configuration["decay"] == 0.7)

    let run = try ModelRun(
      ModelCase("echo", .object(architecture.configuration)) { tokens, weights in
        Self.logits(tokens, weights)
      }, model: LanguageModel(architecture), rows: 2, length: 29)
    let expected = run.expected()
    for ranks in [1, 2, 3, 4] {
      let results = try run.run(ranks: ranks)
      for (rank, result) in results.enumerated() {
        #expect(run.logitsError(result, expected, rank: rank, ranks: ranks) <= 1e-5)
      }
      #expect(run.wrongGradients(ModelRun.sum(results), expected, tolerance: 1e-5) == [:])
      #expect(results.dropLast().allSatisfy { $0.stateBytes > 0 } || ranks == 1)
    }
  }

  /// Token by token in Double.
  private static func logits(_ tokens: [Int32], _ weights: [String: Term]) -> Term {
    func norm(_ x: Term, _ name: String) -> Term {
      x.rmsNorm(weight: weights[name + ".weight"]!, epsilon: 1e-6)
    }
    func linear(_ x: Term, _ name: String) -> Term { x.projected(by: weights[name + ".weight"]!) }
    var x = weights["model.embeddings.weight"]!.embedding(tokens)
    for layer in 0..<2 {
      let name = "model.layers.\(layer)."
      var y = norm(x, name + "attn_norm")
      let (q, k, v) = (
        linear(y, name + "attn.q_proj"), linear(y, name + "attn.k_proj"),
        linear(y, name + "attn.v_proj")
      )
      let o = (0..<2).map { head in
        Term.recurrence(
          q: q.head(head, width: 6).scaled(by: 1 / 6.0.squareRoot()),
          k: k.head(head, width: 6), v: v.head(head, width: 6),
          g: Term(Matrix(tokens.count, 1, repeating: log(0.7)))
        ).rows(0..<tokens.count)
      }
      x = x + linear(.concatenated(o), name + "attn.o_proj")
      y = norm(x, name + "mlp_norm")
      x =
        x
        + linear(
          linear(y, name + "mlp.gate_proj").silu * linear(y, name + "mlp.up_proj"),
          name + "mlp.down_proj")
    }
    return linear(norm(x, "model.norm"), "lm_head")
  }
}
