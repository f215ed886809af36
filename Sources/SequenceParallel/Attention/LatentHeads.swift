import Autodiff
import Kernels
import Tensors

/// What makes the keys and values of all heads of what latent attention keeps of a token: a latent, and a key that all heads
/// share.
///
/// Latents `[N, r]` and shared keys `[N, s]` to keys `[N, H·d]` and values `[N, H·v]`, by ops of the tape.
package typealias KeyExpansion = (
  _ latent: Variable, _ shared: Variable, _ tape: Tape
) throws -> (k: Variable, v: Variable)

/// The heads of latent attention on one shard: blocks are latents beside shared keys, of which keys and values are made where
/// they arrive.
///
/// The shard's own are made before, on the tape. Those of another block are made when it is absorbed, and again for its gradients:
/// the weights' stay here, those of latents and shared keys are the block's.
final class LatentHeads: KeyReader {
  /// Over the shard's own keys and values, expanded.
  let heads: AttentionHeads
  private let latent, shared: Tensor
  private unowned let tape: Tape
  private let expansion: KeyExpansion
  /// Receives the gradients of the shard's own keys and values; nil in a forward pass.
  private let gradients: KeyGradients?

  /// - Parameters:
  ///   - latent: The shard's, `[rows × length, r]`.
  ///   - shared: The shard's, `[rows × length, s]`.
  init(
    _ heads: AttentionHeads, latent: Tensor, shared: Tensor, tape: Tape,
    expansion: @escaping KeyExpansion, gradients: KeyGradients? = nil
  ) {
    (self.heads, self.latent, self.shared) = (heads, latent, shared)
    (self.tape, self.expansion, self.gradients) = (tape, expansion, gradients)
  }

  private var workspace: Workspace { heads.workspace }

  var parts: [Tensor] { [latent, shared] }

  var own: KeyBlock {
    let layout = heads.layout
    return KeyBlock(
      k: latent, v: shared, gates: nil, first: layout.shard.lowerBound, tokens: layout.length)
  }

  func see(before known: [Int]) { heads.see(before: known) }

  func absorb(_ block: KeyBlock, after: [Double]) throws {
    guard block.tokens > 0 else { return }
    if block.first == own.first { return try heads.absorb(heads.own) }
    let (latent, shared) = variables(of: block, needGradient: false)
    let (k, v) = try tape.withoutRecording { try expansion(latent, shared, tape) }
    try heads.absorb(expanded(block, k, v))
  }

  func backward(
    _ block: KeyBlock, after: [Double], into target: KeyBlock, dO: Tensor, dq: Tensor
  ) throws {
    guard block.tokens > 0 else { return }
    if block.first == own.first {
      guard let gradients else { preconditionFailure("nobody asks for gradients of keys") }
      return try heads.backward(
        heads.own, into: gradients.block(heads.layout), dO: dO, dq: dq)
    }
    let (latent, shared) = variables(of: block, needGradient: true)
    try tape.differentiate {
      let (k, v) = try expansion(latent, shared, tape)
      let (dk, dv) = (Tensor(k.shape, pool: tape.pool), Tensor(v.shape, pool: tape.pool))
      workspace.compute(.attention) {
        dk.clear()
        dv.clear()
      }
      let sums = KeyBlock(k: dk, v: dv, gates: nil, first: block.first, tokens: block.tokens)
      try heads.backward(expanded(block, k, v), into: sums, dO: dO, dq: dq)
      return [(k, dk), (v, dv)]
    }
    if let d = latent.takeGradient(), let more = shared.takeGradient() {
      add(d, more, to: target)
    }
  }

  var noGates: [Double] { heads.noGates }

  func gateSums(of block: KeyBlock, and after: [Double]) -> [Double] { after }

  /// A block's keys and values.
  private func expanded(_ block: KeyBlock, _ k: Variable, _ v: Variable) -> KeyBlock {
    KeyBlock(
      k: workspace.tensor(of: k.stored, k.shape), v: workspace.tensor(of: v.stored, v.shape),
      gates: nil, first: block.first, tokens: block.tokens)
  }

  /// A block's latents and shared keys, `[rows × tokens, …]`.
  private func variables(
    of block: KeyBlock, needGradient: Bool
  ) -> (latent: Variable, shared: Variable) {
    let count = heads.layout.rows * block.tokens
    let latents = Tensor([count, latent.shape.columns], pool: workspace.pool)
    let keys = Tensor([count, shared.shape.columns], pool: workspace.pool)
    forEachToken(of: block) { token, place in
      let (r, s) = (latents.shape.columns, keys.shape.columns)
      (latents.pointer + place * r).update(from: token.k, count: r)
      (keys.pointer + place * s).update(from: token.v, count: s)
    }
    return (
      Variable(latents, needsGradient: needGradient), Variable(keys, needsGradient: needGradient)
    )
  }

  /// Adds gradients of a block's latents and shared keys.
  private func add(_ latents: Tensor, _ keys: Tensor, to target: KeyBlock) {
    forEachToken(of: target) { token, place in
      let (r, s) = (latents.shape.columns, keys.shape.columns)
      for i in 0..<r { token.k[i] += latents.pointer[place * r + i] }
      for i in 0..<s { token.v[i] += keys.pointer[place * s + i] }
    }
  }

  private func forEachToken(of block: KeyBlock, _ body: (KeyToken, Int) -> Void) {
    workspace.compute(.attention) {
      for row in 0..<heads.layout.rows {
        for (index, position) in block.positions.enumerated() {
          body(block.token(row: row, position: position), row * block.tokens + index)
        }
      }
    }
  }
}
