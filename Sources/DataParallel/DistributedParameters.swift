import Autodiff
import MessagePassing
import Tensors

/// All weights and gradients of a model over all ranks: what every rank trains, and experts that are dealt over groups.
///
/// Concretely: it consists of shares, each a part of the parameters with the ranks that train it. What belongs to no expert is
/// trained by the whole world. Of experts that are dealt, a rank has those of its place in its group, for the tokens of the
/// group, and trains them together with the ranks of that place in the other groups: their gradients are summed over these
/// alone, and what `sharding` cuts is cut over these. Every number is in one share of one set of ranks, so that sums over all
/// ranks of what lies in `parts` count each once.
///
/// Where what ranks give is kept apart in groups (`ExpertShape.keepsRanksApart`), a rank forms gradients of its experts of the tokens
/// of each rank of its group apart, and adds them up as a binary tree: the first part of the tree over all ranks by which gradients
/// are added up where each has all experts.
///
/// All ranks call everything in the same order, and in it go through the shares in the same order. Each share has communicators
/// of its own, and nobody waits for a sum or a gather that its peers have not begun at the same place of the program.
package final class DistributedParameters: ParameterStore {
  /// Every parameter's name, shape and range.
  package let table: ParameterTable
  /// A part of the parameters, and what this rank keeps of it.
  struct Share {
    let store: ShardedParameters
    let selection: ParameterSelection
  }
  /// What the whole world trains, and then this rank's experts, where they are dealt.
  let shares: [Share]
  /// Which ranks of the world train which parameters together.
  struct Owners {
    let selection: ParameterSelection
    let cut: ShardCut
    /// In the order in which they are cut.
    let ranks: [Int]
    /// This rank's share of it; nil where it has none.
    let share: Int?
  }
  let owners: [Owners]
  let world: any Communicator
  let workspace: Workspace
  /// Of each parameter its share and its place there; nil where other ranks have it.
  private let places: [(share: Int, parameter: Parameter)?]

  /// Takes room for what this rank keeps, uninitialised; collective.
  ///
  /// - Parameters:
  ///   - world: All ranks.
  ///   - experts: How experts are dealt.
  ///   - bucketBytes: Gradients that are summed at once.
  ///   - wholes: Ranges of the index space, ascending, that are not cut where others are.
  /// - Throws: `MessagePassingError`.
  package init(
    table: ParameterTable, sharding: Sharding, world: any Communicator,
    experts: ExpertShape = .whole, workspace: Workspace, bucketBytes: Int = 8 << 20,
    transport: GradientTransport = .fp32, wholes: [Range<Int>] = []
  ) throws {
    (self.table, self.workspace) = (table, workspace)
    self.world = try world.duplicate()
    func isDealt(_ entry: ParameterTable.Entry) -> Bool {
      experts.size > 1 && entry.expert != nil
    }
    func isOwn(_ entry: ParameterTable.Entry, of member: Int) -> Bool {
      guard isDealt(entry), let expert = entry.expert else { return false }
      return experts.experts(of: member, among: expert.count).contains(expert.number)
    }
    var owners: [Owners] = []
    var shares: [Share] = []
    func add(
      _ selection: ParameterSelection, _ ranks: [Int], sources: Int = 1,
      _ group: @autoclosure () throws -> any Communicator
    ) throws {
      let own = wholes.flatMap { selection.own($0) }
      let isMine = ranks.contains(world.rank)
      let cut = ShardCut(
        selection.table, sharding: sharding, ranks: ranks.count, bucketBytes: bucketBytes,
        wholes: own, sources: sources)
      owners.append(
        Owners(
          selection: selection, cut: cut, ranks: ranks, share: isMine ? shares.count : nil))
      guard isMine else { return }
      let store = try ShardedParameters(
        table: selection.table, sharding: sharding, group: group(), workspace: workspace,
        bucketBytes: bucketBytes, transport: transport, wholes: own, sources: sources)
      shares.append(Share(store: store, selection: selection))
    }
    try add(ParameterSelection(table) { !isDealt($0) }, Array(0..<world.size), world)
    if experts.size > 1 {
      let alike = try world.split(coloring: experts.member(of:))
      for member in 0..<experts.size {
        try add(
          ParameterSelection(table) { isOwn($0, of: member) },
          Array(stride(from: member, to: world.size, by: experts.size)),
          sources: experts.sources, alike)
      }
    }
    (self.owners, self.shares) = (owners, shares)
    places = table.parameters.map { parameter in
      shares.indices.lazy.compactMap { index in
        shares[index].selection.place(of: parameter).map { (index, $0) }
      }.first
    }
  }

  /// The rank's number in the world.
  var rank: Int { world.rank }

  // MARK: What this rank keeps

  /// A range of the index space, and where its numbers lie.
  package typealias ParameterRange = ShardedParameters.ParameterRange

  /// What is trained of this rank's parts of the index space; every number that is trained is in the parts of one rank.
  package var parts: [ParameterRange] {
    shares.flatMap { Self.whole($0.store.parts, $0.selection) }
  }

  /// What this rank's optimizer updates: everything that it trains, or what of it lies in its parts.
  package var updated: [ParameterRange] {
    shares.flatMap { Self.whole($0.store.updated, $0.selection) }
  }

  /// The weights that this rank keeps, frozen ones too.
  package var kept: [(range: Range<Int>, values: UnsafeMutablePointer<Float>)] {
    shares.flatMap { share in
      share.store.kept.flatMap { part in
        var next = part.values
        return share.selection.whole(part.range).map { piece in
          defer { next += piece.count }
          return (piece, next)
        }
      }
    }
  }

  /// Ranges of a share as ranges of the whole index space.
  private static func whole(
    _ parts: [ParameterRange], _ selection: ParameterSelection
  ) -> [ParameterRange] {
    parts.flatMap { part in
      var done = 0
      return selection.whole(part.range).map { piece in
        defer { done += piece.count }
        return ParameterRange(
          range: piece, values: part.values + done, gradients: part.gradients + done)
      }
    }
  }

  // MARK: The weights of a region

  /// Makes the weights of a region readable; its gradients writable if `gradients`.
  package func acquire(region: Int, gradients: Bool) throws {
    for share in shares { try share.store.acquire(region: region, gradients: gradients) }
  }

  /// Lets the weights of a region go.
  package func release(region: Int) {
    for share in shares { share.store.release(region: region) }
  }

  /// Begins to gather the weights of a region that will be acquired soon.
  package func prefetch(region: Int) throws {
    for share in shares { try share.store.prefetch(region: region) }
  }

  /// The weights of a parameter of an acquired region.
  package func value(_ parameter: Parameter) -> UnsafeMutablePointer<Float> {
    let (share, place) = place(of: parameter)
    return share.store.value(place)
  }

  /// The gradient sums of a parameter of a region acquired with its gradients.
  package func gradient(_ parameter: Parameter) -> UnsafeMutablePointer<Float> {
    gradient(parameter, source: 0)
  }

  /// The same of what comes of the tokens of one rank of the group, where these are kept apart.
  package func gradient(_ parameter: Parameter, source: Int) -> UnsafeMutablePointer<Float> {
    let (share, place) = place(of: parameter)
    return share.store.gradient(place, source: source)
  }

  private func place(of parameter: Parameter) -> (Share, Parameter) {
    guard let place = places[parameter.index] else {
      preconditionFailure("\(table[parameter].name) belongs to an expert of another rank")
    }
    return (shares[place.share], place.parameter)
  }

  // MARK: The steps of a training step

  /// Begins a step: every gradient sum is zero.
  package func clearGradients() { for share in shares { share.store.clearGradients() } }

  /// Takes note that nothing more will be added to a region's gradients in this backward pass.
  ///
  /// - Parameter isLast: Whether it is the step's last backward pass.
  package func complete(region: Int, isLast: Bool) throws {
    for share in shares { try share.store.complete(region: region, isLast: isLast) }
  }

  /// Waits for all sums of this step; the gradients in `parts` are then those of all ranks together.
  package func finishSums(polling: () throws -> Void) throws {
    for share in shares { try share.store.finishSums(polling: polling) }
  }

  /// After the update: sends the new weights of this rank's parts to every rank that keeps all weights.
  package func shareWeights() throws { for share in shares { try share.store.shareWeights() } }

  /// Waits until all weights under way have arrived, at this rank and from it.
  package func settle(polling: () throws -> Void) throws {
    for share in shares { try share.store.settle(polling: polling) }
  }
}
