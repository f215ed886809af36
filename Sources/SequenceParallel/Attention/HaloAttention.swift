import Tensors

/// Attention whose keys are this shard's and a halo: a sliding window, or a rank alone.
struct HaloAttention: AttentionCrossing {
  let slot: CarrySlot
  let window: Int?
  /// Numbers of a token's keys, values and log gates.
  let widths: KeyWidths
  let pass: SequencePass

  var keepsOutput: Bool { false }

  /// The exchange of the halo, `[rows, tokens, keys + values + gates]`.
  ///
  /// What came before the sequence is at most what the window sees and as much as `layout.start` says; a rank
  /// alone sees how much there is.
  private func makeExchange() -> HaloExchange {
    let isAlone = pass.layout.shardLengths.count == 1
    let before = isAlone ? pass.left.values[slot]?.shape[1] ?? 0 : pass.layout.start
    let width = window.map { $0 - 1 } ?? before
    return HaloExchange(
      width: width, columns: [widths.k, widths.v] + (widths.gates > 0 ? [widths.gates] : []),
      carried: min(width, before),
      keeps: window.map { $0 - 1 } ?? .max, slot: slot, pass: pass, category: .attention)
  }

  private func block(_ tensor: Tensor) -> KeyBlock {
    let tokens = tensor.shape[1]
    return KeyBlock(
      packed: tensor, first: pass.layout.shard.lowerBound - tokens, tokens: tokens,
      widths: widths)
  }

  func forward(_ heads: any KeyReader, isAgain: Bool) throws {
    if let halo: Halo = pass.memory[slot] {
      try heads.absorb(heads.own)
      heads.see(before: halo.known)
      return try heads.absorb(block(halo.values), after: heads.noGates)
    }
    let exchange = makeExchange()
    try exchange.begin(heads.parts.map(Operand.init))
    try heads.absorb(heads.own)
    let halo = try exchange.finish()
    pass.memory[slot] = halo
    heads.see(before: halo.known)
    try heads.absorb(block(halo.values), after: heads.noGates)
  }

  func backward(
    _ heads: any KeyReader, dO: Tensor, dq: Tensor, into gradients: KeyGradients
  ) throws {
    guard let halo: Halo = pass.memory[slot] else {
      preconditionFailure("the halo of layer \(slot.layer) was not kept")
    }
    let exchange = makeExchange()
    try exchange.beginBackward()
    let dHalo = Tensor(halo.values.shape, pool: pass.context.workspace.pool)
    pass.context.workspace.compute(.attention) { dHalo.clear() }
    // The halo's gradients leave before the shard's own keys are worked on.
    try heads.backward(
      block(halo.values), after: heads.noGates, into: block(dHalo), dO: dO, dq: dq)
    exchange.addRight(to: gradients.tensors, halo: dHalo)
    try exchange.send(dHalo)
    try heads.backward(heads.own, into: gradients.block(pass.layout), dO: dO, dq: dq)
    try exchange.finishBackward(gradients.tensors, halo: dHalo)
  }
}
