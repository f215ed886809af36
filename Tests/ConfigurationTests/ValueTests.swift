import Testing

@testable import Configuration

@Suite("Values of keys")
struct ValueTests {
  @Test(
    "A number may be written in every usual way",
    arguments: ["1e-5", "1.0e-5", "1E-05", "0.00001", "+.00001"])
  func numbers(text: String) {
    #expect(
      document("optimizer:\n  learning_rate: \(text)")["optimizer", "learning_rate"]
        == .number(1e-5))
    #expect(
      document("", "optimizer.learning_rate=\(text)")["optimizer", "learning_rate"] == .number(1e-5)
    )
  }

  @Test(
    "An integer may be written with underscores or an exponent",
    arguments: ["16384", "16_384", "1.6384e4"])
  func integers(text: String) {
    #expect(document("model: {dimension: \(text)}")["model", "dimension"] == .integer(16384))
  }

  @Test("A whole number serves where a number is wanted")
  func integerAsNumber() {
    #expect(document("optimizer: {expand: 2}")["optimizer", "expand"] == .number(2))
  }

  @Test("null is the default, and for an optional key nothing", arguments: ["null", "~", ""])
  func null(text: String) {
    let given = document("model:\n  heads: \(text)\n  from: \(text)\n")
    #expect(given["model", "heads"] == .integer(4))
    #expect(given["model", "from"] == .none)
    #expect(given.problems.isEmpty)
  }

  @Test("An override of null takes back what the run file says")
  func nullOverride() {
    #expect(document("model: {from: folder}", "model.from=null")["model", "from"] == .none)
  }

  @Test("Paths come as one, as several, and with weights")
  func paths() {
    let a = WeightedPath(path: "a")
    #expect(document("optimizer: {path: a}")["optimizer", "path"] == .weightedPaths([a]))
    let both = Value.weightedPaths([a, WeightedPath(path: "b c", weight: 2.5)])
    #expect(
      document("optimizer:\n  path:\n  - a\n  - {path: b c, weight: 2.5}\n")["optimizer", "path"]
        == both)
    #expect(
      document("", "optimizer.path=[a, {path: b c, weight: 2.5}]")["optimizer", "path"] == both)
  }

  @Test("An override is text as it stands, whatever YAML makes of it")
  func rawText() {
    #expect(document("", "model.from=a: [b] # c")["model", "from"] == .string("a: [b] # c"))
  }

  @Test("The command line outweighs the run file, and the last override the others")
  func precedence() {
    #expect(
      document("model: {heads: 2}", "model.heads=8", "model.heads=16")["model", "heads"]
        == .integer(16))
  }

  @Test(
    "Text is quoted where it would read back as something else",
    arguments: [
      "", "null", "1e5", "yes", "a: b", "# a", "-1", "~", "say \"so\"\n\t\u{7}", "é", ".inf", "nan",
      "a/b.txt", "../x",
    ])
  func textRoundTrip(text: String) {
    let printed = "model:\n  from: \(Value.string(text).yaml)\n"
    #expect(document(printed)["model", "from"] == .string(text))
  }

  @Test("What is printed reads back as the same configuration")
  func roundTrip() {
    let first = document(
      "threads: 3\nmodel: {layers: [1, 2], from: 'a ''b', bias: true}",
      "optimizer.learning_rate=1e-5", "optimizer.path=[a, {path: b, weight: 0.1}]")
    let again = document(first.yaml)
    #expect(again.problems.isEmpty)
    #expect(again.yaml == first.yaml)
    #expect(again.digest == first.digest)
    #expect(again.digest != document().digest)
  }

  @Test("The digest is FNV-1a of the JSON text")
  func digest() {
    var hash: UInt64 = 14_695_981_039_346_656_037
    for byte in document().json.text.utf8 {
      hash ^= UInt64(byte)
      hash = hash &* 1_099_511_628_211
    }
    #expect(document().digest == hash)
  }
}
