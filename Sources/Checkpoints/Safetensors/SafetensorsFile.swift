import Files

/// A safetensors file: only what is asked for is read.
package final class SafetensorsFile: Sendable {
  /// Where the file lies.
  package let path: String
  /// Free text about the file, such as `format: pt`.
  package let metadata: [String: String]
  /// Every tensor of the file, in the order of its bytes.
  package let tensors: [StoredTensor]

  private let file: OpenFile
  private let dataStart: Int
  private let positions: [String: Int]

  /// Opens a file and checks its header; reads no data.
  ///
  /// - Throws: `CheckpointError` when it cannot be opened, is damaged or is not a safetensors file.
  package init(path: String) throws(CheckpointError) {
    file = try checkpointFiles { () throws(FileError) in try OpenFile(path: path) }
    let header = try SafetensorsHeader(file)
    self.path = path
    metadata = header.metadata
    tensors = header.tensors
    dataStart = file.count - header.dataBytes
    positions = Dictionary(
      uniqueKeysWithValues: tensors.indices.map { (header.tensors[$0].name, $0) })
  }

  /// The tensor of that name, or nil.
  package func tensor(_ name: String) -> StoredTensor? { positions[name].map { tensors[$0] } }

  /// Reads a part of a floating-point tensor (F32, F16, BF16 or F64) as fp32.
  ///
  /// Of what is stored in another type no more than a piece is in memory.
  ///
  /// - Parameters:
  ///   - name: The tensor's name.
  ///   - elements: Which elements, in row-major order; all when nil.
  ///   - destination: Room for as many numbers.
  /// - Throws: `CheckpointError` when the tensor is missing or holds integers.
  package func readFloats(
    _ name: String, elements: Range<Int>? = nil, into destination: UnsafeMutablePointer<Float>
  ) throws(CheckpointError) {
    guard let tensor = tensor(name) else { throw .missingTensor(path: path, name: name) }
    let elements = elements ?? 0..<tensor.count
    precondition(
      elements.lowerBound >= 0 && elements.upperBound <= tensor.count,
      "elements \(elements) of tensor \(name), which has \(tensor.count)")
    guard tensor.type.isFloatingPoint else {
      throw .wrongElements(
        path: path, name: name, type: tensor.type, wanted: "floating-point numbers")
    }
    let (type, size) = (tensor.type, tensor.type.size)
    let first = dataStart + tensor.range.lowerBound
    if type == .float32 {
      return try checkpointFiles { () throws(FileError) in
        try file.read(
          first + elements.lowerBound * size..<first + elements.upperBound * size,
          into: destination)
      }
    }
    for start in stride(from: elements.lowerBound, to: elements.upperBound, by: Self.piece) {
      let count = min(Self.piece, elements.upperBound - start)
      let bytes = try checkpointFiles { () throws(FileError) in
        try file.read(first + start * size..<first + (start + count) * size)
      }
      let target = destination + (start - elements.lowerBound)
      bytes.withUnsafeBytes { bytes in
        guard let source = bytes.baseAddress else { return }
        switch type {
        case .float16: NumberFormats.read(float16: source, count: count, into: target)
        case .bfloat16: NumberFormats.read(bfloat16: source, count: count, into: target)
        default: NumberFormats.read(float64: source, count: count, into: target)
        }
      }
    }
  }

  /// Elements that are read at once.
  private static let piece = 1 << 21

  /// Reads a whole floating-point tensor as fp32.
  ///
  /// - Throws: `CheckpointError` when the tensor is missing or holds integers.
  package func readFloats(_ name: String) throws(CheckpointError) -> [Float] {
    guard let tensor = tensor(name) else { throw .missingTensor(path: path, name: name) }
    // An array's initialiser rethrows untyped, so the error is carried out by hand.
    var failure: CheckpointError?
    let numbers = [Float](unsafeUninitializedCapacity: max(1, tensor.count)) { buffer, count in
      do throws(CheckpointError) {
        try readFloats(name, into: buffer.baseAddress!)
        count = tensor.count
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return numbers
  }

  /// Reads a whole tensor of integers of any width.
  ///
  /// - Throws: `CheckpointError` when the tensor is missing, holds floating-point numbers, or holds
  ///   a number above `Int.max`.
  package func readIntegers(_ name: String) throws(CheckpointError) -> [Int] {
    guard let tensor = tensor(name) else { throw .missingTensor(path: path, name: name) }
    let content = try checkpointFiles { () throws(FileError) in
      try file.read(dataStart + tensor.range.lowerBound..<dataStart + tensor.range.upperBound)
    }
    func integers<T: FixedWidthInteger>(_: T.Type) -> [Int]? {
      var numbers: [Int] = []
      numbers.reserveCapacity(tensor.count)
      for i in 0..<tensor.count {
        let element = content.withUnsafeBytes {
          $0.loadUnaligned(fromByteOffset: i * tensor.type.size, as: T.self)
        }
        guard let number = Int(exactly: element) else { return nil }
        numbers.append(number)
      }
      return numbers
    }
    let numbers =
      switch tensor.type {
      case .int64: integers(Int64.self)
      case .int32: integers(Int32.self)
      case .int16: integers(Int16.self)
      case .int8: integers(Int8.self)
      case .uint64: integers(UInt64.self)
      case .uint32: integers(UInt32.self)
      case .uint16: integers(UInt16.self)
      case .uint8, .bool: integers(UInt8.self)
      case .float64, .float32, .float16, .bfloat16: [Int]?.none
      }
    guard let numbers else {
      throw .wrongElements(
        path: path, name: name, type: tensor.type, wanted: "integers of at most 63 bits")
    }
    return numbers
  }
}
