import Kernels
import Measurement
import Tensors

extension Tape {
  /// The fewest elements worth a thread of their own.
  static let grain = 1 << 15

  /// A function of each number.
  package func activation(_ function: Activation, _ x: Variable) -> Variable {
    switch function {
    case .identity: x
    case .relu: relu(x)
    case .silu: silu(x)
    case .sigmoid: sigmoid(x)
    case .eluPlusOne: eluPlusOne(x)
    }
  }

  /// `y = x σ(x)`, elementwise.
  package func silu(_ x: Variable) -> Variable {
    pointwise(x, SiLU.forward, SiLU.backward)
  }

  /// `y = max(x, 0)`, elementwise.
  package func relu(_ x: Variable) -> Variable {
    pointwise(x, ReLU.forward, ReLU.backward)
  }

  /// `y = max(x, 0)²`, elementwise.
  package func squaredReLU(_ x: Variable) -> Variable {
    pointwise(x, SquaredReLU.forward, SquaredReLU.backward)
  }

  /// `y = tanh(x)`, elementwise.
  package func tanh(_ x: Variable) -> Variable {
    pointwise(x, Tanh.forward, Tanh.backward)
  }

  /// `y = elu(x) + 1`, elementwise.
  package func eluPlusOne(_ x: Variable) -> Variable {
    pointwise(x, ELUPlusOne.forward, ELUPlusOne.backward)
  }

  /// `y = scale · σ(x)`, elementwise.
  package func sigmoid(_ x: Variable, scale: Float = 1) -> Variable {
    let (y, input) = (Tensor(x.shape, pool: pool), x.value)
    elementwise(y.count) { range in
      Sigmoid.forward(
        input.pointer + range.lowerBound, scale: scale, into: y.pointer + range.lowerBound,
        count: range.count)
    }
    return record(y, inputs: [x]) { [unowned self] dy in
      let (dx, accumulate) = x.gradientTarget(in: workspace)
      elementwise(dy.count) { range in
        let at = range.lowerBound
        Sigmoid.backward(
          y.pointer + at, scale: scale, dy.pointer + at, into: dx.pointer + at,
          count: range.count, accumulate: accumulate)
      }
    }
  }

  /// `y = a ⊙ b`, both of one shape.
  package func product(_ a: Variable, _ b: Variable) -> Variable {
    precondition(a.shape.count == b.shape.count, "product of \(a.shape) and \(b.shape)")
    let y = Tensor(a.shape, pool: pool)
    let (left, right) = (a.value, b.value)
    elementwise(y.count) { range in
      let at = range.lowerBound
      Product.forward(
        left.pointer + at, right.pointer + at, into: y.pointer + at, count: range.count)
    }
    return record(y, inputs: [a, b]) { [unowned self] dy in
      for (side, other) in [(a, b), (b, a)] where side.needsGradient {
        let (d, accumulate) = side.gradientTarget(in: workspace)
        let other = other.value
        elementwise(dy.count) { range in
          let at = range.lowerBound
          Product.backward(
            other.pointer + at, dy.pointer + at, into: d.pointer + at, count: range.count,
            accumulate: accumulate)
        }
      }
    }
  }

  /// `y = silu(gate) ⊙ x`, both of one shape.
  package func swiGLU(gate: Variable, _ x: Variable) -> Variable {
    let y = Tensor(x.shape, pool: pool)
    let (gates, input) = (gate.value, x.value)
    elementwise(y.count) { range in
      let at = range.lowerBound
      SwiGLU.forward(
        gates.pointer + at, input.pointer + at, into: y.pointer + at, count: range.count)
    }
    return record(y, inputs: [gate, x]) { [unowned self] dy in
      let da = Tensor(gate.shape, pool: pool)
      let db = Tensor(x.shape, pool: pool)
      elementwise(dy.count) { range in
        let at = range.lowerBound
        SwiGLU.backward(
          gates.pointer + at, input.pointer + at, dy.pointer + at, da: da.pointer + at,
          db: db.pointer + at, count: range.count)
      }
      gate.add(gradient: da, in: workspace)
      x.add(gradient: db, in: workspace)
    }
  }

  /// A value whose numbers are all the same, and of which no gradient is wanted.
  package func constant(_ shape: Shape, _ number: Float) -> Variable {
    let y = Tensor(shape, pool: pool)
    workspace.compute(.normsAndGates) { y.pointer.update(repeating: number, count: y.count) }
    return record(y) { _ in }
  }

  /// A function of each element, whose twin reads the function's argument.
  func pointwise(
    _ x: Variable,
    _ forward: @escaping @Sendable (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void,
    _ backward:
      @escaping @Sendable (
        UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int, Bool
      ) -> Void
  ) -> Variable {
    let (y, input) = (Tensor(x.shape, pool: pool), x.value)
    elementwise(y.count) { range in
      forward(input.pointer + range.lowerBound, y.pointer + range.lowerBound, range.count)
    }
    return record(y, inputs: [x]) { [unowned self] dy in
      let (dx, accumulate) = x.gradientTarget(in: workspace)
      elementwise(dy.count) { range in
        let at = range.lowerBound
        backward(
          input.pointer + at, dy.pointer + at, dx.pointer + at, range.count, accumulate)
      }
    }
  }

  /// Runs an elementwise kernel over all threads, on the account of norms and gates.
  func elementwise(_ count: Int, _ body: @Sendable (Range<Int>) -> Void) {
    workspace.compute(.normsAndGates) {
      workspace.team.parallel(count, grain: Tape.grain, body)
    }
  }
}
