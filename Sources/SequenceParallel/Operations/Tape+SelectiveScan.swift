import Autodiff
import Kernels
import Measurement
import Tensors

extension Tape {
  /// Mamba's selective scan over the whole sequence, of which this rank holds a shard.
  ///
  /// Concretely, with rates `A = −e^{A_log}`, for channel i and state n:
  /// `h_t[i,n] = e^{A[i,n] dt_t[i]} h_{t−1}[i,n] + dt_t[i] u_t[i] B_t[n]`, `y_t[i] = Σ_n C_t[n] h_t[i,n] + D[i] u_t[i]`, where `h`
  /// before the shard comes from the rank before, in `ShardRun`'s order of events. Kept are the states at the starts
  /// of chunks.
  ///
  /// - Parameters:
  ///   - u: Shape `[N, I]`, `N = rows × length`; it may be stored for products.
  ///   - dt: Steps ≥ 0, `[N, I]`.
  ///   - b: Shape `[N, states]`.
  ///   - c: Shape `[N, states]`.
  ///   - logRates: `A_log`, shape `[I, states]`.
  ///   - skip: `D`, shape `[I]`.
  ///   - slot: The layer and state, for carries and messages: `I · states` numbers a row.
  ///   - pass: The shard's layout and seams.
  /// - Returns: `y`, `[N, I]`.
  /// - Source: Mamba (arXiv 2312.00752).
  package func selectiveScan(
    _ u: Variable, steps dt: Variable, b: Variable, c: Variable, logRates: Parameter,
    skip: Parameter, slot: CarrySlot, pass: SequencePass
  ) throws -> Variable {
    let shape = parameters.table[logRates].shape
    let scan = SelectiveScan(channels: shape[0], states: shape[1])
    precondition(
      u.shape.columns == shape[0] && dt.shape.columns == shape[0] && b.shape.columns == shape[1]
        && c.shape.columns == shape[1],
      "u \(u.shape), dt \(dt.shape), b \(b.shape), c \(c.shape) for rates \(shape)")
    let rates = Tensor([scan.innerCount], pool: pool)
    workspace.compute(.recurrence) {
      scan.rates(parameters.value(logRates), into: rates.pointer)
    }
    let workspace = workspace
    // Made anew for each pass: what it widens of u is not kept between them.
    func makeRun() -> ScanRun {
      ScanRun(
        scan: scan, u: workspace.tensor(of: u.stored, u.shape), dt: dt.value, b: b.value,
        c: c.value, rates: rates, pass: pass)
    }
    let run = makeRun()
    let shard = run.shard(slot)
    let y = Tensor(u.shape, pool: pool)
    let kept = Tensor([run.keptOffsets.last!], pool: pool, kind: .states)
    try workspace.counters.measure(.recurrence) {
      try shard.forward(
        ScanForward(run: run, skip: parameters.value(skip), y: y, kept: kept))
    }
    return record(y, inputs: [u, dt, b, c], always: trains(logRates, skip)) {
      [unowned self] dy in
      try workspace.counters.measure(.recurrence) {
        let run = makeRun()
        let gradients = ScanGradients(run)
        try run.shard(slot).backward(
          ScanBackward(
            run: run, skip: parameters.value(skip), kept: kept, dy: dy, gradients: gradients))
        let (db, dc) = (Tensor(b.shape, pool: pool), Tensor(c.shape, pool: pool))
        workspace.compute(.recurrence) {
          gradients.sumGroups(run, into: db, dc)
          if let sums = gradientSums(logRates) {
            scan.addLogRates(
              gradients.rates.pointer, rates: rates.pointer, to: sums)
          }
          if let sums = gradientSums(skip) {
            for i in 0..<scan.channels { sums[i] += gradients.skip.pointer[i] }
          }
        }
        u.add(gradient: gradients.u, in: workspace)
        dt.add(gradient: gradients.dt, in: workspace)
        b.add(gradient: db, in: workspace)
        c.add(gradient: dc, in: workspace)
      }
    }
  }
}

/// A selective scan on one shard: where the numbers of its rows lie.
///
/// Unchecked: a team's threads read its constants; the pass and what it holds are the rank's own thread's alone.
private struct ScanRun: @unchecked Sendable {
  let scan: SelectiveScan
  let u, dt, b, c: Tensor
  /// As the kernel reads them.
  let rates: Tensor
  let pass: SequencePass
  /// Of each row.
  let rows: [SelectiveScan.Row]
  /// Where each row's part of what is kept begins; last, where it ends.
  let keptOffsets: [Int]
  let groups: ChannelGroups

  init(
    scan: SelectiveScan, u: Tensor, dt: Tensor, b: Tensor, c: Tensor, rates: Tensor,
    pass: SequencePass
  ) {
    (self.scan, self.u, self.dt, self.b, self.c) = (scan, u, dt, b, c)
    (self.rates, self.pass) = (rates, pass)
    let layout = pass.layout
    let (wide, narrow) = (layout.length * scan.channels, layout.length * scan.states)
    rows = (0..<layout.rows).map { row in
      SelectiveScan.Row(
        u: u.pointer + row * wide, dt: dt.pointer + row * wide, b: b.pointer + row * narrow,
        c: c.pointer + row * narrow,
        plan: ChunkPlan(
          tokens: layout.length, starts: layout.startsInShard(row: row),
          chunkLength: scan.chunkLength))
    }
    keptOffsets = rows.reduce(into: [0]) { $0.append($0.last! + scan.keptCount($1.plan)) }
    // An exponential and some operations a state.
    groups = ChannelGroups(
      workspace: pass.context.workspace, count: scan.groups,
      operations: layout.rows * layout.length * SelectiveScan.groupChannels * scan.states * 30)
  }

  var pool: BufferPool { pass.context.workspace.pool }

  /// How its states cross seams.
  func shard(_ slot: CarrySlot) -> ShardRun {
    ShardRun(
      slot: slot, pass: pass,
      map: StateMap(.vector, keyDimension: scan.channels * scan.states, valueDimension: 1),
      units: rows.count, knownMap: nil)
  }

  /// States as they lie inside, of one row at a time.
  func innerStates() -> Tensor { Tensor([scan.innerCount], pool: pool, kind: .buffers) }

  /// Room for states that have left already.
  func outerStates() -> Tensor {
    Tensor([rows.count, scan.channels * scan.states], pool: pool, kind: .buffers)
  }

  /// A row's numbers of its channels' tokens, and of a state.
  func tokens(_ tensor: Tensor, _ row: Int) -> UnsafeMutablePointer<Float> {
    tensor.pointer + row * pass.layout.length * scan.channels
  }

  func state(_ tensor: Tensor, _ row: Int) -> UnsafeMutablePointer<Float> {
    tensor.pointer + row * scan.channels * scan.states
  }

  func state(_ tensor: Tensor?, _ row: Int) -> UnsafePointer<Float>? {
    tensor.map { UnsafePointer($0.pointer + row * scan.channels * scan.states) }
  }
}

private struct ScanForward: ShardWork, @unchecked Sendable {
  let run: ScanRun
  /// All threads read it.
  let skip: UnsafePointer<Float>
  let y, kept: Tensor

  init(run: ScanRun, skip: UnsafeMutablePointer<Float>, y: Tensor, kept: Tensor) {
    (self.run, self.skip, self.y, self.kept) = (run, UnsafePointer(skip), y, kept)
  }

  func known(_ entering: Tensor?, leaving: Tensor) throws {
    try run.groups.each { _, groups in
      for row in run.rows.indices {
        run.scan.forward(
          run.rows[row], rates: run.rates.pointer, skip: skip, initial: run.state(entering, row),
          kept: kept.pointer + run.keptOffsets[row], y: run.tokens(y, row),
          final: run.state(leaving, row), groups: groups)
      }
    }
  }

  func summarize(maps: Tensor, sums: Tensor) throws {
    let scratch = run.innerStates()
    try run.groups.each { _, groups in
      for row in run.rows.indices {
        run.scan.summarize(
          run.rows[row], rates: run.rates.pointer, map: run.state(maps, row),
          state: run.state(sums, row), groups: groups, scratch: scratch.pointer)
      }
    }
  }

  func inter(_ entering: Tensor?, after chunks: Int) throws {
    try known(entering, leaving: run.outerStates())
  }
}

private struct ScanBackward: ShardWork, @unchecked Sendable {
  let run: ScanRun
  /// All threads read it.
  let skip: UnsafePointer<Float>
  let kept, dy: Tensor
  let gradients: ScanGradients

  init(
    run: ScanRun, skip: UnsafeMutablePointer<Float>, kept: Tensor, dy: Tensor,
    gradients: ScanGradients
  ) {
    (self.run, self.skip, self.kept, self.dy) = (run, UnsafePointer(skip), kept, dy)
    self.gradients = gradients
  }

  func known(_ entering: Tensor?, leaving: Tensor) throws {
    let (scan, states) = (run.scan, run.innerStates())
    let each = (scan.scratchCount + 15) / 16 * 16
    let scratch = Tensor(
      [each * run.pass.context.workspace.team.size], pool: run.pool, kind: .buffers)
    try run.groups.each { thread, groups in
      for row in run.rows.indices {
        scan.backward(
          run.rows[row], rates: run.rates.pointer, skip: skip,
          kept: kept.pointer + run.keptOffsets[row], dy: run.tokens(dy, row),
          final: run.state(entering, row), into: gradients.row(row, run),
          dInitial: run.state(leaving, row), groups: groups, states: states.pointer,
          scratch: scratch.pointer + thread * each)
      }
    }
  }

  func summarize(maps: Tensor, sums: Tensor) throws {
    let scratch = run.innerStates()
    try run.groups.each { _, groups in
      for row in run.rows.indices {
        run.scan.summarizeBackward(
          run.rows[row], rates: run.rates.pointer, dy: run.tokens(dy, row),
          state: run.state(sums, row), groups: groups, scratch: scratch.pointer)
      }
    }
  }

  func inter(_ entering: Tensor?, after chunks: Int) throws {
    try known(entering, leaving: run.outerStates())
  }
}

/// Room for the gradients of a selective scan.
///
/// Unchecked: each thread writes what belongs to its groups of channels.
private struct ScanGradients: @unchecked Sendable {
  let u, dt: Tensor
  /// Of B and C, what each group of channels adds: `[groups, N, 2 · states]`.
  let ofGroups: Tensor
  /// Of `A`, as it lies inside, and of `D`: sums over tokens.
  let rates, skip: Tensor

  init(_ run: ScanRun) {
    let (scan, pool) = (run.scan, run.pool)
    u = Tensor(run.u.shape, pool: pool)
    dt = Tensor(run.dt.shape, pool: pool)
    ofGroups = Tensor(
      [scan.groups, run.b.shape.rows, 2 * scan.states], pool: pool, kind: .buffers)
    rates = Tensor([scan.innerCount], pool: pool, kind: .buffers)
    skip = Tensor([scan.channels], pool: pool, kind: .buffers)
    run.pass.context.workspace.compute(.recurrence) {
      rates.clear()
      skip.clear()
    }
  }

  /// Those of one row.
  func row(_ row: Int, _ run: ScanRun) -> SelectiveScan.Gradients {
    let width = 2 * run.scan.states
    return SelectiveScan.Gradients(
      du: run.tokens(u, row), ddt: run.tokens(dt, row),
      dBC: ofGroups.pointer + row * run.pass.layout.length * width,
      groupStride: run.b.shape.rows * width, dRates: rates.pointer, dSkip: skip.pointer)
  }

  /// Writes the gradients of B and C, the groups' parts added in their order.
  func sumGroups(_ run: ScanRun, into db: Tensor, _ dc: Tensor) {
    let (rows, states) = (run.b.shape.rows, run.scan.states)
    let (groups, parts) = (run.scan.groups, ofGroups)
    @Sendable func sum(_ row: Int, from first: Int, into target: UnsafeMutablePointer<Float>) {
      target.update(repeating: 0, count: states)
      for group in 0..<groups {
        let part = parts.pointer + (group * rows + row) * 2 * states + first
        for n in 0..<states { target[n] += part[n] }
      }
    }
    run.pass.context.workspace.team.parallel(rows, grain: 64) { range in
      for row in range {
        sum(row, from: 0, into: db.pointer + row * states)
        sum(row, from: states, into: dc.pointer + row * states)
      }
    }
  }
}
