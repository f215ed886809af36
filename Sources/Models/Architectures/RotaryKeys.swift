import Configuration

/// The keys of a `config.json` that say what a model's rotary positions are.
///
/// There are two forms: `rope_theta` with `rope_scaling` beside it, and `rope_parameters` with both in it. The form
/// that was read is the one that is written.
struct RotaryKeys {
  let positions: RotaryPositions
  /// The keys, as they are written.
  let configuration: [String: JSONValue]

  /// The key of the scaling, for what is wrong with it.
  var scalingKey: String {
    (configuration["rope_parameters"] ?? .null) == .null ? "rope_scaling" : "rope_parameters"
  }

  /// What a `config.json` says.
  ///
  /// - Parameters:
  ///   - length: `max_position_embeddings`.
  ///   - usual: `rope_theta` where it is not said.
  init(_ keys: ModelKeys, length: Int, base usual: Double = 10_000) {
    let (older, newer) = (keys.object("rope_scaling"), keys.object("rope_parameters"))
    if older != nil, newer != nil {
      keys.refuse("rope_scaling", "rope_parameters is there, too; remove one of them")
    }
    let outer = keys.rotaryBase(default: usual)
    let base = newer.map { $0.rotaryBase(default: outer) } ?? outer
    // Some files repeat the base in the older form.
    if let older, older.rotaryBase(default: base) != base {
      keys.refuse("rope_scaling.rope_theta", "it is not rope_theta, \(base); remove one of them")
    }
    let first = keys.optionalPositiveNumber("original_max_position_embeddings")
    positions = RotaryPositions(
      base: base,
      scaling: (newer ?? older).flatMap { $0.rotaryScaling(length: first, now: Double(length)) })
    var written: [String: JSONValue] = [:]
    for key in ["rope_parameters", "rope_scaling", "rope_theta"] { written[key] = keys.json[key] }
    if newer == nil, (written["rope_theta"] ?? .null) == .null {
      written["rope_theta"] = .number(base)
    }
    configuration = written
  }
}

extension ModelKeys {
  /// `rope_theta`, the base of rotary frequencies.
  func rotaryBase(default usual: Double = 10_000) -> Double {
    let base = number("rope_theta", default: usual)
    if base > 1 { return base }
    refuse("rope_theta", "\(base) is not above 1")
    return usual
  }

  /// What share of a head's numbers turns: `partial_rotary_factor`, inside `rope_parameters` or beside.
  func rotaryShare(default usual: Double) -> Double {
    let outer = number("partial_rotary_factor", default: usual)
    let inner = object("rope_parameters")
    let share = inner?.number("partial_rotary_factor", default: outer) ?? outer
    if (0...1).contains(share) { return share }
    (inner?.json["partial_rotary_factor"] == nil ? self : inner!).refuse(
      "partial_rotary_factor", "\(share) is not a share, from 0 to 1")
    return usual
  }

  /// A finite number above 0, or nil where the key is absent or null.
  fileprivate func optionalPositiveNumber(_ key: String) -> Double? {
    optionalNumber(key).map { _ in positiveNumber(key, default: 1) }
  }

  /// A finite number above 0 that must be there.
  private func requiredPositiveNumber(_ key: String) -> Double {
    if let found = optionalPositiveNumber(key) { return found }
    refuse(key, "it is missing, and the scaling cannot be worked out without it")
    return 1
  }

  /// What an object of scaling says; nil where it scales nothing.
  ///
  /// - Parameters:
  ///   - length: The tokens that the model was first trained on, where the object does not say it.
  ///   - now: The tokens that it reads now, which stand in where neither says it.
  fileprivate func rotaryScaling(length: Double?, now: Double) -> RotaryScaling? {
    enum Kind { case none, linear, llama3, yarn }
    // Files of several programs have both names of the type; the newer one counts.
    let isOlder = json["rope_type"] == nil || json["rope_type"] == .null
    _ = string("type", default: "default")
    let kind = choice(
      isOlder ? "type" : "rope_type", default: "default",
      of: [
        ("default", Kind.none), ("linear", .linear), ("llama3", .llama3), ("yarn", .yarn),
      ])
    if kind == .none { return nil }
    let factor = requiredPositiveNumber("factor")
    if kind == .linear { return .linear(factor: factor) }
    let length = optionalPositiveNumber("original_max_position_embeddings") ?? length ?? now
    if kind == .yarn { return .yarn(yarn(factor: factor, length: length)) }
    let low = requiredPositiveNumber("low_freq_factor")
    let high = requiredPositiveNumber("high_freq_factor")
    if high <= low { refuse("high_freq_factor", "\(high) is not above low_freq_factor, \(low)") }
    return .llama3(factor: factor, low: low, high: high, length: length)
  }

  private func yarn(factor: Double, length: Double) -> RotaryScaling.YaRN {
    let magnitude = optionalPositiveNumber("attention_factor")
    let (m, mAll) = (optionalNumber("mscale") ?? 0, optionalNumber("mscale_all_dim") ?? 0)
    let usual = RotaryScaling.YaRN.magnitude(factor: factor, m != 0 && mAll != 0 ? m : 1)
    let over = RotaryScaling.YaRN.magnitude(factor: factor, mAll)
    return RotaryScaling.YaRN(
      factor: factor, length: length,
      fast: positiveNumber("beta_fast", default: 32),
      slow: positiveNumber("beta_slow", default: 1),
      isTruncated: boolean("truncate", default: true),
      magnitude: magnitude ?? (m != 0 && mAll != 0 ? usual / over : usual))
  }
}
