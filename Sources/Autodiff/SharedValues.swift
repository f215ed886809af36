import Tensors

/// Values of one region that regions after it read, such as the first layer's values in RWKV-7.
///
/// What is shared is a variable of its own beside the tape's regions: readers add to its gradient, whether they are
/// recomputed or not, and it is complete when the region that shared it is differentiated, since all readers come
/// later. Where that region is recomputed, the variable of its second run takes over the gradient of the first.
final class SharedValues {
  private var variables: [String: Variable] = [:]

  subscript(name: String) -> Variable? {
    get { variables[name] }
    set { variables[name] = newValue }
  }
}

extension Tape {
  /// Shares a value with the regions that run after this one.
  ///
  /// - Parameter name: By which they find it; one value has it in a pass.
  package func share(_ x: Variable, as name: String) {
    let earlier = isRecomputing ? shared[name] : nil
    if earlier == nil, isDeferred {
      // The second run of the region remembers how the gradient goes on.
      shared[name] = Variable(x.stored, x.shape, needsGradient: true)
      return
    }
    let sum = x.sum
    let variable = record(x.stored, x.shape, inputs: [x]) { [unowned self] gradient in
      sum.add(gradient, in: workspace)
    }
    if let gradient = earlier?.takeGradient() { variable.add(gradient: gradient, in: workspace) }
    shared[name] = variable
  }

  /// The value that an earlier region shared; nil where none did.
  package func sharedValue(_ name: String) -> Variable? { shared[name] }
}
