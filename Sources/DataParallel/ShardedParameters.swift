import Autodiff
import Measurement
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
  /// What is cut; `none` where there is one rank that stands for itself.
  package let sharding: Sharding
  /// How it is cut.
  package let partition: Partition
  /// The weights that this rank keeps: all, or its parts one after another.
  package let values: Buffer
  /// The gradient sums that this rank keeps, of what is trained: all, of each source one after another, or its parts one after
  /// another.
  package let gradients: Buffer
  /// Ranks of whose tokens this rank forms gradients apart, before it adds them up.
  private let sources: Int
  /// What is trained.
  private let trainable: IndexRanges
  /// Whether a region has anything that is trained.
  private let isTrained: [Bool]
  /// How many regions of each unit have.
  private let trainedRegions: [Int]
  /// Where the gradient sums of each of this rank's parts begin, where they are cut.
  private let gradientOffsets: [Int]

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
  ///   - sources: Ranks of whose tokens each rank forms gradients apart: they are added up as by so many times as many ranks,
  ///     each of which forms those of its own tokens.
  /// - Throws: `MessagePassingError`.
  package init(
    table: ParameterTable, sharding: Sharding, group: any Communicator, workspace: Workspace,
    bucketBytes: Int = 8 << 20, transport: GradientTransport = .fp32, wholes: [Range<Int>] = [],
    sources: Int = 1
  ) throws {
    self.table = table
    self.workspace = workspace
    self.sources = sources
    let cut = ShardCut(
      table, sharding: sharding, ranks: group.size, bucketBytes: bucketBytes, wholes: wholes,
      sources: sources)
    self.sharding = cut.sharding
    let partition = cut.partition
    self.partition = partition
    let parts = partition.parts(rank: group.rank)
    offsets = parts.indices.map { unit in parts[..<unit].reduce(0) { $0 + $1.count } }
    let own = parts.reduce(0) { $0 + $1.count }
    let trainable = table.trainable
    self.trainable = trainable
    let trained = table.regions.map { trainable.count(in: $0.range) > 0 }
    isTrained = trained
    trainedRegions = partition.units.map { $0.regions.count { trained[$0] } }
    let counts = parts.map { trainable.count(in: $0) }
    gradientOffsets = counts.indices.map { counts[..<$0].reduce(0, +) }
    values = Buffer(
      count: self.sharding == .parameters ? own : table.count, pool: workspace.pool, kind: .weights)
    gradients = Buffer(
      count: self.sharding >= .gradients ? counts.reduce(0, +) : sources * trainable.count,
      pool: workspace.pool,
      kind: .gradients)
    completed = partition.units.map { _ in 0 }
    isSummed = partition.units.map { _ in false }
    gathering = try group.duplicate()
    let summing = try group.duplicate()
    let largest = (0..<group.size).flatMap { partition.parts(rank: $0) }
      .map { trainable.count(in: $0) }.max()
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

  /// What is trained of this rank's parts of the index space, ascending.
  package var parts: [ParameterRange] {
    partition.units.indices.flatMap { unit in
      let part = partition.part(of: unit, rank: rank)
      return trainable.pieces(of: part).map { range in
        let before = part.lowerBound..<range.lowerBound
        return ParameterRange(
          range: range,
          values: values.pointer
            + (sharding == .parameters ? offsets[unit] + before.count : range.lowerBound),
          gradients: gradients.pointer
            + (sharding >= .gradients
              ? gradientOffsets[unit] + trainable.count(in: before)
              : trainable.offset(of: range.lowerBound)))
      }
    }
  }

  /// What this rank's optimizer updates: everything that is trained, or what of it lies in its parts.
  package var updated: [ParameterRange] {
    guard sharding == .none else { return parts }
    return trainable.ranges.map { range in
      ParameterRange(
        range: range, values: values.pointer + range.lowerBound,
        gradients: gradients.pointer + trainable.offset(of: range.lowerBound))
    }
  }

  /// The weights that this rank keeps, frozen ones too: everything, or its parts.
  package var kept: [(range: Range<Int>, values: UnsafeMutablePointer<Float>)] {
    guard sharding == .parameters else { return [(0..<table.count, values.pointer)] }
    return partition.parts(rank: rank).enumerated().map { ($1, values.pointer + offsets[$0]) }
  }

  /// A range of the index space, and where its numbers lie.
  package struct ParameterRange {
    /// Which parameters.
    package let range: Range<Int>
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
    for coming in gathers where coming.unit == unit {
      guard try !coming.gather.hasArrived() else { continue }
      try workspace.counters.awaitTransfer {
        try coming.gather.waitForArrival(polling: workspace.poll)
      }
    }
    let trained = trainable.count(in: partition.units[unit].range)
    if gradients, sharding >= .gradients, unitGradients[unit] == nil, trained > 0 {
      // One unit may still be summed while this one is filled; that bounds the memory.
      try reducer?.wait(untilAtMost: 1, polling: workspace.poll)
      let memory = Buffer(count: sources * trained, pool: workspace.pool, kind: .gradients)
      workspace.compute(.optimizer) { memory.pointer.update(repeating: 0, count: memory.count) }
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
    gradient(parameter, source: 0)
  }

  /// The same of what comes of one source's tokens.
  package func gradient(_ parameter: Parameter, source: Int) -> UnsafeMutablePointer<Float> {
    let entry = table[parameter]
    precondition(entry.isTrainable, "\(entry.name) is frozen and has no gradients")
    precondition(source < sources, "source \(source) of \(sources)")
    guard sharding >= .gradients else {
      return gradients.pointer + source * trainable.count
        + trainable.offset(of: entry.range.lowerBound)
    }
    let unit = partition.unit(ofRegion: entry.region)
    guard let here = unitGradients[unit] else {
      preconditionFailure("\(entry.name) has no gradients to add to")
    }
    let range = partition.units[unit].range
    return here.pointer + source * trainable.count(in: range)
      + trainable.count(in: range.lowerBound..<entry.range.lowerBound)
  }

  private func gather(_ unit: Int) throws {
    guard gathered[unit] == nil else { return }
    let memory = Buffer(
      count: partition.units[unit].range.count, pool: workspace.pool, kind: .weights)
    try gather(
      unit, partition.units[unit].range, from: values.pointer + offsets[unit],
      into: memory.pointer, of: memory)
    gathered[unit] = Gathered(memory: memory)
  }

  private func gather(
    _ unit: Int, _ range: Range<Int>, from own: UnsafePointer<Float>,
    into target: UnsafeMutablePointer<Float>, of memory: Buffer
  ) throws {
    let gather = try WeightGather(
      unit, own, of: values, into: target, of: memory, parts: parts(of: unit, in: range),
      group: gathering,
      workspace: workspace)
    workspace.counters.beginTransfer()
    gathers.append((unit, gather))
  }

  /// What of a range of a unit lies in every rank's part, counted from the range's first number.
  private func parts(of unit: Int, in range: Range<Int>) -> [Range<Int>] {
    let first = range.lowerBound
    return (0..<partition.ranks).map { rank in
      let part = partition.part(of: unit, rank: rank).clamped(to: range)
      return part.lowerBound - first..<part.upperBound - first
    }
  }

  /// Every rank's part of a unit's gradients, counted from the unit's first.
  private func gradientParts(of unit: Int) -> [Range<Int>] {
    let first = trainable.offset(of: partition.units[unit].range.lowerBound)
    return (0..<partition.ranks).map { rank in
      let part = partition.part(of: unit, rank: rank)
      return trainable.offset(of: part.lowerBound) - first..<trainable.offset(of: part.upperBound)
        - first
    }
  }

  // MARK: The steps of a training step

  /// Begins a step: every gradient sum is zero.
  package func clearGradients() {
    isSummed = isSummed.map { _ in false }
    if sharding < .gradients { gradients.pointer.update(repeating: 0, count: gradients.count) }
  }

  /// Takes note that nothing more will be added to a region's gradients in this backward pass.
  ///
  /// - Parameter isLast: Whether it is the step's last backward pass. Gradients that are kept whole are summed
  ///   over the ranks then; gradients that are cut, after each, and added to the part that is kept.
  package func complete(region: Int, isLast: Bool) throws {
    guard isTrained[region], isLast || sharding >= .gradients else { return }
    let unit = partition.unit(ofRegion: region)
    completed[unit] += 1
    guard completed[unit] == trainedRegions[unit] else { return }
    completed[unit] = 0
    if isLast { finished += 1 }
    let parts = gradientParts(of: unit)
    let range = partition.units[unit].range
    let (lower, count) = (trainable.offset(of: range.lowerBound), trainable.count(in: range))
    switch sharding {
    case .none, .optimizer:
      addSources(gradients.pointer + lower, count: count, apart: trainable.count)
      try reducer?.reduce(
        gradients.pointer + lower, parts: parts,
        into: sharding == .none ? .everywhere : .owner, memory: [gradients])
    case .gradients, .parameters:
      guard let memory = unitGradients.removeValue(forKey: unit) else { return }
      addSources(memory.pointer, count: count, apart: count)
      let (place, adding) = (gradients.pointer + gradientOffsets[unit], isSummed[unit])
      if let reducer {
        try reducer.reduce(
          memory.pointer, parts: parts, into: .place(place, adding: adding),
          memory: [memory, gradients])
      } else {
        workspace.compute(.other) {
          for i in 0..<count {
            place[i] = adding ? place[i] + memory.pointer[i] : memory.pointer[i]
          }
        }
      }
      isSummed[unit] = true
    }
  }

  /// Adds the gradients of all sources up, as a binary tree: in the order in which as many ranks' are.
  ///
  /// - Parameters:
  ///   - first: Those of the first, which become the sum; the others' are lost.
  ///   - distance: From a source's to the next one's.
  private func addSources(
    _ first: UnsafeMutablePointer<Float>, count: Int, apart distance: Int
  ) {
    guard sources > 1 else { return }
    workspace.compute(.other) {
      withUnsafeTemporaryAllocation(
        of: UnsafeMutablePointer<Float>.self, capacity: sources
      ) { parts in
        for start in stride(from: 0, to: count, by: RankSum.block) {
          for source in 0..<sources {
            parts.initializeElement(at: source, to: first + source * distance + start)
          }
          RankSum.add(UnsafeBufferPointer(parts), count: min(RankSum.block, count - start))
        }
      }
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
    let units = trainedRegions.count { $0 > 0 }
    precondition(finished == units, "\(finished) of \(units) units of gradients were complete")
    finished = 0
    FaultPoint.reach("reduction")
    try reducer?.wait(untilAtMost: 0, polling: polling)
    // Nobody may still read what the update is about to change.
    try settle(polling: polling)
  }

  /// After the update: sends the new weights of this rank's parts to every rank that keeps all weights.
  ///
  /// Nobody waits: the next pass does, region by region, for what has not arrived when it is acquired.
  package func shareWeights() throws {
    guard sharding == .optimizer || sharding == .gradients else { return }
    for unit in partition.units.indices {
      let part = partition.part(of: unit, rank: rank)
      for range in trainable.pieces(of: partition.units[unit].range) {
        try gather(
          unit, range, from: values.pointer + part.clamped(to: range).lowerBound,
          into: values.pointer + range.lowerBound, of: values)
      }
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
