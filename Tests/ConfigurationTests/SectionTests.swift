import Testing

@testable import Configuration

@Suite("Sections and their keys")
struct SectionTests {
  @Test("A section is read into its properties; what is not given keeps its default")
  func properties() {
    var document = document(
      "model:\n  heads: 8\n  mixer: retnet\n  layers: [1, 2]\n  from: a\n",
      "optimizer.path=[a, {path: b, weight: 2}]", "optimizer.expand=0.5")
    let model = document.section(ModelSection.self)
    #expect(model.heads == 8 && model.mixer == .retnet && model.layers == [1, 2])
    #expect(model.from == "a" && model.dimension == 64 && !model.bias)
    let optimizer = document.section(OptimizerSection.self)
    #expect(optimizer.path == [.init(path: "a"), .init(path: "b", weight: 2)])
    #expect(optimizer.expand == 0.5 && optimizer.beta == 0.9)
    #expect(document.problems.isEmpty)
  }

  @Test(
    "A copy of a section keeps its values when the other is changed, and a new one its defaults")
  func values() {
    let first = ModelSection(["heads": .integer(8)])
    var second = first
    second.heads = 2
    second.subsections[FamilySection.self].scale = 3
    #expect(first.heads == 8 && second.heads == 2 && ModelSection().heads == 4)
    #expect(first.subsections[FamilySection.self].scale == 1)
    #expect(first.changes == ["heads": .integer(8)])
    #expect(second.subsections.changes == ["model.tnl": ["scale": .number(3)]])
  }

  @Test("Equality is of values")
  func equality() {
    var (one, other) = (Key<Int>.testing, Key<Int>.testing)
    #expect(one == other)
    one.wrappedValue = 5
    #expect(one != other)
    other.wrappedValue = 5
    #expect(one == other)
  }

  @Test("A section in a section is given by its mapping, or on the command line by its path")
  func nested() {
    var document = document(
      "model:\n  tnl:\n    rotated: [0]\n  heads: 2\n", "model.tnl.scale=2")
    let model = document.section(ModelSection.self)
    #expect(model.subsections[FamilySection.self].rotated == [0])
    #expect(model.subsections[FamilySection.self].scale == 2)
    #expect(model.heads == 2 && document.problems.isEmpty)
  }

  @Test("What is printed holds inner sections where they belong, but those that nothing reads")
  func printed() {
    var document = document("", "model.tnl.rotated=[1, 2]")
    #expect(
      document.yaml.contains(
        "  bias: false\n  # Of one family.\n  tnl:\n    # Blocks.\n    rotated"))
    var again = ConfigurationDocument(schemas: schemas)
    again.read(yaml: document.yaml, named: "printed.yaml")
    #expect(again.problems.isEmpty && again.json.text == document.json.text)
    #expect(document.json.text.contains(#""bias":false,"tnl":{"rotated":[1,2],"scale":1.0}}"#))
    document.unprinted = ["model.tnl"]
    #expect(!document.yaml.contains("tnl:") && !document.json.text.contains("scale"))
  }

  @Test("Mistakes in an inner section are found where they stand")
  func mistakes() {
    #expect(
      problems("model:\n  tnl:\n    rotate: [0]\n    scale: x\n  tln: {}\n", "model.tnl.scal=1")
        == [
          "run.yaml:3: model.tnl.rotate is no key; did you mean model.tnl.rotated?",
          "run.yaml:4: model.tnl.scale: 'x' is not a number; write a number",
          "run.yaml:5: model.tln is no key; the keys are dimension, heads, mixer, layers, from, bias",
          "--model.tnl.scal is no key; did you mean model.tnl.scale?",
        ])
  }

  @Test("An old key is refused with its new name and place")
  func former() {
    #expect(
      problems("model:\n  heads: 2\n  rotated: [0]\n", "model.rotated=[0]") == [
        "run.yaml:3: model.rotated is now model.tnl.rotated; write rotated under model: tnl: instead",
        "--model.rotated is now model.tnl.rotated; write rotated under model: tnl: instead",
      ])
  }

  @Test(
    "An empty text on the command line is an error, not the default", arguments: ["path", "beta"])
  func empty(key: String) {
    #expect(
      problems("", "optimizer.\(key)=") == [
        "--optimizer.\(key) is empty; write a value, or null for the default"
      ])
  }
}

extension Key<Int> {
  fileprivate static var testing: Key<Int> { Key(wrappedValue: 4, "heads", .model, "Heads.") }
}
