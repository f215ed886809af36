extension SmallMatrix.Product {
  /// Whether `column` computes a column by itself.
  var hasColumns: Bool {
    switch structure {
    case .full: true
    case .lowerLeft: innerStep == 1
    case .upperLeft: true
    case .lowerResult: false
    }
  }

  /// All rows of one column: a register of columns would be computed for a single number of each row.
  func column(_ j: Int) {
    innerStep == 1 ? columnOfDots(j) : columnOfSums(j)
  }

  /// Of rows that lie in memory as such: dot products with the column, which is copied together in parts.
  private func columnOfDots(_ j: Int) {
    let most = 256
    withUnsafeTemporaryAllocation(of: Float.self, capacity: most) { part in
      let right = part.baseAddress!
      var start = 0
      repeat {
        let count = min(most, inner &- start)
        for p in 0..<count { right[p] = b[(start &+ p) &* ldb &+ j] }
        for i in 0..<rows {
          var (first, end) = (0, count)
          switch structure {
          case .lowerLeft: end = min(count, i &+ 1 &- start)
          case .upperLeft: first = max(0, i &- start)
          case .full, .lowerResult: break
          }
          let sum =
            first < end
            ? Rows.dot(a + (i &* rowStep &+ start &+ first), right + first, count: end &- first) : 0
          put(sum, i, j, isFirst: start == 0)
        }
        start &+= most
      } while start < inner
    }
  }

  /// Of rows that lie side by side: a register of rows at a time.
  private func columnOfSums(_ j: Int) {
    var i = 0
    while i < rows {
      let count = min(Lanes.width, rows &- i)
      var (even, odd) = (Lanes(), Lanes())
      var p = 0
      if case .upperLeft = structure {
        // Down to the register's last row, those below the diagonal are left out.
        p = min(inner, i)
        while p < min(inner, i &+ count) {
          even.addProduct(
            Lanes(repeating: b[p &* ldb &+ j]),
            Lanes.load(a + (p &* innerStep &+ i), count: min(count, p &- i &+ 1)))
          p &+= 1
        }
      }
      while p &+ 1 < inner {
        even.addProduct(
          Lanes(repeating: b[p &* ldb &+ j]), Lanes.load(a + (p &* innerStep &+ i), count: count))
        odd.addProduct(
          Lanes(repeating: b[(p &+ 1) &* ldb &+ j]),
          Lanes.load(a + ((p &+ 1) &* innerStep &+ i), count: count))
        p &+= 2
      }
      if p < inner {
        even.addProduct(
          Lanes(repeating: b[p &* ldb &+ j]), Lanes.load(a + (p &* innerStep &+ i), count: count))
      }
      even += odd
      for lane in 0..<count { put(even[lane], i &+ lane, j, isFirst: true) }
      i &+= Lanes.width
    }
  }

  /// Stores an element, or adds to it what a later part of the inner index gives.
  @inline(__always)
  private func put(_ sum: Float, _ i: Int, _ j: Int, isFirst: Bool) {
    let place = c + (i &* ldc &+ j)
    guard isFirst else {
      place.pointee += sum
      return
    }
    switch store {
    case .replace: place.pointee = sum
    case .add: place.pointee += sum
    case .addScaled(let source, let ld, let factors):
      place.pointee = sum.addingProduct(factors[i], source[i &* ld &+ j])
    }
  }
}
