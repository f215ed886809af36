import Corpora
import Foundation
import Mutations
import Preparation
import Reporting
import TemporaryFolders
import Testing
import Tokenizers

@Suite("Damaged files: text to prepare")
struct PreparationFuzzTests {
  @Test("Lines of JSON and plain text, packed or not, are prepared or refused")
  func sources() throws {
    let folder = try TemporaryFolder()
    let lines = """
      {"text": "one", "prompt": "p"}
      {"text": "two é \\u00e9\\ud83d\\ude00", "prompt": "", "n": [1, 2.5, {"a": null}]}

      {"prompt": "q", "text": "three\\n\\t\\"x\\""}
      """
    func bytes(_ hex: String) -> [UInt8] {
      stride(from: 0, to: hex.utf8.count, by: 2).map {
        UInt8(hex.dropFirst($0).prefix(2), radix: 16)!
      }
    }
    let kinds: [(String, FileForm, [UInt8])] = [
      ("a.jsonl", .text, Array(lines.utf8)), ("a.txt", .bytes, Array(lines.utf8)),
      (
        "a.jsonl.gz", .bytes,
        bytes(
          "1f8b0800000000000203ab562a49ad2851b25250cacf4b55aae5aa0600df8bd0261100"
            + "00001f8b0800000000000203532a49ad2851b252502a29cf5738bc52a9960b008278e01f12000000")
      ),
      (
        "a.jsonl.zst", .bytes,
        bytes(
          "28b52ffd2423fd0000c87b2274657874223a20226f6e65227d0a74776f20c3a9227d0a0100669b4bb5a98f9c"
        )
      ),
    ]
    for (name, form, original) in kinds {
      let mask = name == "a.jsonl" ? "prompt" : nil
      let failures = Fuzzing(name, form, [original], cases: 100).run {
        let path = try folder.write(name, Data($0))
        let options = PreparationOptions(
          inputs: [path], output: folder.file("out"), tokenizer: ByteTokenizer(),
          tokenizerPath: "bytes", tokenizerHash: "bytes", maskField: mask, replaces: true)
        let prepared = try Preparation(options, output: TerminalOutput { _ in }).run()
        #expect(prepared.tokens > 0)
        _ = try TokenFile(data: folder.file("out"))
      }
      #expect(failures == [])
    }
  }
}
