import Tensors

/// Blocks of fp32 numbers in which kernels compute what is stored in bf16, some for each thread.
package struct BlockScratch: Sendable {
  /// Numbers of a block, unless a row has more.
  ///
  /// In so few the CPU reads a block from memory while it still computes the one before: blocks of 2048 take 2.7 times
  /// as long on Zen 4 where their operands are in no cache.
  private static let numbers = 512
  /// Numbers between blocks, so that not all begin at the same place of a page: a read would wait for writes to others.
  private static let gap = 80

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
      [workspace.team.size * count, rows * max(width, 1) + Self.gap], pool: workspace.pool,
      kind: .buffers)
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
