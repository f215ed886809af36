import Tensors

/// What entered this rank's shard, once it is known: so that a recurrence that runs again communicates nothing.
struct EnteredState: Kept {
  typealias Key = CarrySlot

  /// `[units, K, V]`; nil for zero.
  let state: Tensor?

  var suspended: EnteredState? { self }
  var tensors: [Tensor] { state.map { [$0] } ?? [] }
}

/// This shard's maps `M` of a state, for the backward exchange.
struct ShardMaps: Kept {
  typealias Key = CarrySlot

  /// `[units, mapCount]`.
  let maps: Tensor

  var suspended: ShardMaps? { self }
  var tensors: [Tensor] { [maps] }
}
