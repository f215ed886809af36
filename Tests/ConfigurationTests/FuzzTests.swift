import Foundation
import Mutations
import Testing

@testable import Configuration

@Suite("Damaged files: JSON and run files")
struct ConfigurationFuzzTests {
  @Test("JSON is read or refused, and what was read is written and read again as the same")
  func json() throws {
    let text = #"""
      {"a": [1, -2.5e3, 1e308, true, null, NaN, -Infinity], "b": {"c": "x\u00e9\ud83d\ude00\n", "d": {}},
       "e": {"__float__": "Infinity"}, "f": [[], [[1]], {"g": 0.1}]}
      """#
    let failures = Fuzzing("JSON", .text, [Array(text.utf8)], cases: 3000).run { bytes in
      guard let value = try? JSONValue(Data(bytes)) else { return }
      _ = (value.number, value.integer, value.object?.mapValues(\.text))
      var line = JSONLine()
      line.set("x", value)
      guard !line.text.contains("NaN"), !line.text.contains("Infinity") else { return }
      _ = try JSONValue(Data(line.text.utf8))
    }
    #expect(failures == [])
  }

  @Test("A run file is read, or its problems are noted")
  func runFiles() throws {
    let text = """
      threads: 2
      model:
        dimension: 64
        heads: 4   # heads
        mixer: retnet
        layers: [1, 2, 3]
        from: "runs/a"
        bias: true
        tnl:
          rotated: [0, 1]
          scale: 0.5
      optimizer:
        learning_rate: 1e-3
        beta: .9
        expand: null
        path: [a.bin, {path: b.bin, weight: 2}, "c d"]
      """
    let failures = Fuzzing("run file", .text, [Array(text.utf8)], cases: 3000).run { bytes in
      var document = ConfigurationDocument(schemas: schemas)
      document.read(yaml: String(decoding: bytes, as: UTF8.self), named: "run.yaml")
      _ = document.section(OutsideSection.self)
      _ = document.section(ModelSection.self)
      _ = document.section(OptimizerSection.self)
      _ = (document.yaml, document.json.text)
      try document.check()
    }
    #expect(failures == [])
  }

  @Test("A value on the command line is read, or refused")
  func overrides() {
    let text = "model.dimension=64"
    let values = ["optimizer.path=[a, {path: b, weight: 2}]", "model.layers=[1,2]", text]
    let failures = Fuzzing("override", .text, values.map { Array($0.utf8) }, cases: 3000).run {
      var document = ConfigurationDocument(schemas: schemas)
      document.apply([Override(String(decoding: $0, as: UTF8.self))])
      try document.check()
    }
    #expect(failures == [])
  }

  @Test("Anchors that refer to anchors are refused before they are followed")
  func aliases() {
    let text = (1...30).map { "- &a\($0) {? [*a\($0 - 1), *a\($0 - 1)] : 1}" }.joined(
      separator: "\n")
    #expect(
      problems("model:\n- &a0 1\n" + text) == [
        "run.yaml: refers to anchors 60 times, and may 32 times; write values out"
      ])
    #expect(problems("model: {dimension: &d 8, heads: *d}") == [])
    #expect(
      problems(
        "optimizer:\n  path: [\(Array(repeating: "a*b", count: 50).joined(separator: ", "))]") == []
    )
  }

  @Test("A key that is given a hundred times is told twenty times")
  func duplicates() {
    let text = "model:\n" + String(repeating: "  heads: 2\n", count: 100)
    #expect(problems(text).count == 20)
  }
}
