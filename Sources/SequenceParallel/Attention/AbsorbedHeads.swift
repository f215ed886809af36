import Autodiff
import Kernels
import Tensors

/// What latent attention does with latents as they are, in the place of the keys and values that are made of them.
///
/// Concretely: with `k_j = [W_k ĉ_j, s_j]` and `v_j = W_v ĉ_j` a head's scores are `[W_kᵀ q, q_s] · [ĉ_j, s_j]`, and its output
/// is `W_v Σ_j p_j ĉ_j`: all heads read the same r + s numbers of a token as keys, and the first r of them as values.
///
/// - Source: DeepSeek-V2 (arXiv 2405.04434), section 2.1.2.
package struct KeyAbsorption {
  /// Queries `[N, H·d]` to what is multiplied with latents and shared keys, `[N, H·(r + s)]`, by ops of the tape.
  let queries: (_ q: Variable, _ tape: Tape) throws -> Variable
  /// Sums of latents `[N, H·r]` to outputs `[N, H·v]`.
  let values: (_ o: Variable, _ tape: Tape) throws -> Variable

  package init(
    queries: @escaping (_ q: Variable, _ tape: Tape) throws -> Variable,
    values: @escaping (_ o: Variable, _ tape: Tape) throws -> Variable
  ) {
    (self.queries, self.values) = (queries, values)
  }

  /// Whether it is less work than to make keys and values of all tokens.
  ///
  /// - Parameters:
  ///   - tokens: Of queries, and `seen` of keys.
  ///   - own: Numbers of a key that are a head's own, `value` those of a value.
  static func pays(
    tokens: Int, seen: Int, latent: Int, shared: Int, own: Int, value: Int
  ) -> Bool {
    let each = latent * (own + value)
    return tokens * (each + seen * (2 * latent + shared))
      < seen * (each + tokens * (own + shared + value))
  }
}

/// The heads of latent attention on one shard where keys and values are not made: a forward pass that nothing comes back through.
final class AbsorbedHeads: KeyReader {
  /// Over latents beside shared keys, which all heads share.
  let heads: AttentionHeads
  private let latent, shared: Tensor

  /// - Parameters:
  ///   - q: What is multiplied with them, `[rows × length, heads·(r + s)]`.
  ///   - latent: The shard's, `[rows × length, r]`.
  ///   - shared: The shard's, `[rows × length, s]`.
  init(
    q: Tensor, latent: Tensor, shared: Tensor, scale: Float, operands: Operand.Kind,
    pass: SequencePass
  ) {
    let (rows, r, s) = (latent.shape.rows, latent.shape.columns, shared.shape.columns)
    let workspace = pass.context.workspace
    let keys = Tensor([rows, r + s], pool: workspace.pool)
    workspace.compute(.attention) {
      for row in 0..<rows {
        let target = keys.pointer + row * (r + s)
        target.update(from: latent.pointer + row * r, count: r)
        (target + r).update(from: shared.pointer + row * s, count: s)
      }
    }
    heads = AttentionHeads(
      SoftmaxAttention(
        dimension: r + s, valueDimension: r, scale: scale, operands: operands),
      q: q, k: keys, v: latent, window: nil, pass: pass, output: nil)
    (self.latent, self.shared) = (latent, shared)
  }

  /// Reads all that the queries see.
  func read(by crossing: any AttentionCrossing) throws {
    let counters = heads.workspace.counters
    counters.enter(.attention)
    defer { counters.leave() }
    heads.begin()
    try crossing.forward(self, isAgain: false)
    heads.finish()
  }

  var parts: [Tensor] { [latent, shared] }

  var own: KeyBlock {
    KeyBlock(
      k: latent, v: shared, gates: nil, first: heads.layout.shard.lowerBound,
      tokens: heads.layout.length)
  }

  func see(before known: [Int]) { heads.see(before: known) }

  func absorb(_ block: KeyBlock, after: [Double]) throws {
    guard block.tokens > 0 else { return }
    try heads.absorb(block.first == own.first ? heads.own : block.readAsOne)
  }

  func backward(
    _ block: KeyBlock, after: [Double], into target: KeyBlock, dO: Tensor, dq: Tensor
  ) throws {
    preconditionFailure("gradients of latents that were read as keys and values")
  }

  var noGates: [Double] { heads.noGates }

  func gateSums(of block: KeyBlock, and after: [Double]) -> [Double] { after }
}
