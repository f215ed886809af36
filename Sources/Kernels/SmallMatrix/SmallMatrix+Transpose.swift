extension SmallMatrix {
  /// `B ← Aᵀ`, where `A` is `[rows, columns]`.
  @inline(never)
  static func transpose(
    _ a: UnsafePointer<Float>, ld lda: Int, rows: Int, columns: Int,
    into b: UnsafeMutablePointer<Float>, ld ldb: Int
  ) {
    var i = 0
    while i < rows {
      let height = min(Lanes.width, rows - i)
      var j = 0
      while j < columns {
        let width = min(Lanes.width, columns - j)
        let (source, target) = (a + (i * lda + j), b + (j * ldb + i))
        if height == Lanes.width && width == Lanes.width {
          transposeBlock(source, lda, into: target, ldb)
        } else if width == 1 {
          for x in 0..<height { target[x] = source[x * lda] }
        } else {
          transposeEdge(source, lda, rows: height, columns: width, into: target, ldb)
        }
        j += Lanes.width
      }
      i += Lanes.width
    }
  }

  /// A whole register square, in registers.
  @inline(__always)
  private static func transposeBlock(
    _ a: UnsafePointer<Float>, _ lda: Int, into b: UnsafeMutablePointer<Float>, _ ldb: Int
  ) {
    var x = Square { _ in Lanes() }
    for i in 0..<Lanes.width { x[unchecked: i] = Lanes.load(a + i &* lda) }
    x = transposed(x)
    for j in 0..<Lanes.width { x[unchecked: j].store(b + j &* ldb) }
  }

  /// A part of a register square.
  @inline(__always)
  private static func transposeEdge(
    _ a: UnsafePointer<Float>, _ lda: Int, rows: Int, columns: Int,
    into b: UnsafeMutablePointer<Float>, _ ldb: Int
  ) {
    var x = Square { _ in Lanes() }
    for i in 0..<rows { x[unchecked: i] = Lanes.load(a + i &* lda, count: columns) }
    x = transposed(x)
    for j in 0..<columns { x[unchecked: j].store(b + j &* ldb, count: rows) }
  }

  #if LASP_AVX512
    private typealias Square = InlineArray<16, Lanes>
  #else
    private typealias Square = InlineArray<8, Lanes>
  #endif

  /// Perfect shuffles of rows `i` and `i + width/2`, log₂(width) times.
  @inline(__always)
  private static func transposed(_ x: Square) -> Square {
    let y = shuffled(shuffled(shuffled(x)))
    return Lanes.width == 16 ? shuffled(y) : y
  }

  @inline(__always)
  private static func shuffled(_ x: Square) -> Square {
    var y = Square { _ in Lanes() }
    for i in 0..<Lanes.width / 2 {
      let (a, b) = (x[unchecked: i], x[unchecked: i &+ Lanes.width / 2])
      var low = Lanes()
      low.evenHalf = a.lowHalf
      low.oddHalf = b.lowHalf
      var high = Lanes()
      high.evenHalf = a.highHalf
      high.oddHalf = b.highHalf
      y[unchecked: 2 &* i] = low
      y[unchecked: 2 &* i &+ 1] = high
    }
    return y
  }
}
