import Foundation
import Reporting
import ScalingLaws

/// Finished runs as points of scaling laws, one law for those that have a key of the run file in common.
package struct LawRuns: Sendable {
  /// Runs with the same value of the key.
  package struct Group: Sendable {
    /// The value.
    package let name: String
    /// Their names and what they gave.
    package let runs: [(name: String, point: ScalingPoint)]
  }

  /// The key by whose values runs are told apart.
  package let key: String
  /// The groups, by name.
  package let groups: [Group]
  /// Runs that are no points, and why.
  package let leftOut: [(run: String, reason: String)]
  /// What makes losses hard to compare, a sentence each.
  package let notices: [String]

  /// Keys that say of what text a held-out loss is.
  private static let keysOfLosses = [
    "data.path", "data.tokenizer", "data.task", "data.held_out", "evaluation.path",
    "evaluation.tokens", "sequence.length",
  ]

  /// Sorts runs.
  package init(_ records: [RunRecord], by key: String) {
    var groups: [String: [(name: String, point: ScalingPoint)]] = [:]
    var leftOut: [(run: String, reason: String)] = []
    var values: [String: Set<String>] = [:]
    for record in records {
      let keys = record.start?.keys ?? [:]
      switch Self.point(record) {
      case .failure(let reason): leftOut.append((record.folder, reason.text))
      case .success(let point):
        guard let value = keys[key] else {
          leftOut.append((record.folder, "its run file has no key \(key)"))
          continue
        }
        groups[value, default: []].append((record.name, point))
        for key in Self.keysOfLosses { values[key, default: []].insert(keys[key] ?? "null") }
      }
    }
    self.key = key
    self.groups = groups.sorted { $0.key < $1.key }.map { Group(name: $0.key, runs: $0.value) }
    self.leftOut = leftOut
    notices = Self.keysOfLosses.filter { values[$0, default: []].count > 1 && $0 != key }.map {
      "runs differ in \($0), so that their losses do not compare; give runs that have it in common"
    }
  }

  private struct Reason: Error { let text: String }

  /// What a run gave at its end.
  private static func point(_ record: RunRecord) -> Result<ScalingPoint, Reason> {
    func no(_ text: String) -> Result<ScalingPoint, Reason> { .failure(Reason(text: text)) }
    guard let start = record.start else { return no("its log has no start event") }
    guard let end = record.end else {
      return no(
        "it has not ended: it goes on, or was killed; lasp-train --resume takes it to its end")
    }
    guard end.reason == "finished" else { return no("it did not finish: \(end.reason)") }
    guard (start.keys["model.from"] ?? "null") == "null" else {
      return no("it began with a trained model, whose tokens are not among its own")
    }
    guard let last = record.steps.last else { return no("it has no step") }
    guard let evaluation = record.evaluations.last, evaluation.step == last.number else {
      return no(
        "it has no evaluation after its last step; set evaluation.every so that it divides the steps, or keep a part of "
          + "the data by data.held_out")
    }
    guard evaluation.perplexity != nil else {
      return no("its loss is not that of predicted tokens")
    }
    guard evaluation.loss.isFinite, evaluation.loss > 0, start.parameters > 0 else {
      return no("its last evaluation has no loss above 0")
    }
    // Steps tell their tokens; where some are missing, as where a log was cut, all are as long as those that the start tells.
    let tokens =
      record.steps.count == last.number
      ? record.steps.reduce(0) { $0 + $1.tokens } : last.number * start.tokensPerStep
    guard tokens > 0 else { return no("its steps tell no tokens") }
    return .success(
      ScalingPoint(
        parameters: Double(start.parameters), tokens: Double(tokens), loss: evaluation.loss))
  }
}
