/// A chunk's rows on their way into scratch, in whole blocks of 16 either way, and back.
enum ChunkRows {
  /// A number of rows or columns in whole blocks of 16.
  static func padded(_ count: Int) -> Int { (count + 15) / 16 * 16 }

  /// A row length that does not put all rows of a column into the same few sets of the first cache.
  static func rowLength(_ columns: Int) -> Int { columns % 128 == 0 ? columns + 16 : columns }

  /// Reads a number of every cache line of a chunk's rows.
  ///
  /// Misses of such reads overlap, so what comes after finds the rows in the cache: where heads lie beside each
  /// other in long rows, twice as fast as to let it wait for each.
  @inline(never)
  static func touch(
    _ rows: TokenRows, _ tokens: Range<Int>, _ columns: Int, _ touched: UnsafeMutablePointer<Float>
  ) {
    let width = rows.kind.bytes
    let first = UnsafeRawPointer(rows.base) + tokens.lowerBound * rows.stride * width
    var seen: UInt16 = 0
    var x = 0
    while x < columns {
      var place = first + x &* width
      for _ in 0..<tokens.count {
        seen &+= place.loadUnaligned(as: UInt16.self)
        place += width &* rows.stride
      }
      x &+= 64 / width
    }
    UnsafeMutableRawPointer(touched).storeBytes(of: seen, as: UInt16.self)
  }

  /// The same for floats without gaps, in whole cache lines.
  static func touch(
    _ floats: UnsafePointer<Float>, _ count: Int, _ touched: UnsafeMutablePointer<Float>
  ) {
    touch(TokenRows(floats, stride: 16), 0..<count / 16, 16, touched)
  }

  /// Rows of a chunk times `scale`, with zeros up to whole blocks of 16 either way.
  static func copy(
    _ source: TokenRows, _ chunk: DeltaChunk, _ columns: Int, scale: Float = 1,
    into target: UnsafeMutablePointer<Float>, _ rowStride: Int
  ) {
    switch source.kind {
    case .float: copy(source.base, source.stride, chunk, columns, scale, target, rowStride)
    case .bfloat16: copy(source.halves, source.stride, chunk, columns, scale, target, rowStride)
    }
  }

  @inline(__always)
  private static func copy<Number: StoredNumber>(
    _ source: UnsafePointer<Number>, _ stride: Int, _ chunk: DeltaChunk, _ columns: Int,
    _ scale: Float, _ target: UnsafeMutablePointer<Float>, _ rowStride: Int
  ) {
    let factor = Lanes(repeating: scale)
    for i in 0..<chunk.rows {
      let isToken = i < chunk.tokens.count
      let from = source + (chunk.tokens.lowerBound &+ (isToken ? i : 0)) &* stride
      var x = 0
      while x < padded(columns) {
        let count = isToken ? max(0, min(Lanes.width, columns &- x)) : 0
        (factor * Number.lanes(from + x, count: count)).store(target + (i &* rowStride &+ x))
        x &+= Lanes.width
      }
    }
  }

  /// Writes a chunk's rows out without their padding, past the caches where they are not added to what is there.
  static func emit(
    _ source: UnsafePointer<Float>, _ stride: Int, _ chunk: DeltaChunk, _ columns: Int,
    scale: Float = 1, into target: MutableTokenRows
  ) {
    let factor = Lanes(repeating: scale)
    for i in 0..<chunk.tokens.count {
      let (from, to) = (source + i * stride, target[chunk.tokens.lowerBound + i])
      if target.accumulates {
        for x in 0..<columns { to[x] = to[x].addingProduct(scale, from[x]) }
      } else {
        var x = 0
        while x &+ Lanes.width <= columns {
          (factor * Lanes.load(from + x)).stream(to + x)
          x &+= Lanes.width
        }
        while x < columns {
          to[x] = scale * from[x]
          x &+= 1
        }
      }
    }
  }
}

/// A kernel that holds its states in whole blocks of 16 either way.
protocol PaddedStates {
  var keyDimension: Int { get }
  var valueDimension: Int { get }
  /// K in whole blocks, and floats from one row of a padded state to the next.
  var paddedKeys: Int { get }
  var valueStride: Int { get }
}

extension PaddedStates {
  /// A state in padded rows; zeros for nil.
  func pad(_ state: UnsafePointer<Float>?, into padded: UnsafeMutablePointer<Float>) {
    padded.update(repeating: 0, count: paddedKeys * valueStride)
    guard let state else { return }
    for d in 0..<keyDimension {
      (padded + d * valueStride).update(from: state + d * valueDimension, count: valueDimension)
    }
  }

  /// A state without its padding.
  func unpad(_ padded: UnsafePointer<Float>, into state: UnsafeMutablePointer<Float>) {
    for d in 0..<keyDimension {
      (state + d * valueDimension).update(from: padded + d * valueStride, count: valueDimension)
    }
  }
}
