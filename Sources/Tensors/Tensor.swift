/// A contiguous, row-major array of fp32 numbers: a shape over a part of a pooled buffer.
///
/// Copying a tensor copies the reference, not the numbers.
package struct Tensor: Sendable {
  /// Extents, outermost first.
  package let shape: Shape
  /// The memory the numbers lie in.
  package var buffer: Buffer
  /// Index of the first number in `buffer`.
  package let offset: Int

  /// A view of a buffer.
  package init(_ shape: Shape, buffer: Buffer, offset: Int = 0) {
    precondition(
      offset >= 0 && offset + shape.count <= buffer.count,
      "shape \(shape) at \(offset) does not fit a buffer of \(buffer.count)")
    self.shape = shape
    self.buffer = buffer
    self.offset = offset
  }

  /// An uninitialised tensor.
  package init(_ shape: Shape, pool: BufferPool, kind: BufferKind = .activations) {
    self.init(shape, buffer: Buffer(count: shape.count, pool: pool, kind: kind))
  }

  /// A tensor with the given numbers, row-major.
  package init(_ shape: Shape, _ numbers: [Float], pool: BufferPool) {
    precondition(
      numbers.count == shape.count, "\(numbers.count) numbers for the shape \(shape)")
    self.init(shape, pool: pool)
    numbers.withUnsafeBufferPointer {
      if let base = $0.baseAddress { pointer.update(from: base, count: shape.count) }
    }
  }

  /// The first number.
  package var pointer: UnsafeMutablePointer<Float> { buffer.pointer + offset }

  /// Number of elements.
  package var count: Int { shape.count }

  /// All numbers, row-major.
  package var numbers: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }

  /// Sets every number to zero.
  package func clear() { pointer.update(repeating: 0, count: count) }
}
