import Configuration

/// Typed reading of a `config.json`: what is absent or null has its default, and a value of another type is refused.
///
/// It remembers which keys were read, so that the others can be told.
package struct ModelKeys {
  let json: JSONValue
  /// What stands before a key's name where it is spoken of, such as `attn.`.
  private let prefix: String
  private let record: Record

  /// Which keys were read, by their full names; shared by the keys of inner objects.
  private final class Record {
    var names: Set<String> = []
  }

  init(_ json: JSONValue) {
    self.init(json: json, prefix: "", record: Record())
  }

  private init(json: JSONValue, prefix: String, record: Record) {
    (self.json, self.prefix, self.record) = (json, prefix, record)
  }

  /// Names of the keys that were read so far.
  var read: Set<String> { record.names }

  /// The value of a key; nil where it is absent or null.
  private func value(_ key: String) -> JSONValue? {
    record.names.insert(prefix + key)
    let value = json[key]
    return value == .null ? nil : value
  }

  private func mismatch(_ key: String, _ value: JSONValue, _ wanted: String) -> ModelError {
    .wrongType(key: prefix + key, value: value, wanted: wanted)
  }

  /// A whole number.
  func integer(_ key: String, default fallback: Int? = nil) throws(ModelError) -> Int {
    guard let value = value(key) else {
      guard let fallback else { throw .missingKey(prefix + key) }
      return fallback
    }
    if let found = value.integer { return found }
    // Python writes a whole number that was computed as 16.0.
    if case .number(let found) = value, let whole = Int(exactly: found) { return whole }
    throw mismatch(key, value, "a whole number")
  }

  /// A whole number above 0.
  func positive(_ key: String, default fallback: Int? = nil) throws(ModelError) -> Int {
    let found = try integer(key, default: fallback)
    guard found > 0 else {
      throw .impossible(key: prefix + key, reason: "\(found) is not positive")
    }
    return found
  }

  /// A whole number above 0, or nil where the key is absent or null.
  func optionalPositive(_ key: String) throws(ModelError) -> Int? {
    value(key) == nil ? nil : try positive(key)
  }

  /// A finite number.
  func number(_ key: String, default fallback: Double) throws(ModelError) -> Double {
    try optionalNumber(key) ?? fallback
  }

  /// A finite number, or nil where the key is absent or null.
  func optionalNumber(_ key: String) throws(ModelError) -> Double? {
    guard let value = value(key) else { return nil }
    guard let found = value.number else { throw mismatch(key, value, "a number") }
    guard found.isFinite else {
      throw .impossible(key: prefix + key, reason: "\(found) is not finite")
    }
    return found
  }

  /// A finite number above 0.
  func positiveNumber(_ key: String, default fallback: Double) throws(ModelError) -> Double {
    let found = try number(key, default: fallback)
    guard found > 0 else {
      throw .impossible(key: prefix + key, reason: "\(found) is not positive")
    }
    return found
  }

  /// What a norm adds to a mean square: a row of zeros divides by its root, so it must not be 0 in fp32.
  func epsilon(_ key: String, default fallback: Double) throws(ModelError) -> Float {
    let found = try number(key, default: fallback)
    let least = Float.leastNormalMagnitude
    guard Float(found) >= least && Float(found).isFinite else {
      throw .impossible(
        key: prefix + key, reason: "\(found) is not between \(least) and fp32's greatest number")
    }
    return Float(found)
  }

  /// `true` or `false`, also written 1 or 0.
  func boolean(_ key: String, default fallback: Bool) throws(ModelError) -> Bool {
    guard let value = value(key) else { return fallback }
    if let found = value.flag { return found }
    throw mismatch(key, value, "true or false")
  }

  /// A text.
  func string(_ key: String, default fallback: String) throws(ModelError) -> String {
    guard let value = value(key) else { return fallback }
    guard let found = value.string else { throw mismatch(key, value, "a text") }
    return found
  }

  /// One of some words; another names something that this program does not compute.
  func choice<Choice>(
    _ key: String, default fallback: String, of choices: [(name: String, value: Choice)]
  ) throws(ModelError) -> Choice {
    let found = try string(key, default: fallback)
    guard let choice = choices.first(where: { $0.name == found }) else {
      let names = choices.map { "\"\($0.name)\"" }.joined(separator: ", ")
      throw .impossible(
        key: prefix + key, reason: "\"\(found)\" is not computed here, only \(names)")
    }
    return choice.value
  }

  /// Refuses a value that this program does not compute.
  func require(_ key: String, _ wanted: String, default fallback: String) throws(ModelError) {
    try choice(key, default: fallback, of: [(wanted, ())])
  }

  /// A list of whole numbers; nil where the key is absent or null.
  func integers(_ key: String) throws(ModelError) -> [Int]? {
    guard let value = value(key) else { return nil }
    guard let items = value.array, !items.map(\.integer).contains(nil) else {
      throw mismatch(key, value, "a list of whole numbers")
    }
    return items.compactMap(\.integer)
  }

  /// A list of flags, each `true`, `false`, 1 or 0; nil where the key is absent or null.
  func flags(_ key: String) throws(ModelError) -> [Bool]? {
    guard let value = value(key) else { return nil }
    guard let items = value.array, !items.map(\.flag).contains(nil) else {
      throw mismatch(key, value, "a list of true or false")
    }
    return items.compactMap(\.flag)
  }

  /// The keys of an object; nil where the key is absent or null.
  func object(_ key: String) throws(ModelError) -> ModelKeys? {
    guard let value = value(key) else { return nil }
    guard value.object != nil else { throw mismatch(key, value, "an object") }
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
