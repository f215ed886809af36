import Autodiff
import Tensors

/// A projection of rows that go to memories: one a memory, or one for all.
struct MemoryProjection {
  /// Shape `[output, input]` each: of every memory in turn and, last, of the shared one; or the only one.
  let weights: [Parameter]
  /// Whether all memories have one.
  let isCommon: Bool

  /// Projects tokens, each for the memories it goes to.
  ///
  /// - Parameters:
  ///   - x: The tokens, `[N, input]`.
  ///   - rows: The same for every memory that each goes to, `[R, input]`; not asked for where all memories have one.
  ///   - readers: Who reads the result.
  /// - Returns: Shape `[R, output]`.
  func callAsFunction(
    _ x: Variable, rows: @autoclosure () -> Variable, _ routing: Routing, tape: Tape,
    for readers: Readers = .any
  ) throws -> Variable {
    guard isCommon else { return try self(rows(), routing, tape: tape, for: readers) }
    return tape.spread(try tape.linear(x, weights[0], for: readers), routing, for: readers)
  }

  /// Projects rows that have been dealt to memories.
  ///
  /// - Parameters:
  ///   - rows: Shape `[R, input]`.
  ///   - bias: Of all memories, `[output]`, or nil.
  ///   - readers: Who reads the result.
  /// - Returns: Shape `[R, output]`.
  func callAsFunction(
    _ rows: Variable, _ routing: Routing, bias: Parameter? = nil, tape: Tape,
    for readers: Readers = .any
  ) throws -> Variable {
    isCommon
      ? try tape.linear(rows, weights[0], bias: bias, for: readers)
      : try tape.linear(rows, routing.groups(weights), bias: bias, for: readers)
  }
}

extension ModelBuilder {
  /// A projection `[output, input]` of some memories, named `<letter>_proj.<memory>` and `shared_<letter>`.
  mutating func memoryProjection(
    _ letter: String, _ family: MixtureOfMemories, at place: MixerPlace, output: Int, input: Int,
    part: String = ""
  ) -> MemoryProjection {
    var weights: [Parameter] = []
    if !family.hasCommonProjections {
      for memory in 0..<family.rule.experts {
        weights.append(
          linear("\(place.name)\(letter)_proj.\(memory)\(part)", output, input).weight)
      }
    }
    if family.hasShared || family.hasCommonProjections {
      weights.append(linear("\(place.name)shared_\(letter)\(part)", output, input).weight)
    }
    return MemoryProjection(weights: weights, isCommon: family.hasCommonProjections)
  }
}
