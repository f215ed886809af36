import Autodiff
import SequenceParallel
import Tensors

/// A language model: embedding, blocks, norm, head; and how its files look.
package struct LanguageModel: Sendable {
  /// Every parameter, region by region.
  package private(set) var table: ParameterTable
  /// The tensors of its weight file, in order.
  package let tensors: [WeightTensor]
  /// Which adapters it has; nil for none.
  package let lora: LoRA?
  /// The tensors of its adapters, in order, named without what PEFT puts before.
  package let adapterTensors: [WeightTensor]
  /// The architecture, which writes `config.json`.
  package let architecture: any Architecture
  /// Number of tokens it knows.
  package let vocabulary: Int
  /// Width of the residual stream.
  package let dimension: Int
  /// The blocks, bottom up.
  package let blocks: [Block]

  /// Parameters that were copied from a Transformer, where the model was made of one just now.
  package var inherited: [Parameter] = []
  /// Tensors of the folder that the model was read from, that nothing computes with and that are written with it.
  package var kept: [KeptTensor] = []

  private let embedding: Parameter
  private let embeddingScale: Float
  private let norm: any Normalization
  private let head: Head
  private let regions: (embedding: Int, head: Int)
  /// Regions of weights that several blocks read.
  private let sharedRegions: [Int]

  /// Builds an architecture.
  package init(_ architecture: any Architecture) {
    var builder = ModelBuilder(deviation: architecture.initialDeviation)
    self.init(architecture, nil, &builder)
  }

  /// Builds an architecture with adapters.
  ///
  /// - Throws: What does not fit the architecture.
  package init(_ architecture: any Architecture, adapting lora: LoRA) throws(AdapterError) {
    var builder = ModelBuilder(deviation: architecture.initialDeviation, adapting: lora)
    self.init(architecture, lora, &builder)
    if let problem = builder.adapterProblem { throw problem }
    try checkAdapters(lora, builder)
  }

  private init(_ architecture: any Architecture, _ lora: LoRA?, _ builder: inout ModelBuilder) {
    let names = architecture.outerNames
    dimension = architecture.dimension
    vocabulary = architecture.vocabulary
    let embeddingRegion = builder.region("embedding")
    embedding = builder.embedding(names.embedding, vocabulary: vocabulary, width: dimension)
    embeddingScale = architecture.embeddingScale
    architecture.addShared(&builder)
    sharedRegions = Array(embeddingRegion + 1..<builder.table.regions.count)
    blocks = (0..<architecture.depth).map { layer in
      let region = builder.region("blocks.\(layer)")
      return architecture.block(layer, region: region, &builder)
    }
    let headRegion = builder.region("head")
    norm = architecture.outerNorm(&builder)
    head = Head(
      weight: architecture.tiesEmbedding
        ? embedding
        : builder.parameter(
          names.head, [vocabulary, dimension], role: .head,
          initialization: .normal(deviation: architecture.initialDeviation)),
      softCap: architecture.logitSoftCap)
    builder.closeRegion()
    regions = (embeddingRegion, headRegion)
    (self.lora, adapterTensors) = (lora, builder.adapterTensors)
    self.architecture = architecture
    table = builder.table
    tensors = builder.tensors
  }

  /// Leaves parameters as they are from now on.
  package mutating func freeze(_ parameters: [Parameter]) {
    for parameter in parameters { table.freeze(parameter) }
  }

  /// Leaves all parameters as they are from now on.
  package mutating func freezeAll() { freeze(table.parameters) }

  /// Parameters outside the token embedding: what the operations of a token are counted by.
  package var bodyCount: Int { table.count - table[embedding].range.count }

  /// Operations of a training step a token, by the field's formula, without those of softmax attention.
  ///
  /// Concretely: `6 (parameters − token embedding) + 3 Σ_layers H (2C(K+V) + 4KV)`, with `C` = 64. A tied
  /// head counts as a head. A frozen weight has no gradient of its own: 4 operations instead of 6; in regions below the
  /// lowest that is trained nothing goes back: 2, and a third of a recurrence. Of experts and memories, those that a token takes count.
  package var operationsPerToken: Double {
    let lowest = table.entries.first(where: \.isTrainable)?.region ?? table.regions.count
    func passes(_ entry: ParameterTable.Entry, in region: Int) -> Double {
      1 + (region >= lowest ? 1 : 0) + (entry.isTrainable ? 1 : 0)
    }
    let products = table.entries.reduce(0.0) { sum, entry in
      let isEmbedding = entry.range == table[embedding].range
      guard !isEmbedding || head.weight == embedding else { return sum }
      let region = isEmbedding ? regions.head : entry.region
      return sum + 2 * passes(entry, in: region) * Double(entry.range.count)
    }
    let idle = blocks.flatMap(\.idleWeights).reduce(0.0) {
      let entry = table[$1.weight]
      return $0 + 2 * passes(entry, in: entry.region) * $1.share * Double(entry.range.count)
    }
    return products - idle
      + blocks.reduce(0) { sum, block in
        let all = block.mixer.recurrences.reduce(0) { $0 + $1.operationsPerToken }
        return sum + (block.region >= lowest ? all : all / 3)
      }
  }

  /// Operations of a training step of so many sequences, each one document.
  package func operations(sequences: Int, length: Int) -> Double {
    let attention = blocks.reduce(0) { $0 + ($1.mixer.attention?.operations(length: length) ?? 0) }
    return Double(sequences) * (operationsPerToken * Double(length) + attention)
  }

  /// The terms that its layers and an objective may add to the loss, bottom up, each name once.
  package func lossTerms(_ objective: any Objective) -> [DeclaredTerm] {
    var terms: [DeclaredTerm] = []
    for term in blocks.flatMap(\.lossTerms) + objective.lossTerms + largestLogitTerm + logSumTerm {
      guard let index = terms.firstIndex(where: { $0.name == term.name }) else {
        terms.append(term)
        continue
      }
      precondition(
        terms[index].weight == term.weight && terms[index].mean == term.mean,
        "layers declare the term \(term.name) in different ways")
      terms[index].layers += term.layers
    }
    return terms
  }

  /// How many experts or memories its tokens choose among, the same in all layers that have some; nil where none has.
  package var experts: Int? { blocks.lazy.compactMap { $0.experts?.experts }.first }

  /// What keeps the use of experts equal without a loss, of layers whose router is trained, bottom up.
  package var balancedBiases: [BalancedBias] {
    blocks.compactMap { $0.channels?.mixer.balancedBias }.filter { table[$0.router].isTrainable }
  }

  /// What is told of the largest logits, whose penalty is in the gradient alone: their mean.
  private var largestLogitTerm: [DeclaredTerm] {
    architecture.largestLogitPenalty == 0
      ? [] : [DeclaredTerm(Tape.largestLogit, weight: 0, mean: .positions)]
  }

  /// The penalty on all positions' log sums.
  private var logSumTerm: [DeclaredTerm] {
    let weight = architecture.logSumPenalty
    return weight == 0 ? [] : [DeclaredTerm(Tape.logSum, weight: weight, mean: .positions)]
  }

  /// Runs a shard through the embedding and the blocks.
  ///
  /// - Parameters:
  ///   - inputs: `rows × length` tokens.
  ///   - recompute: Whether blocks remember only their inputs.
  /// - Returns: The hidden states, `[rows × length, D]`, before the last norm.
  package func hidden(
    _ inputs: [Int32], tape: Tape, pass: SequencePass, recompute: Bool = false
  ) throws -> Variable {
    var x = try embedded(inputs, tape: tape)
    for block in blocks {
      x = try tape.region(
        block.region, borrowing: borrowed(by: block), recompute: recompute, input: x
      ) { x in
        try block(x!, tape: tape, pass: pass)
      }
    }
    return x
  }

  /// The embeddings of tokens, `[rows × length, D]`.
  func embedded(_ inputs: [Int32], tape: Tape) throws -> Variable {
    // The embedding borrows what blocks share, so that it is complete in the end whichever blocks read it.
    try tape.region(
      regions.embedding, borrowing: sharedRegions, recompute: false, input: nil
    ) { _ in
      tape.embedding(inputs, table: embedding, scale: embeddingScale)
    }
  }

  /// Regions of others that a block reads weights of.
  func borrowed(by block: Block) -> [Int] {
    Set(block.mixer.sharedParameters.map { table[$0].region }).sorted()
  }

  /// Runs a shard through the model and its objective.
  ///
  /// - Parameters:
  ///   - inputs: `rows × length` tokens.
  ///   - targets: The tokens to predict, already shifted; negative where there is no loss.
  ///   - objective: What is done with the hidden states.
  ///   - recompute: Whether blocks remember only their inputs.
  ///   - logits: Receives `[rows × length, vocabulary]`, where wanted.
  /// - Returns: The seed of the backward pass, and what the head saw; `tape.terms` has what was added to the loss.
  package func callAsFunction(
    _ inputs: [Int32], targets: [Int32], objective: any Objective = NextToken(), tape: Tape,
    pass: SequencePass, recompute: Bool = false, logits: UnsafeMutablePointer<Float>? = nil
  ) throws -> (loss: Variable, result: HeadResult) {
    if let transfer = objective.transfer {
      return try self.transfer(inputs, by: transfer, tape: tape, pass: pass)
    }
    let x = try hidden(inputs, tape: tape, pass: pass, recompute: recompute)
    var result: HeadResult?
    let tied = head.weight == embedding ? [regions.embedding] : []
    tape.largestLogitPenalty = architecture.largestLogitPenalty
    tape.logSumPenalty = architecture.logSumPenalty
    let loss = try tape.region(
      regions.head, borrowing: tied, recompute: false, formsGradients: true, input: x
    ) { x in
      let (loss, seen) = try objective(
        norm(x!, tape: tape, for: .products), head: head, targets: targets, tape: tape,
        logits: logits)
      result = seen
      return loss
    }
    for term in largestLogitTerm {
      tape.note(
        LossTerm(
          term.name, weight: term.weight,
          sum: result!.largestLogits.reduce(0) { $0 + Double($1) }, positions: targets.count))
    }
    for term in logSumTerm {
      tape.note(
        LossTerm(
          term.name, weight: term.weight, sum: result!.allSquaredLogSums, positions: targets.count))
    }
    return (loss, result!)
  }

  /// Runs a body that reads this model's last hidden states, normalised, and its head, whose weights are there meanwhile.
  ///
  /// - Parameter hidden: What `hidden` gave, `[N, D]`.
  func withHead<Result>(
    of hidden: Tensor, tape: Tape, _ body: (_ normalised: Tensor, Head) throws -> Result
  ) throws -> Result {
    let tied = head.weight == embedding ? [regions.embedding] : []
    var result: Result?
    try withoutActuallyEscaping(body) { body in
      _ = try tape.region(
        regions.head, borrowing: tied, recompute: false,
        input: Variable(hidden, needsGradient: false)
      ) { x in
        let normalised = norm(x!, tape: tape)
        result = try body(normalised.value, head)
        return normalised
      }
    }
    return result!
  }

  /// Runs a shard through the model for what follows its last token: one row of logits for each sequence.
  ///
  /// - Parameter inputs: `rows × length` tokens, at least one a row.
  /// - Returns: Logits, `[rows, vocabulary]`.
  package func next(_ inputs: [Int32], tape: Tape, pass: SequencePass) throws -> Tensor {
    let (rows, length) = (pass.layout.rows, pass.layout.length)
    precondition(length > 0, "no token that another could follow")
    let x = try hidden(inputs, tape: tape, pass: pass)
    let tied = head.weight == embedding ? [regions.embedding] : []
    return try tape.region(regions.head, borrowing: tied, recompute: false, input: x) { x in
      let last = Tensor([rows, dimension], pool: tape.pool)
      tape.workspace.compute(.head) {
        for row in 0..<rows {
          (last.pointer + row * dimension).update(
            from: x!.value.pointer + ((row + 1) * length - 1) * dimension, count: dimension)
        }
      }
      return try head(norm(Variable(last, needsGradient: false), tape: tape), tape: tape)
    }.value
  }
}
