import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// A mixture of experts: each token takes a few of many gated channel mixers, by a router's weights.
///
/// Concretely: `Σ_chosen w_e W_down,e (silu(x W_gate,e) ⊙ x W_up,e)`, and where there are shared experts theirs, for all
/// tokens, times `σ(x g)` where they have a gate. No token is dropped, unless experts are given a capacity in training.
///
/// - Source: Shazeer et al. (arXiv 1701.06538); Mixtral (2401.04088), DeepSeekMoE (2401.06066) for shared experts.
struct Experts: ChannelMixer {
  /// The block that they belong to.
  let layer: Int
  let rule: RoutingRule
  /// The router, shape `[E, D]`.
  let router: Parameter
  /// Added to scores for the choice alone, shape `[E]`; nil for nothing.
  let correction: Parameter?
  /// Of each expert, shapes `[I, D]`, `[I, D]` and `[D, I]`.
  let gate, up, down: [Parameter]
  /// For all tokens.
  let shared: (channels: SwiGLU, gate: Linear?)?
  /// The weights of the losses for balance and of the router's z-loss; 0 for none.
  let balance, zLoss: Double
  /// How far the correction moves after a step; 0 for not at all.
  let biasUpdate: Double

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    let routing = try tape.routing(
      x, router, correction: correction, rule, balance: balance, zWeight: zLoss,
      sequences: pass.layout.rows
    ) { try pass.room(for: $0, capacity: $1, rule, layer: layer) }
    if let group = pass.context.experts {
      return try dealt(x, routing, over: group, adding: residual, tape: tape, pass: pass)
    }
    let rows = tape.spread(x, routing, for: .products)
    let a = try tape.linear(rows, routing.groups(gate), for: .products)
    let b = try tape.linear(rows, routing.groups(up), for: .products)
    let hidden = tape.swiGLU(
      gate: a, b, weights: routing.weights, routing, for: .products)
    let y = try tape.linear(hidden, routing.groups(down))
    return tape.collect(
      y, routing, adding: try shared(x, adding: residual, tape: tape))
  }

  /// The same where experts are dealt over ranks; what all tokens take is computed while they travel.
  private func dealt(
    _ x: Variable, _ routing: Routing, over group: ExpertGroup, adding residual: Variable?,
    tape: Tape, pass: SequencePass
  ) throws -> Variable {
    let table = tape.parameters.table
    let trained = (gate + up + down).contains { weight in
      let adapter = table.adapters[weight]
      return tape.trains(weight, adapter?.down, adapter?.up)
    }
    let dealt = try tape.deal(x, routing, over: group, layer: layer, pass: pass)
    let residual = try shared(x, adding: residual, tape: tape)
    let arrived = try tape.arrive(dealt, of: x)
    func project(_ x: Variable, _ weights: [Parameter], for readers: Readers) throws -> Variable {
      // Where an adapter adds to outputs of any expert, of any rank, all are stored as it finds them.
      let isAddedTo = weights.contains { table.adapters[$0] != nil }
      return try tape.linear(
        x, arrived.groups(weights), for: isAddedTo ? .any : readers, vary: true)
    }
    let hidden = tape.swiGLU(
      gate: try project(arrived.rows, gate, for: .products),
      try project(arrived.rows, up, for: .products), weights: arrived.weights, for: .products)
    return try tape.collect(
      project(hidden, down, for: .any), dealt, trained: trained, adding: residual)
  }

  /// What all tokens take, added to the residual.
  private func shared(
    _ x: Variable, adding residual: Variable?, tape: Tape
  ) throws -> Variable? {
    guard let (channels, gate) = shared else { return residual }
    let weights = try gate.map { tape.sigmoid(try $0(x, tape: tape)) }
    return try channels(x, weights: weights, adding: residual, tape: tape)
  }

  /// The router reads it in fp32.
  var readers: Readers { .any }

  var lossTerms: [DeclaredTerm] {
    (balance > 0
      ? [DeclaredTerm(ExpertBalance.lossName, weight: balance, mean: .positions)] : [])
      + (zLoss > 0
        ? [DeclaredTerm(ExpertBalance.zLossName, weight: zLoss, mean: .positions)] : [])
  }

  var experts: RoutingRule? { rule }

  var balancedBias: BalancedBias? {
    correction.flatMap {
      biasUpdate > 0 ? BalancedBias(router: router, bias: $0, rate: biasUpdate) : nil
    }
  }

  var idleWeights: [(weight: Parameter, share: Double)] {
    let share = 1 - Double(rule.chosen) / Double(rule.experts)
    return (gate + up + down).map { ($0, share) }
  }
}

extension ModelBuilder {
  /// Builds a mixture of experts.
  ///
  /// - Parameters:
  ///   - name: What the names of its tensors begin with.
  ///   - layer: The block that it belongs to.
  ///   - usual: The width of an expert where the settings have none.
  mutating func experts(
    _ name: String, _ settings: ExpertSettings, layer: Int, dimension: Int, width usual: Int,
    names: ExpertNames = ExpertNames()
  ) -> Experts {
    let (rule, width) = (settings.rule, settings.width ?? usual)
    let router = linear(name + names.router, rule.experts, dimension).weight
    routers.insert(router)
    var correction: Parameter?
    if settings.hasCorrection {
      let parameter = parameter(
        name + names.correction, [rule.experts], role: .bias, initialization: .constant(0))
      table.freeze(parameter)
      correction = parameter
    }
    let experts = experts(name, rule.experts, dimension: dimension, width: width, names: names)
    for (number, expert) in experts.enumerated() {
      for weight in [expert.gate, expert.up, expert.down] {
        table.assign(weight, to: .init(number, of: rule.experts))
      }
    }
    let shared = settings.sharedWidth.map { width in
      let channels = gated(
        name + names.shared, dimension: dimension, width: width, fused: names.fusedShared)
      let gate = settings.hasSharedGate ? linear(name + names.sharedGate, 1, dimension) : nil
      return (channels: channels, gate: gate)
    }
    return Experts(
      layer: layer, rule: rule, router: router, correction: correction, gate: experts.map(\.gate),
      up: experts.map(\.up), down: experts.map(\.down), shared: shared,
      balance: settings.balance, zLoss: settings.zLoss, biasUpdate: settings.biasUpdate)
  }

  /// The weights of each expert.
  private mutating func experts(
    _ name: String, _ count: Int, dimension: Int, width: Int, names: ExpertNames
  ) -> [(gate: Parameter, up: Parameter, down: Parameter)] {
    guard let fused = names.fused else {
      return (0..<count).map { expert in
        let name = name + names.experts + "\(expert)."
        return (
          gate: linear(name + names.gate, width, dimension).weight,
          up: linear(name + names.up, width, dimension).weight,
          down: linear(name + names.down, dimension, width).weight
        )
      }
    }
    func part(_ name: String, _ shape: Shape, _ builder: inout ModelBuilder) -> Parameter {
      builder.part(
        name, shape, role: .matrix, initialization: .normal(deviation: builder.deviation))
    }
    let (input, output) = (name + fused.input, name + fused.output)
    // Parameters lie in the order of the file's tensors.
    let inner = (0..<count).map { expert in
      (
        gate: part("\(input).\(expert).gate.weight", [width, dimension], &self),
        up: part("\(input).\(expert).up.weight", [width, dimension], &self)
      )
    }
    let outer = (0..<count).map {
      part("\(output).\($0).weight", [dimension, width], &self)
    }
    fuse(
      inner.flatMap { [$0.gate, $0.up] }, into: input + ".weight", [count, 2 * width, dimension])
    fuse(outer, into: output + ".weight", [count, dimension, width])
    return zip(inner, outer).map { (gate: $0.gate, up: $0.up, down: $1) }
  }

  /// A gated channel mixer, whose first two projections the file may have in one tensor.
  ///
  /// - Parameter fused: The names of that tensor and of the projection back; nil where each has its own.
  mutating func gated(
    _ name: String, dimension: Int, width: Int, bias: Bool = false,
    fused: (input: String, output: String)? = nil
  ) -> SwiGLU {
    let up = projections(
      [(name + "gate_proj", width), (name + "up_proj", width)],
      fused: fused.map { name + $0.input }, input: dimension, bias: bias)
    return SwiGLU(
      gate: up[0], up: up[1],
      down: linear(name + (fused?.output ?? "down_proj"), dimension, width, bias: bias))
  }
}
