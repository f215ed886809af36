import Configuration
import Files
import Tensors

/// What a run needs to go on beside its numbers: the step, the seed and where all else stands.
///
/// It is a checkpoint's `state.json`.
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
  /// Tokens that were trained on.
  package var tokens = 0
  /// The loss of the last step, and of the last evaluation; nil where there was none.
  package var loss: Double?
  package var evaluationLoss: Double?
  /// Whether an evaluation was due after the step, before which the run was stopped.
  package var evaluationIsDue = false
  /// When it was written, in seconds since 1970.
  package var time = 0.0
  /// Its place among the checkpoints of its folder, in the order in which they were written.
  package var serial = 0
  /// The checkpoint that the run went on from before it, or wrote before it.
  package var parent: Parent?
  /// Names of the model's tensors that were copied from a Transformer, where it was made of one.
  package var inherited: [String] = []
  /// The whole resolved run file, an object of sections.
  package var configuration: JSONValue = [:]
  /// The keys that were given, as `section.key`; the others have defaults.
  package var given: [String] = []
  /// What the run reads: files with their sizes and hashes of samples.
  package var data: JSONValue = []
  /// Where the learning rate stands in its course.
  package var schedule: JSONValue = [:]
  /// Who wrote it: ranks, grid and the like, from which nothing follows for who reads it.
  package var layout: JSONValue = [:]
  /// What the run has seen of its losses; nothing here reads it.
  package var vigilance: JSONValue?

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

  /// A checkpoint that another comes after.
  package struct Parent: Sendable, Equatable {
    /// Its folder, as the run named it.
    package var path: String
    /// Its step.
    package var step: Int
    /// The hash of its state, which no other has.
    package var identity: String

    package init(path: String, step: Int, identity: String) {
      (self.path, self.step, self.identity) = (path, step, identity)
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
    /// What AdamW keeps.
    package static let ofAdamW = [firstMoment, secondMoment]

    /// The entries of a table that have it.
    func entries(of table: ParameterTable) -> [ParameterTable.Entry] {
      guard let parameters else { return table.entries }
      return table.entries.filter { parameters.count(in: $0.range) > 0 }
    }

    /// The name of its numbers for a parameter.
    func name(of parameter: String) -> String { "\(name).\(parameter)" }
  }
}
