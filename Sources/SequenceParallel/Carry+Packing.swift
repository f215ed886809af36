import Tensors

/// All tensors of a carry as one: each behind its slot and extents, which are stored as the bits of floats.
extension [CarrySlot: Tensor] {
  /// Packs them, ordered by layer and kind.
  package func packed(in workspace: Workspace) -> Tensor {
    let slots = keys.sorted { ($0.layer, $0.content.code) < ($1.layer, $1.content.code) }
    let count = slots.reduce(0) { $0 + 3 + self[$1]!.shape.rank + self[$1]!.count }
    let packed = Tensor([count], pool: workspace.pool, kind: .states)
    workspace.run {
      var place = packed.pointer
      for slot in slots {
        let tensor = self[slot]!
        let integers = [slot.layer, slot.content.code, tensor.shape.rank] + tensor.shape.dimensions
        for integer in integers {
          place.pointee = Float(countBits: integer)
          place += 1
        }
        place.update(from: tensor.pointer, count: tensor.count)
        place += tensor.count
      }
    }
    return packed
  }

  /// Unpacks what `packed` gave.
  package init(packed: Tensor, pool: BufferPool) {
    self = [:]
    var place = packed.pointer
    func integer() -> Int {
      defer { place += 1 }
      return place.pointee.countInBits
    }
    while place < packed.pointer + packed.count {
      let (layer, code, rank) = (integer(), integer(), integer())
      let tensor = Tensor(Shape((0..<rank).map { _ in integer() }), pool: pool, kind: .states)
      tensor.pointer.update(from: place, count: tensor.count)
      place += tensor.count
      self[CarrySlot(layer: layer, .init(code: code))] = tensor
    }
  }
}
