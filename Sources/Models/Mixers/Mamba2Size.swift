/// How the widths of a Mamba-2 mixer are cut.
struct Mamba2Size: Equatable {
  /// I, the width of all heads' values.
  let inner: Int
  /// V, the width of a head's values.
  let headWidth: Int
  /// N, the width of keys and queries.
  let stateSize: Int
  /// G, how many keys and queries there are; each serves neighbouring heads.
  let groups: Int

  /// H, heads of the state.
  var heads: Int { inner / headWidth }
  /// What goes through the convolution: values, keys, queries.
  var mixed: Int { inner + 2 * groups * stateSize }

  /// The key of a `config.json` that cannot be, and why; nil where all can.
  var problem: (key: String, reason: String)? {
    if inner < headWidth || inner % headWidth != 0 {
      return (
        "head_dim",
        "heads of \(headWidth) numbers do not divide an inner width of \(inner); "
          + "choose a divisor of \(inner)"
      )
    }
    if stateSize > 256 {
      return ("state_size", "\(stateSize) is above 256, the widest state that is computed here")
    }
    if heads % groups != 0 {
      return ("n_groups", "\(groups) groups do not divide \(heads) heads; choose a divisor")
    }
    let part = HeadSplit.part(of: headWidth)
    if headWidth % part != 0 {
      return (
        "head_dim", "\(headWidth) numbers cannot be cut into parts of at most 256; use more heads"
      )
    }
    return nil
  }
}
