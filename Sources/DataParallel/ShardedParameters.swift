import Autodiff
import MessagePassing
import Tensors

/// Weights and gradients of ranks that train the same model, cut over them as far as `sharding` says.
///
/// Concretely: the index space is cut by a `Partition`, and rank r keeps the r-th part of every unit. Of the
/// optimizer's moments always no more than that, unless `sharding` is `none`; of gradients and weights no more
/// either as `sharding` says, and the rest exists only while it is used: a unit's gradients from its first
/// use in a backward pass until they are summed, a unit's weights from just before its regions run until they
/// have run.
///
/// Sums and gathers run on communicators of their own, in the same order on every rank, while the rank computes;
/// `poll` moves them on. Weights that are kept whole are brought up to date in the same way, while the next
/// pass already runs: only `acquire` waits for them.
///
/// - Source: Rajbhandari et al., "ZeRO" (arXiv 1910.02054).
package final class ShardedParameters: ParameterStore {
  /// Every parameter's name, shape and range.
  package let table: ParameterTable
  /// What is cut; `none` where there is one rank.
  package let sharding: Sharding
  /// How it is cut.
  package let partition: Partition
  /// The weights that this rank keeps: all, or its parts one after another.
  package let values: Buffer
  /// The gradient sums that this rank keeps: all, or its parts one after another.
  package let gradients: Buffer

  let gathering: any Communicator
  let workspace: Workspace
  private let reducer: GradientReducer?
  /// Where this rank's part of each unit begins among its parts.
  let offsets: [Int]

  /// The weights of a unit that are here, or coming.
  private struct Gathered {
    let memory: Buffer
    var users = 0
  }
  private var gathered: [Int: Gathered] = [:]
  private var gathers: [(unit: Int, gather: WeightGather)] = []
  /// The gradients of units that are not complete.
  private var unitGradients: [Int: Buffer] = [:]
  /// Regions of each unit that were completed in this backward pass.
  private var completed: [Int]
  /// Whether a unit's sum was formed in this step, so that more is added to it.
  private var isSummed: [Bool]
  private var finished = 0
  private var registration: Progress.Registration?

  /// Takes room for what this rank keeps, uninitialised; collective.
  ///
  /// - Parameters:
  ///   - group: The ranks that hold the same weights.
  ///   - bucketBytes: Gradients that are summed at once.
  ///   - wholes: Ranges of the index space, ascending, that are not cut where others are.
  /// - Throws: `MessagePassingError`.
  package init(
    table: ParameterTable, sharding: Sharding, group: any Communicator, workspace: Workspace,
    bucketBytes: Int = 8 << 20, transport: GradientTransport = .fp32, wholes: [Range<Int>] = []
  ) throws {
    self.table = table
    self.sharding = group.size > 1 ? sharding : .none
    self.workspace = workspace
    // A small model too is summed in several units, so that the first are under way while the last are computed.
    let unit = min(bucketBytes, max(1 << 19, table.count / 2))
    let partition = Partition(
      table, ranks: group.size, bytes: self.sharding == .parameters ? 1 : unit,
      wholes: self.sharding == .none ? [] : wholes)
    self.partition = partition
    let parts = partition.parts(rank: group.rank)
    offsets = parts.indices.map { unit in parts[..<unit].reduce(0) { $0 + $1.count } }
    let own = parts.reduce(0) { $0 + $1.count }
    values = Buffer(
      count: self.sharding == .parameters ? own : table.count, pool: workspace.pool, kind: .weights)
    gradients = Buffer(
      count: self.sharding >= .gradients ? own : table.count, pool: workspace.pool,
      kind: .gradients)
    completed = partition.units.map { _ in 0 }
    isSummed = partition.units.map { _ in false }
    gathering = try group.duplicate()
    let summing = try group.duplicate()
    let largest = (0..<group.size).flatMap { partition.parts(rank: $0) }.map(\.count).max()
    reducer =
      group.size > 1
      ? GradientReducer(
        group: summing, workspace: workspace, transport: transport, bucketBytes: bucketBytes,
        largestPart: largest ?? 0) : nil
    registration = workspace.progress.add(hasPeers: group.size > 1) { [unowned self] in
      try pollGathers()
    }
  }

  /// The rank's number among those that hold the same weights.
  var rank: Int { gathering.rank }

  /// This rank's parts of the index space, ascending, and where the numbers of each lie that it keeps.
  package var parts: [ParameterRange] {
    partition.units.indices.map { unit in
      let range = partition.part(of: unit, rank: rank)
      return ParameterRange(
        range: range, offset: offsets[unit],
        values: values.pointer + (sharding == .parameters ? offsets[unit] : range.lowerBound),
        gradients: gradients.pointer + (sharding >= .gradients ? offsets[unit] : range.lowerBound))
    }
  }

  /// What this rank's optimizer updates: everything, or its parts.
  package var updated: [ParameterRange] { sharding == .none ? [everything] : parts }

  /// The weights that this rank keeps: everything, or its parts.
  package var kept: [ParameterRange] { sharding == .parameters ? parts : [everything] }

  private var everything: ParameterRange {
    ParameterRange(
      range: 0..<table.count, offset: 0, values: values.pointer, gradients: gradients.pointer)
  }

  /// A range of the index space, and where its numbers lie.
  package struct ParameterRange {
    /// Which parameters.
    package let range: Range<Int>
    /// Where they begin in memory that holds what this rank's optimizer updates, and nothing else.
    package let offset: Int
    /// Their weights.
    package let values: UnsafeMutablePointer<Float>
    /// Their gradient sums.
    package let gradients: UnsafeMutablePointer<Float>
  }

  // MARK: The weights of a region

  /// Makes the weights of a region readable; its gradients writable if `gradients`.
  package func acquire(region: Int, gradients: Bool) throws {
    let unit = partition.unit(ofRegion: region)
    if sharding == .parameters {
      try gather(unit)
      gathered[unit]!.users += 1
    }
    // The last one: an earlier one may still be leaving.
    if let coming = gathers.last(where: { $0.unit == unit })?.gather, try !coming.hasArrived() {
      try workspace.counters.awaitTransfer {
        try coming.waitForArrival(polling: workspace.poll)
      }
    }
    if gradients, sharding >= .gradients, unitGradients[unit] == nil {
      // One unit may still be summed while this one is filled; that bounds the memory.
      try reducer?.wait(untilAtMost: 1, polling: workspace.poll)
      let count = partition.units[unit].range.count
      let memory = Buffer(count: count, pool: workspace.pool, kind: .gradients)
      workspace.compute(.optimizer) { memory.pointer.update(repeating: 0, count: count) }
      unitGradients[unit] = memory
    }
  }

  /// Lets the weights of a region go.
  package func release(region: Int) {
    guard sharding == .parameters else { return }
    let unit = partition.unit(ofRegion: region)
    gathered[unit]!.users -= 1
    if gathered[unit]!.users == 0 { gathered[unit] = nil }
  }

  /// Begins to gather the weights of a region that will be acquired soon.
  package func prefetch(region: Int) throws {
    if sharding == .parameters { try gather(partition.unit(ofRegion: region)) }
  }

  /// The weights of a parameter of an acquired region.
  package func value(_ parameter: Parameter) -> UnsafeMutablePointer<Float> {
    let entry = table[parameter]
    guard sharding == .parameters else { return values.pointer + entry.range.lowerBound }
    let unit = partition.unit(ofRegion: entry.region)
    guard let here = gathered[unit] else {
      preconditionFailure("the weights of \(entry.name) are read but not acquired")
    }
    return here.memory.pointer + entry.range.lowerBound - partition.units[unit].range.lowerBound
  }

  /// The gradient sums of a parameter of a region acquired with its gradients.
  package func gradient(_ parameter: Parameter) -> UnsafeMutablePointer<Float> {
    let entry = table[parameter]
    guard sharding >= .gradients else { return gradients.pointer + entry.range.lowerBound }
    let unit = partition.unit(ofRegion: entry.region)
    guard let here = unitGradients[unit] else {
      preconditionFailure("\(entry.name) has no gradients to add to")
    }
    return here.pointer + entry.range.lowerBound - partition.units[unit].range.lowerBound
  }

  private func gather(_ unit: Int) throws {
    guard gathered[unit] == nil else { return }
    let memory = Buffer(
      count: partition.units[unit].range.count, pool: workspace.pool, kind: .weights)
    try gather(
      unit, from: values.pointer + offsets[unit], into: memory.pointer, of: memory)
    gathered[unit] = Gathered(memory: memory)
  }

  private func gather(
    _ unit: Int, from own: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>,
    of memory: Buffer
  ) throws {
    let gather = try WeightGather(
      unit, own, of: values, into: target, of: memory, parts: parts(of: unit), group: gathering,
      workspace: workspace)
    workspace.counters.beginTransfer()
    gathers.append((unit, gather))
  }

  /// Every rank's part of a unit, counted from the unit's first number.
  private func parts(of unit: Int) -> [Range<Int>] {
    let first = partition.units[unit].range.lowerBound
    return (0..<partition.ranks).map { rank in
      let part = partition.part(of: unit, rank: rank)
      return part.lowerBound - first..<part.upperBound - first
    }
  }

  // MARK: The steps of a training step

  /// Begins a step: every gradient sum is zero.
  package func clearGradients() {
    isSummed = isSummed.map { _ in false }
    if sharding < .gradients { gradients.pointer.update(repeating: 0, count: table.count) }
  }

  /// Takes note that nothing more will be added to a region's gradients in this backward pass.
  ///
  /// - Parameter isLast: Whether it is the step's last backward pass. Gradients that are kept whole are summed
  ///   over the ranks then; gradients that are cut, after each, and added to the part that is kept.
  package func complete(region: Int, isLast: Bool) throws {
    guard isLast || sharding >= .gradients else { return }
    let unit = partition.unit(ofRegion: region)
    completed[unit] += 1
    guard completed[unit] == partition.units[unit].regions.count else { return }
    completed[unit] = 0
    if isLast { finished += 1 }
    let parts = parts(of: unit)
    let lower = partition.units[unit].range.lowerBound
    switch sharding {
    case .none:
      try reducer?.reduce(
        gradients.pointer + lower, parts: parts, into: .everywhere,
        memory: [gradients])
    case .optimizer:
      try reducer?.reduce(
        gradients.pointer + lower, parts: parts, into: .owner,
        memory: [gradients])
    case .gradients, .parameters:
      guard let memory = unitGradients.removeValue(forKey: unit) else { return }
      try reducer?.reduce(
        memory.pointer, parts: parts,
        into: .place(gradients.pointer + offsets[unit], adding: isSummed[unit]),
        memory: [memory, gradients])
      isSummed[unit] = true
    }
  }

  /// Whether sums or weights are under way.
  var isTransferring: Bool { !gathers.isEmpty || reducer?.isSumming == true }

  private func pollGathers() throws {
    for (_, gather) in gathers { _ = try gather.hasArrived() }
    try forgetGathers()
  }

  /// Waits for all sums of this step; the gradients in `parts` are then those of all ranks together.
  package func finishSums(polling: () throws -> Void) throws {
    precondition(
      finished == partition.units.count,
      "\(finished) of \(partition.units.count) units of gradients were complete")
    finished = 0
    try reducer?.wait(untilAtMost: 0, polling: polling)
    // Nobody may still read what the update is about to change.
    try settle(polling: polling)
  }

  /// After the update: sends the new weights of this rank's parts to every rank that keeps all weights.
  ///
  /// Nobody waits: the next pass does, region by region, for what has not arrived when it is acquired.
  package func shareWeights() throws {
    guard sharding == .optimizer || sharding == .gradients else { return }
    for (unit, part) in parts.enumerated() {
      try gather(
        unit, from: part.values,
        into: values.pointer + partition.units[unit].range.lowerBound, of: values)
    }
  }

  /// Waits until all weights under way have arrived, at this rank and from it: at the end of a run, and before
  /// weights are read that were not acquired.
  package func settle(polling: () throws -> Void) throws {
    guard !gathers.isEmpty else { return }
    try workspace.counters.awaitTransfer {
      for (_, gather) in gathers {
        try gather.waitForArrival(polling: polling)
        try gather.waitForDeparture(polling: polling)
      }
    }
    try forgetGathers()
  }

  private func forgetGathers() throws {
    let open = gathers.count
    try gathers.removeAll { try $0.gather.hasArrived() && $0.gather.hasLeft() }
    for _ in gathers.count..<open { workspace.counters.endTransfer() }
  }
}

extension Sharding: Comparable {
  /// What cuts more is greater.
  package static func < (a: Sharding, b: Sharding) -> Bool {
    allCases.firstIndex(of: a)! < allCases.firstIndex(of: b)!
  }
}
