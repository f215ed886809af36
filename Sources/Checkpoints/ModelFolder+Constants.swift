import Models
import Tensors

extension ConstantTensor {
  /// Compares stored constants with what follows from the model's keys, which is what is computed with.
  ///
  /// - Throws: `CheckpointError.mismatch` for the first that is of another shape, or too far from it.
  static func check(
    _ constants: [ConstantTensor], by names: TensorNames, in source: SafetensorsFolder
  ) throws(CheckpointError) {
    for constant in constants {
      guard let tolerance = constant.tolerance, let name = names.stored[constant.name],
        let tensor = source.tensor(name)
      else { continue }
      guard tensor.shape == constant.shape.dimensions, tensor.type.isFloatingPoint else {
        throw .mismatch(
          path: source.path,
          reason:
            "\(name) is \(tensor.type.rawValue) \(tensor.shape) but must be \(constant.shape)")
      }
      var stored = [Float](repeating: 0, count: constant.shape.count)
      try stored.withUnsafeMutableBufferPointer { numbers throws(CheckpointError) in
        try source.readFloats(name, into: numbers.baseAddress!)
      }
      for (index, number) in stored.enumerated() {
        let right = constant.number(index)
        guard abs(number - right) <= Float(tolerance) * abs(right) else {
          throw .mismatch(
            path: source.path,
            reason:
              "\(name) has \(number) where \(right) follows from config.json, and other decays than "
              + "those are not computed here")
        }
      }
    }
  }

  /// Writes its numbers, in parts.
  func write(to writer: SafetensorsFolderWriter) throws(CheckpointError) {
    for first in stride(from: 0, to: shape.count, by: 1 << 16) {
      let numbers = (first..<min(first + 1 << 16, shape.count)).map(number)
      try numbers.withUnsafeBufferPointer { part throws(CheckpointError) in
        try writer.write(name, part, at: first)
      }
    }
  }
}
