/// What can be wrong with a model's description.
package enum ModelError: Error, CustomStringConvertible {
  /// A key that must be there is not.
  case missingKey(String)
  /// A key's value is not possible.
  case impossible(key: String, reason: String)
  /// A model type that no architecture provides.
  case unknownModel(String, known: [String])

  /// One sentence; the file's name is added by who read it.
  package var description: String {
    switch self {
    case .missingKey(let key): "the key \(key) is missing or of the wrong type"
    case .impossible(let key, let reason): "\(key): \(reason)"
    case .unknownModel(let name, let known):
      "model_type \"\(name)\" is not known; known are \(known.sorted().joined(separator: ", "))"
    }
  }
}
