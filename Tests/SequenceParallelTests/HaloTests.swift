import Autodiff
import Foundation
import Kernels
import MessagePassing
import SequenceParallel
import Tensors
import Testing

@Suite struct HaloTests {
  /// Bytes beside states that each rank sends for one forward and backward pass of an op.
  private func bytes(
    shards: [Int], rows: Int, columns: Int, rehearsal: Bool,
    op: @escaping @Sendable (Tape, Variable, SequencePass) throws -> Variable
  ) throws -> [Int] {
    @Sendable func pass(_ group: any Communicator) throws -> Int {
      let workspace = Workspace(executor: rehearsal ? .rehearsing : .computing)
      let context = RankContext(
        workspace: workspace, sequence: group, exchange: ChainExchange())
      let store = WholeParameters(table: .oneRegion, gradients: true, pool: workspace.pool)
      let tape = Tape(workspace: workspace, parameters: store, recording: true)
      let layout = SequenceLayout(shardLengths: shards, rank: group.rank, rows: rows)
      let x = Tensor([rows * layout.length, columns], pool: workspace.pool)
      workspace.compute(.other) { x.pointer.update(repeating: 0.5, count: x.count) }
      let input = Variable(x, needsGradient: true)
      let pass = SequencePass(context: context, layout: layout, keepsRight: true)
      let y = try tape.region(0, recompute: true, input: input) { try op(tape, $0!, pass) }
      let dy = Tensor(y.shape, pool: workspace.pool)
      workspace.compute(.other) { dy.pointer.update(repeating: 1, count: dy.count) }
      try tape.backward(from: y, gradient: dy)
      try context.drain()
      return workspace.counters.haloBytesSent
    }
    guard rehearsal else {
      return try ThreadCommunicator.run(ranks: shards.count, deadline: 20, pass)
    }
    return try shards.indices.map { try pass(RehearsalCommunicator(rank: $0, size: shards.count)) }
  }

  @Test("a halo's bytes do not depend on the length of the shards", arguments: [3, 50])
  func bytesOfHalo(length: Int) throws {
    let (rows, columns) = (2, 5)
    let sent = try bytes(
      shards: [length, length, length], rows: rows, columns: columns, rehearsal: false
    ) {
      try $0.tokenShift($1, slot: CarrySlot(layer: 0, .halo(0)), pass: $2)
    }
    // A header of 16 floats; for each row a length and one token; forward and back.
    let message = 4 * (16 + rows * (1 + columns))
    #expect(sent == [message, 2 * message, message])
  }

  @Test(
    "a rehearsal counts what a run sends, and computes nothing",
    arguments: [nil, 3, 100], AttentionExchange.allCases)
  func rehearsal(window: Int?, exchange: AttentionExchange) throws {
    let counts = try [false, true].map {
      try bytes(shards: [4, 0, 1, 70], rows: 2, columns: 24, rehearsal: $0) { tape, x, pass in
        let y = try tape.tokenShift(x, slot: CarrySlot(layer: 0, .halo(0)), pass: pass)
        let z = tape.rotaryEmbedding(
          y, RotaryFrequencies(dimension: 8, base: 10_000), pass: pass)
        return try tape.attention(
          q: z, k: y, v: x, dimension: 8, window: window, exchange: exchange,
          slot: CarrySlot(layer: 0, .window), pass: pass)
      }
    }
    #expect(counts[0] == counts[1])
    #expect(counts[0].reduce(0, +) > 0)
  }

  @Test("ranks that do different things find out, and say so")
  func outOfStep() throws {
    #expect {
      try bytes(shards: [4, 4], rows: 1, columns: 8, rehearsal: false) { tape, x, pass in
        try tape.tokenShift(
          x, slot: CarrySlot(layer: pass.layout.rank, .halo(0)), pass: pass)
      }
    } throws: { error in
      "\(error)".contains("layer 1, halo 0, forward") && "\(error)".contains("rank 0 sent {")
    }
  }
}
