import Kernels
import Measurement
import Tensors

extension Tape {
  /// The fewest elements worth a thread of their own.
  static let grain = 1 << 15

  /// A function of each number.
  ///
  /// Its argument may be stored for products, as that of all pointwise functions, unless the function is none.
  package func activation(
    _ function: Activation, _ x: Variable, for readers: Readers = .any
  ) -> Variable {
    switch function {
    case .identity: x
    case .relu: relu(x, for: readers)
    case .silu: silu(x, for: readers)
    case .sigmoid: sigmoid(x)
    case .eluPlusOne: eluPlusOne(x, for: readers)
    }
  }

  /// `y = x σ(x)`, elementwise.
  package func silu(_ x: Variable, for readers: Readers = .any) -> Variable {
    pointwise(x, for: readers, SiLU.forward, SiLU.backward)
  }

  /// `y = max(x, 0)`, elementwise.
  package func relu(_ x: Variable, for readers: Readers = .any) -> Variable {
    pointwise(x, for: readers, ReLU.forward, ReLU.backward)
  }

  /// `y = max(x, 0)²`, elementwise.
  package func squaredReLU(_ x: Variable, for readers: Readers = .any) -> Variable {
    pointwise(x, for: readers, SquaredReLU.forward, SquaredReLU.backward)
  }

  /// `y = tanh(x)`, elementwise.
  package func tanh(_ x: Variable) -> Variable {
    pointwise(x, Tanh.forward, Tanh.backward)
  }

  /// `y = elu(x) + 1`, elementwise.
  package func eluPlusOne(_ x: Variable, for readers: Readers = .any) -> Variable {
    pointwise(x, for: readers, ELUPlusOne.forward, ELUPlusOne.backward)
  }

  /// `y = scale · σ(x)`, elementwise.
  package func sigmoid(_ x: Variable, scale: Float = 1) -> Variable {
    let (y, input) = (Tensor(x.shape, pool: pool), x.stored)
    blocks(y.count, of: [input]) { part, block in
      Sigmoid.forward(
        input.read(part, block(0)), scale: scale, into: y.pointer + part.lowerBound,
        count: part.count)
    }
    let sum = x.sum
    return record(y, inputs: [x], remembersOutput: true) { [unowned self] dy in
      let (dx, accumulate) = sum.room(in: workspace)
      blocks(dy.count, of: [dx]) { part, block in
        let at = part.lowerBound
        Sigmoid.backward(
          y.pointer + at, scale: scale, dy.pointer + at, into: dx.room(part, block(0)),
          count: part.count, accumulate: accumulate)
        dx.finish(part, block(0))
      }
    }
  }

  /// `y = a ⊙ b`, both of one shape.
  package func product(_ a: Variable, _ b: Variable, for readers: Readers = .any) -> Variable {
    precondition(a.shape.count == b.shape.count, "product of \(a.shape) and \(b.shape)")
    let y = workspace.room(for: a.shape, readers: readers)
    let (first, second) = (a.stored, b.stored)
    let (keptA, keptB) = (kept(a), kept(b))
    let (left, right) = (keptA.numbers, keptB.numbers)
    blocks(a.shape.count, of: [first, second, y, left, right]) { part, block in
      let (a, b) = (first.read(part, block(0)), second.read(part, block(1)))
      Product.forward(a, b, into: y.room(part, block(2)), count: part.count)
      y.finish(part, block(2))
      keptA.keep(part, a)
      keptB.keep(part, b)
    }
    let (sumOfA, sumOfB) = (a.sum, b.sum)
    return record(y, a.shape, inputs: [a, b]) { [unowned self] dy in
      guard sumOfA !== sumOfB, sumOfA.isNeeded, sumOfB.isNeeded else {
        for (side, other) in [(sumOfA, right), (sumOfB, left)] where side.isNeeded {
          let (d, accumulate) = side.target(in: workspace)
          blocks(dy.count, of: [other]) { part, block in
            Product.backward(
              other.read(part, block(0)), dy.pointer + part.lowerBound,
              into: d.pointer + part.lowerBound, count: part.count, accumulate: accumulate)
          }
        }
        return
      }
      let ((da, addsA), (db, addsB)) = (
        sumOfA.room(in: workspace), sumOfB.room(in: workspace)
      )
      blocks(dy.count, of: [left, right, da, db]) { part, block in
        Product.backward(
          left.read(part, block(0)), right.read(part, block(1)), dy.pointer + part.lowerBound,
          da: (da.room(part, block(2)), addsA), db: (db.room(part, block(3)), addsB),
          count: part.count)
        da.finish(part, block(2))
        db.finish(part, block(3))
      }
    }
  }

  /// `y = silu(gate) ⊙ x`, both of one shape.
  package func swiGLU(
    gate: Variable, _ x: Variable, for readers: Readers = .any
  ) -> Variable {
    let y = workspace.room(for: x.shape, readers: readers)
    let (z, numbers) = (gate.stored, x.stored)
    let (keptGate, keptX) = (kept(gate), kept(x))
    let (gates, input) = (keptGate.numbers, keptX.numbers)
    blocks(x.shape.count, of: [z, numbers, y, gates, input]) { part, block in
      let (gate, x) = (z.read(part, block(0)), numbers.read(part, block(1)))
      SwiGLU.forward(gate, x, into: y.room(part, block(2)), count: part.count)
      y.finish(part, block(2))
      keptGate.keep(part, gate)
      keptX.keep(part, x)
    }
    let (sumOfGate, sumOfX) = (gate.sum, x.sum)
    return record(y, x.shape, inputs: [gate, x]) { [unowned self] dy in
      let (da, db) = (sumOfGate.newGradient(in: workspace), sumOfX.newGradient(in: workspace))
      blocks(dy.count, of: [gates, input, da, db]) { part, block in
        SwiGLU.backward(
          gates.read(part, block(0)), input.read(part, block(1)), dy.pointer + part.lowerBound,
          da: da.room(part, block(2)), db: db.room(part, block(3)), count: part.count)
        da.finish(part, block(2))
        db.finish(part, block(3))
      }
      sumOfGate.add(da, in: workspace)
      sumOfX.add(db, in: workspace)
    }
  }

  /// The same numbers, stored as their readers let them be: as products read them already, or will.
  package func stored(_ x: Variable, for readers: Readers) -> Variable {
    let y = readers == .products ? x.operand(in: workspace) : x.stored
    guard y.kind != x.stored.kind else { return x }
    let sum = x.sum
    return record(y, x.shape, inputs: [x]) { [unowned self] dy in sum.add(dy, in: workspace) }
  }

  /// A value whose numbers are all the same, and of which no gradient is wanted.
  package func constant(_ shape: Shape, _ number: Float) -> Variable {
    let y = Tensor(shape, pool: pool)
    workspace.compute(.normsAndGates) { y.pointer.update(repeating: number, count: y.count) }
    return record(y) { _ in }
  }

  /// A function of each element, whose twin reads the function's argument.
  ///
  /// - Parameter isKept: Whether another op that comes later keeps the argument as it is.
  func pointwise(
    _ x: Variable, isKept: Bool = false, for readers: Readers = .any,
    _ forward: @escaping @Sendable (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void,
    _ backward:
      @escaping @Sendable (
        UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int, Bool
      ) -> Void
  ) -> Variable {
    let (y, numbers) = (workspace.room(for: x.shape, readers: readers), x.stored)
    let kept = isKept ? KeptNumbers(numbers, isCopy: false) : kept(x)
    let input = kept.numbers
    blocks(x.shape.count, of: [numbers, y, input]) { part, block in
      let x = numbers.read(part, block(0))
      forward(x, y.room(part, block(1)), part.count)
      y.finish(part, block(1))
      kept.keep(part, x)
    }
    let sum = x.sum
    return record(y, x.shape, inputs: [x]) { [unowned self] dy in
      let (dx, accumulate) = sum.room(in: workspace)
      blocks(dy.count, of: [input, dx]) { part, block in
        backward(
          input.read(part, block(0)), dy.pointer + part.lowerBound, dx.room(part, block(1)),
          part.count, accumulate)
        dx.finish(part, block(1))
      }
    }
  }

  /// Runs a pointwise kernel over all threads: over all numbers of a thread at once where its operands are fp32, else
  /// in blocks that stay in the cache while they are widened, computed and rounded.
  ///
  /// - Parameters:
  ///   - operands: What it reads and writes that may be bf16.
  ///   - body: Has the part, and a block of fp32 numbers for each of the operands.
  func blocks(
    _ count: Int, of operands: [Operand],
    _ body: @Sendable (Range<Int>, BlockScratch.Blocks) -> Void
  ) {
    rowBlocks(count, width: 1, of: operands, on: .normsAndGates) { _, part, block in
      body(part, block)
    }
  }

  /// The same for rows.
  ///
  /// - Parameter body: Has the thread's index, too.
  package func rowBlocks(
    _ rows: Int, width: Int, of operands: [Operand], on category: TimeCategory,
    _ body: @Sendable (Int, Range<Int>, BlockScratch.Blocks) -> Void
  ) {
    let grain = max(1, Tape.grain / max(width, 1))
    guard let scratch = BlockScratch(width: width, of: operands, in: workspace) else {
      workspace.compute(category) {
        workspace.team.parallel(rows, grain: grain) { thread, part in
          body(thread, part, .none)
        }
      }
      return
    }
    workspace.compute(category) {
      workspace.team.parallel(rows, grain: grain) { thread, part in
        scratch.each(part, thread: thread) { body(thread, $0, $1) }
      }
    }
  }

  /// Runs an elementwise kernel over all threads, on the account of norms and gates.
  package func elementwise(_ count: Int, _ body: @Sendable (Range<Int>) -> Void) {
    workspace.compute(.normsAndGates) {
      workspace.team.parallel(count, grain: Tape.grain, body)
    }
  }
}
