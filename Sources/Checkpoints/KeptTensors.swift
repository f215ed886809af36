import Models
import Tensors

/// Tensors of a folder that the model does not take and that go along with it, where they are read from.
struct KeptTensors {
  private let source: SafetensorsFolder
  private let stored: [String: String]
  private let tensors: [KeptTensor]

  /// Numbers that are read at once.
  private static let most = 1 << 20

  init(_ tensors: [KeptTensor], in source: SafetensorsFolder, _ names: TensorNames) {
    (self.source, self.tensors, stored) = (source, tensors, names.stored)
  }

  /// How they are stored.
  func descriptions(as type: ElementType) -> [TensorDescription] {
    tensors.map { $0.description(as: type) }
  }

  /// Reads all of them, piece by piece.
  ///
  /// - Parameter body: Has the tensor's name, the place of the first number in the tensor, and numbers.
  func forEachPiece(
    _ body: (String, Int, UnsafeBufferPointer<Float>) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    let room = UnsafeMutableBufferPointer<Float>.allocate(
      capacity: min(Self.most, tensors.map(\.shape.count).max() ?? 0))
    defer { room.deallocate() }
    for tensor in tensors {
      for first in stride(from: 0, to: tensor.shape.count, by: Self.most) {
        let count = min(Self.most, tensor.shape.count - first)
        guard let start = room.baseAddress else { continue }
        try source.readFloats(
          stored[tensor.name] ?? tensor.name, elements: first..<first + count, into: start)
        try body(tensor.name, first, UnsafeBufferPointer(start: start, count: count))
      }
    }
  }
}

extension KeptTensor {
  /// How it is stored.
  func description(as type: ElementType) -> TensorDescription {
    TensorDescription(name, shape: shape.dimensions, type: type)
  }
}
