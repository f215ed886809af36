import MessagePassing
import Tensors
import Testing

@testable import SequenceParallel

@Suite("What ops keep in a pass")
struct PassMemoryTests {
  /// Something that was received.
  private struct Received: Kept {
    typealias Key = CarrySlot
    let numbers: Tensor
    var suspended: Received? { self }
    var tensors: [Tensor] { [numbers] }
  }

  /// Something of which a part can be worked out again.
  private struct Partly: Kept {
    typealias Key = Int
    let received: Tensor
    let table: Tensor?
    var suspended: Partly? { Partly(received: received, table: nil) }
    var tensors: [Tensor] { [received] + (table.map { [$0] } ?? []) }
  }

  /// Something that can be worked out again.
  private struct Table: Kept {
    typealias Key = CarrySlot
    let numbers: Tensor
    var suspended: Table? { nil }
    var tensors: [Tensor] { [numbers] }
  }

  private let pass = SequencePass(
    context: RankContext(
      workspace: Workspace(), sequence: SoloCommunicator(), exchange: ChainExchange()),
    layout: SequenceLayout(shardLengths: [4], rank: 0, rows: 1))
  private let slots = (CarrySlot(layer: 0, .state(0)), CarrySlot(layer: 1, .state(0)))

  private func numbers(_ count: Int) -> Tensor {
    Tensor([count], pool: pass.context.workspace.pool)
  }

  @Test("is told apart by its type and its key, and made once")
  func keys() {
    let memory = pass.memory
    memory[slots.0] = Received(numbers: numbers(3))
    memory[slots.1] = Received(numbers: numbers(5))
    memory[slots.0] = Table(numbers: numbers(7))
    func received(_ slot: CarrySlot) -> Int? { (memory[slot] as Received?)?.numbers.count }
    #expect([received(slots.0), received(slots.1)] == [3, 5])
    #expect((memory[slots.0] as Table?)?.numbers.count == 7)
    #expect((memory[slots.1] as Table?) == nil)
    #expect(memory.of(slots.0) { Received(numbers: numbers(9)) }.numbers.count == 3)
    memory[slots.0] = nil as Received?
    #expect(received(slots.0) == nil)
    #expect((memory[slots.0] as Table?) != nil)
  }

  @Test("outlives a suspension as far as its op says, and its bytes are counted so")
  func suspension() {
    let memory = pass.memory
    memory[slots.0] = Received(numbers: numbers(3))
    memory[slots.1] = Table(numbers: numbers(7))
    memory[4] = Partly(received: numbers(11), table: numbers(13))
    pass.left.values[slots.0] = numbers(17)
    #expect(pass.keptBytes == 4 * (3 + 11 + 17))
    pass.suspend()
    #expect(pass.keptBytes == 4 * (3 + 11 + 17))
    #expect((memory[slots.0] as Received?)?.numbers.count == 3)
    #expect((memory[slots.1] as Table?) == nil)
    #expect((memory[4] as Partly?)?.received.count == 11)
    #expect((memory[4] as Partly?)?.table == nil)
  }
}
