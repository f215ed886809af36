import Tensors

/// Blocks of fp32 numbers in which kernels compute what is stored in bf16, some for each thread.
package struct BlockScratch: Sendable {
  /// Numbers of a block, unless a row has more.
  private static let numbers = 2048

  /// The blocks of a thread, one for each operand.
  package struct Blocks {
    fileprivate let first: UnsafeMutablePointer<Float>
    fileprivate let size: Int

    /// The block of an operand.
    package func callAsFunction(_ operand: Int) -> UnsafeMutablePointer<Float> {
      first + operand * size
    }

    /// What stands where none is needed.
    static var none: Blocks {
      Blocks(first: UnsafeMutablePointer(bitPattern: MemoryLayout<Float>.alignment)!, size: 0)
    }
  }

  private let rows, width, count: Int
  private let scratch: Tensor

  /// Takes memory where one of the operands is bf16, and is nil where none is.
  ///
  /// - Parameter width: Numbers of a row; rows are not divided.
  init?(width: Int, of operands: [Operand], in workspace: Workspace) {
    guard operands.contains(where: { $0.kind == .bfloat16 }) else { return nil }
    self.width = width
    rows = max(1, Self.numbers / max(width, 1))
    count = operands.count
    scratch = Tensor(
      [workspace.team.size * count, rows * max(width, 1)], pool: workspace.pool, kind: .buffers)
  }

  /// Goes through rows block by block, or, where there are no blocks, through all at once.
  static func each(
    _ blocks: BlockScratch?, _ part: Range<Int>, thread: Int, _ body: (Range<Int>, Blocks) -> Void
  ) {
    guard let blocks else { return body(part, .none) }
    blocks.each(part, thread: thread, body)
  }

  /// Goes through rows block by block.
  ///
  /// - Parameter body: Has the block's rows, and the memory of each operand's block.
  func each(
    _ part: Range<Int>, thread: Int,
    _ body: (Range<Int>, Blocks) -> Void
  ) {
    let size = scratch.shape[1]
    let blocks = Blocks(first: scratch.pointer + thread * count * size, size: size)
    for start in stride(from: part.lowerBound, to: part.upperBound, by: rows) {
      body(start..<min(start + rows, part.upperBound), blocks)
    }
  }
}
