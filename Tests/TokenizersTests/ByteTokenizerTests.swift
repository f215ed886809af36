import Testing
import Tokenizers

@Suite struct ByteTokens {
  @Test func bytesGoThereAndBack() {
    let tokenizer = ByteTokenizer()
    #expect(tokenizer.encode("aé") == [97, 195, 169])
    #expect(tokenizer.decode([97, 195, 169]) == "aé")
    #expect(tokenizer.decode([97, 300, 98]) == "ab")
  }

  @Test func streamedCharactersAppearWhenComplete() {
    let tokenizer = ByteTokenizer()
    var decoder = StreamingDecoder(tokenizer)
    let parts = tokenizer.encode("aé€😀b").map { decoder.append($0) }
    #expect(parts == ["a", "", "é", "", "", "€", "", "", "", "😀", "b"])
    #expect(decoder.finish() == "")
  }

  @Test(
    arguments: [
      [0xC3, 0x41], [0x80], [0xFF, 0x41], [0xE2, 0x82], [0xF0, 0x9F, 0x98], [0xC0, 0x80],
      [0xF5, 0x41],
      [0xE2, 0x82, 0xE2, 0x82, 0xAC], [0x41, 0x80, 0x80, 0x80, 0x80],
    ] as [[UInt8]])
  func streamedTextEqualsTextDecodedAtOnce(bytes: [UInt8]) {
    var decoder = StreamingDecoder(ByteTokenizer())
    var text = ""
    for byte in bytes { text += decoder.append(Int32(byte)) }
    text += decoder.finish()
    #expect(text == String(decoding: bytes, as: UTF8.self))
  }
}
