import Kernels

/// How the widths of queries, keys and values are cut into heads.
struct HeadSplit {
  /// Heads of queries and of the state.
  let heads: Int
  /// Heads of keys and values; each serves `heads / keyHeads` neighbouring heads.
  let keyHeads: Int
  /// Width of all heads' keys, if there were as many as queries.
  let keyWidth: Int
  /// Width of all heads' values, likewise.
  let valueWidth: Int
  /// Whether halves of a key are rotated, so that it must be even.
  let isRotated: Bool
  /// The most numbers that a key may have: what the kernel takes.
  let mostKeys: Int

  /// As many heads of keys as of queries, by their widths.
  init(
    heads: Int, keyWidth: Int, valueWidth: Int, mostKeys: Int = DiagonalRecurrence.mostKeys
  ) {
    (self.heads, keyHeads, isRotated) = (heads, heads, false)
    self.mostKeys = mostKeys
    (self.keyWidth, self.valueWidth) = (keyWidth, valueWidth)
  }

  /// Widths that are `expandKey` and `expandValue` times D, rounded down.
  init(
    dimension: Int, expandKey: Double, expandValue: Double, heads: Int, keyHeads: Int?,
    isRotated: Bool = false, mostKeys: Int = DiagonalRecurrence.mostKeys
  ) {
    self.mostKeys = mostKeys
    self.heads = heads
    self.keyHeads = keyHeads ?? heads
    keyWidth = Int(Double(dimension) * expandKey)
    valueWidth = Int(Double(dimension) * expandValue)
    self.isRotated = isRotated
  }

  /// Heads of `width` numbers for queries, keys and values, whatever the model's width is.
  init(heads: Int, keyHeads: Int?, rotated width: Int) {
    (self.heads, self.keyHeads) = (heads, keyHeads ?? heads)
    (keyWidth, valueWidth) = (heads * width, heads * width)
    (isRotated, mostKeys) = (true, .max)
  }

  /// K, numbers of a key.
  var keyDimension: Int { keyWidth / heads }
  /// V, numbers of a value.
  var valueDimension: Int { valueWidth / heads }
  /// Numbers of a value that a recurrence works on as one head.
  var partDimension: Int { Self.part(of: valueDimension) }
  /// Such parts of a value.
  var valueParts: Int { valueDimension / partDimension }
  /// `K^−½`, what outputs are multiplied by.
  var scale: Float { 1 / Float(keyDimension).squareRoot() }
  /// Width of the keys that there are.
  var ownKeyWidth: Int { keyHeads * keyDimension }
  /// Width of the values that there are.
  var ownValueWidth: Int { keyHeads * valueDimension }

  /// Numbers of a value that a recurrence works on as one head: all, or a part of at most 256.
  ///
  /// The columns of a state do not depend on each other, so a wide value is several heads of the state that
  /// share their queries and keys.
  static func part(of value: Int) -> Int { value / ((value + 255) / 256) }

  /// Why it cannot be, and what to do; nil where it can.
  var problem: String? {
    if let problem = widthProblem { return problem }
    if keyDimension > mostKeys {
      return
        "\(heads) heads cut the keys into \(keyDimension) numbers each, and \(mostKeys) is the "
        + "most; use at least \((keyWidth + mostKeys - 1) / mostKeys) heads"
    }
    if valueDimension % partDimension != 0 || partDimension < valueDimension && keyHeads < heads {
      return "values of \(valueDimension) numbers a head cannot be cut into parts of at most 256; "
        + "use more heads"
    }
    return rotationProblem
  }

  /// Why keys cannot be rotated; nil where they can or need not be.
  var rotationProblem: String? {
    guard isRotated, keyDimension % 2 != 0 else { return nil }
    return "keys of \(keyDimension) numbers cannot be rotated by halves; choose an even number"
  }

  /// Why the widths cannot be cut so, whatever is computed with the heads; nil where they can.
  var widthProblem: String? {
    for (name, width) in [("keys", keyWidth), ("values", valueWidth)] {
      if width > 1 << 24 {
        return
          "the \(name) are \(width) wide, and \(1 << 24) is the most; use fewer or smaller heads"
      }
      if width < heads || width % heads != 0 {
        return "\(heads) heads do not divide the \(name)' width of \(width); "
          + "choose a divisor of \(width), or another width"
      }
    }
    if heads % keyHeads != 0 {
      return "\(keyHeads) heads of keys and values do not divide \(heads) heads; "
        + "choose a divisor of \(heads)"
    }
    return nil
  }
}
