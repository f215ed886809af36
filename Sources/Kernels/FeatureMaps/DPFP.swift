/// Deterministic parameter-free projection: products of a row's rectified numbers with neighbours, and its twin.
///
/// Concretely, with `y = [relu x, relu −x]` of `2n` numbers: `φ = [y ⊙ roll(y, 1), …, y ⊙ roll(y, 4)]`, rolled to the
/// right: `8n` numbers.
///
/// - Source: "Linear Transformers Are Secretly Fast Weight Programmers" (arXiv 2102.11174), section 5.3.
package enum DPFP {
  /// How far rows are rolled at most.
  package static let rolls = 4

  /// Numbers of a row's features.
  package static func count(_ columns: Int) -> Int { 2 * rolls * columns }

  /// Maps rows of `columns` numbers.
  package static func forward(
    _ x: UnsafePointer<Float>, into phi: UnsafeMutablePointer<Float>, rows: Range<Int>,
    columns n: Int
  ) {
    withRing(n) { y in
      for row in rows {
        let (x, phi) = (x + row * n, phi + row * count(n))
        y.set(x)
        for roll in 1...rolls {
          let (target, other) = (phi + (roll - 1) * 2 * n, y.numbers - roll)
          for i in 0..<2 * n { target[i] = y.numbers[i] * other[i] }
        }
      }
    }
  }

  /// Gradients of each product go to both of its factors, and to x with the sign of each.
  package static func backward(
    _ x: UnsafePointer<Float>, _ dPhi: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>, rows: Range<Int>, columns n: Int, accumulate: Bool
  ) {
    withRing(n) { y in
      withRing(n) { dy in
        for row in rows {
          let (x, dPhi, dx) = (x + row * n, dPhi + row * count(n), dx + row * n)
          y.set(x)
          dy.clear()
          for roll in 1...rolls {
            let d = dPhi + (roll - 1) * 2 * n
            let (other, dOther) = (y.numbers - roll, dy.numbers - roll)
            for i in 0..<2 * n { dy.numbers[i] += d[i] * other[i] }
            for i in 0..<2 * n { dOther[i] += d[i] * y.numbers[i] }
          }
          dy.close()
          // Of x_i and −x_i one at most is above 0: the other's products are constant.
          let (up, down) = (dy.numbers, dy.numbers + n)
          if accumulate {
            for i in 0..<n { dx[i] += x[i] == 0 ? 0 : (x[i] > 0 ? up[i] : -down[i]) }
          } else {
            for i in 0..<n { dx[i] = x[i] == 0 ? 0 : (x[i] > 0 ? up[i] : -down[i]) }
          }
        }
      }
    }
  }

  /// `2n` numbers, and before them as many of the last as they are rolled at most.
  private struct Ring {
    let numbers: UnsafeMutablePointer<Float>
    let n: Int

    /// `[relu x, relu −x]`.
    @inline(__always)
    func set(_ x: UnsafePointer<Float>) {
      let negative = numbers + n
      for i in 0..<n { numbers[i] = max(x[i], 0) }
      for i in 0..<n { negative[i] = max(-x[i], 0) }
      for i in 1...rolls { numbers[-i] = numbers[last(i)] }
    }

    func clear() { (numbers - rolls).update(repeating: 0, count: rolls + 2 * n) }

    /// Adds what stands before the numbers to those that it stands for.
    func close() {
      for i in 1...rolls { numbers[last(i)] += numbers[-i] }
    }

    /// The place of the i-th number from the end.
    private func last(_ i: Int) -> Int { (2 * rolls * n - i) % (2 * n) }
  }

  @inline(__always)
  private static func withRing(_ n: Int, _ body: (Ring) -> Void) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: rolls + 2 * n) { room in
      guard let room = room.baseAddress else { return }
      body(Ring(numbers: room + rolls, n: n))
    }
  }
}
