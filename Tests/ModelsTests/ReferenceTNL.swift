import Configuration
import Foundation
import ReferenceMath

/// TransNormerLLM token by token in Double, from the keys and tensors of its files.
///
/// - Source: arXiv 2307.14995; for the slopes, ALiBi (2108.12409).
struct ReferenceTNL {
  let configuration: JSONValue
  let weights: [String: Term]

  /// The logits of one sequence, `[T, vocabulary]`.
  func logits(_ tokens: [Int32]) -> Term {
    let dimension = Double(integer("decoder_embed_dim"))
    let scale = configuration["no_scale_embedding"]?.bool == true ? 1 : dimension.squareRoot()
    var x = weights["model.embed_tokens.weight"]!.embedding(tokens).scaled(by: scale)
    for layer in 0..<integer("decoder_layers") {
      if isPost(layer) {
        x = norm(x + mixer(x, layer: layer))
        x = norm(x + channels(x, layer: layer))
      } else {
        x = x + mixer(norm(x), layer: layer)
        x = x + channels(norm(x), layer: layer)
      }
    }
    return linear(norm(x), "lm_head")
  }

  /// Whether norms come after the layers of a block.
  private func isPost(_ layer: Int) -> Bool {
    let share = configuration["norm_share"]?.number ?? 0.25
    switch configuration["norm_placement"]?.string {
    case "post": return true
    case "mix": return layer < Int(share * Double(integer("decoder_layers")))
    default: return false
    }
  }

  private func mixer(_ x: Term, layer: Int) -> Term {
    let name = "model.layers.\(layer).token_mixer."
    let (heads, hidden) = (integer("decoder_attention_heads"), integer("hidden_dim"))
    let width = hidden / heads
    let qkvu = linear(x, name + "qkvu_proj")
    let parts = (0..<4).map { qkvu.head($0, width: hidden) }
    let (q, k, v, u) = (parts[0].silu, parts[1].silu, parts[2], parts[3])
    let o = (0..<heads).map { head in
      var (q, k) = (q.head(head, width: width), k.head(head, width: width))
      if let theta = weights[name + "lrpe.theta"] {
        q = q.lrpe(theta.rows(head..<head + 1))
        k = k.lrpe(theta.rows(head..<head + 1))
      }
      let g = Term(Matrix(x.rows, 1, repeating: logDecay(head: head, layer: layer)))
      return Term.recurrence(q: q, k: k, v: v.head(head, width: width), g: g).rows(0..<x.rows)
    }
    return linear(u * norm(.concatenated(o)), name + "out_proj")
  }

  private func channels(_ x: Term, layer: Int) -> Term {
    let name = "model.layers.\(layer).channel_mixer."
    return linear(linear(x, name + "l1") * linear(x, name + "l2"), name + "l3")
  }

  private func norm(_ x: Term) -> Term { x.rmsNorm(epsilon: 1e-6) }

  private func linear(_ x: Term, _ name: String) -> Term {
    x.projected(by: weights[name + ".weight"]!, bias: weights[name + ".bias"])
  }

  /// `−s_h (1 − l/(L−1) + 1e-5)`, heads and layers counted from 0; with one layer the factor is 1.
  private func logDecay(head: Int, layer: Int) -> Double {
    let (heads, layers) = (integer("decoder_attention_heads"), integer("decoder_layers"))
    var lower = 1
    while 2 * lower <= heads { lower *= 2 }
    let slope =
      head < lower
      ? pow(2, -8 * Double(head + 1) / Double(lower))
      : pow(2, -8 * Double(2 * (head - lower) + 1) / Double(2 * lower))
    return layers == 1 ? -slope : -slope * (1 - Double(layer) / Double(layers - 1) + 1e-5)
  }

  private func integer(_ key: String) -> Int { configuration[key]!.integer! }
}
