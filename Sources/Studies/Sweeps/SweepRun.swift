import Configuration
import Models
import Reporting
import Training

/// A run of a sweep, checked.
struct SweepRun: Sendable {
  /// Its number, from 1, in the order of the sweep file.
  let number: Int
  /// Name of its folder.
  let name: String
  /// What the run file says in it.
  let configuration: RunConfiguration
  /// Weights of the model.
  let parameters: Int
  /// How many were asked for; nil where nothing was.
  let target: Int?
  /// Keys in which runs of the sweep may differ, and this one's values.
  let varied: [(key: String, value: String)]

  /// Steps of the whole run.
  var steps: Int { configuration.training.steps }
  /// Tokens of the whole run.
  var tokens: Int { steps * tokensPerStep }
  /// Tokens of a step.
  var tokensPerStep: Int { configuration.training.batch * configuration.sequence.length }

  /// How far the number of parameters is from what was asked for, as a share of that; nil where nothing was.
  var mismatch: Double? { target.map { Double(parameters - $0) / Double($0) } }

  /// The run file that is written for it: what differs from the defaults, but where it writes.
  var runFile: String {
    let given = Set(configuration.given).union(["training.seed"])
    let text = configuration.resolved { section, key in
      let path = section.isEmpty ? key : "\(section).\(key)"
      return given.contains(path) && !Self.naming.contains(path)
    }
    return "# Run \(name) of a sweep.\n\n" + text
  }

  /// Keys that say where a run writes, and from where it goes on.
  private static let naming: Set = ["training.name", "training.resume", "log.directory"]
}
