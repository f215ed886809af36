import Tensors

/// What the twin of an op reads again of the op's argument.
///
/// Where products read bf16, and nothing else keeps the argument, it is a rounded copy that the op writes while it reads the argument:
/// half the memory, and a factor of a gradient that is off by 2⁻⁹ of itself at most. What the op itself computes is of the argument as
/// it came.
package struct KeptNumbers: Sendable {
  /// As they are kept.
  package let numbers: Operand
  private let isCopy: Bool

  init(_ numbers: Operand, isCopy: Bool) { (self.numbers, self.isCopy) = (numbers, isCopy) }

  /// Rounds a part of the argument that the op has read, where a copy is kept.
  package func keep(_ part: Range<Int>, _ x: UnsafePointer<Float>) {
    guard isCopy else { return }
    BFloat16.round(x, into: numbers.halves + part.lowerBound, count: part.count)
  }

  /// The same of numbers that stand one after another with the argument's other numbers.
  package func keep(_ part: Range<Int>, of x: UnsafePointer<Float>) {
    keep(part, x + part.lowerBound)
  }
}
