/// Names one thing that crosses a seam.
package struct CarrySlot: Hashable, Sendable {
  /// What it is.
  package enum Content: Hashable, Sendable {
    /// The state of a recurrence; a layer with several counts them.
    case state(Int)
    /// The last inputs of a short convolution or token shift.
    case halo(Int)
    /// The last keys and values of an attention window, or all of them: `[rows, tokens, keys + values]`.
    case window
    /// How many of the window's tokens, counted from its end, each row sees: `[rows]`, each the bits of an integer.
    case windowLengths
  }

  /// The block it belongs to.
  package let layer: Int
  /// What it is.
  package let content: Content

  package init(layer: Int, _ content: Content) {
    self.layer = layer
    self.content = content
  }
}

extension CarrySlot {
  /// The slot's name in files, such as `layers.3.state.0`.
  package var name: String {
    let content =
      switch content {
      case .state(let index): "state.\(index)"
      case .halo(let index): "halo.\(index)"
      case .window: "window"
      case .windowLengths: "window_lengths"
      }
    return "layers.\(layer).\(content)"
  }

  /// The slot of that name, or nil.
  package init?(name: String) {
    let parts = name.split(separator: ".")
    guard parts.count >= 3, parts[0] == "layers", let layer = Int(parts[1]) else { return nil }
    let index = parts.count == 4 ? Int(parts[3]) : nil
    switch (parts[2], index) {
    case ("state", let index?): self.init(layer: layer, .state(index))
    case ("halo", let index?): self.init(layer: layer, .halo(index))
    case ("window", nil): self.init(layer: layer, .window)
    case ("window_lengths", nil): self.init(layer: layer, .windowLengths)
    default: return nil
    }
  }
}

extension CarrySlot.Content {
  /// The content as a number: two bits for the case, the rest for its index.
  var code: Int {
    switch self {
    case .state(let index): index << 2
    case .halo(let index): index << 2 | 1
    case .window: 2
    case .windowLengths: 3
    }
  }

  init(code: Int) {
    switch code & 3 {
    case 0: self = .state(code >> 2)
    case 1: self = .halo(code >> 2)
    case 2: self = .window
    default: self = .windowLengths
    }
  }
}
