import Autodiff
import Kernels
import Tensors

/// An input of several short convolutions of one slot.
package struct ConvolutionInput {
  /// Shape `[R, C]`.
  let x: Variable
  /// Shape `[C, 1, W]`, the same `W` of all.
  let weight: Parameter
  /// Who reads the result.
  let readers: Readers

  package init(_ x: Variable, weight: Parameter, for readers: Readers = .any) {
    (self.x, self.weight, self.readers) = (x, weight, readers)
  }
}

extension Tape {
  /// Short causal convolutions along subsequences, of which this rank holds parts, without biases.
  ///
  /// Concretely: `y[t] = act(Σ_j w[c, 0, j] x[t−W+1+j])`, where t counts the tokens of a subsequence. The `W − 1` rows of
  /// each before the shard, of all inputs, come in one message (`RunningHalo`); what needs none is computed while they come.
  /// Run again (recomputation), it sends nothing.
  ///
  /// - Parameter slot: The layer and a halo of its own, for carries and messages.
  /// - Returns: Of each input, shape `[R, C]`.
  package func shortConvolutions(
    _ inputs: [ConvolutionInput], activation: Activation, of subsequences: Subsequences,
    slot: CarrySlot, pass: SequencePass
  ) throws -> [Variable] {
    let run = SubsequenceConvolutions(
      inputs: inputs.map {
        let shape = parameters.table[$0.weight].shape
        precondition(
          $0.x.shape.columns == shape[0], "x \($0.x.shape) for a convolution of \(shape)")
        return SubsequenceConvolutions.Input(
          x: $0.x.stored, y: workspace.room(for: $0.x.shape, readers: $0.readers),
          kernel: ShortConvolution(
            channels: shape[0], width: shape[2], activation: activation))
      }, subsequences: subsequences, slot: slot, pass: pass)
    let halo = try run.forward(taps: inputs.map { taps($0.weight) })
    let isNeeded = inputs.contains { $0.x.needsGradient || trains($0.weight) }
    let gradients = GradientsOfConvolutions(inputs.count)
    return inputs.enumerated().map { index, input in
      record(
        run.inputs[index].y, input.x.shape, inputs: [input.x], always: isNeeded
      ) { [unowned self] dy in
        // The output recorded last is differentiated first.
        let exchange = try gradients.exchange ?? run.beginBackward()
        gradients.exchange = exchange
        let dHalo = gradients.halo ?? Tensor(exchange.shape, pool: pool)
        if gradients.halo == nil {
          workspace.compute(.normsAndGates) { dHalo.clear() }
          gradients.halo = dHalo
        }
        let (dx, accumulate) =
          input.x.needsGradient
          ? input.x.gradientTarget(in: workspace) : (Tensor(input.x.shape, pool: pool), false)
        gradients.dx[index] = dx
        let taps = taps(input.weight)
        let dTaps = trains(input.weight) ? Tensor(taps.shape, pool: pool) : nil
        run.backward(
          index, dy, halo, taps: taps, into: dx, accumulate: accumulate,
          dHalo: dHalo, dTaps: dTaps, exchange)
        if let dTaps { add(dTaps, toTaps: input.weight) }
        guard index == 0 else { return }
        try exchange.finishBackward(gradients.dx.map { $0! }, halo: dHalo)
        (gradients.exchange, gradients.halo) = (nil, nil)
        gradients.dx = gradients.dx.map { _ in nil }
      }
    }
  }
}

/// What of several convolutions' gradients waits for the others.
private final class GradientsOfConvolutions {
  var exchange: RunningHalo?
  var halo: Tensor?
  var dx: [Tensor?]

  init(_ count: Int) { dx = [Tensor?](repeating: nil, count: count) }
}

/// Drives the kernels and the exchange of their halos, for one slot of one pass.
///
/// Unchecked: a team's threads read its constants; the pass and what it holds are the rank's own thread's alone.
private struct SubsequenceConvolutions: @unchecked Sendable {
  struct Input {
    let x, y: Operand
    let kernel: ShortConvolution
  }

  let inputs: [Input]
  let subsequences: Subsequences
  let slot: CarrySlot
  let pass: SequencePass

  private var workspace: Workspace { pass.context.workspace }
  private var before: Int { inputs[0].kernel.width - 1 }

  private func makeExchange() -> RunningHalo {
    RunningHalo(
      subsequences, width: before, columns: inputs.map(\.kernel.channels), slot: slot, pass: pass,
      category: .normsAndGates)
  }

  /// Writes the outputs; gives the halo for the backward pass.
  func forward(taps: [Tensor]) throws -> Halo {
    let exchange = makeExchange()
    if let halo: Halo = pass.memory[slot] {
      compute(taps, nil, exchange, isFirst: false)
      compute(taps, halo, exchange, isFirst: true)
      return halo
    }
    try exchange.begin(inputs.map(\.x))
    try exchange.advance()
    compute(taps, nil, exchange, isFirst: false)
    let halo = try exchange.finish()
    compute(taps, halo, exchange, isFirst: true)
    pass.memory[slot] = halo
    return halo
  }

  /// Posts the receive of what goes back.
  func beginBackward() throws -> RunningHalo {
    let exchange = makeExchange()
    try exchange.beginBackward()
    return exchange
  }

  /// Writes or adds to an input's `dx`; writes its part of `dHalo`, which is zero, and `dTaps`, `[W, C]`.
  func backward(
    _ index: Int, _ dy: Tensor, _ halo: Halo, taps: Tensor, into dx: Tensor, accumulate: Bool,
    dHalo: Tensor, dTaps: Tensor?, _ exchange: RunningHalo
  ) {
    let kernel = inputs[index].kernel
    let C = kernel.channels
    let scratch = Tensor([kernel.scratchCount], pool: workspace.pool)
    let weights = ShortConvolution.Weights(taps: taps.pointer, bias: nil)
    let rows = subsequences.parts.indices.map { part in
      (
        row: row(part, index, halo, exchange), first: subsequences.parts[part].first * C,
        halo: exchange.place(part, tensor: index)
      )
    }
    workspace.compute(.normsAndGates) {
      dTaps?.clear()
      workspace.team.parallel((C + 63) / 64) { blocks in
        let channels = 64 * blocks.lowerBound..<min(64 * blocks.upperBound, C)
        for (row, first, halo) in rows {
          kernel.backward(
            row, weights, dy.pointer + first, into: dx.pointer + first, accumulate: accumulate,
            dHalo: dHalo.pointer + halo, dTaps: dTaps?.pointer, dBias: nil, channels: channels,
            scratch: scratch.pointer)
        }
      }
    }
  }

  private func row(
    _ part: Int, _ index: Int, _ halo: Halo?, _ exchange: RunningHalo
  ) -> ShortConvolution.Row {
    let rows = subsequences.parts[part]
    let place = exchange.place(part, tensor: index)
    return ShortConvolution.Row(
      x: inputs[index].x.from(rows.first * inputs[index].kernel.channels),
      halo: halo.map { UnsafePointer($0.values.pointer + place) }, tokens: rows.count,
      starts: rows.starts)
  }

  /// Computes the first tokens of each subsequence, which read the halo, or all others.
  private func compute(_ taps: [Tensor], _ halo: Halo?, _ exchange: RunningHalo, isFirst: Bool) {
    for (index, input) in inputs.enumerated() {
      let (kernel, C) = (input.kernel, input.kernel.channels)
      let weights = ShortConvolution.Weights(taps: taps[index].pointer, bias: nil)
      for (part, rows) in subsequences.parts.enumerated() {
        let inner = min(before, rows.count)
        let tokens = isFirst ? 0..<inner : inner..<rows.count
        guard !tokens.isEmpty else { continue }
        let (row, y) = (self.row(part, index, halo, exchange), input.y.from(rows.first * C))
        workspace.compute(.normsAndGates) {
          workspace.team.parallel(tokens.count, grain: max(1, (1 << 14) / C)) { range in
            kernel.forward(
              row, weights, into: y,
              tokens: tokens.lowerBound + range.lowerBound..<tokens.lowerBound + range.upperBound)
          }
        }
      }
    }
  }
}
