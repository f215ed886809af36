import Autodiff
import Tensors

@testable import Training

/// What all tokens of a step's batch chose at each router, whatever grid it was computed on.
struct RoutingDecisions: Sendable {
  /// One router's, of the tokens of all rows in their order.
  struct Layer: Sendable {
    /// Shape `[batch, length, k]`.
    var choices: [Int32]
    /// Shape `[batch, length]`.
    var margins: [Float]
  }

  /// Bottom up.
  var layers: [Layer]

  /// Where the decisions of two runs part.
  struct Parting: Sendable, CustomStringConvertible {
    var step, layer: Int
    /// The tokens of that layer that choose otherwise.
    var tokens: [Int]
    /// The greatest margin of such a choice in either run.
    var margin: Float

    var description: String {
      "step \(step), router \(layer): \(tokens.count) tokens from \(tokens[0]) on, margin \(margin)"
    }
  }

  /// The lowest router of the first step at which runs choose otherwise: what comes above and after it may be other than in
  /// the other run for that reason.
  static func parting(_ one: [RoutingDecisions], _ other: [RoutingDecisions]) -> Parting? {
    for (step, (a, b)) in zip(one, other).enumerated() {
      for (layer, (a, b)) in zip(a.layers, b.layers).enumerated() where a.choices != b.choices {
        let chosen = a.choices.count / a.margins.count
        let tokens = a.margins.indices.filter { token in
          let own = token * chosen..<(token + 1) * chosen
          return a.choices[own] != b.choices[own]
        }
        return Parting(
          step: step, layer: layer, tokens: tokens,
          margin: tokens.reduce(0) { max($0, a.margins[$1], b.margins[$1]) })
      }
    }
    return nil
  }
}

extension TrainingRun {
  /// What this rank's tokens chose in a step, by which it knows its own part alone; the rest is nobody's choice, −1.
  ///
  /// - Parameter record: What was recorded of this step.
  func decisions(_ record: RoutingRecord) -> RoutingDecisions {
    let (batch, length) = (configuration.training.batch, cut.length)
    let made = record.decisions.filter { !$0.isRepeated }
    var routers: [Parameter] = []
    for one in made where !routers.contains(one.router) { routers.append(one.router) }
    return RoutingDecisions(
      layers: routers.map { router in
        let parts = made.filter { $0.router == router }
        precondition(
          parts.count == microBatches.count * cut.segments, "\(parts.count) runs of a router")
        let tokens = parts.reduce(0) { $0 + $1.margins.count }
        let chosen = tokens == 0 ? 0 : parts.reduce(0) { $0 + $1.choices.count } / tokens
        var layer = RoutingDecisions.Layer(
          choices: [Int32](repeating: -1, count: batch * length * chosen),
          margins: [Float](repeating: -1, count: batch * length))
        for (index, part) in parts.enumerated() {
          let positions = cut.positions(index % cut.segments)
          let rows = microBatches[index / cut.segments]
          precondition(part.margins.count == rows.count * positions.count)
          for (place, margin) in part.margins.enumerated() {
            let (row, position) = place.quotientAndRemainder(dividingBy: positions.count)
            let token = (rows.lowerBound + row) * length + positions.lowerBound + position
            layer.margins[token] = margin
            for j in 0..<chosen {
              layer.choices[token * chosen + j] = part.choices[place * chosen + j]
            }
          }
        }
        return layer
      })
  }
}

extension RoutingDecisions {
  /// The decisions of all ranks, each of which has made its own part.
  init(ofRanks parts: [RoutingDecisions]) {
    layers = parts[0].layers.indices.map { layer in
      let own = parts.map { $0.layers[layer] }
      let margins = own[0].margins.indices.map { token in
        let made = own.filter { $0.margins[token] >= 0 }
        precondition(made.count == 1, "\(made.count) ranks made the choice of token \(token)")
        return made[0].margins[token]
      }
      let count = own.map(\.choices.count).max() ?? 0
      let choices = (0..<count).map { place in
        own.reduce(Int32(-1)) { max($0, $1.choices.isEmpty ? -1 : $1.choices[place]) }
      }
      return Layer(choices: choices, margins: margins)
    }
  }
}
