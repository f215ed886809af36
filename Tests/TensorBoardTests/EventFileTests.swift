import Foundation
import SwiftProtobuf
import TemporaryFolders
import Testing

@testable import TensorBoard

@Suite("TensorBoard's event files")
struct EventFileTests {
  private let files: TemporaryFolder

  init() throws { files = try TemporaryFolder() }

  private func step(_ number: Int, loss: Double = 2) -> BoardStep {
    BoardStep(
      number: number, time: 100 + Double(number), loss: loss, gradientNorm: 0.5,
      learningRate: 0.001, tokensPerSecond: 1000, gigaflops: 10)
  }

  private func events(_ path: String) throws -> [EventRecord] {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    let records = RecordFile.records(data)
    #expect(RecordFile.end(of: records) == data.count)
    return try records.map { try EventRecord(serializedBytes: $0.data) }
  }

  @Test("The check of bytes is that of RFC 3720, B.4")
  func check() {
    #expect(CRC32C.check([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
    #expect(CRC32C.check([UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
    #expect(CRC32C.check((0..<32).map { UInt8($0) }) == 0x46dd_794e)
    #expect(CRC32C.check("123456789".utf8) == 0xe306_9283)
  }

  @Test("A record is its length, its data and a masked check of each; a damaged one ends the file")
  func record() {
    var file = RecordFile.record(Data("abc".utf8)) + RecordFile.record(Data())
    #expect(file.count == 16 + 3 + 16)
    #expect(Array(file.prefix(8)) == [3, 0, 0, 0, 0, 0, 0, 0])
    #expect(RecordFile.records(file).map(\.offset) == [0, 19])
    #expect(RecordFile.records(file.dropLast()).map(\.data) == [Data("abc".utf8)])
    file[13] ^= 1
    #expect(RecordFile.records(file).isEmpty)
  }

  @Test("A file begins with its version; a step is its numbers by name")
  func file() throws {
    let file = try EventFile(run: files.path, stepsDone: 0, time: 99)
    var one = step(1)
    one.terms = ["z_loss": 0.25]
    one.stateWaits = [0.5, 0.1]
    try file.add(one)
    try file.add(text: EventFile.code("a: 1\nb: 2"), named: "run file", step: 0, time: 99)
    let events = try events(file.path)
    #expect(events[0].fileVersion == "brain.Event:2")
    #expect(events[1].step == 1 && events[1].wallTime == 101)
    let scalars = Dictionary(
      uniqueKeysWithValues: events[1].summary.value.map { ($0.tag, $0.simpleValue) })
    #expect(
      scalars == [
        "loss/train": 2, "optimizer/gradient_norm": 0.5, "optimizer/learning_rate": 0.001,
        "speed/tokens_per_second": 1000, "speed/gigaflops": 10, "loss/terms/z_loss": 0.25,
        "wait_for_states/least": 0.1, "wait_for_states/median": 0.5, "wait_for_states/most": 0.5,
        "wait_for_states/rank_00": 0.5, "wait_for_states/rank_01": 0.1,
      ])
    let text = events[2].summary.value[0]
    #expect(text.tag == "run file" && text.metadata.pluginData.pluginName == "text")
    #expect(text.tensor.stringVal == [Data("    a: 1\n    b: 2".utf8)])
  }

  @Test("Of many ranks only the least, the median and the most have curves")
  func ranks() {
    var one = step(1)
    one.stateWaits = [Double](repeating: 0.5, count: BoardStep.ranks + 1)
    #expect(one.scalars.count { $0.0.hasPrefix("wait_for_states/") } == 3)
  }

  @Test("A run that goes on continues its file without a step twice, also behind a damaged end")
  func resumed() throws {
    var path = ""
    do {
      let file = try EventFile(run: files.path, stepsDone: 0, time: 1)
      for number in 1...5 { try file.add(step(number)) }
      path = file.path
    }
    var data = try Data(contentsOf: URL(fileURLWithPath: path))
    data.append(contentsOf: [9, 9, 9])
    try data.write(to: URL(fileURLWithPath: path))
    let file = try EventFile(run: files.path, stepsDone: 3, time: 2)
    #expect(file.path == path)
    for number in 4...6 { try file.add(step(number, loss: 1)) }
    let steps = try events(path).dropFirst()
    #expect(steps.map(\.step) == [1, 2, 3, 4, 5, 6])
    #expect(steps.map { $0.summary.value[0].simpleValue } == [2, 2, 2, 1, 1, 1])
  }

  @Test("A new run removes what an earlier one left")
  func anew() throws {
    try EventFile(run: files.path, stepsDone: 0, time: 1).add(step(1))
    let file = try EventFile(run: files.path, stepsDone: 0, time: 2)
    #expect(try events(file.path).map(\.step) == [0])
  }
}
