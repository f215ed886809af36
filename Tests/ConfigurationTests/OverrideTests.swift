import Testing

@testable import Configuration

@Suite("Overrides on the command line")
struct OverrideTests {
  @Test("Both forms work, and values may begin with a dash")
  func forms() {
    let (overrides, rest) = Override.extract(
      from: [
        "train", "--model.heads=8", "run.yaml", "--optimizer.learning_rate", "-1e-5", "--threads",
        "2", "--overwrite", "--model.from=", "--threads=3",
      ], schemas: schemas)
    #expect(
      overrides.map(\.description) == [
        "model.heads=8", "optimizer.learning_rate=-1e-5", "threads=2", "model.from=", "threads=3",
      ])
    #expect(rest == ["train", "run.yaml", "--overwrite"])
  }

  @Test("A boolean may stand alone, and takes only true and false as the next argument")
  func booleans() {
    let (overrides, rest) = Override.extract(
      from: ["--model.bias", "run.yaml", "--model.bias", "false", "--model.bias"], schemas: schemas)
    #expect(overrides.map(\.text) == ["true", "false", "true"])
    #expect(rest == ["run.yaml"])
  }

  @Test("A key without a value is kept as such")
  func missingValue() {
    let (overrides, rest) = Override.extract(
      from: ["--model.heads", "--dry-run", "--threads"], schemas: schemas)
    #expect(
      overrides == [Override(key: "model.heads", text: nil), Override(key: "threads", text: nil)])
    #expect(rest == ["--dry-run"])
  }

  @Test("Nothing is taken from behind --")
  func terminator() {
    let (overrides, rest) = Override.extract(from: ["--", "--model.heads=8"], schemas: schemas)
    #expect(overrides.isEmpty)
    #expect(rest == ["--", "--model.heads=8"])
  }

  @Test("A value keeps its equal signs")
  func equalSigns() {
    #expect(Override("model.from=a=b") == Override(key: "model.from", text: "a=b"))
  }
}
