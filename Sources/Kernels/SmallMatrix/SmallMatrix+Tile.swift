extension SmallMatrix {
  /// A product as its tiles see it.
  struct Product {
    let a: UnsafePointer<Float>
    /// Floats from `A_ip` to `A_{i+1,p}` and to `A_{i,p+1}`; one of them is 1.
    let rowStep, innerStep: Int
    let b: UnsafePointer<Float>
    let ldb: Int
    let c: UnsafeMutablePointer<Float>
    let ldc: Int
    let rows, inner: Int
    let store: Store
    let structure: Structure

    /// All rows of two registers of columns.
    @inline(__always)
    func panel2(_ j: Int, from first: Int) {
      var i = first
      #if LASP_AVX512
        while i &+ 8 <= rows { tile2(i, j, TileRows<8, 16>()); i &+= 8 }
      #endif
      while i &+ 4 <= rows { tile2(i, j, TileRows<4, 8>()); i &+= 4 }
      while i < rows { tile2(i, j, TileRows<1, 2>()); i &+= 1 }
    }

    /// All rows of one register of columns, of which `count` are there.
    @inline(__always)
    func panel1(_ j: Int, count: Int, from first: Int, to end: Int) {
      var i = first
      while i &+ 8 <= end { tile1(i, j, count, TileRows<8, 8>()); i &+= 8 }
      while i &+ 2 <= end { tile1(i, j, count, TileRows<2, 2>()); i &+= 2 }
      while i < end { tile1(i, j, count, TileRows<1, 1>()); i &+= 1 }
    }

    @inline(__always)
    private func tile2<let R: Int, let RN: Int>(_ i: Int, _ j: Int, _ size: TileRows<R, RN>) {
      if innerStep == 1 {
        tile(i, j, Lanes.width, TileColumns<2>(), size, rowStep, 1)
      } else {
        tile(i, j, Lanes.width, TileColumns<2>(), size, 1, innerStep)
      }
    }

    @inline(__always)
    private func tile1<let R: Int, let RN: Int>(
      _ i: Int, _ j: Int, _ count: Int, _ size: TileRows<R, RN>
    ) {
      if innerStep == 1 {
        tile(i, j, count, TileColumns<1>(), size, rowStep, 1)
      } else {
        tile(i, j, count, TileColumns<1>(), size, 1, innerStep)
      }
    }

    /// `R` rows by `N` registers, summed in registers.
    ///
    /// The last register has `count` lanes.
    @inline(__always)
    private func tile<let R: Int, let N: Int, let RN: Int>(
      _ i: Int, _ j: Int, _ count: Int, _ width: TileColumns<N>, _ size: TileRows<R, RN>,
      _ rowStep: Int, _ innerStep: Int
    ) {
      var first = 0
      var end = inner
      switch structure {
      case .lowerLeft: end = min(inner, i &+ R)
      case .upperLeft: first = min(inner, i)
      case .full, .lowerResult: break
      }
      let target = c + (i &* ldc &+ j)
      var sum = InlineArray<RN, Lanes> { _ in Lanes() }
      if case .add = store {
        for r in 0..<R {
          for n in 0..<N {
            sum[unchecked: r &* N &+ n] = load(target + (r &* ldc &+ n &* Lanes.width), count, N)
          }
        }
      }
      var left = a + (i &* rowStep &+ first &* innerStep)
      var right = b + (first &* ldb &+ j)
      var remaining = end &- first
      while remaining > 0 {
        var row = InlineArray<N, Lanes> { _ in Lanes() }
        for n in 0..<N { row[unchecked: n] = load(right + n &* Lanes.width, count, N) }
        for r in 0..<R {
          let factor = Lanes(repeating: left[r &* rowStep])
          for n in 0..<N {
            let x = r &* N &+ n
            sum[unchecked: x] = sum[unchecked: x].addingProduct(factor, row[unchecked: n])
          }
        }
        left += innerStep
        right += ldb
        remaining &-= 1
      }
      if case .addScaled(let source, let ld, let factors) = store {
        for r in 0..<R {
          let factor = Lanes(repeating: factors[i &+ r])
          for n in 0..<N {
            let old = load(source + ((i &+ r) &* ld &+ j &+ n &* Lanes.width), count, N)
            let x = r &* N &+ n
            sum[unchecked: x] = sum[unchecked: x].addingProduct(factor, old)
          }
        }
      }
      for r in 0..<R {
        for n in 0..<N {
          let (y, place) = (sum[unchecked: r &* N &+ n], target + (r &* ldc &+ n &* Lanes.width))
          if N == 1 { y.store(place, count: count) } else { y.store(place) }
        }
      }
    }

    @inline(__always)
    private func load(_ source: UnsafePointer<Float>, _ count: Int, _ registers: Int) -> Lanes {
      registers == 1 ? Lanes.load(source, count: count) : Lanes.load(source)
    }
  }

  /// A tile's rows, and its accumulators: `RN = R · N`.
  struct TileRows<let R: Int, let RN: Int> {}
  /// A tile's columns, in registers.
  struct TileColumns<let N: Int> {}
}
