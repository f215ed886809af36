import Files

/// Writes a safetensors file piece by piece; it appears only when `finish` has succeeded.
///
/// What the file holds is told at the start, so that each piece goes straight to its place: tensors,
/// and the parts of a tensor, may come in any order and are never held.
package final class SafetensorsWriter {
  /// Where the file will lie.
  package let path: String
  private let file: AtomicFile
  private let tensors: [String: StoredTensor]
  private let dataStart: Int
  private var missing: [String: Int]

  /// Whether everything was written.
  var isComplete: Bool { missing.isEmpty }

  /// Begins a file and writes its header.
  ///
  /// - Parameters:
  ///   - path: Where the file will lie; an old one is replaced by `finish`.
  ///   - tensors: Everything that will be written.
  ///   - metadata: Free text; `format: pt` is what Python's readers expect.
  package init(
    path: String, tensors: [TensorDescription], metadata: [String: String] = ["format": "pt"]
  ) throws(CheckpointError) {
    let header = SafetensorsHeader(
      metadata: metadata, placing: tensors.map { ($0.name, $0.type, $0.shape) })
    let text = header.encoded
    self.path = path
    self.tensors = Dictionary(uniqueKeysWithValues: header.tensors.map { ($0.name, $0) })
    missing = self.tensors.mapValues(\.count).filter { $0.value > 0 }
    dataStart = text.count
    file = try checkpointFiles { () throws(FileError) in
      let file = try AtomicFile(path: path)
      try file.write(text)
      return file
    }
  }

  /// Writes a piece of a tensor stored as F32 or BF16.
  ///
  /// - Parameters:
  ///   - name: One of the tensors told at the start.
  ///   - numbers: The elements, row-major.
  ///   - offset: The first element's place in the tensor; each element is to be written once.
  /// - Throws: `CheckpointError.file` when the disk is full or fails.
  package func write(
    _ name: String, _ numbers: UnsafeBufferPointer<Float>, at offset: Int = 0
  ) throws(CheckpointError) {
    let tensor = account(name, offset..<offset + numbers.count)
    let start = dataStart + tensor.range.lowerBound + offset * tensor.type.size
    switch tensor.type {
    case .float32:
      try put(UnsafeRawBufferPointer(numbers), at: start)
    case .bfloat16:
      let piece = 1 << 18
      let scratch = UnsafeMutablePointer<UInt16>.allocate(capacity: min(piece, numbers.count))
      defer { scratch.deallocate() }
      for first in stride(from: 0, to: numbers.count, by: piece) {
        let count = min(piece, numbers.count - first)
        NumberFormats.write(bfloat16: scratch, from: numbers.baseAddress! + first, count: count)
        try put(UnsafeRawBufferPointer(start: scratch, count: 2 * count), at: start + 2 * first)
      }
    default:
      preconditionFailure("tensor \(name) is stored as \(tensor.type.rawValue), not as floats")
    }
  }

  /// Writes a piece of a tensor stored as I64.
  package func write(_ name: String, _ numbers: [Int], at offset: Int = 0) throws(CheckpointError) {
    let tensor = account(name, offset..<offset + numbers.count)
    precondition(tensor.type == .int64, "tensor \(name) is stored as \(tensor.type.rawValue)")
    var failure: CheckpointError?
    numbers.withUnsafeBytes { bytes in
      do throws(CheckpointError) {
        try put(bytes, at: dataStart + tensor.range.lowerBound + offset * tensor.type.size)
      } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Puts the complete file in its place, replacing an old one, and waits until it is on the disk.
  package func finish() throws(CheckpointError) {
    precondition(missing.isEmpty, "\(path): tensors not written: \(missing.keys.sorted())")
    try checkpointFiles { () throws(FileError) in try file.commit() }
  }

  private func account(_ name: String, _ elements: Range<Int>) -> StoredTensor {
    guard let tensor = tensors[name] else {
      preconditionFailure("\(path) was not told of a tensor \(name)")
    }
    let left = missing[name, default: 0] - elements.count
    precondition(
      elements.upperBound <= tensor.count && left >= 0,
      "elements \(elements) of tensor \(name) of \(tensor.count), with \(left) left to write")
    missing[name] = left == 0 ? nil : left
    return tensor
  }

  private func put(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(CheckpointError) {
    try checkpointFiles { () throws(FileError) in try file.write(bytes, at: offset) }
  }
}
