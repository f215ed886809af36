import Autodiff
import Kernels
import Tensors

extension Tape {
  /// A linear recurrence that takes several steps a token, such as DeltaProduct's.
  ///
  /// It is the recurrence over `steps` times as many steps, whose chunks need not end where tokens do. A token's decay
  /// stands at its first step, and its query at its last, where its output is. What the steps between lack is zero, and is
  /// there only while the recurrence runs.
  ///
  /// - Parameters:
  ///   - inputs: q and g of each token; all others of each step, `[N, steps·heads·width]`, a step after the other.
  ///   - steps: Steps a token.
  /// - Returns: `[N, heads·outputWidth]`.
  /// - Source: DeltaProduct (arXiv 2502.10297).
  package func recurrence(
    _ kernel: any RecurrenceKernel, _ inputs: RecurrenceInputs, steps: Int, slot: CarrySlot,
    pass: SequencePass
  ) throws -> Variable {
    guard steps > 1 else { return try recurrence(kernel, inputs, slot: slot, pass: pass) }
    let stepped = SteppedRecurrence(
      kernel: kernel, inputs: inputs, steps: steps, slot: slot, pass: pass)
    let (o, kept) = try workspace.counters.measure(.recurrence) { try stepped.forward() }
    return record(o, inputs: inputs.variables) { [unowned self] dO in
      try workspace.counters.measure(.recurrence) { try stepped.backward(dO: dO, kept: kept) }
    }
  }
}

/// A recurrence of several steps a token: what it is fed with, and what becomes of its results.
private struct SteppedRecurrence {
  let kernel: any RecurrenceKernel
  let inputs: RecurrenceInputs
  let steps: Int
  let slot: CarrySlot
  let pass: SequencePass

  private var workspace: Workspace { pass.context.workspace }

  /// Gives the outputs of tokens, and what the kernel keeps.
  func forward() throws -> (o: Tensor, kept: Tensor) {
    let (o, kept) = try run(of: steppedInputs()).forward()
    return (taken(o, at: steps - 1), kept)
  }

  /// Adds the gradients to the inputs'.
  func backward(dO: Tensor, kept: Tensor) throws {
    let wide = steppedInputs()
    let gradients = RecurrenceGradients(wide, pool: workspace.pool)
    try run(of: wide).backward(o: nil, dO: spread(dO, at: steps - 1), kept: kept, into: gradients)
    inputs.q.add(gradient: taken(gradients.q, at: steps - 1), in: workspace)
    if let g = gradients.g { inputs.g?.add(gradient: taken(g, at: 0), in: workspace) }
    let others = [
      (inputs.k, gradients.k), (inputs.v, gradients.v), (inputs.beta, gradients.beta),
      (inputs.a, gradients.a), (inputs.b, gradients.b),
    ]
    for case (let input?, let gradient?) in others {
      input.add(gradient: reshaped(gradient, input.shape), in: workspace)
    }
  }

  private func run(of inputs: RecurrenceInputs) -> RecurrenceRun {
    RecurrenceRun(
      units: RecurrenceUnits(
        kernel: kernel, inputs: inputs, layout: pass.layout.stepped(steps)),
      slot: slot, pass: pass)
  }

  /// The inputs with a row a step.
  private func steppedInputs() -> RecurrenceInputs {
    func steppedRows(_ x: Variable) -> Variable {
      let (rows, columns) = (x.shape.rows, x.shape.columns)
      precondition(columns % steps == 0, "\(steps) steps of \(x.shape)")
      return Variable(
        reshaped(numbers(x), [rows * steps, columns / steps]), needsGradient: false)
    }
    return RecurrenceInputs(
      q: Variable(spread(numbers(inputs.q), at: steps - 1), needsGradient: false),
      k: steppedRows(inputs.k), v: steppedRows(inputs.v),
      g: inputs.g.map { Variable(spread($0.value, at: 0), needsGradient: false) },
      beta: inputs.beta.map(steppedRows), a: inputs.a.map(steppedRows),
      b: inputs.b.map(steppedRows), logDecay: inputs.logDecay)
  }

  /// An input in fp32, however it is stored.
  private func numbers(_ x: Variable) -> Tensor { workspace.tensor(of: x.stored, x.shape) }

  private func reshaped(_ x: Tensor, _ shape: Shape) -> Tensor {
    Tensor(shape, buffer: x.buffer, offset: x.offset)
  }

  /// A row a step: a token's at one of its steps, zeros at the others.
  private func spread(_ x: Tensor, at step: Int) -> Tensor {
    let (steps, rows, columns) = (steps, x.shape.rows, x.shape.columns)
    let result = Tensor([rows * steps, columns], pool: workspace.pool)
    workspace.run {
      workspace.team.parallel(rows, grain: 64) { range in
        for row in range {
          let target = result.pointer + row * steps * columns
          target.update(repeating: 0, count: steps * columns)
          (target + step * columns).update(from: x.pointer + row * columns, count: columns)
        }
      }
    }
    return result
  }

  /// The rows at one step of each token.
  private func taken(_ x: Tensor, at step: Int) -> Tensor {
    let (steps, rows, columns) = (steps, x.shape.rows / steps, x.shape.columns)
    let result = Tensor([rows, columns], pool: workspace.pool)
    workspace.run {
      workspace.team.parallel(rows, grain: 64) { range in
        for row in range {
          (result.pointer + row * columns)
            .update(from: x.pointer + (row * steps + step) * columns, count: columns)
        }
      }
    }
    return result
  }
}
