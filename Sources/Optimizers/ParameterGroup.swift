import Configuration
import Tensors

/// Parameters that are trained otherwise than the rest, or not at all: an item of the run file's `optimizer.groups`.
package struct ParameterGroup: ConfigurationSection, Equatable {
  package static let name = "optimizer.groups"
  package static let documentation = "Parameters that are trained otherwise than the rest."

  @Key("pattern", .course, "Names of tensors of the model's folder, with * and ?.")
  package var pattern = ""

  @Key("learning_rate_factor", .course, from: 0, "What the learning rate is multiplied by.")
  package var learningRateFactor = 1.0

  @Key("weight_decay", .course, from: 0, "Their weight decay; null = as the rest.")
  package var weightDecay: Double?

  @Key("frozen", .course, "Whether they stay as they are.")
  package var frozen = false

  @Key(
    "stages", .course, from: 1,
    "Numbers of the linearise.stages in which the group is one; empty = all.")
  package var stages: [Int] = []

  package init() {}

  /// Whether a name fits a pattern, in which `*` stands for any text and `?` for any one letter.
  static func matches(_ name: String, _ pattern: String) -> Bool {
    let (name, pattern) = (Array(name), Array(pattern))
    // Where in both the last star may take one letter more.
    var star: (pattern: Int, name: Int)?
    var (i, j) = (0, 0)
    while i < name.count {
      if j < pattern.count, pattern[j] == "*" {
        star = (j, i)
        j += 1
      } else if j < pattern.count, pattern[j] == "?" || pattern[j] == name[i] {
        i += 1
        j += 1
      } else if let last = star {
        star = (last.pattern, last.name + 1)
        (i, j) = (last.name + 1, last.pattern + 1)
      } else {
        return false
      }
    }
    return pattern[j...].allSatisfy { $0 == "*" }
  }
}

/// The group of each parameter of a model.
package struct ParameterGroups: Sendable {
  private let groupOf: [Parameter: ParameterGroup]

  /// Finds the parameters of each group; the first pattern that fits a tensor counts.
  ///
  /// - Parameter tensors: The tensors of the model's folder, each with the parameters it is made of.
  /// - Throws: Patterns that fit no tensor, a parameter that lies in several tensors of different groups, and
  ///   groups that freeze everything.
  package init(
    _ groups: [ParameterGroup], tensors: [(name: String, parameters: [Parameter])]
  ) throws(ParameterGroupError) {
    let names = tensors.map(\.name)
    for group in groups where !names.contains(where: { ParameterGroup.matches($0, group.pattern) })
    {
      let plain = group.pattern.replacing("*", with: "").replacing("?", with: "")
      let near = Array(
        names.sorted { Self.unlikeness($0, plain) < Self.unlikeness($1, plain) }.prefix(3))
      throw .noMatch(pattern: group.pattern, near: near)
    }
    var groupOf: [Parameter: ParameterGroup] = [:]
    var seen: [Parameter: (name: String, group: ParameterGroup?)] = [:]
    for (name, parameters) in tensors {
      let group = groups.first { ParameterGroup.matches(name, $0.pattern) }
      for parameter in parameters {
        if let other = seen[parameter], other.group != group {
          throw .shared(other.name, name)
        }
        seen[parameter] = (name, group)
        groupOf[parameter] = group
      }
    }
    guard groups.isEmpty || seen.values.contains(where: { $0.group?.frozen != true }) else {
      throw .allFrozen
    }
    self.groupOf = groupOf
  }

  /// The group of a parameter, or nil.
  package subscript(_ parameter: Parameter) -> ParameterGroup? { groupOf[parameter] }

  /// What stays as it is.
  package var frozen: [Parameter] { groupOf.filter { $0.value.frozen }.map(\.key) }

  /// How far a name is from a pattern's letters: those that do not follow each other in it.
  private static func unlikeness(_ name: String, _ letters: String) -> Int {
    let pairs = zip(letters, letters.dropFirst()).map { "\($0)\($1)" }
    return pairs.count { !name.contains($0) }
  }
}

/// What is wrong with the groups of a run file, once the model is known.
package enum ParameterGroupError: Error, Equatable, CustomStringConvertible {
  /// No tensor's name fits the pattern.
  case noMatch(pattern: String, near: [String])
  /// Two tensors of different groups share a parameter.
  case shared(String, String)
  /// Nothing is left to train.
  case allFrozen

  /// What is wrong, and what to do.
  package var description: String {
    switch self {
    case .noMatch(let pattern, let near):
      "no tensor of the model fits the pattern \(pattern); near it are "
        + near.joined(separator: ", ")
    case .shared(let one, let other):
      "\(one) and \(other) share weights but are in different groups; put them into one"
    case .allFrozen: "all parameters are frozen; leave some to train"
    }
  }
}
