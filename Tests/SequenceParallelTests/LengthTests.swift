import Kernels
import MessagePassing
import Tensors
import Testing

@testable import SequenceParallel

// Tensors of no columns stand for windows that would take gigabytes.
@Suite("Lengths beyond 2²⁴")
struct LengthTests {
  static let length = 1 << 24 + 1
  static let slot = CarrySlot(layer: 5, .window)

  /// A pass of a rank after a window in which the rows see these many tokens.
  private static func pass(_ group: any Communicator, lengths: [Int]) -> SequencePass {
    let context = RankContext(
      workspace: Workspace(), sequence: group, exchange: ChainExchange())
    let pool = context.workspace.pool
    let pass = SequencePass(
      context: context,
      layout: SequenceLayout(
        shardLengths: [Int](repeating: 2, count: group.size), rank: group.rank,
        rows: lengths.count, start: lengths.max()!))
    if group.rank == 0 {
      let window: Shape = [lengths.count, lengths.max()!, 0]
      pass.left.values[slot] = Tensor(window, pool: pool)
      let counts = lengths.map { Float(countBits: $0) }
      pass.left.values[CarrySlot(layer: slot.layer, .windowLengths)] = Tensor(
        [lengths.count], counts, pool: pool)
    }
    return pass
  }

  @Test("cross with a halo")
  func halo() throws {
    let known = try ThreadCommunicator.run(ranks: 2, deadline: 60) { world in
      let pass = Self.pass(world, lengths: [Self.length, 3])
      let exchange = HaloExchange(
        width: Self.length + 10, columns: [0], carried: Self.length, slot: Self.slot, pass: pass,
        category: .attention)
      try exchange.begin([Operand(Tensor([4, 0], pool: pass.context.workspace.pool))])
      let halo = try exchange.finish()
      try pass.context.drain()
      return halo.known
    }
    #expect(known == [[Self.length, 3], [Self.length + 2, 5]])
  }

  @Test("stand in messages of keys and values")
  func keys() {
    let pass = Self.pass(SoloCommunicator(), lengths: [Self.length, 3])
    let pool = pass.context.workspace.pool
    let held = HeldKeys(
      slot: Self.slot, widths: KeyWidths(k: 0, v: 0), sendsTails: false, pass: pass)
    let x = Tensor([4, 8], pool: pool)
    let heads = AttentionHeads(
      SoftmaxAttention(dimension: 8, scale: 1), q: x, k: x, v: x, window: nil, pass: pass,
      output: nil)
    let message = Tensor([held.headCount], pool: pool)
    held.write(
      held.positions(of: 0), of: heads,
      MessageHeader(Self.slot, pass, .forward, slice: 0, count: 0), into: message.pointer)
    #expect(held.lengths(in: message.pointer) == [Self.length, 3])
  }

  @Test("are carried, packed, and dealt to other ranks row by row")
  func carries() {
    let pass = Self.pass(SoloCommunicator(), lengths: [Self.length, 3])
    let workspace = pass.context.workspace
    pass.setRightLengths([Self.length + 2, 5], layer: 5)
    let slot = CarrySlot(layer: 5, .windowLengths)
    func lengths(_ carry: [CarrySlot: Tensor]) -> [Int] {
      carry[slot]!.numbers.map(\.countInBits)
    }
    #expect(lengths(pass.right.values) == [Self.length + 2, 5])
    let packed = pass.right.values.packed(in: workspace)
    let unpacked = [CarrySlot: Tensor](packed: packed, pool: workspace.pool)
    #expect(lengths(unpacked) == [Self.length + 2, 5])
    let rows = pass.right.values.rows(2)
    #expect(
      lengths([CarrySlot: Tensor](rows: rows.reversed(), pool: workspace.pool))
        == [5, Self.length + 2])
  }

  @Test("were one float in older checkpoints")
  func older() {
    let row = CarriedRow([
      CarrySlot(layer: 5, .windowLengths): CarriedRow.TensorRow(shape: [1], numbers: [61])
    ])
    let carry = [CarrySlot: Tensor](rows: [row], pool: BufferPool())
    #expect(carry.values.first!.numbers.map(\.countInBits) == [61])
  }

  @Test("let a window go that a later one contains, to a token")
  func release() {
    let workspace = Workspace()
    func carry(_ length: Int) -> Carry {
      let carry = Carry()
      carry.values[Self.slot] = Tensor([1, length, 0], pool: workspace.pool)
      carry.values[CarrySlot(layer: 5, .windowLengths)] = Tensor(
        [1], [Float(countBits: length)], pool: workspace.pool)
      return carry
    }
    let (earlier, later) = (carry(Self.length), carry(Self.length + 1))
    earlier.release(containedIn: later, tokens: 1, in: workspace)
    #expect(earlier.values[Self.slot] == nil)
  }

  @Test("A gather of keys is planned in a moment by each of two thousand ranks")
  func manyRanks() throws {
    let (ranks, tokens) = (2000, 3)
    let workspace = Workspace(executor: .rehearsing)
    let context = RankContext(
      workspace: workspace, sequence: RehearsalCommunicator(rank: ranks - 1, size: ranks),
      exchange: ChainExchange())
    let layout = SequenceLayout(
      shardLengths: [Int](repeating: tokens, count: ranks), rank: ranks - 1, rows: 1)
    let pass = SequencePass(context: context, layout: layout)
    let x = Tensor([tokens, 8], pool: workspace.pool)
    let heads = AttentionHeads(
      SoftmaxAttention(dimension: 8, scale: 1), q: x, k: x, v: x, window: nil, pass: pass,
      output: nil)
    let attention = GatherAttention(
      slot: Self.slot, widths: KeyWidths(k: 8, v: 8), pass: pass)
    try attention.forward(heads, isAgain: false)
    // To every other rank a header, a row's length, keys and values.
    let message = 4 * (MessageHeader.floats + 1 + 2 * 8 * tokens)
    #expect(workspace.counters.haloBytesSent == (ranks - 1) * message)
  }
}
