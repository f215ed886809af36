import Files

/// What a run needs to go on: weights and moments by parameter name, the step and the seed.
///
/// A checkpoint is a folder `step-00000120` that appears under its name only when it is complete:
/// `state.safetensors` holds `weight.<name>`, `first_moment.<name>` and `second_moment.<name>`; `state.json` the
/// rest.
package struct TrainingState: Sendable, Equatable {
  /// Steps done.
  package var step: Int
  /// The run's seed.
  package var seed: Int
  /// The release that wrote it.
  package var version: String

  package init(step: Int, seed: Int, version: String) {
    (self.step, self.seed, self.version) = (step, seed, version)
  }

  /// The numbers of which a checkpoint has one for each element of the parameters' index space.
  package enum Quantity: String, CaseIterable, Sendable {
    /// The weights.
    case weight
    /// The running means of gradients.
    case firstMoment = "first_moment"
    /// The running means of squared gradients.
    case secondMoment = "second_moment"

    /// What checkpoints called it before it had its name.
    private var formerName: String {
      switch self {
      case .weight: "weight"
      case .firstMoment: "mean"
      case .secondMoment: "square"
      }
    }

    /// The name of its numbers for a parameter in a file that is written.
    func name(of parameter: String) -> String { "\(rawValue).\(parameter)" }

    /// The name of its numbers for a parameter in a file, whichever release wrote it.
    func name(of parameter: String, in file: SafetensorsFile) -> String {
      let former = "\(formerName).\(parameter)"
      return file.tensor(former) == nil ? name(of: parameter) : former
    }
  }

  /// The latest complete checkpoint below a folder, or nil.
  package static func latest(below folder: String) -> String? {
    steps(below: folder).last.map { folder + "/" + name($0) }
  }

  static let streamsName = "streams.safetensors"

  static func name(_ step: Int) -> String {
    let digits = String(step)
    return "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
  }

  /// Steps of the complete checkpoints below a folder, ascending.
  static func steps(below folder: String) -> [Int] {
    let names = (try? FileSystem.names(in: folder)) ?? []
    return names.compactMap { $0.hasPrefix("step-") ? Int($0.dropFirst(5)) : nil }
      .filter { FileSystem.exists("\(folder)/\(name($0))/state.json") }
      .sorted()
  }
}
