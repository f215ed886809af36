import Autodiff
import Kernels
import Tensors

extension Tape {
  /// A short causal convolution of every channel along the whole sequence, of which this rank holds a shard.
  ///
  /// Concretely: `y[t] = act(b + Σ_j w[c, 0, j] x[t−W+1+j])`, `W ≤ 8`; tokens before the start of a document
  /// count as zero. The `W − 1` tokens before the shard come as a halo from the ranks that hold them, or
  /// before the sequence from `pass.left`.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, C]`, `N = rows × length`.
  ///   - weight: Shape `[C, 1, W]`.
  ///   - bias: Shape `[C]`, or nil.
  ///   - readers: Who reads the result.
  ///   - slot: The layer and a halo of its own, for carries and messages.
  /// - Returns: Shape `[N, C]`.
  package func shortConvolution(
    _ x: Variable, weight: Parameter, bias: Parameter? = nil,
    activation: Activation, for readers: Readers = .any, slot: CarrySlot, pass: SequencePass
  ) throws -> Variable {
    let shape = parameters.table[weight].shape
    let (channels, width) = (shape[0], shape[2])
    precondition(x.shape.columns == channels, "x \(x.shape) for a convolution of \(shape)")
    let run = ConvolutionRun(
      kernel: ShortConvolution(channels: channels, width: width, activation: activation),
      slot: slot, pass: pass)
    let (input, y) = (x.stored, workspace.room(for: x.shape, readers: readers))
    let halo = try run.forward(
      input, into: y, taps: taps(weight), bias: bias.map(parameters.value))
    return record(y, x.shape, inputs: [x], always: trains(weight, bias)) { [unowned self] dy in
      let (dx, accumulate) =
        x.needsGradient ? x.gradientTarget(in: workspace) : (Tensor(x.shape, pool: pool), false)
      let dTaps = trains(weight) ? Tensor([width, channels], pool: pool) : nil
      try run.backward(
        input, dy, halo, taps: taps(weight), bias: bias.map(parameters.value), into: dx,
        accumulate: accumulate, dTaps: dTaps, dBias: bias.flatMap(gradientSums))
      if let dTaps { add(dTaps, toTaps: weight) }
    }
  }

  /// A convolution's weight `[C, 1, W]` as its kernel reads it: `[W, C]`.
  func taps(_ weight: Parameter) -> Tensor {
    let shape = parameters.table[weight].shape
    let (channels, width) = (shape[0], shape[2])
    let taps = Tensor([width, channels], pool: pool)
    let w = parameters.value(weight)
    workspace.compute(.normsAndGates) {
      for c in 0..<channels {
        for j in 0..<width { taps.pointer[j * channels + c] = w[c * width + j] }
      }
    }
    return taps
  }

  /// Adds what its kernel gives to the gradients of a convolution's weight.
  func add(_ dTaps: Tensor, toTaps weight: Parameter) {
    guard let dw = gradientSums(weight) else { return }
    let (width, channels) = (dTaps.shape[0], dTaps.shape[1])
    workspace.compute(.normsAndGates) {
      for c in 0..<channels {
        for j in 0..<width { dw[c * width + j] += dTaps.pointer[j * channels + c] }
      }
    }
  }

  /// The row of the token before each: `y[t] = x[t−1]`, zero at the start of a document.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, C]`, `N = rows × length`.
  ///   - readers: Who reads the result.
  ///   - slot: The layer and a halo of its own, for carries and messages.
  /// - Returns: Shape `[N, C]`.
  package func tokenShift(
    _ x: Variable, for readers: Readers = .any, slot: CarrySlot, pass: SequencePass
  ) throws -> Variable {
    let channels = x.shape.columns
    let run = ConvolutionRun(
      kernel: ShortConvolution(channels: channels, width: 2, activation: .identity), slot: slot,
      pass: pass)
    let taps = Tensor([2, channels], pool: pool)
    workspace.compute(.normsAndGates) {
      taps.pointer.update(repeating: 1, count: channels)
      (taps.pointer + channels).update(repeating: 0, count: channels)
    }
    let (input, y) = (x.stored, workspace.room(for: x.shape, readers: readers))
    let halo = try run.forward(input, into: y, taps: taps, bias: nil)
    let (sum, shape) = (x.sum, x.shape)
    return record(y, shape, inputs: [x]) { [unowned self] dy in
      let (dx, accumulate) =
        sum.isNeeded ? sum.target(in: workspace) : (Tensor(shape, pool: pool), false)
      // Nothing is made of the numbers that were shifted, where taps have no gradient: others stand for them.
      try run.backward(
        Operand(dy), dy, halo, taps: taps, bias: nil, into: dx, accumulate: accumulate,
        dTaps: nil, dBias: nil)
    }
  }
}

/// Drives the convolution kernel and the exchange of its halo, for one slot of one pass.
private struct ConvolutionRun {
  let kernel: ShortConvolution
  let slot: CarrySlot
  let pass: SequencePass

  private var workspace: Workspace { pass.context.workspace }
  private var layout: SequenceLayout { pass.layout }
  private var before: Int { kernel.width - 1 }

  private func makeExchange() -> HaloExchange {
    HaloExchange(
      width: before, columns: [kernel.channels], carried: before, slot: slot, pass: pass,
      category: .normsAndGates)
  }

  /// Writes the output; gives the halo for the backward pass.
  func forward(
    _ x: Operand, into y: Operand, taps: Tensor, bias: UnsafePointer<Float>?
  ) throws -> Halo {
    let weights = ShortConvolution.Weights(taps: taps.pointer, bias: bias)
    if let halo: Halo = pass.memory[slot] {
      compute(x, halo, weights, y, tokens: 0..<layout.length)
      return halo
    }
    let exchange = makeExchange()
    try exchange.begin([x])
    // What needs no halo is computed while it comes.
    let inner = min(before, layout.length)
    compute(x, nil, weights, y, tokens: inner..<layout.length)
    let halo = try exchange.finish()
    compute(x, halo, weights, y, tokens: 0..<inner)
    pass.memory[slot] = halo
    return halo
  }

  /// Writes or adds to `dx`; writes `dTaps`, `[W, C]`; adds to `dBias`.
  func backward(
    _ x: Operand, _ dy: Tensor, _ halo: Halo, taps: Tensor, bias: UnsafePointer<Float>?,
    into dx: Tensor, accumulate: Bool, dTaps: Tensor?, dBias: UnsafeMutablePointer<Float>?
  ) throws {
    let exchange = makeExchange()
    try exchange.beginBackward()
    let (C, n) = (kernel.channels, layout.length)
    let dHalo = Tensor(halo.values.shape, pool: workspace.pool)
    let scratch = Tensor([kernel.scratchCount], pool: workspace.pool)
    let weights = ShortConvolution.Weights(taps: taps.pointer, bias: bias)
    let rows = (0..<layout.rows).map { row($0, x, halo) }
    let (kernel, before) = (kernel, before)
    // Each thread adds to the gradients of its own channels.
    nonisolated(unsafe) let dBias = dBias
    workspace.compute(.normsAndGates) {
      dTaps?.clear()
      dHalo.clear()
      guard n > 0 else { return }
      workspace.team.parallel((C + 63) / 64) { blocks in
        let channels = 64 * blocks.lowerBound..<min(64 * blocks.upperBound, C)
        for (row, input) in rows.enumerated() {
          kernel.backward(
            input, weights, dy.pointer + row * n * C,
            into: dx.pointer + row * n * C,
            accumulate: accumulate, dHalo: dHalo.pointer + row * before * C,
            dTaps: dTaps?.pointer, dBias: dBias, channels: channels, scratch: scratch.pointer)
        }
      }
    }
    exchange.addRight(to: [dx], halo: dHalo)
    try exchange.send(dHalo)
    try exchange.finishBackward([dx], halo: dHalo)
  }

  private func row(_ row: Int, _ x: Operand, _ halo: Halo?) -> ShortConvolution.Row {
    let first = layout.shard.lowerBound
    let starts = layout.documentStarts[row].map { $0 - first }
      .filter { $0 > -kernel.width && $0 < layout.length }
    return ShortConvolution.Row(
      x: x.from(row * layout.length * kernel.channels),
      halo: halo.map { UnsafePointer($0.pointer(row: row, token: 0)) }, tokens: layout.length,
      starts: starts)
  }

  /// Computes some tokens of every row, over all threads.
  private func compute(
    _ x: Operand, _ halo: Halo?, _ weights: ShortConvolution.Weights, _ y: Operand,
    tokens: Range<Int>
  ) {
    let (kernel, C, n) = (kernel, kernel.channels, layout.length)
    guard !tokens.isEmpty else { return }
    workspace.compute(.normsAndGates) {
      for row in 0..<layout.rows {
        let input = self.row(row, x, halo)
        workspace.team.parallel(tokens.count, grain: max(1, (1 << 14) / C)) { range in
          kernel.forward(
            input, weights, into: y.from(row * n * C),
            tokens: tokens.lowerBound + range.lowerBound..<tokens.lowerBound + range.upperBound)
        }
      }
    }
  }
}
