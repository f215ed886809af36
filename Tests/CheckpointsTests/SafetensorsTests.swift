import Foundation
import TemporaryFolders
import Testing

@testable import Checkpoints

/// Files put together byte by byte, after the format's description.
private func bytes(header: String, data: [UInt8]) -> Data {
  withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Data($0) } + Data(header.utf8)
    + Data(data)
}

@Suite struct SafetensorsReading {
  @Test func readsEveryFloatFormatAsFloats() throws {
    let folder = try TemporaryFolder()
    let header = """
      {"__metadata__":{"format":"pt","note":"a \\"b\\""},
       "half":{"dtype":"F16","shape":[6],"data_offsets":[9,21]},
       "brain":{"dtype":"BF16","shape":[2,2],"data_offsets":[21,29]},
       "single":{"dtype":"F32","shape":[1],"data_offsets":[29,33]},
       "double":{"dtype":"F64","shape":[],"data_offsets":[1,9]},
       "flag":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}
      """
    let path = try folder.write(
      "x.safetensors",
      bytes(
        header: header,
        data: [1] + [0, 0, 0, 0, 0, 0, 0xF8, 0x3F]  // 1.5
          // 1, -2, 65504, the smallest subnormal, -infinity, the largest subnormal
          + [0x00, 0x3C, 0x00, 0xC0, 0xFF, 0x7B, 0x01, 0x00, 0x00, 0xFC, 0xFF, 0x03]
          + [0x80, 0x3F, 0x00, 0xC0, 0x80, 0x7F, 0x01, 0x00] + [0, 0, 0x28, 0x42]))
    let file = try SafetensorsFile(path: path)
    #expect(file.metadata == ["format": "pt", "note": "a \"b\""])
    #expect(file.tensors.map(\.name) == ["flag", "double", "half", "brain", "single"])
    #expect(try file.readFloats("double") == [1.5])
    #expect(
      try file.readFloats("half") == [1, -2, 65504, 0x1p-24, -.infinity, 1023 * 0x1p-24])
    #expect(try file.readFloats("brain") == [1, -2, .infinity, Float(bitPattern: 0x10000)])
    #expect(try file.readFloats("single") == [42])
    #expect(file.tensor("brain")?.shape == [2, 2])
    #expect(file.tensor("double")?.shape == [])
    var part: [Float] = [0, 0]
    try file.readFloats("half", elements: 1..<3, into: &part)
    #expect(part == [-2, 65504])
    #expect(try file.readIntegers("flag") == [1])
  }

  @Test func everyHalfNumberIsReadExactly() throws {
    let folder = try TemporaryFolder()
    let patterns = (UInt32(0)...0xFFFF).map { UInt16($0) }
    let path = try folder.write(
      "x.safetensors",
      bytes(
        header: #"{"x":{"dtype":"F16","shape":[65536],"data_offsets":[0,131072]}}"#,
        data: patterns.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }))
    let numbers = try SafetensorsFile(path: path).readFloats("x")
    for (pattern, number) in zip(patterns, numbers) {
      // Sign, exponent and fraction as IEEE 754 defines them.
      let exponent = Int(pattern >> 10 & 31)
      let fraction = Double(pattern & 1023) / 1024
      let magnitude: Double =
        switch exponent {
        case 0: fraction * 0x1p-14
        case 31: fraction == 0 ? .infinity : .nan
        default: (1 + fraction) * pow(2, Double(exponent - 15))
        }
      let expected = pattern >> 15 == 1 ? -magnitude : magnitude
      #expect(expected.isNaN ? number.isNaN : Double(number) == expected, "\(pattern)")
    }
  }

  @Test(
    arguments: [
      ("I64", [255, 255, 255, 255, 255, 255, 255, 255, 3, 0, 0, 0, 0, 0, 0, 0], [-1, 3]),
      ("I32", [254, 255, 255, 255, 1, 0, 0, 0], [-2, 1]),
      ("U32", [255, 255, 255, 255], [4_294_967_295]),
      ("U16", [255, 255], [65535]), ("I16", [255, 255], [-1]), ("I8", [128], [-128]),
      ("U8", [128], [128]), ("U64", [1, 0, 0, 0, 0, 0, 0, 0], [1]),
    ] as [(String, [UInt8], [Int])])
  func readsIntegersOfEveryWidth(type: String, data: [UInt8], expected: [Int]) throws {
    let folder = try TemporaryFolder()
    let header = """
      {"ids":{"dtype":"\(type)","shape":[1,\(expected.count)],"data_offsets":[0,\(data.count)]}}
      """
    let path = try folder.write("x.safetensors", bytes(header: header, data: data))
    #expect(try SafetensorsFile(path: path).readIntegers("ids") == expected)
  }

  @Test(arguments: [
    ("{", 0, "header of 1 bytes is not the JSON"),
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 7,
      "truncated: it has 69 bytes and should have 70"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 9,
      "too long: it has 71 bytes and should have 70"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8,
      "F32 [3] needs 12 bytes, but its data_offsets are [0, 8]"
    ),
    (#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}"#, 8, "impossible shape [-1]"),
    (
      #"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#, 8,
      "impossible shape"
    ),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, 8, "data_offsets are [8, 0]"),
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#, 12,
      "leaves a gap: it begins at byte 4, not 0"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[2],"data_offsets":[7,9]}}"#,
      9, "tensor b overlaps the tensor before it: it begins at byte 7, not 8"
    ),
    (
      #"{"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}"#, 2,
      "elements of type F8_E4M3, which is not supported"
    ),
    (#"{"a":{"x":"y"}}"#, 0, "tensor a has no dtype"),
    (#"[1]"#, 0, "not the JSON of a safetensors file"),
  ])
  func namesWhatIsDamaged(header: String, dataBytes: Int, message: String) throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(
      "broken.safetensors", bytes(header: header, data: .init(repeating: 0, count: dataBytes)))
    let error = try #require(throws: CheckpointError.self) { try SafetensorsFile(path: path) }
    #expect("\(error)".contains(message), "\(error)")
    #expect("\(error)".contains(path))
  }

  @Test func refusesFilesThatAreNoSafetensors() throws {
    let folder = try TemporaryFolder()
    for (content, message) in [
      (Data(), "it has 0 bytes"), (Data([1, 2, 3]), "it has 3 bytes"),
      (Data("#!/bin/sh\nexit 0\n".utf8), "not a safetensors file"),
      (Data([200, 0, 0, 0, 0, 0, 0, 0, 0x7B]), "its header alone ends at byte 208"),
    ] {
      let path = try folder.write("x", content)
      let error = try #require(throws: CheckpointError.self) { try SafetensorsFile(path: path) }
      #expect("\(error)".contains(message), "\(error)")
    }
    let missing = try #require(throws: CheckpointError.self) {
      try SafetensorsFile(path: folder.file("absent"))
    }
    #expect("\(missing)" == "cannot open \(folder.file("absent")): No such file or directory")
    let isFolder = try #require(throws: CheckpointError.self) {
      try SafetensorsFile(path: folder.path)
    }
    #expect("\(isFolder)" == "cannot read \(folder.path): Is a directory; name a file in it")
  }

  @Test func saysWhichTensorIsMissingOrOfAnotherKind() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(
      "x.safetensors",
      bytes(
        header: #"{"ids":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}"#, data: [1, 0, 0, 0]))
    let file = try SafetensorsFile(path: path)
    #expect(throws: CheckpointError.missingTensor(path: path, name: "w")) {
      try file.readFloats("w")
    }
    let error = try #require(throws: CheckpointError.self) { try file.readFloats("ids") }
    #expect(
      "\(error)" == "\(path): tensor ids holds I32 elements, but floating-point numbers are needed")
  }
}

@Suite struct SafetensorsWriting {
  private func numbers(_ count: Int) -> [Float] {
    (0..<count).map { Float(sin(Double($0))) * 3 }
  }

  @Test func whatIsWrittenInPiecesIsReadBack() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("model.safetensors")
    let a = numbers(15)
    let b = numbers(600_000)
    let writer = try SafetensorsWriter(
      path: path,
      tensors: [
        TensorDescription("b \"quoted\"/é", shape: [600_000], type: .bfloat16),
        TensorDescription("a", shape: [3, 5]), TensorDescription("empty", shape: [0, 4]),
        TensorDescription("step", shape: [1], type: .int64),
      ])
    try b.withUnsafeBufferPointer { try writer.write("b \"quoted\"/é", $0) }
    try a[7...].withUnsafeBufferPointer { try writer.write("a", $0, at: 7) }
    #expect(!FileManager.default.fileExists(atPath: path))
    try a[..<7].withUnsafeBufferPointer { try writer.write("a", $0) }
    try writer.write("step", [1 << 40])
    try writer.finish()

    let file = try SafetensorsFile(path: path)
    #expect(file.metadata == ["format": "pt"])
    #expect(try file.readFloats("a") == a)
    #expect(file.tensor("a")?.shape == [3, 5])
    #expect(file.tensor("empty")?.shape == [0, 4])
    #expect(try file.readFloats("empty") == [])
    #expect(try file.readIntegers("step") == [1 << 40])
    for (stored, exact) in zip(try file.readFloats("b \"quoted\"/é"), b) {
      #expect(abs(stored - exact) <= abs(exact) / 256)
    }
    #expect(try folder.names == ["model.safetensors"])
    // Every tensor is aligned to its elements, and the data to 64 bytes.
    let length = try folder.read("model.safetensors").prefix(8).reversed().reduce(0) {
      $0 << 8 | Int($1)
    }
    #expect((8 + length) % 64 == 0)
    for tensor in file.tensors { #expect(tensor.range.lowerBound % tensor.type.size == 0) }
  }

  @Test func bfloat16RoundsToNearestEven() throws {
    let folder = try TemporaryFolder()
    let cases: [(Float, Float)] = [
      (1, 1), (1 + 0x1p-8, 1), (1 + 3 * 0x1p-8, 1 + 0x1p-6), (1 + 0x1p-8 + 0x1p-20, 1 + 0x1p-7),
      (.greatestFiniteMagnitude, .infinity), (-.infinity, -.infinity), (-0.0, -0.0),
    ]
    let path = folder.file("x.safetensors")
    let writer = try SafetensorsWriter(
      path: path, tensors: [TensorDescription("x", shape: [cases.count + 1], type: .bfloat16)])
    let nan = Float(bitPattern: 0x7F80_0001)
    try (cases.map(\.0) + [nan]).withUnsafeBufferPointer { try writer.write("x", $0) }
    try writer.finish()
    let read = try SafetensorsFile(path: path).readFloats("x")
    #expect(read.dropLast() == cases.map(\.1)[...])
    #expect(read.last!.isNaN)
  }

  @Test func anUnfinishedFileLeavesTheOldOneIntact() throws {
    let folder = try TemporaryFolder()
    let old = try folder.write("model.safetensors", Data("old".utf8))
    do {
      let writer = try SafetensorsWriter(
        path: old, tensors: [TensorDescription("a", shape: [4])])
      try numbers(2).withUnsafeBufferPointer { try writer.write("a", $0) }
    }
    #expect(try folder.read("model.safetensors") == Data("old".utf8))
    #expect(try folder.names == ["model.safetensors"])
  }

  @Test func aPlaceThatCannotBeWrittenIsOneClearError() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("file", Data())
    let error = try #require(throws: CheckpointError.self) {
      try SafetensorsWriter(path: "\(file)/model.safetensors", tensors: [])
    }
    #expect("\(error)".hasPrefix("cannot write \(file)/model.safetensors: Not a directory"))
    let absent = try #require(throws: CheckpointError.self) {
      try SafetensorsWriter(path: folder.file("no/model.safetensors"), tensors: [])
    }
    #expect("\(absent)".hasSuffix("No such file or directory"))
  }
}

@Suite struct SafetensorsFolders {
  private func write(
    _ path: String, _ tensors: [(String, [Float])], shardBytes: Int
  ) throws {
    let writer = try SafetensorsFolderWriter(
      path: path, tensors: tensors.map { TensorDescription($0.0, shape: [$0.1.count]) },
      shardBytes: shardBytes)
    for (name, numbers) in tensors {
      try numbers.withUnsafeBufferPointer { try writer.write(name, $0) }
    }
    try writer.finish()
  }

  private func floats(_ name: String, of source: SafetensorsFolder) throws -> [Float] {
    var numbers = [Float](repeating: 0, count: source.tensor(name)?.count ?? 0)
    try source.readFloats(name, into: &numbers)
    return numbers
  }

  private let tensors: [(String, [Float])] = [
    ("a", [1, 2, 3]), ("b", [4]), ("c", [5, 6, 7, 8]), ("d", [9]),
  ]

  @Test(arguments: [
    (1000, ["model.safetensors"]),
    (
      16,
      [
        "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
        "model-00003-of-00003.safetensors", "model.safetensors.index.json",
      ]
    ),
  ])
  func writesOneFileOrShardsThatReadTheSame(shardBytes: Int, names: [String]) throws {
    let folder = try TemporaryFolder()
    try write(folder.path, tensors, shardBytes: shardBytes)
    #expect(try folder.names == names)
    let source = try SafetensorsFolder(path: folder.path)
    #expect(source.tensors.map(\.name) == ["a", "b", "c", "d"])
    for (name, numbers) in tensors { #expect(try floats(name, of: source) == numbers) }
    #expect(throws: CheckpointError.missingTensor(path: folder.path, name: "e")) {
      try floats("e", of: source)
    }
  }

  @Test func piecesOfTensorsOfDifferentShardsMayComeInAnyOrder() throws {
    let folder = try TemporaryFolder()
    let writer = try SafetensorsFolderWriter(
      path: folder.path, tensors: ["a", "b"].map { TensorDescription($0, shape: [2]) },
      shardBytes: 8)
    for (name, place, number) in [("b", 1, 4), ("a", 0, 1), ("b", 0, 3), ("a", 1, 2)] {
      try [Float(number)].withUnsafeBufferPointer { try writer.write(name, $0, at: place) }
    }
    try writer.finish()
    let source = try SafetensorsFolder(path: folder.path)
    #expect(try floats("a", of: source) == [1, 2])
    #expect(try floats("b", of: source) == [3, 4])
  }

  @Test(
    "An index that leaves its folder, names no safetensors or repeats itself is refused",
    arguments: [
      (#"{"a": "../model.safetensors"}"#, "is not in its folder"),
      (#"{"a": "/etc/passwd"}"#, "is not in its folder"),
      (#"{"a": ".."}"#, "is no safetensors file"),
      (#"{"a": ""}"#, "is no safetensors file"),
      (#"{"a": "pytorch_model-00001-of-00002.bin"}"#, "is a pickle"),
      (#"{"a": "other.safetensors"}"#, "other.safetensors, which is not there"),
      (#"{"a": "one.safetensors", "a": "two.safetensors"}"#, "it lists a twice"),
      (
        #"{"a": "one.safetensors", "b": "two.safetensors"}"#, "a lies in one.safetensors and in two"
      ),
      (#"{"b": "one.safetensors"}"#, "one.safetensors lacks tensor b"),
      (#"{"a": 3}"#, "has no weight_map from tensors to files"),
    ])
  func hostileIndex(map: String, said: String) throws {
    let folder = try TemporaryFolder()
    for name in ["one", "two"] {
      try write(folder.path, [("a", [1])], shardBytes: 1000)
      try FileManager.default.moveItem(
        atPath: folder.file("model.safetensors"), toPath: folder.file(name + ".safetensors"))
    }
    try folder.write("model.safetensors.index.json", Data("{\"weight_map\": \(map)}".utf8))
    let error = try #require(throws: CheckpointError.self) {
      try SafetensorsFolder(path: folder.path)
    }
    #expect("\(error)".contains(said))
  }

  @Test func aHeaderThatListsATensorTwiceIsRefused() throws {
    let folder = try TemporaryFolder()
    let one = #""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#
    let header = "{\(one),\(one)}"
    let length = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Data($0) }
    try folder.write("t.safetensors", length + Data(header.utf8) + Data(count: 4))
    let error = try #require(throws: CheckpointError.self) {
      try SafetensorsFile(path: folder.file("t.safetensors"))
    }
    #expect("\(error)".contains("its header lists a twice"))
  }

  @Test func aNewModelReplacesOneOfAnotherNumberOfFiles() throws {
    let folder = try TemporaryFolder()
    try write(folder.path, tensors, shardBytes: 1000)
    try write(folder.path, tensors, shardBytes: 20)
    #expect(try !folder.names.contains("model.safetensors"))
    #expect(try floats("c", of: SafetensorsFolder(path: folder.path)) == [5, 6, 7, 8])
    try write(folder.path, [("z", [1])], shardBytes: 1000)
    #expect(try SafetensorsFolder(path: folder.path).tensors.map(\.name) == ["z"])
  }

  @Test func saysWhatAFolderLacks() throws {
    let folder = try TemporaryFolder()
    let none = try #require(throws: CheckpointError.self) {
      try SafetensorsFolder(path: folder.path)
    }
    #expect(
      "\(none)"
        == "\(folder.path) is no model folder: it has no model.safetensors and no model.safetensors.index.json"
    )
    try write(folder.path, tensors, shardBytes: 16)
    let index =
      #"{"metadata":{"total_size":3.6e1},"weight_map":{"a":"model-00002-of-00003.safetensors"}}"#
    try folder.write("model.safetensors.index.json", Data(index.utf8))
    let wrong = try #require(throws: CheckpointError.self) {
      try SafetensorsFolder(path: folder.path)
    }
    #expect(
      "\(wrong)".contains(
        "model-00002-of-00003.safetensors lacks tensor a, which the index puts there"))
    try FileManager.default.removeItem(atPath: folder.file("model-00002-of-00003.safetensors"))
    let missing = try #require(throws: CheckpointError.self) {
      try SafetensorsFolder(path: folder.path)
    }
    #expect(
      "\(missing)".contains(
        "it names the file model-00002-of-00003.safetensors, which is not there"))
    try folder.write("model.safetensors.index.json", Data("{}".utf8))
    let index2 = try #require(throws: CheckpointError.self) {
      try SafetensorsFolder(path: folder.path)
    }
    #expect("\(index2)".contains("has no weight_map from tensors to files"))
  }
}
