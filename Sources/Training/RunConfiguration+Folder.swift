import Checkpoints
import Configuration
import Models

/// What the folder of `model.from` says, beside what the run file does.
extension RunConfiguration {
  /// What a run file would say of the model in a folder, by `section.key`; nil where the folder cannot be read, which whoever
  /// opens it tells.
  static func description(ofFolder path: String) -> [String: Value]? {
    guard let model = try? ModelFolder.architecture(in: path) else { return nil }
    let keys = Architectures.keys(describing: model).map { ("model.\($0.key)", $0.value) }
    return Dictionary(uniqueKeysWithValues: keys)
  }

  /// The resolved run file, to be printed.
  ///
  /// - Throws: What is wrong with the folder of `model.from`, in whose place defaults would be told.
  package func printed() throws -> String {
    if let path = document.folder { _ = try ModelFolder.architecture(in: path) }
    return resolved
  }

  /// Lets the folder's model be printed instead of the defaults.
  static func print(
    _ described: [String: Value], _ linearise: LineariseSection,
    in document: inout ConfigurationDocument
  ) {
    let own = ownKeys(linearise)
    document.decided = described.filter { !own.contains($0.key) }
    guard own.isEmpty else { return }
    let training = keysOfExperts.filter(document.isGiven)
    let experts = ExpertsSection.schema
    let keys = [ModelSection.schema, experts].flatMap { section in
      section.keys.map { section.path(of: $0.name) }
    }
    document.unprintedKeys = Set(keys)
      .subtracting(described.keys).subtracting(keysBesideFolder + training)
    document.unprinted.formUnion(ModelSection.subsectionTypes.map { $0.name })
    if !training.isEmpty { document.unprinted.remove(experts.name) }
  }

  /// How the experts of the folder's model are trained, where the run says something of it; nil where it does not.
  var expertTraining: ExpertTraining? { Self.expertTraining(linearise, in: document) }

  private static func expertTraining(
    _ linearise: LineariseSection, in document: ConfigurationDocument
  ) -> ExpertTraining? {
    // A mixer that is to be takes its experts from the run file.
    guard document.folder != nil, !linearise.takesMixer,
      keysOfExperts.contains(where: document.isGiven)
    else { return nil }
    var document = document
    let section = document.section(ModelSection.self).subsections[ExpertsSection.self]
    return ExpertTraining(section) { document.isGiven("\(ExpertsSection.name).\($0)") }
  }

  /// A problem for each key that says how experts are trained which the folder's model does not have.
  static func problems(
    ofExpertsIn folder: String, _ linearise: LineariseSection, in document: ConfigurationDocument
  ) -> [KeyProblem] {
    guard let training = expertTraining(linearise, in: document) else {
      var document = document
      guard linearise.takesMixer, document.section(ModelSection.self).channels != .experts else {
        return []
      }
      let keys = ExpertsSection.schema.keys.map { ExpertsSection.schema.path(of: $0.name) }
      return keys.filter(document.isGiven).map {
        KeyProblem($0, message: "there are no experts; give model.channels=experts, or remove it")
      }
    }
    // A folder that cannot be read is told of by what reads its model.
    let unread = (try? ModelFolder.unread(training, in: folder)) ?? []
    return unread.map {
      KeyProblem(
        "\(ExpertsSection.name).\($0)",
        message: "the model in \(folder) has no experts that are trained so; remove it")
    }
  }

  /// Keys that say how experts are trained, and not what they are.
  private static let keysOfExperts = ExpertTraining.keys.map { "\(ExpertsSection.name).\($0)" }

  /// A problem for each key of the model that is given and says something else than the folder, which nothing would read.
  static func problems(
    _ given: [String], beside folder: String, _ described: [String: Value],
    _ linearise: LineariseSection, in document: ConfigurationDocument
  ) -> [KeyProblem] {
    let own = ownKeys(linearise)
    let section = linearise.mixer.flatMap { Architectures.keys(of: $0).section }
    return given.compactMap { key in
      if key == "model.mixer", let mixer = linearise.mixer, document.value(key) != .string(mixer) {
        return KeyProblem(
          key, message: "linearise.method \(mixer) says the mixer of what is made; remove the key")
      }
      guard key.hasPrefix("model."), !keysBesideFolder.contains(key), !own.contains(key),
        !keysOfExperts.contains(key),
        !(section.map { key.hasPrefix($0 + ".") } ?? false),
        !(linearise.takesMixer && key.dropFirst("model.".count).contains("."))
      else { return nil }
      guard let value = described[key] else {
        return KeyProblem(
          key,
          message:
            "the model in \(folder) says itself what it is, and nothing reads this; remove it")
      }
      guard let said = document.value(key), said != value else { return nil }
      if case .string(let one) = said, case .string(let other) = value,
        Architectures.isSame(one, other)
      {
        return nil
      }
      return KeyProblem(
        key,
        message:
          "is \(said.yaml), but the model in \(folder) has \(value.yaml), which is what is taken; "
          + "remove the key")
    }
  }

  /// Keys of the section that mean something beside a folder.
  private static let keysBesideFolder: Set = ["model.from", "model.adapter"]

  /// Keys that say what a Transformer is made into, and not what it is.
  private static func ownKeys(_ linearise: LineariseSection) -> Set<String> {
    if linearise.mixer != nil { return ["model.mixer"] }
    guard linearise.takesMixer else { return [] }
    let ofFolder = [
      "dimension", "depth", "vocabulary", "glu", "tie_embeddings", "init_std", "layers",
    ]
    let names = ModelSection.schema.keys.map(\.name).filter { !ofFolder.contains($0) }
    return Set(names.map { "model.\($0)" })
  }
}

extension ConfigurationDocument {
  /// The folder of `model.from`; nil for none.
  var folder: String? {
    if case .string(let path)? = value("model.from") { path } else { nil }
  }
}
