import Tensors

/// Adds up what ranks give, in an order that depends on nothing but their number.
///
/// Concretely: a binary tree over the ranks, `((x₀ + x₁) + (x₂ + x₃)) + …`, in fp32 for each element by itself:
/// how the elements are cut into messages and over owners does not change a bit of the sum.
struct RankSum {
  /// Numbers of a rank that are added at once, so that all ranks' stay in the cache.
  static let block = 2048

  /// Replaces the first rank's numbers by the sum of all ranks'; the others' are lost.
  ///
  /// - Parameter parts: Every rank's numbers, in rank order.
  static func add(_ parts: UnsafeBufferPointer<UnsafeMutablePointer<Float>>, count: Int) {
    var step = 1
    while step < parts.count {
      for first in stride(from: 0, to: parts.count - step, by: 2 * step) {
        let (sum, more) = (parts[first], UnsafePointer(parts[first + step]))
        for index in 0..<count { sum[index] += more[index] }
      }
      step *= 2
    }
  }
}
