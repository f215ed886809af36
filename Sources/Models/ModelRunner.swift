import Autodiff
import MessagePassing
import SequenceParallel
import Tensors

/// One rank's way of running a model, in training and everywhere else: forward, back, in windows, token by token.
package struct ModelRunner<Store: ParameterStore> {
  /// The model.
  package let model: LanguageModel
  /// What the rank works with.
  package let passes: PassRunner<Store>

  /// What records or gives the choices of experts; nil for routers that choose by themselves.
  package var routing: RoutingRecord?

  package init(_ model: LanguageModel, _ passes: PassRunner<Store>) {
    (self.model, self.passes) = (model, passes)
  }

  /// Memory, threads, figures and the sequence group.
  package var context: RankContext { passes.context }
  /// Weights, and gradient sums where there are any.
  package var store: Store { passes.store }

  /// What a shard gave: what the head saw, and what was added to the loss.
  package typealias Outcome = (result: HeadResult, terms: [LossTerm])

  /// Runs a shard, remembering nothing.
  ///
  /// - Parameters:
  ///   - inputs: `rows × length` tokens.
  ///   - targets: The tokens to predict, already shifted; negative where there is no loss.
  ///   - balance: Where the choices of experts are counted; nil where nobody asks.
  ///   - part: What a trace adds to the pass's name.
  package func forward(
    _ inputs: [Int32], targets: [Int32], objective: any Objective = NextToken(),
    pass: SequencePass, balance: ExpertBalance? = nil, part: String = "",
    logits: UnsafeMutablePointer<Float>? = nil
  ) throws -> Outcome {
    try passes.forward(pass, part: part) { tape, pass in
      (tape.balance, tape.routing) = (balance, routing)
      let result = try model(
        inputs, targets: targets, objective: objective, tape: tape, pass: pass, logits: logits
      ).result
      return (result, tape.terms)
    }
  }

  /// Runs a shard and back; gradients are added up.
  ///
  /// - Parameters:
  ///   - later: The pass over the part after it, differentiated already; nil for the last part.
  ///   - recompute: Whether blocks remember only their inputs.
  ///   - targetsPerPosition: What the gradients of loss terms that are means over positions are scaled by.
  ///   - balance: Where the choices of experts are counted; it is complete before the backward pass begins.
  ///   - completed: Called when a region's gradients are complete, in the same order on every rank.
  package func forwardAndBackward(
    _ inputs: [Int32], targets: [Int32], objective: any Objective = NextToken(),
    pass: SequencePass, before later: SequencePass? = nil, recompute: Bool = false,
    targetsPerPosition: [String: Double] = [:], balance: ExpertBalance? = nil, part: String = "",
    logits: UnsafeMutablePointer<Float>? = nil,
    completed: @escaping (Int) throws -> Void = { _ in }
  ) throws -> Outcome {
    try passes.forwardAndBackward(
      pass, before: later, inTurn: objective.transfer != nil, part: part, completed: completed
    ) { tape, pass in
      tape.targetsPerPosition = targetsPerPosition
      (tape.balance, tape.routing) = (balance, routing)
      let (loss, result) = try model(
        inputs, targets: targets, objective: objective, tape: tape, pass: pass,
        recompute: recompute, logits: logits)
      try balance?.complete()
      return (loss, (result, tape.terms))
    }
  }

  /// Runs the next window of a sequence, remembering nothing but what the window after it needs.
  ///
  /// - Parameters:
  ///   - layout: Where every rank's shard of the window lies.
  ///   - seam: What enters the window; what leaves it, afterwards, unless it is the last.
  package func forward(
    _ inputs: [Int32], targets: [Int32], objective: any Objective = NextToken(),
    window layout: SequenceLayout, from seam: inout Carry, isLast: Bool = false,
    balance: ExpertBalance? = nil, step: Int = 0, segment: Int = 0, part: String = ""
  ) throws -> Outcome {
    let pass = SequencePass(
      context: context, layout: layout, left: seam, step: step, segment: segment,
      keepsRight: !isLast)
    let outcome = try forward(
      inputs, targets: targets, objective: objective, pass: pass, balance: balance, part: part)
    if !isLast { seam = try pass.close() }
    return outcome
  }

  /// Runs the next window of a sequence for its last hidden states, before the last norm, remembering nothing else.
  ///
  /// - Parameters as those of the forward pass of a window.
  /// - Returns: Shape `[rows × length, D]`.
  package func hidden(
    _ inputs: [Int32], window layout: SequenceLayout, from seam: inout Carry, isLast: Bool = false,
    step: Int = 0, segment: Int = 0, part: String = ""
  ) throws -> Tensor {
    let pass = SequencePass(
      context: context, layout: layout, left: seam, step: step, segment: segment,
      keepsRight: !isLast)
    let hidden = try passes.forward(pass, part: part) { tape, pass in
      try model.hidden(inputs, tape: tape, pass: pass).value
    }
    if !isLast { seam = try pass.close() }
    return hidden
  }

  /// Runs the next window of a sequence for what follows its last token.
  ///
  /// - Returns: The logits of each row's next token, `[rows, vocabulary]`.
  package func next(
    _ inputs: [Int32], window layout: SequenceLayout, from seam: inout Carry
  ) throws -> Tensor {
    let pass = SequencePass(
      context: context, layout: layout, left: seam, keepsRight: true, runsOnce: true)
    let logits = try passes.forward(pass) { tape, pass in
      try model.next(inputs, tape: tape, pass: pass)
    }
    seam = try pass.close()
    return logits
  }
}

extension ModelRunner where Store == WholeParameters {
  /// Takes room for all weights, which are not set, and for gradients, which are zero, where they are wanted.
  ///
  /// - Parameter sequence: The ranks that share each sequence.
  package init(
    _ model: LanguageModel, gradients: Bool = false, sequence: any Communicator,
    exchange: ExchangeKind = .chain, attention: AttentionExchange = .gather, workspace: Workspace
  ) {
    self.init(
      model,
      PassRunner(
        table: model.table, gradients: gradients, sequence: sequence, exchange: exchange,
        attention: attention, workspace: workspace))
  }
}
