import Configuration
import Testing

@testable import Models

@Suite("Scaled rotary positions in run files")
struct RotaryScalingKeysTests {
  /// A run file's model section with some keys, and what is wrong with it.
  private func section(_ keys: [String]) -> (section: ModelSection, problems: [String]) {
    var document = ConfigurationDocument(schemas: ModelSection.schemas)
    document.apply(keys.map { Override("model.\($0)") })
    let section = document.section(ModelSection.self)
    return (section, document.problems.map(\.description))
  }

  @Test(
    "A run file's model has the positions of a config.json with the same keys",
    arguments: ["llama", "mistral", "qwen2", "qwen3"],
    [
      ["rope_type": "linear", "factor": 2.5],
      [
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
      ],
      [
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32,
        "beta_fast": 16.0,
      ],
    ] as [JSONValue])
  func positions(family: String, scaling: JSONValue) throws {
    let mapping = scaling.object!.sorted { $0.key < $1.key }
      .map { "\($0.key): \($0.value.string ?? $0.value.text)" }.joined(separator: ", ")
    let (section, problems) = section([
      "mixer=\(family)", "dimension=16", "heads=2", "\(family).rope_theta=500",
      "\(family).rope_scaling={\(mapping)}",
    ])
    #expect(problems == [])
    let made = Architectures.make(section, vocabulary: 7)
    var keys = made.configuration
    #expect(keys["rope_scaling"] == scaling)
    keys["rope_scaling"] = scaling
    let read = try Architectures.read(.object(keys)).architecture
    func positions(_ architecture: any Architecture) -> RotaryPositions? {
      (architecture as? any LinearisableTransformer)?.attention(of: 0).positions
    }
    #expect(positions(made) == positions(read))
    #expect(positions(made)?.scaling != nil && positions(made)?.base == 500)
  }

  @Test("A scaling that lacks a number, or two of them, are refused by the key")
  func refusals() {
    func problems(_ scaling: String) -> [String] {
      section(["mixer=llama", "llama.rope_scaling=\(scaling)"]).problems
    }
    #expect(problems("{rope_type: linear}").first?.contains("model.llama.rope_scaling") == true)
    #expect(problems("{rope_type: linear}").first?.contains("factor") == true)
    #expect(
      problems("[{factor: 2}, {factor: 3}]").first?.contains("write one mapping") == true)
    #expect(problems("{rope_type: ntk}").first?.contains("linear, llama3, yarn") == true)
  }
}
