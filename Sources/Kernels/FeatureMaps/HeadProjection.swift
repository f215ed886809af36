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
  /// Floats of scratch of a thread, in either pass.
  package var scratchCount: Int {
    max(features * Lanes.padded(width), Self.piece * Lanes.padded(width))
  }

  /// Tokens of a piece: what a gradient of a weight sums up before it is added.
  package static let piece = 128

  /// A head's numbers of a piece of tokens in fp32: where they lie, or widened into scratch.
  private func piece(
    _ x: TokenRows, head: Int, tokens: Range<Int>, scratch: UnsafeMutablePointer<Float>
  ) -> TokenRows {
    precondition(tokens.count <= Self.piece, "\(tokens.count) tokens of a piece")
    let column = head / share * width
    guard x.kind == .bfloat16 else {
      return TokenRows(x[tokens.lowerBound] + column, stride: x.stride)
    }
    let stride = Lanes.padded(width)
    Rows.widen(
      x.halves(tokens.lowerBound) + column, stride: x.stride, rows: tokens.count, columns: width,
      into: scratch, ld: stride)
    return TokenRows(scratch, stride: stride)
  }

  /// Projects one head of a piece of tokens.
  package func forward(
    _ x: TokenRows, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
    into y: UnsafeMutablePointer<Float>, head: Int, tokens: Range<Int>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let columns = columns
    let source = piece(x, head: head, tokens: tokens, scratch: scratch)
    let target = y + tokens.lowerBound * columns.y + head * features
    SmallMatrix.multiply(
      source.base, lda: source.stride, weight + head * width * features, ldb: features,
      into: target, ldc: columns.y, rows: tokens.count, columns: features, inner: width)
    if skips {
      Rows.add(
        source.base, stride: source.stride, rows: tokens.count, columns: width, into: target,
        ld: columns.y)
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
  ///
  /// - Parameter x: What went into it; nil where the weight has no gradient.
  package func weightBackward(
    _ x: TokenRows?, _ dy: UnsafePointer<Float>, dWeight: UnsafeMutablePointer<Float>?,
    dBias: UnsafeMutablePointer<Float>?, head: Int, tokens: Range<Int>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let columns = columns
    for start in stride(from: tokens.lowerBound, to: tokens.upperBound, by: Self.piece) {
      let count = min(Self.piece, tokens.upperBound - start)
      let source = dy + start * columns.y + head * features
      if let dWeight, let x {
        let x = piece(x, head: head, tokens: start..<start + count, scratch: scratch)
        SmallMatrix.multiply(
          x.base, lda: x.stride, transposed: true, source, ldb: columns.y,
          into: dWeight + head * width * features, ldc: features, rows: width,
          columns: features, inner: count, store: .add)
      }
      guard let dBias else { continue }
      var sum: Float = 0
      for token in 0..<count { sum += Reduction.sum(source + token * columns.y, features) }
      dBias[head] += sum
    }
  }
}
