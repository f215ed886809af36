import Autodiff
import Kernels
import Measurement
import MessagePassing
import Tensors

/// Tokens on their way to experts that are dealt over ranks.
package final class DealtTokens {
  fileprivate let exchange: ExpertExchange
  fileprivate let routing: Routing
  fileprivate let width: Int
  fileprivate let layer: Int
  fileprivate let pass: SequencePass
  /// What left, `[N, D]`; nil where it left in an earlier run of the layer.
  fileprivate var tokens: Operand?
  /// What came, where the layer has run before.
  fileprivate var arrived: ArrivedRows?
  /// What the twin of `deal` waits for; it has no number of interest.
  fileprivate var sent: Variable?
  /// Gradients of the weights of rows that came, `[R]`.
  fileprivate var dWeights: Tensor?
  /// Gradients on their way back.
  fileprivate var returning: [ExpertExchange.Homecoming] = []

  fileprivate init(
    _ exchange: ExpertExchange, _ routing: Routing, width: Int, layer: Int, pass: SequencePass
  ) {
    (self.exchange, self.routing, self.width) = (exchange, routing, width)
    (self.layer, self.pass) = (layer, pass)
  }
}

/// Rows that came to a rank's experts.
package struct DealtRows {
  /// Shape `[R, D]`, by expert.
  package let rows: Variable
  /// A weight of each, `[R]`.
  package let weights: Variable
  /// The rows of each of this rank's experts, of each rank of the group apart where they are kept so.
  private let parts: [(expert: Int, source: Int, rows: Range<Int>)]

  fileprivate init(
    rows: Variable, weights: Variable, counts: [[Int]], experts: Range<Int>, in shape: ExpertShape
  ) {
    (self.rows, self.weights) = (rows, weights)
    var end = 0
    parts = experts.enumerated().flatMap { index, expert in
      let counts = counts.map { $0[index] }
      return (shape.keepsRanksApart ? counts : [counts.reduce(0, +)]).enumerated().map {
        let first = end
        end += $1
        return (expert, $0, first..<end)
      }
    }
  }

  /// The rows of each of this rank's experts with its weight; where ranks are kept apart in the groups that each rank has where it
  /// has all experts.
  ///
  /// - Parameter weights: Of all experts.
  package func groups(_ weights: [Parameter]) -> [RowGroup] {
    parts.map { RowGroup(weights[$0.expert], rows: $0.rows, source: $0.source) }
  }
}

extension Tape {
  /// Sends tokens to the ranks that have their experts; other work may be done until they `arrive`.
  ///
  /// Where the layer runs again nothing is sent: what came is kept.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, D]`.
  ///   - layer: The block that the experts belong to, for the identity of messages.
  package func deal(
    _ x: Variable, _ routing: Routing, over group: ExpertGroup, layer: Int, pass: SequencePass
  ) throws -> DealtTokens {
    let kept: ArrivedRows? = pass.memory[layer]
    let width = x.shape.columns
    let exchange = ExpertExchange(
      routing, width: width, layer: layer, pass: pass, group: group, tape: self,
      counts: kept?.counts)
    let dealt = DealtTokens(exchange, routing, width: width, layer: layer, pass: pass)
    dealt.arrived = kept
    if kept == nil {
      let tokens = x.operand(in: workspace)
      dealt.tokens = tokens
      try exchange.begin(tokens)
    }
    let (sum, weights) = (x.sum, routing.weights)
    // Gradients come back while the twins of that other work run.
    dealt.sent = record(Tensor([1], pool: pool), inputs: [x, weights]) { [unowned self] _ in
      var returning = dealt.returning
      dealt.returning = []
      if weights.needsGradient {
        let numbers = try exchange.finish(returning.removeLast())
        let dWeights = Tensor(weights.shape, pool: pool)
        workspace.compute(.normsAndGates) { routing.order(numbers.pointer, into: dWeights.pointer) }
        weights.add(gradient: dWeights, in: workspace)
      }
      if sum.isNeeded {
        let rows = try exchange.finish(returning.removeLast())
        let (dx, accumulate) = sum.target(in: workspace)
        sumRows(rows, routing, into: dx, adding: accumulate)
      }
    }
    return dealt
  }

  /// Waits for the rows that come to this rank's experts.
  ///
  /// - Parameter x: What was dealt.
  package func arrive(_ dealt: DealtTokens, of x: Variable) throws -> DealtRows {
    let (exchange, routing) = (dealt.exchange, dealt.routing)
    let arrived: ArrivedRows
    if let kept = dealt.arrived {
      arrived = kept
    } else {
      guard let tokens = dealt.tokens else { preconditionFailure("tokens arrive twice") }
      arrived = try exchange.arrive(tokens)
    }
    (dealt.arrived, dealt.tokens) = (nil, nil)
    dealt.pass.memory[dealt.layer] = isRecording ? nil : arrived
    guard let sent = dealt.sent else { preconditionFailure("tokens arrive that were not dealt") }
    let (wantsRows, wantsWeights) = (x.needsGradient, routing.weights.needsGradient)
    let rows = record(
      arrived.rows, [arrived.weights.count, dealt.width], inputs: [sent]
    ) { [unowned self] dRows in
      if wantsRows {
        dealt.returning.append(
          try exchange.sendHome(dRows, columns: dealt.width, .rowGradients))
      }
      if wantsWeights {
        guard let dWeights = dealt.dWeights else {
          preconditionFailure("weights of experts have no gradients")
        }
        dealt.returning.append(try exchange.sendHome(dWeights, columns: 1, .weightGradients))
        dealt.dWeights = nil
      }
      sent.add(gradient: Tensor([1], pool: pool), in: workspace)
    }
    // It is recorded behind the rows, so that its gradient is there before they go back.
    let weights = record(arrived.weights, inputs: [routing.weights]) { dealt.dWeights = $0 }
    return DealtRows(
      rows: rows, weights: weights, counts: arrived.counts, experts: exchange.experts,
      in: exchange.shape)
  }

  /// Brings what experts made of rows back to their tokens, and sums it for each.
  ///
  /// - Parameters:
  ///   - y: Shape `[R, D]`, of the rows that came.
  ///   - trained: Whether anything is trained in any of all experts, of any rank.
  ///   - residual: Shape `[N, D]`, added to the sum, or nil.
  /// - Returns: Shape `[N, D]`.
  package func collect(
    _ y: Variable, _ dealt: DealtTokens, trained: Bool, adding residual: Variable? = nil
  ) throws -> Variable {
    let (exchange, routing, pass) = (dealt.exchange, dealt.routing, dealt.pass)
    let shape: Shape = [routing.tokens, dealt.width]
    let sum: Tensor
    if let kept: ExpertOutput = pass.memory[dealt.layer] {
      sum = kept.sum
    } else {
      let rows = try exchange.finish(
        exchange.sendHome(y.value, columns: dealt.width, .outputs))
      sum = Tensor(shape, pool: pool)
      sumRows(rows, routing, into: sum, adding: false)
    }
    pass.memory[dealt.layer] = isRecording ? nil : ExpertOutput(sum: sum)
    // The sum may be kept as it is.
    let output = residual.map { _ in Tensor(shape, pool: pool) } ?? sum
    if let residual {
      let from = residual.value
      elementwise(shape.count) { part in
        for i in part { output.pointer[i] = from.pointer[i] + sum.pointer[i] }
      }
    }
    let (sumOfY, sumOfResidual) = (y.sum, residual?.sum)
    // Whether gradients cross does not depend on which experts this rank has.
    let crosses = trained || dealt.sent?.needsGradient == true
    return record(
      output, inputs: [y] + (residual.map { [$0] } ?? []), always: crosses
    ) { [unowned self] d in
      if crosses {
        let dy = try exchange.cross(workspace.operand(of: d))
        if sumOfY.isNeeded { sumOfY.add(dy, in: workspace) }
      }
      sumOfResidual?.add(d, in: workspace)
    }
  }
}
