import Files
import Tensors

/// What a run needs to go on: weights and the update rule's state by parameter name, the step and the seed.
///
/// A checkpoint is a folder `step-00000120` that appears under its name only when it is complete:
/// `state.safetensors` holds `weight.<name>` and what the rule keeps, such as `first_moment.<name>` and
/// `second_moment.<name>`; `state.json` the rest.
package struct TrainingState: Sendable, Equatable {
  /// Steps done.
  package var step: Int
  /// The run's seed.
  package var seed: Int
  /// The release that wrote it.
  package var version: String
  /// The update rule whose state it holds.
  package var rule: String
  /// Steps that were done when the rule's state began, as zeros.
  package var stateStart = 0
  /// Where the run stands among its stages; nil where it has none.
  package var stage: Stage?
  /// The library that computed products; nil where it is not known.
  package var products: String?

  package init(
    step: Int, seed: Int, version: String, rule: String = formerRule, stateStart: Int = 0,
    stage: Stage? = nil, products: String? = nil
  ) {
    (self.step, self.seed, self.version, self.rule) = (step, seed, version, rule)
    (self.stateStart, self.stage, self.products) = (stateStart, stage, products)
  }

  /// Where a run stands among its stages.
  package struct Stage: Sendable, Equatable {
    /// The stage's number, from 0.
    package var index: Int
    /// Steps that were done when it began.
    package var start: Int
    /// Losses of its last steps, as many as may decide whether it ends.
    package var losses: [Double]

    package init(index: Int = 0, start: Int = 0, losses: [Double] = []) {
      (self.index, self.start, self.losses) = (index, start, losses)
    }
  }

  /// The rule of checkpoints that name none.
  package static let formerRule = "adamw"

  /// Numbers of which a checkpoint has one for each number of some parameters.
  package struct Quantity: Hashable, Sendable {
    /// Its name.
    package let name: String
    /// The parameters that have it; nil for all.
    package let parameters: IndexRanges?

    package init(name: String, parameters: IndexRanges? = nil) {
      (self.name, self.parameters) = (name, parameters)
    }

    /// The weights.
    package static let weight = Quantity(name: "weight")
    /// AdamW's running means of gradients.
    package static let firstMoment = Quantity(name: "first_moment")
    /// AdamW's running means of squared gradients.
    package static let secondMoment = Quantity(name: "second_moment")
    /// What checkpoints hold for AdamW.
    package static let ofAdamW = [weight, firstMoment, secondMoment]

    /// What checkpoints called it before it had its name.
    private var formerName: String {
      switch self.name {
      case "first_moment": "mean"
      case "second_moment": "square"
      default: name
      }
    }

    /// The entries of a table that have it.
    func entries(of table: ParameterTable) -> [ParameterTable.Entry] {
      guard let parameters else { return table.entries }
      return table.entries.filter { parameters.count(in: $0.range) > 0 }
    }

    /// The name of its numbers for a parameter in a file that is written.
    func name(of parameter: String) -> String { "\(name).\(parameter)" }

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
