import Configuration

/// Typed reading of a `config.json`: what is absent or null has its default, and a value of another type or beyond
/// its bounds is a problem.
///
/// It goes on with the default after a problem, so that all of a file's are told at once. It remembers which keys were
/// read, so that the others can be told.
package struct ModelKeys {
  let json: JSONValue
  /// What stands before a key's name where it is spoken of, such as `attn.`.
  private let prefix: String
  private let record: Record

  /// The greatest extent of anything, so that products of several fit 64 bits.
  private static let greatest = 1 << 20
  /// The greatest width over another.
  private static let greatestRatio = 1024.0

  /// What was found so far; shared by the keys of inner objects.
  private final class Record {
    /// Full names of the keys that were read.
    var names: Set<String> = []
    var problems: [ModelError] = []
  }

  init(_ json: JSONValue) {
    self.init(json: json, prefix: "", record: Record())
  }

  private init(json: JSONValue, prefix: String, record: Record) {
    (self.json, self.prefix, self.record) = (json, prefix, record)
  }

  /// Names of the keys that were read so far.
  var read: Set<String> { record.names }

  /// What is wrong with the keys that were read so far.
  var problems: [ModelError] { record.problems }

  /// Says what is wrong with a key.
  func refuse(_ key: String, _ reason: String) {
    record.problems.append(.impossible(key: prefix + key, reason: reason))
  }

  /// The value of a key; nil where it is absent or null.
  private func value(_ key: String) -> JSONValue? {
    record.names.insert(prefix + key)
    let value = json[key]
    return value == .null ? nil : value
  }

  /// Says that a key is known and that its value changes nothing.
  func skip(_ key: String) { record.names.insert(prefix + key) }

  /// Whether a key is there and says null, where that is not the same as its absence.
  func isNull(_ key: String) -> Bool {
    record.names.insert(prefix + key)
    return json[key] == .null
  }

  /// Says that a value has another type; gives what is gone on with.
  private func mismatch<Value>(
    _ key: String, _ value: JSONValue, _ wanted: String, instead: Value
  ) -> Value {
    record.problems.append(.wrongType(key: prefix + key, value: value, wanted: wanted))
    return instead
  }

  /// A whole number.
  func integer(_ key: String, default fallback: Int? = nil) -> Int {
    guard let value = value(key) else {
      if fallback == nil { record.problems.append(.missingKey(prefix + key)) }
      return fallback ?? 1
    }
    if let found = value.integer { return found }
    // Python writes a whole number that was computed as 16.0.
    if case .number(let found) = value, let whole = Int(exactly: found) { return whole }
    return mismatch(key, value, "a whole number", instead: fallback ?? 1)
  }

  /// A whole number above 0.
  func positive(_ key: String, default fallback: Int? = nil) -> Int {
    let found = integer(key, default: fallback)
    if (1...Self.greatest).contains(found) { return found }
    refuse(key, found > 0 ? "\(found) is above \(Self.greatest)" : "\(found) is not positive")
    return fallback ?? 1
  }

  /// A number of experts, or of memories.
  func experts(_ key: String, default fallback: Int? = nil) -> Int {
    let (found, most) = (positive(key, default: fallback), 4096)
    if found <= most { return found }
    refuse(key, "\(found) is above \(most)")
    return 1
  }

  /// A number of blocks.
  func depth(_ key: String, default fallback: Int? = nil) -> Int {
    let found = positive(key, default: fallback)
    if found <= 1024 { return found }
    refuse(key, "\(found) is above 1024")
    return fallback ?? 1
  }

  /// A whole number above 0, or nil where the key is absent or null.
  func optionalPositive(_ key: String) -> Int? {
    value(key) == nil ? nil : positive(key)
  }

  /// A whole number above 0, or nil for a word, which is the default.
  func positive(_ key: String, or word: String) -> Int? {
    if value(key)?.string == word { return nil }
    return optionalPositive(key)
  }

  /// A finite number.
  func number(_ key: String, default fallback: Double) -> Double {
    optionalNumber(key) ?? fallback
  }

  /// A finite number, or nil where the key is absent or null.
  func optionalNumber(_ key: String) -> Double? {
    guard let value = value(key) else { return nil }
    guard let found = value.number else {
      return mismatch(key, value, "a number", instead: nil)
    }
    if found.isFinite { return found }
    refuse(key, "\(found) is not finite")
    return nil
  }

  /// A range as a list of its two ends, of which the upper one may be infinite.
  func range(_ key: String, default fallback: ClosedRange<Double>) -> ClosedRange<Double> {
    guard let value = value(key) else { return fallback }
    guard let ends = value.array?.map(\.number), ends.count == 2, let least = ends[0],
      let most = ends[1]
    else { return mismatch(key, value, "a list of two numbers", instead: fallback) }
    if least.isFinite && least <= most { return least...most }
    refuse(key, "no number is between \(least) and \(most)")
    return fallback
  }

  /// A finite number above 0.
  func positiveNumber(_ key: String, default fallback: Double) -> Double {
    let found = number(key, default: fallback)
    if found > 0 { return found }
    refuse(key, "\(found) is not positive")
    return fallback
  }

  /// A width over another.
  func ratio(_ key: String, default fallback: Double) -> Double {
    let found = positiveNumber(key, default: fallback)
    if found <= Self.greatestRatio { return found }
    refuse(key, "\(found) is above \(Int(Self.greatestRatio))")
    return fallback
  }

  /// A standard deviation.
  func deviation(_ key: String, default fallback: Double) -> Double {
    let found = number(key, default: fallback)
    if found >= 0 { return found }
    refuse(key, "\(found) is negative")
    return fallback
  }

  /// What a norm adds to a mean square: a row of zeros divides by its root, so it must not be 0 in fp32.
  func epsilon(_ key: String, default fallback: Double) -> Float {
    let found = number(key, default: fallback)
    let least = Float.leastNormalMagnitude
    if Float(found) >= least && Float(found).isFinite { return Float(found) }
    refuse(key, "\(found) is not between \(least) and fp32's greatest number")
    return Float(fallback)
  }

  /// `true` or `false`, also written 1 or 0.
  func boolean(_ key: String, default fallback: Bool) -> Bool {
    guard let value = value(key) else { return fallback }
    return value.flag ?? mismatch(key, value, "true or false", instead: fallback)
  }

  /// A text.
  func string(_ key: String, default fallback: String) -> String {
    guard let value = value(key) else { return fallback }
    return value.string ?? mismatch(key, value, "a text", instead: fallback)
  }

  /// One of some words, of which `fallback` is one; another names something that this program does not compute.
  func choice<Choice>(
    _ key: String, default fallback: String, of choices: [(name: String, value: Choice)]
  ) -> Choice {
    let found = string(key, default: fallback)
    if let choice = choices.first(where: { $0.name == found }) { return choice.value }
    let names = choices.map { "\"\($0.name)\"" }.joined(separator: ", ")
    refuse(key, "\"\(found)\" is not computed here, only \(names)")
    guard let instead = choices.first(where: { $0.name == fallback }) else {
      preconditionFailure("\(key) has no choice \(fallback), its default")
    }
    return instead.value
  }

  /// Refuses a value that this program does not compute.
  func require(_ key: String, _ wanted: String) {
    choice(key, default: wanted, of: [(wanted, ())])
  }

  /// A list of whole numbers; nil where the key is absent or null.
  func integers(_ key: String) -> [Int]? {
    guard let value = value(key) else { return nil }
    guard let items = value.array, !items.map(\.integer).contains(nil) else {
      return mismatch(key, value, "a list of whole numbers", instead: nil)
    }
    return items.compactMap(\.integer)
  }

  /// A list of whole numbers that must be there.
  func requiredIntegers(_ key: String) -> [Int] {
    if value(key) == nil { record.problems.append(.missingKey(prefix + key)) }
    return integers(key) ?? []
  }

  /// A list of texts; nil where the key is absent or null.
  func strings(_ key: String) -> [String]? {
    guard let value = value(key) else { return nil }
    guard let items = value.array, !items.map(\.string).contains(nil) else {
      return mismatch(key, value, "a list of texts", instead: nil)
    }
    return items.compactMap(\.string)
  }

  /// A list of flags, each `true`, `false`, 1 or 0; nil where the key is absent or null.
  func flags(_ key: String) -> [Bool]? {
    guard let value = value(key) else { return nil }
    guard let items = value.array, !items.map(\.flag).contains(nil) else {
      return mismatch(key, value, "a list of true or false", instead: nil)
    }
    return items.compactMap(\.flag)
  }

  /// Which of two names of a key is there, the first where neither is; both must say the same.
  func spelling(_ key: String, or other: String) -> String {
    guard let found = value(other) else { return key }
    guard let first = value(key) else { return other }
    if first != found { refuse(other, "it is not \(key), \(first.shortText); remove one of them") }
    return key
  }

  /// The keys of an object; nil where the key is absent or null.
  func object(_ key: String) -> ModelKeys? {
    guard let value = value(key) else { return nil }
    guard value.object != nil else {
      return mismatch(key, value, "an object", instead: nil)
    }
    return ModelKeys(json: value, prefix: prefix + key + ".", record: record)
  }
}

extension JSONValue {
  /// `true` or `false`, also written 1 or 0.
  fileprivate var flag: Bool? {
    switch self {
    case .bool(let value): value
    case .integer(0): false
    case .integer(1): true
    default: nil
    }
  }
}
