import Configuration
import MessagePassing
import SequenceParallel
import Tensors

/// How a run is laid out: what a plan chooses.
package struct PlanChoice: Sendable, Hashable {
  /// Ranks that share a sequence, and groups with different ones.
  package var sequence, data: Int
  package var sharding: Sharding
  package var accumulation = 1, segments = 1
  package var recompute = false
  package var exchange = ExchangeKind.chain
  package var precision: Precision
  /// Ranks over which experts are dealt; nil where the model has none.
  package var experts: Int?

  package init(
    sequence: Int, data: Int, sharding: Sharding, precision: Precision, experts: Int? = nil
  ) {
    (self.sequence, self.data, self.experts) = (sequence, data, experts)
    (self.sharding, self.precision) = (sharding, precision)
  }

  /// What it sets of the run file.
  package var overrides: [Override] {
    keys.map { Override("\($0.section).\($0.key)=\($0.value)") }
  }

  private var keys: [(section: String, key: String, value: String)] {
    [
      ("parallel", "sequence", "\(sequence)"), ("parallel", "data", "\(data)"),
      ("parallel", "sharding", sharding.rawValue), ("parallel", "exchange", exchange.rawValue),
    ]
      + (experts.map { [("parallel", "experts", "\($0)")] } ?? []) + [
        ("sequence", "segments", "\(segments)"), ("training", "accumulation", "\(accumulation)"),
        ("training", "recompute", "\(recompute)"), ("training", "precision", precision.rawValue),
      ]
  }

  /// The lines of a run file that set it.
  package var yaml: [String] {
    var lines: [String] = []
    var open = ""
    for (section, key, value) in keys {
      if section != open { lines.append("\(section):") }
      open = section
      lines.append("  \(key): \(value)")
    }
    return lines
  }

  /// Whether it needs no more memory than another of the same grid, sharding and precision, whatever the model.
  func needsNoMore(than other: PlanChoice) -> Bool {
    accumulation >= other.accumulation && segments >= other.segments
      && (recompute || !other.recompute)
  }
}
