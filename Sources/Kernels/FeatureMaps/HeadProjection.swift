/// A projection of each head by a matrix of its own, and its twin.
///
/// Concretely: `y_h = x_{h/share} W_h + b_h`, with `W_h` of `[width, features]` and one number `b_h` a head; plus
/// `x_{h/share}` where there is a skip.
package struct HeadProjection: Sendable {
  /// Heads of the result, and how many neighbouring ones a head of `x` serves.
  package let heads, share: Int
  /// Numbers of a head of `x`, and of a head of the result.
  package let width, features: Int
  /// Whether `x` is added to the result, which is as wide.
  package let skips: Bool

  package init(heads: Int, share: Int, width: Int, features: Int, skips: Bool) {
    precondition(
      heads > 0 && share > 0 && heads % share == 0 && width > 0 && features > 0
        && (!skips || width == features),
      "\(heads) heads of which \(share) share one of \(width) numbers, \(features) features")
    (self.heads, self.share) = (heads, share)
    (self.width, self.features, self.skips) = (width, features, skips)
  }

  /// Columns of `x` and of the result.
  package var columns: (x: Int, y: Int) { (heads / share * width, heads * features) }
  /// Floats of scratch of a thread.
  package var scratchCount: Int { features * Lanes.padded(width) }

  /// Tokens of a piece: what a gradient of a weight sums up before it is added.
  package static let piece = 128

  /// Projects one head of some tokens.
  package func forward(
    _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
    into y: UnsafeMutablePointer<Float>, head: Int, tokens: Range<Int>
  ) {
    let (columns, first) = (columns, tokens.lowerBound)
    let source = x + first * columns.x + head / share * width
    let target = y + first * columns.y + head * features
    SmallMatrix.multiply(
      source, lda: columns.x, weight + head * width * features, ldb: features, into: target,
      ldc: columns.y, rows: tokens.count, columns: features, inner: width)
    if skips {
      Rows.add(
        source, stride: columns.x, rows: tokens.count, columns: width, into: target, ld: columns.y)
    }
    guard let b = bias?[head] else { return }
    for token in 0..<tokens.count {
      let row = target + token * columns.y
      for i in 0..<features { row[i] += b }
    }
  }

  /// Adds one head's share to the gradients of some tokens; heads that share one of `x` must run one after another.
  package func backward(
    weight: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>, head: Int, tokens: Range<Int>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let (columns, first) = (columns, tokens.lowerBound)
    let source = dy + first * columns.y + head * features
    let target = dx + first * columns.x + head / share * width
    SmallMatrix.multiplyTransposedRight(
      source, lda: columns.y, weight + head * width * features, ldb: features, into: target,
      ldc: columns.x, rows: tokens.count, columns: width, inner: features, store: .add,
      scratch: scratch)
    if skips {
      Rows.add(
        source, stride: columns.y, rows: tokens.count, columns: width, into: target, ld: columns.x)
    }
  }

  /// Adds the gradients of one head's weight and bias.
  package func weightBackward(
    _ x: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, dWeight: UnsafeMutablePointer<Float>?,
    dBias: UnsafeMutablePointer<Float>?, head: Int, tokens: Range<Int>
  ) {
    let columns = columns
    for start in stride(from: tokens.lowerBound, to: tokens.upperBound, by: Self.piece) {
      let count = min(Self.piece, tokens.upperBound - start)
      let source = dy + start * columns.y + head * features
      if let dWeight {
        SmallMatrix.multiply(
          x + start * columns.x + head / share * width, lda: columns.x, transposed: true, source,
          ldb: columns.y, into: dWeight + head * width * features, ldc: features, rows: width,
          columns: features, inner: count, store: .add)
      }
      guard let dBias else { continue }
      var sum: Float = 0
      for token in 0..<count {
        let row = source + token * columns.y
        for i in 0..<features { sum += row[i] }
      }
      dBias[head] += sum
    }
  }
}
