import Checkpoints
import Configuration
import Foundation
import TemporaryFolders
import Testing

@Suite struct JSONFiles {
  @Test func unknownKeysAndInfinitiesAreKept() throws {
    let folder = try TemporaryFolder()
    let text = """
      {"model_type": "mamba2", "dt_limit": [0.0, Infinity], "other": {"__float__": "Infinity"},
       "eps": 1e-05, "layers": 24, "attn": null, "tie": false, "names": ["a/b"], "base": 10000.5}
      """
    let value = try JSONValue(file: folder.write("config.json", Data(text.utf8)))
    #expect(value["dt_limit"]?.array?.last?.number == .infinity)
    #expect(value["other"]?.number == .infinity)
    #expect(value["eps"]?.number == 1e-5)
    #expect(value["layers"]?.integer == 24)
    #expect(value["layers"]?.number == 24)
    #expect(value["attn"] == .null)
    #expect(value["tie"]?.bool == false)
    #expect(value["names"]?.array == ["a/b"])
    #expect(value["absent"] == nil)

    let path = try folder.write("again.json", value.encoded)
    #expect(try JSONValue(file: path) == value)
  }

  @Test func aFileThatIsNoJSONIsNamed() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("config.json", Data("{\"a\": ".utf8))
    #expect(throws: CheckpointError.damaged(path: path, reason: "it is not JSON")) {
      try JSONValue(file: path)
    }
  }
}
