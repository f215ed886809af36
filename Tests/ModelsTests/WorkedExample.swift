import Autodiff
import Configuration
import Foundation
import Kernels
import SequenceParallel

@testable import Models

// The worked example of Docs/Architecture.md: what stands between the marks is what stands there.

// example: Sources/Models/Mixers/EchoMixer.swift
/// Echo's token mixer: linear attention whose states fade by one factor.
///
/// Concretely: `S_t = γ S_{t−1} + k_tᵀ v_t`, `y = W_o(q_t S_t)`.
struct EchoMixer: FlashLayer {
  let layer: Int
  let query, key, value, output: Linear
  let kernel: DiagonalRecurrence
  let logDecay: [Float]

  init(_ family: Echo, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (heads, name) = (family.heads, place.name)
    layer = place.layer
    query = builder.linear(name + "q_proj", heads.keyWidth, place.dimension)
    key = builder.linear(name + "k_proj", heads.keyWidth, place.dimension)
    value = builder.linear(name + "v_proj", heads.valueWidth, place.dimension)
    output = builder.linear(name + "o_proj", place.dimension, heads.valueWidth)
    kernel = DiagonalRecurrence(
      .fixed, keyDimension: heads.keyDimension, valueDimension: heads.valueDimension,
      scale: heads.scale)
    logDecay = [Float](repeating: Float(log(family.decay)), count: heads.heads)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    let o = try tape.recurrence(
      kernel,
      RecurrenceInputs(
        q: query(x, tape: tape), k: key(x, tape: tape), v: value(x, tape: tape),
        logDecay: logDecay),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(o, adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] { [RecurrenceSize(kernel, heads: logDecay.count)] }
}
// example: Sources/Models/Architectures/Echo.swift
/// Echo: the smallest family there could be, in flash-linear-attention's skeleton.
struct Echo: FlashMixer {
  typealias Layer = EchoMixer

  static let name = "echo"
  static let className = "Echo"
  /// What `lasp-train models` tells of it; the last are the papers, by their arXiv numbers.
  static let card = ModelCard("Echo", recurrence: "fixed decay", papers: [])
  /// Which of the keys that only some families have it reads, such as `kv_heads`.
  static let keys: Set<String> = []
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.echo` section.
  struct Keys: ConfigurationSection {
    static let name = "model.echo"
    static let documentation = "What only Echo has."

    @Key("decay", .model, above: 0, through: 1, "What stays of a state from token to token.")
    var decay = 0.9
  }

  let heads: HeadSplit
  let decay: Double

  init(_ section: ModelSection) {
    heads = HeadSplit(
      dimension: section.dimension, expandKey: 1, expandValue: 1, heads: section.heads,
      keyHeads: nil)
    decay = section.subsections[Keys.self].decay
  }

  init(_ keys: ModelKeys, dimension: Int) {
    heads = HeadSplit(
      dimension: dimension, expandKey: 1, expandValue: 1,
      heads: keys.positive("num_heads", default: 4), keyHeads: nil)
    decay = keys.positiveNumber("decay", default: 0.9)
    if decay > 1 { keys.refuse("decay", "\(decay) is above 1") }
  }

  var configuration: [String: JSONValue] {
    ["num_heads": .integer(heads.heads), "decay": .number(decay)]
  }

  var problem: String? { heads.problem }
}
// example: end
