/// A contiguous, row-major array of fp32 numbers: a shape over a part of a pooled buffer.
///
/// Copying a tensor copies the reference, not the numbers.
public struct Tensor: Sendable {
  /// Extents, outermost first.
  public let shape: Shape
  /// The memory the numbers lie in.
  public var buffer: Buffer
  /// Index of the first number in `buffer`.
  public let offset: Int

  /// A view of a buffer.
  public init(_ shape: Shape, buffer: Buffer, offset: Int = 0) {
    precondition(
      offset >= 0 && offset + shape.count <= buffer.count,
      "shape \(shape) at \(offset) does not fit a buffer of \(buffer.count)")
    self.shape = shape
    self.buffer = buffer
    self.offset = offset
  }

  /// An uninitialised tensor.
  public init(_ shape: Shape, pool: BufferPool, kind: BufferKind = .activations) {
    self.init(shape, buffer: Buffer(count: shape.count, pool: pool, kind: kind))
  }

  /// A tensor with the given numbers, row-major.
  public init(_ shape: Shape, _ numbers: [Float], pool: BufferPool) {
    precondition(
      numbers.count == shape.count, "\(numbers.count) numbers for the shape \(shape)")
    self.init(shape, pool: pool)
    numbers.withUnsafeBufferPointer {
      if let base = $0.baseAddress { pointer.update(from: base, count: shape.count) }
    }
  }

  /// The first number.
  public var pointer: UnsafeMutablePointer<Float> { buffer.pointer + offset }

  /// Number of elements.
  public var count: Int { shape.count }

  /// All numbers, row-major.
  public var numbers: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }

  /// Sets every number to zero.
  public func clear() { pointer.update(repeating: 0, count: count) }
}
