/// What a model computed is no finite number.
package struct NotFiniteError: Error, Equatable, CustomStringConvertible {
  /// What it is of, such as `the loss on a.txt`.
  package let what: String
  /// The first value that is none.
  package let value: Double

  package init(_ what: String, _ value: Double) { (self.what, self.value) = (what, value) }

  /// One sentence: what is wrong, and what to do.
  package var description: String {
    "\(what) is \(value); the model's weights are too large for fp32: use an earlier checkpoint, or train again "
      + "with a lower learning rate"
  }
}

extension UnsafeBufferPointer<Float> {
  /// The first number that is not finite; nil where all are.
  var firstNotFinite: Float? { first { !$0.isFinite } }
}
