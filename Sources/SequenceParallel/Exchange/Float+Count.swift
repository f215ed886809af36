/// Whole numbers in the places of floats, in messages and carries: as the bits of a 32-bit integer, since a
/// float's own value is exact up to 2²⁴ only.
extension Float {
  /// What stands for a number of tokens or columns.
  init(countBits count: Int) {
    precondition(
      (0...Int(Int32.max)).contains(count), "\(count) does not fit the place of a float")
    self.init(bitPattern: UInt32(count))
  }

  /// The number that this stands for.
  var countInBits: Int { Int(bitPattern) }
}
