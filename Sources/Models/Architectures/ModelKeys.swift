import Configuration

/// Typed reading of a `config.json` with its defaults.
struct ModelKeys {
  let json: JSONValue

  func integer(_ key: String, default value: Int? = nil) throws(ModelError) -> Int {
    if let found = json[key]?.integer { return found }
    guard let value, json[key] == nil || json[key] == .null else { throw .missingKey(key) }
    return value
  }

  func positive(_ key: String, default value: Int? = nil) throws(ModelError) -> Int {
    let found = try integer(key, default: value)
    guard found > 0 else { throw .impossible(key: key, reason: "\(found) is not positive") }
    return found
  }

  /// A positive number, or nil where the key is absent or null.
  func optionalPositive(_ key: String) throws(ModelError) -> Int? {
    guard let value = json[key], value != .null else { return nil }
    return try positive(key)
  }

  func number(_ key: String, default value: Double) -> Double { json[key]?.number ?? value }

  /// What a norm adds to a mean square: a row of zeros divides by its root, so it must not be 0 in fp32.
  func epsilon(_ key: String, default value: Double) throws(ModelError) -> Float {
    let found = number(key, default: value)
    let least = Float.leastNormalMagnitude
    guard Float(found) >= least && Float(found).isFinite else {
      throw .impossible(
        key: key, reason: "\(found) is not between \(least) and fp32's greatest number")
    }
    return Float(found)
  }

  func boolean(_ key: String, default value: Bool) -> Bool { json[key]?.bool ?? value }

  func string(_ key: String, default value: String) -> String { json[key]?.string ?? value }

  /// Refuses a value that this program does not compute.
  func require(_ key: String, _ wanted: String, default value: String) throws(ModelError) {
    let found = string(key, default: value)
    guard found == wanted else {
      throw .impossible(key: key, reason: "\"\(found)\" is not computed here, only \"\(wanted)\"")
    }
  }
}
