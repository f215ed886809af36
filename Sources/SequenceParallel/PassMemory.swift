import Tensors

/// Something that an op keeps in a pass from one run of it to the next: when a region or a segment runs again, or
/// for the backward pass.
///
/// Each op has a type of its own for each thing that it keeps, and names one among others of the type by a key:
/// most often the slot of its layer.
package protocol Kept {
  /// Tells things of this type apart.
  associatedtype Key: Hashable
  /// What is left of it while its pass is suspended: what a later run needs in order to communicate nothing, and
  /// cannot work out again; nil for nothing.
  var suspended: Self? { get }
  /// The memory that it holds.
  var tensors: [Tensor] { get }
}

/// What the ops of one pass keep.
package final class PassMemory {
  private protocol Shelf: AnyObject {
    func suspend()
    var suspendedBytes: Int { get }
  }

  private final class ShelfOf<Thing: Kept>: Shelf {
    var things: [Thing.Key: Thing] = [:]

    func suspend() { things = things.compactMapValues(\.suspended) }

    var suspendedBytes: Int {
      things.values.reduce(0) { bytes, thing in
        bytes + (thing.suspended?.tensors ?? []).reduce(0) { $0 + 4 * $1.count }
      }
    }
  }

  private var shelves: [ObjectIdentifier: any Shelf] = [:]

  /// What an op of that key keeps, or nil.
  package subscript<Thing: Kept>(key: Thing.Key) -> Thing? {
    get { (shelves[ObjectIdentifier(Thing.self)] as? ShelfOf<Thing>)?.things[key] }
    set {
      let type = ObjectIdentifier(Thing.self)
      let shelf = shelves[type] as? ShelfOf<Thing> ?? ShelfOf<Thing>()
      shelf.things[key] = newValue
      shelves[type] = shelf
    }
  }

  /// What an op of that key keeps; made where there is nothing.
  package func of<Thing: Kept>(
    _ key: Thing.Key, make: () throws -> Thing
  ) rethrows -> Thing {
    if let thing: Thing = self[key] { return thing }
    let thing = try make()
    self[key] = thing
    return thing
  }

  /// Leaves of each thing what outlives a suspension.
  func suspend() { for shelf in shelves.values { shelf.suspend() } }

  /// Bytes that outlive a suspension.
  var suspendedBytes: Int { shelves.values.reduce(0) { $0 + $1.suspendedBytes } }
}
