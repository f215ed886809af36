import Configuration
import Kernels

/// Heads of the gated delta rules, as `head_dim`, `num_heads`, `num_v_heads` and `expand_v` of a `config.json` say.
struct DeltaHeads {
  /// Heads of queries and keys.
  let keyHeads: Int
  /// Heads of values and of the state where they are more.
  let valueHeads: Int?
  /// K, numbers of a key.
  let keyDimension: Int
  /// Numbers of a value over those of a key.
  let expandValue: Double
  /// Width of all keys.
  private let keyWidth: Int

  init(keyHeads: Int, valueHeads: Int, keyDimension: Int, valueDimension: Int) {
    (self.keyHeads, self.valueHeads, self.keyDimension) = (keyHeads, valueHeads, keyDimension)
    expandValue = Double(valueDimension) / Double(keyDimension)
    keyWidth = keyHeads * keyDimension
  }

  /// What a run file says; `expand_k` and `expand_v` have a family's own defaults.
  init(_ section: ModelSection, expandKey: Double, expandValue: Double) {
    keyHeads = section.heads
    valueHeads = nil
    self.expandValue = section.expandValue ?? expandValue
    keyWidth = Int(Double(section.dimension) * (section.expandKey ?? expandKey))
    keyDimension = keyWidth / keyHeads
  }

  /// What a `config.json` says, with a family's own defaults.
  ///
  /// - Parameter sharesKeys: Whether values may have more heads than keys.
  init(
    _ keys: ModelKeys, headDimension: Int, heads: Int, expandValue: Double, sharesKeys: Bool = true
  ) {
    keyHeads = keys.positive("num_heads", default: heads)
    valueHeads = sharesKeys ? keys.optionalPositive("num_v_heads") : nil
    keyDimension = keys.positive("head_dim", default: headDimension)
    self.expandValue = keys.ratio("expand_v", default: expandValue)
    keyWidth = keyHeads * keyDimension
  }

  /// Heads of the state.
  var heads: Int { valueHeads ?? keyHeads }
  /// V, numbers of a value.
  var valueDimension: Int { Int((Double(keyDimension) * expandValue).rounded()) }
  /// Numbers of a value that a recurrence works on as one head.
  var partDimension: Int { HeadSplit.part(of: valueDimension) }
  /// Such parts of a value.
  var valueParts: Int { valueDimension / partDimension }
  /// `K^−½`, what outputs are multiplied by.
  var scale: Float { 1 / Float(keyDimension).squareRoot() }

  var configuration: [String: JSONValue] {
    [
      "head_dim": .integer(keyDimension), "expand_v": .number(expandValue),
      "num_heads": .integer(keyHeads), "num_v_heads": .optional(valueHeads),
    ]
  }

  /// Why it cannot be, and what to do; nil where it can.
  var problem: String? {
    let exact = Double(keyDimension) * expandValue
    guard abs(exact - exact.rounded()) < 1e-6 else {
      return "values \(expandValue) times as wide as keys of \(keyDimension) are no whole number; "
        + "choose another width of the values"
    }
    let split = HeadSplit(
      heads: keyHeads, keyWidth: keyWidth, valueWidth: keyHeads * valueDimension,
      mostKeys: DeltaRecurrence.mostKeys)
    if let problem = split.problem { return problem }
    guard heads % keyHeads == 0 else {
      return "\(keyHeads) heads do not divide \(heads) heads of values; "
        + "use a multiple of \(keyHeads)"
    }
    return nil
  }
}
