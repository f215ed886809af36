import Kernels
import Measurement
import Tensors

/// Which way states go through the sequence group.
package enum ExchangeDirection: Int32, Sendable {
  /// States, from rank r to r+1.
  case forward = 1
  /// State gradients, from rank r+1 to r.
  case backward = 2
}

/// One rank's part of carrying a layer's states over the sequence group, in one direction.
///
/// Concretely, over the units (row, head) of a layer: `S_out = M S_in + B` forward, and backward
/// `D_in = Mᵀ D_out + E` from the last rank to the first.
package struct SeamProblem {
  /// Which way.
  package let direction: ExchangeDirection
  /// The layer and state.
  package let slot: CarrySlot
  /// The pass: layout, step, segment, communicators.
  package let pass: SequencePass
  /// The algebra of `M`.
  package let map: StateMap
  /// How many states there are: rows × heads.
  package let units: Int
  /// This rank's `M`s, `[units, mapCount]`; valid once the summary is ready.
  package let maps: Tensor
  /// This rank's `B`s or `E`s, `[units, K, V]`; valid once the summary is ready.
  package let sums: Tensor
  /// The `M` of a rank of the group and a unit, where it follows from the layout and need not be sent.
  package let knownMap: ((_ rank: Int, _ unit: Int) -> Float)?
  /// What enters at the group's near end (forward: its first rank): `[units, K, V]`, nil for zero.
  package let initial: Tensor?
  /// Whether what leaves at the group's far end is wanted.
  package let wantsFinal: Bool
  /// A state of the layer that has the same `M`s and crossed the same way before, so that none are sent; nil for none.
  package var lender: CarrySlot? = nil

  /// Elements of one state.
  package var stateCount: Int { map.stateCount }

  /// Numbers of one `M`.
  var mapCount: Int { map.kind.count(map.keyDimension) }

  /// Numbers of all `M`s that a message must hold beside the states; 0 where they are known.
  var sentMapCount: Int { knownMap == nil && lender == nil ? units * mapCount : 0 }

  /// Whether these are not the maps of the forward pass, although it is the backward one.
  var hasOwnMaps: Bool { direction == .backward && map.kind == .stabilisedAdjoint }

  /// The tag of its messages.
  var tag: Int { Int(direction.rawValue) }

  /// Applies this rank's maps to the states of `range`: `out = M in + sum`; a nil input is zero.
  func combine(
    _ range: Range<Int>, _ input: UnsafePointer<Float>?, into output: UnsafeMutablePointer<Float>
  ) {
    combine(
      maps: maps.pointer + range.lowerBound * mapCount,
      sums: sums.pointer + range.lowerBound * stateCount, count: range.count, input, into: output)
  }

  /// Applies any maps to `count` states, transposed in the backward direction; `output` may be `sums`.
  func combine(
    maps: UnsafePointer<Float>, sums: UnsafePointer<Float>, count: Int,
    _ input: UnsafePointer<Float>?, into output: UnsafeMutablePointer<Float>
  ) {
    for unit in 0..<count {
      let (target, sum) = (output + unit * stateCount, sums + unit * stateCount)
      guard let input else {
        if target != sum { target.update(from: sum, count: stateCount) }
        continue
      }
      let (m, source) = (maps + unit * mapCount, input + unit * stateCount)
      switch direction {
      case .forward: map.combine(m, source, adding: sum, into: target)
      case .backward: map.combineTransposed(m, source, adding: sum, into: target)
      }
    }
  }
}

/// A transfer under way.
///
/// The op that owns it calls, in this order: `advance` as often as it likes once its summary is
/// ready, and `finish`. Results do not depend on when anything arrives.
package protocol StateTransfer: AnyObject {
  /// Tells that `maps` and `sums` are there, and moves on what can move without waiting.
  func summaryReady() throws
  /// Moves on what can move without waiting; cheap enough to be called between chunks.
  func advance() throws
  /// Whether `finish` would wait for nothing, by what `advance` has found.
  var isComplete: Bool { get }
  /// Waits for what is missing. Gives what enters this shard (nil for zero) and, where it was wanted and this
  /// is the far end, what leaves the group.
  func finish() throws -> (incoming: Tensor?, final: Tensor?)
}

/// A way to carry states across the ranks of a sequence group.
///
/// A new one conforms to this and gets a case in `ExchangeKind`.
package protocol StateExchange: AnyObject {
  /// Posts the receives of one layer and direction, before anything else is done for it.
  func begin(_ problem: SeamProblem) throws -> any StateTransfer
  /// Lets sends under way progress; part of the workspace's poll.
  func poll() throws
  /// Waits until everything sent has left, at the end of a pass.
  func drain() throws
}
