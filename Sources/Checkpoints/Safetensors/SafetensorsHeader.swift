import Configuration
import Files
import Foundation

/// The header of a safetensors file: 8 bytes of length (little endian), then JSON, then the data.
///
/// - Source: https://huggingface.co/docs/safetensors, "Format".
struct SafetensorsHeader: Equatable {
  /// Free text about the file.
  var metadata: [String: String]
  /// The tensors, in the order of their bytes.
  var tensors: [StoredTensor]

  /// Number of bytes that the tensors take.
  var dataBytes: Int { tensors.last?.range.upperBound ?? 0 }

  /// A longer header is refused, as the format's own reader does.
  private static let longest = 100_000_000

  /// Places tensors one after another, those with the largest elements first so that all are aligned.
  init(
    metadata: [String: String], placing tensors: [(name: String, type: ElementType, shape: [Int])]
  ) {
    precondition(
      Set(tensors.map(\.name)).count == tensors.count, "two tensors of a file have the same name")
    self.metadata = metadata
    self.tensors = []
    let sizes = Set(tensors.map(\.type.size)).sorted(by: >)
    var offset = 0
    for tensor in sizes.flatMap({ size in tensors.filter { $0.type.size == size } }) {
      let bytes = tensor.shape.reduce(tensor.type.size, *)
      self.tensors.append(
        StoredTensor(
          name: tensor.name, type: tensor.type, shape: tensor.shape, range: offset..<offset + bytes)
      )
      offset += bytes
    }
  }

  /// Reads and checks the header of a whole file.
  ///
  /// - Throws: `CheckpointError.damaged` when the header, a shape or an offset breaks the format's
  ///   rules, or when the file is longer or shorter than the header says.
  init(_ file: OpenFile) throws(CheckpointError) {
    let path = file.path
    func damaged(_ reason: String) -> CheckpointError { .damaged(path: path, reason: reason) }
    guard file.count >= 8 else {
      throw damaged("it has \(file.count) bytes, and a safetensors file has at least 8")
    }
    let length: UInt64 = try checkpointFiles { () throws(FileError) in try file.number(at: 0) }
    guard length <= SafetensorsHeader.longest else {
      throw damaged("it announces a header of \(length) bytes, so it is not a safetensors file")
    }
    let start = 8 + Int(length)
    guard start <= file.count else {
      throw damaged("it has \(file.count) bytes, but its header alone ends at byte \(start)")
    }
    let text = try checkpointFiles { () throws(FileError) in try file.read(8..<start) }
    guard let fields = try? JSONValue(Data(text)).object else {
      throw damaged("its header of \(length) bytes is not the JSON of a safetensors file")
    }
    if let name = text.withUnsafeBytes({ JSONValue.repeatedKey(in: $0) }) {
      throw damaged("its header lists \(name) twice")
    }
    metadata = [:]
    tensors = []
    for (name, field) in fields {
      guard name != "__metadata__" else {
        guard let texts = field.object?.mapValues(\.string), !texts.values.contains(nil) else {
          throw damaged("its __metadata__ is no object of texts")
        }
        metadata = texts.compactMapValues { $0 }
        continue
      }
      guard let description = Description(field) else {
        throw damaged("tensor \(name) has no dtype, shape and data_offsets")
      }
      tensors.append(try description.checked(name: name, path: path))
    }
    tensors.sort {
      ($0.range.lowerBound, $0.range.upperBound, $0.name)
        < ($1.range.lowerBound, $1.range.upperBound, $1.name)
    }
    var end = 0
    for tensor in tensors {
      guard tensor.range.lowerBound == end else {
        let fault = tensor.range.lowerBound < end ? "overlaps the tensor before it" : "leaves a gap"
        throw damaged(
          "tensor \(tensor.name) \(fault): it begins at byte \(tensor.range.lowerBound), not \(end)"
        )
      }
      end = tensor.range.upperBound
    }
    guard file.count - start == end else {
      let fault = file.count - start < end ? "truncated" : "too long"
      throw damaged("it is \(fault): it has \(file.count) bytes and should have \(start + end)")
    }
  }

  /// The bytes that stand before the data: length and JSON, padded with spaces to a multiple of 64.
  var encoded: Data {
    var header = JSONLine()
    if !metadata.isEmpty {
      header.set("__metadata__", .object(metadata.mapValues(JSONValue.string)))
    }
    for tensor in tensors {
      var description = JSONLine()
      description.set("dtype", tensor.type.rawValue)
      description.set("shape", tensor.shape)
      description.set("data_offsets", [tensor.range.lowerBound, tensor.range.upperBound])
      header.set(tensor.name, description)
    }
    var json = Data(header.text.utf8)
    json.append(Data(repeating: 0x20, count: (64 - (8 + json.count) % 64) % 64))
    return withUnsafeBytes(of: UInt64(json.count).littleEndian) { Data($0) } + json
  }
}

/// What a header says of a tensor, before its numbers are checked.
private struct Description {
  let dtype: String
  let shape: [Int]
  let data_offsets: [Int]

  init?(_ json: JSONValue) {
    guard let type = json["dtype"]?.string, let shape = json["shape"]?.array,
      let offsets = json["data_offsets"]?.array,
      !(shape + offsets).map(\.integer).contains(nil)
    else { return nil }
    (dtype, self.shape, data_offsets) = (
      type, shape.compactMap(\.integer), offsets.compactMap(\.integer)
    )
  }

  func checked(name: String, path: String) throws(CheckpointError) -> StoredTensor {
    guard let type = ElementType(rawValue: dtype) else {
      throw .unsupported(
        path: path, reason: "tensor \(name) has elements of type \(dtype), which is not supported"
      )
    }
    var bytes = type.size
    for extent in shape {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: extent)
      guard extent >= 0, !overflow else {
        throw .damaged(path: path, reason: "tensor \(name) has the impossible shape \(shape)")
      }
      bytes = product
    }
    guard data_offsets.count == 2, data_offsets[0] >= 0, data_offsets[0] <= data_offsets[1],
      data_offsets[1] - data_offsets[0] == bytes
    else {
      throw .damaged(
        path: path,
        reason: "tensor \(name) of \(dtype) \(shape) needs \(bytes) bytes, "
          + "but its data_offsets are \(data_offsets)")
    }
    return StoredTensor(
      name: name, type: type, shape: shape, range: data_offsets[0]..<data_offsets[1])
  }
}
