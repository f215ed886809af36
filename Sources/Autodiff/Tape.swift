import Measurement
import Tensors

/// Records the ops of a forward pass and runs their backward twins in reverse.
///
/// The tape is divided into regions, one a block (and one each for embedding and head). Entering and leaving
/// a region, in either pass, acquires and releases its weights; a region may be recomputed instead of
/// remembered; and when nothing can add to a region's gradients any more, `regionCompleted` hears of it.
package final class Tape {
  /// Memory, threads, figures and the poll.
  package let workspace: Workspace
  /// The weights.
  package let parameters: any ParameterStore
  /// Whether ops are remembered for a backward pass.
  package private(set) var isRecording: Bool
  /// Called in the backward pass when a region's gradients are complete, in the same order on every rank.
  package var regionCompleted: (Int) throws -> Void = { _ in }

  /// The terms that layers and the objective added, in the order in which they did.
  package internal(set) var terms: [LossTerm] = []
  /// Of each term that is a mean over positions: the step's targets over its positions, on all ranks.
  ///
  /// Its gradient is multiplied by it, since all gradients are divided by the targets in the end.
  package var targetsPerPosition: [String: Double] = [:]
  /// Where the choices of experts are counted; nil where nobody asks.
  package var balance: ExpertBalance?
  /// What records or gives the choices of experts; nil for routers that choose by themselves.
  package var routing: RoutingRecord?
  /// What the gradient of each position's largest logit gets beside the loss's: its logit times this, over all
  /// positions; 0 for nothing.
  package var largestLogitPenalty = 0.0
  /// The weight of the mean of `(log Σ exp(logits))²` over all positions, those without a target, too; 0 for nothing.
  package var logSumPenalty = 0.0

  /// What regions share with later ones.
  let shared = SharedValues()
  /// Whether a region runs that is remembered by running again.
  private(set) var isDeferred = false
  /// Whether a region runs again, which has added its terms before.
  private(set) var isRecomputing = false

  private let forms: WeightForms
  private var operations: [Operation] = []
  /// Whether a region has a parameter that is trained.
  private let isTrained: [Bool]
  private var uses: [Int]

  private enum Operation {
    case twin(output: GradientSum, bytes: Int, backward: (Operand) throws -> Void)
    case regionStart([Int])
    case regionEnd([Int])
  }

  /// Makes an empty tape.
  ///
  /// - Parameters:
  ///   - recording: False for evaluation and generation: nothing is remembered.
  ///   - forms: Forms of the same weights that outlive the tape; nil for its own.
  package init(
    workspace: Workspace, parameters: any ParameterStore, recording: Bool,
    forms: WeightForms? = nil
  ) {
    self.workspace = workspace
    self.parameters = parameters
    self.forms = forms ?? WeightForms(parameters, workspace: workspace)
    isRecording = recording
    uses = [Int](repeating: 0, count: parameters.table.regions.count)
    var trained = uses.map { _ in false }
    for entry in parameters.table.entries where entry.isTrainable { trained[entry.region] = true }
    isTrained = trained
  }

  /// A projection's weight as the workspace's products of a direction read it; it may take memory for that.
  func weight(_ parameter: Parameter, for direction: ProductDirection) -> WeightMatrix {
    forms.matrix(parameter, for: direction)
  }

  /// Where tensors come from.
  package var pool: BufferPool { workspace.pool }

  /// Makes the variable of an op's output and remembers how its gradient goes back.
  ///
  /// - Parameters:
  ///   - inputs: The op's inputs; if none needs a gradient and `always` is false, nothing is remembered.
  ///   - always: True for ops with weights that are trained, whose twin must run whatever the inputs need.
  ///   - remembersOutput: Whether the twin reads the output again.
  ///   - backward: Receives the output's gradient and adds to the inputs' and weights'.
  package func record(
    _ value: Tensor, inputs: [Variable] = [], always: Bool = false, remembersOutput: Bool = false,
    backward: @escaping (Tensor) throws -> Void
  ) -> Variable {
    record(
      Operand(value), value.shape, inputs: inputs, always: always,
      remembersOutput: remembersOutput, backward: backward)
  }

  /// The same for an output that is stored as its readers let it be.
  package func record(
    _ stored: Operand, _ shape: Shape, inputs: [Variable] = [], always: Bool = false,
    remembersOutput: Bool = false, backward: @escaping (Tensor) throws -> Void
  ) -> Variable {
    record(
      stored, shape, inputs: inputs, always: always, gradientReaders: .any,
      remembersOutput: remembersOutput
    ) {
      try backward($0.tensor(shape))
    }
  }

  /// The same for a twin that reads its output's gradient as it is stored.
  ///
  /// - Parameter gradientReaders: What the twin reads it by: where it is products, the op that makes it rounds it.
  func record(
    _ stored: Operand, _ shape: Shape, inputs: [Variable], always: Bool, gradientReaders: Readers,
    remembersOutput: Bool = false, backward: @escaping (Operand) throws -> Void
  ) -> Variable {
    let remembered = isRecording && (always || inputs.contains { $0.needsGradient })
    let output = Variable(
      stored, shape, needsGradient: remembered, gradientReaders: gradientReaders,
      isRemembered: remembered && remembersOutput)
    let read = inputs.reduce(0) { $0 + $1.stored.bytes($1.shape) }
    workspace.counters.note(workspace.counters.last, bytes: read + stored.bytes(shape))
    if remembered {
      // Read once more, and a gradient for each that wants one.
      let bytes = inputs.reduce(read) { $0 + ($1.needsGradient ? 4 * $1.shape.count : 0) }
      operations.append(.twin(output: output.sum, bytes: bytes, backward: backward))
    }
    return output
  }

  /// What the twin of an op reads again of an argument that nothing else keeps; it may take memory.
  func kept(_ x: Variable) -> KeptNumbers {
    isRecording ? x.kept(in: workspace) : KeptNumbers(x.stored, isCopy: false)
  }

  /// Whether any of these weights is trained.
  package func trains(_ weights: Parameter?...) -> Bool {
    weights.contains { weight in weight.map { parameters.table[$0].isTrainable } ?? false }
  }

  /// The gradient sums of a weight; nil where it is frozen.
  package func gradientSums(_ weight: Parameter) -> UnsafeMutablePointer<Float>? {
    trains(weight) ? parameters.gradient(weight) : nil
  }

  /// Runs a part of the model as a region.
  ///
  /// Where nothing in it is trained and its input needs no gradient, the backward pass ends above it.
  ///
  /// - Parameters:
  ///   - region: The parameter region that the part belongs to.
  ///   - borrowing: Other regions whose weights it reads (tied weights).
  ///   - recompute: Whether to remember the input only and run `body` again in the backward pass.
  ///   - formsGradients: Whether ops of it add to gradients of weights already in the forward pass, as the
  ///     cross-entropy does: it then stays acquired, with its gradients, until the backward pass has left it.
  package func region(
    _ region: Int, borrowing: [Int] = [], recompute: Bool, formsGradients: Bool = false,
    input: Variable?, _ body: @escaping (Variable?) throws -> Variable
  ) throws -> Variable {
    let read = [region] + borrowing
    let isDifferentiated =
      isRecording && (input?.needsGradient == true || read.contains { isTrained[$0] })
    let staysAcquired = isDifferentiated && formsGradients && !recompute
    try acquire(read, gradients: staysAcquired)
    let output: Variable
    if isDifferentiated && recompute {
      (isRecording, isDeferred) = (false, true)
      let value: Tensor
      do {
        defer { (isRecording, isDeferred) = (true, false) }
        value = try body(input).value
      }
      try release(read)
      read.forEach { uses[$0] += 1 }
      output = record(value, always: true) { [unowned self] gradient in
        try acquire(read, gradients: true)
        let again = input.map { Variable($0.value, needsGradient: $0.needsGradient) }
        let before = operations
        operations = []
        isRecomputing = true
        let copy = try body(again)
        isRecomputing = false
        try backward(from: copy, gradient: gradient)
        operations = before
        if let gradient = again?.takeGradient() { input?.add(gradient: gradient, in: workspace) }
        try finish(read)
      }
    } else {
      if isDifferentiated {
        read.forEach { uses[$0] += 1 }
        operations.append(.regionStart(read))
      }
      output = try body(input)
      if !staysAcquired { try release(read) }
      if isDifferentiated && !staysAcquired { operations.append(.regionEnd(read)) }
    }
    return output
  }

  /// Runs all twins in reverse from one output, and forgets them.
  package func backward(from output: Variable, gradient: Tensor) throws {
    output.add(gradient: gradient, in: workspace)
    try backwardSoFar()
  }

  /// Runs the twins of all ops so far in reverse, from the gradients that losses added by themselves, and forgets them.
  ///
  /// Layers that learn each by itself are differentiated so, one after another: no more than one is remembered.
  package func backwardSoFar() throws {
    isRecording = true
    while let operation = operations.popLast() {
      switch operation {
      case .twin(let output, let bytes, let backward):
        if let gradient = output.take() {
          try backward(gradient)
          workspace.counters.note(
            workspace.counters.last, bytes: bytes + gradient.bytes(output.shape))
        }
        try workspace.poll()
      case .regionEnd(let read):
        try acquire(read, gradients: true)
      case .regionStart(let read):
        try finish(read)
      }
    }
  }

  /// Runs ops that are not remembered, whatever the tape does.
  package func withoutRecording<Result>(_ body: () throws -> Result) rethrows -> Result {
    let before = isRecording
    isRecording = false
    defer { isRecording = before }
    return try body()
  }

  /// Runs ops inside the twin of another, and then their own twins: what the other computed and did not keep is computed again.
  ///
  /// - Parameter body: Runs them, and gives outputs, each with its gradient.
  package func differentiate(
    _ body: () throws -> [(output: Variable, gradient: Tensor)]
  ) throws {
    let before = operations
    operations = []
    defer { operations = before }
    for (output, gradient) in try body() { output.add(gradient: gradient, in: workspace) }
    try backwardSoFar()
  }

  private func acquire(_ regions: [Int], gradients: Bool) throws {
    for region in regions {
      try parameters.acquire(region: region, gradients: gradients)
      forms.acquire(region)
    }
    // The region after this one in the pass: forward upwards, backward downwards.
    var next = regions[0]
    repeat { next += gradients ? -1 : 1 } while regions.contains(next)
    guard parameters.table.regions.indices.contains(next), !gradients || uses[next] > 0 else {
      return
    }
    try parameters.prefetch(region: next)
  }

  private func release(_ regions: [Int]) throws {
    for region in regions.reversed() {
      forms.release(region)
      try parameters.release(region: region)
    }
  }

  private func finish(_ regions: [Int]) throws {
    try release(regions)
    for region in regions {
      uses[region] -= 1
      if uses[region] == 0 { try regionCompleted(region) }
    }
  }
}
