import Testing

@testable import Configuration

@Suite("Problems of a configuration")
struct ProblemTests {
  @Test("All problems are found at once, each at its line")
  func allAtOnce() {
    let yaml = """
      modle:
        heads: 1
      model:
        dimension: wide
        dimensoin: 4
        heads: 0
        mixer: retnte
        layers: [1, two]
        bias: yes
      optimizer:
        learning_rate: -1e-5
        beta: 1
      heads: 4
      """
    #expect(
      problems(yaml, "model.haeds=1", "trheads=2", "model.heads", "threads=many") == [
        "run.yaml:1: modle: there is no section modle; did you mean model?",
        "run.yaml:4: model.dimension: 'wide' is not an integer; write an integer ≥ 1",
        "run.yaml:5: model.dimensoin is no key; did you mean model.dimension?",
        "run.yaml:6: model.heads: 0 is out of range; write an integer ≥ 1 and ≤ 512",
        "run.yaml:7: model.mixer: 'retnte' is not a choice; did you mean retnet? "
          + "The choices are tnl, retnet",
        "run.yaml:8: model.layers: item 2: 'two' is not an integer; write an integer ≥ 0",
        "run.yaml:9: model.bias: 'yes' is not true or false; write true or false",
        "run.yaml:11: optimizer.learning_rate: -1e-5 is out of range; write a number > 0",
        "run.yaml:12: optimizer.beta: 1 is out of range; write a number ≥ 0 and < 1",
        "run.yaml:13: heads: stands outside its section; write it under model:",
        "--model.haeds is no key; did you mean model.heads?",
        "--trheads is no key; did you mean threads?",
        "--model.heads has no value; write --model.heads=VALUE",
        "--threads: 'many' is not an integer; write an integer ≥ 0",
      ])
  }

  @Test("A key that stands twice is a problem, and hides no other")
  func duplicates() {
    let yaml = """
      model:
        heads: 2
        heads: 3
        heads: 4
        bais: true
      threads: 1
      threads: 2
      """
    #expect(
      problems(yaml) == [
        "run.yaml:2: heads is given more than once; keep one of them",
        "run.yaml:3: heads is given more than once; keep one of them",
        "run.yaml:5: model.bais is no key; did you mean model.bias?",
        "run.yaml:6: threads is given more than once; keep one of them",
      ])
  }

  @Test("A key of another section is shown where it belongs")
  func otherSection() {
    #expect(
      problems("", "model.learning_rate=1")
        == ["--model.learning_rate is no key; did you mean optimizer.learning_rate?"])
  }

  @Test("A misspelt key outside all sections is recognised")
  func topLevel() {
    #expect(
      problems("thread: 2") == [
        "run.yaml:1: thread: there is no section thread; did you mean threads?"
      ])
  }

  @Test("Text that is not YAML is one problem at its line")
  func malformed() throws {
    let found = problems("model:\n  heads: 4\n dimension: 3\n")
    try #require(found.count == 1)
    #expect(found[0].hasPrefix("run.yaml:3: is not YAML: "))
  }

  @Test(
    "A value of another shape says what it is and what to write",
    arguments: [
      ("model: 4", "run.yaml:1: model is a value, not a section; write key: value lines"),
      ("- a", "run.yaml:1: is a list, not a run file; write sections, such as model:"),
      (
        "model: {heads: [4]}",
        "run.yaml:1: model.heads is a list, not an integer ≥ 1 and ≤ 512; "
          + "write an integer ≥ 1 and ≤ 512"
      ),
      (
        "model: {heads: '4'}",
        "run.yaml:1: model.heads: '4' is not an integer; "
          + "write an integer ≥ 1 and ≤ 512"
      ),
      (
        "optimizer: {path: [{path: a, weight: 0}]}",
        "run.yaml:1: optimizer.path: item 1 is not {path: …, weight: …} with a path and a "
          + "weight > 0; write a path, a list of paths, or a list of {path: …, weight: …}"
      ),
    ])
  func shapes(yaml: String, expected: String) {
    #expect(problems(yaml) == [expected])
  }

  @Test("An empty run file is the default", arguments: ["", "\n# nothing\n", "model:\n"])
  func empty(yaml: String) {
    #expect(problems(yaml).isEmpty)
    #expect(document(yaml).digest == document().digest)
  }

  @Test("A run file that is not there is named")
  func missingFile() {
    var document = ConfigurationDocument(schemas: schemas)
    document.read(file: "/nowhere/run.yaml")
    #expect(
      document.problems.map(\.description)
        == ["/nowhere/run.yaml: there is no such run file; check the path"])
  }

  @Test("A problem between keys stands at the first of them that was given")
  func betweenKeys() {
    let problem = KeyProblem("model.heads", "model.dimension", message: "do not divide")
    #expect(document().located(problem).description == "default: model.heads: do not divide")
    #expect(
      document("model:\n  dimension: 66").located(problem).description
        == "run.yaml:2: model.dimension: do not divide")
    #expect(
      document("model:\n  dimension: 66", "model.heads=5").located(problem).description
        == "--model.heads: do not divide")
  }

  @Test(
    "The edit distance counts insertions, deletions, replacements and swaps",
    arguments: [("", "abc", 3), ("heads", "haeds", 1), ("kitten", "sitting", 3), ("ca", "abc", 3)])
  func distance(a: String, b: String, expected: Int) {
    #expect(editDistance(a, b) == expected)
    #expect(editDistance(b, a) == expected)
  }
}
