import Foundation
import Tensors

/// Chooses the next token from logits.
package struct Sampler: Sendable {
  /// Divisor of the logits; 0 always takes the likeliest token.
  package let temperature: Double
  /// How many of the likeliest tokens may be chosen; nil for no limit.
  package let topK: Int?
  /// Least probability, together, of the likeliest tokens that may be chosen; 1 for all.
  package let topP: Double
  private let random: Random

  /// Makes a sampler whose choices are a pure function of (seed, index).
  package init(temperature: Double, topK: Int? = nil, topP: Double = 1, seed: Int) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    random = Random(seed: UInt64(bitPattern: Int64(seed)), purpose: 0x9e4)
  }

  /// The token chosen as number `index` of the text.
  package func choose(_ logits: [Float], index: Int) -> Int32 {
    let order = logits.indices.sorted { (logits[$0], $1) > (logits[$1], $0) }
    guard temperature > 0, let best = order.first else { return Int32(order.first ?? 0) }
    let kept = order.prefix(topK ?? order.count)
    let weights = kept.map { exp(Double(logits[$0] - logits[best]) / temperature) }
    let total = weights.reduce(0, +)
    // The likeliest tokens until their probability reaches topP, the one that reaches it included.
    var nucleus = 0
    var mass = 0.0
    repeat {
      mass += weights[nucleus]
      nucleus += 1
    } while nucleus < weights.count && mass < topP * total
    var draw = random.uniform(at: UInt64(index)) * mass
    for (token, weight) in zip(kept, weights).prefix(nucleus) {
      draw -= weight
      if draw < 0 { return Int32(token) }
    }
    return Int32(kept[kept.startIndex + nucleus - 1])
  }
}
