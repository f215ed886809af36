import Autodiff
import Checkpoints
import Corpora
import DataParallel
import Foundation
import MessagePassing
import Models
import Reporting
import SequenceParallel
import Tensors

/// `lasp-train evaluate MODEL_DIR --tokens FILE`: logits, loss and gradients of given tokens.
package struct TokenEvaluation {
  private let folder: ModelFolder
  private var runner: ModelRunner<DistributedParameters>
  private let hasGradients: Bool
  private let world: any Communicator

  private var context: RankContext { runner.context }
  private var store: DistributedParameters { runner.store }

  /// Opens a model over all ranks, which share every sequence.
  ///
  /// - Parameters:
  ///   - adapter: The folder of an adapter of the model, or nil.
  ///   - experts: Ranks over which experts are dealt; 1 where every rank has all.
  ///   - reproducible: Whether how they are dealt may change no bit.
  package init(
    modelFolder: String, adapter: String? = nil, gradients: Bool, exchange: ExchangeKind = .chain,
    attention: AttentionExchange = .gather, experts: Int = 1, reproducible: Bool = false,
    world: any Communicator, workspace: Workspace
  ) throws {
    folder = try ModelFolder(verifying: modelFolder, adapter: adapter)
    if world.rank == 0 { Notices.print(folder.notices) }
    self.world = world
    hasGradients = gradients
    runner = try ModelRunner(
      folder, gradients: gradients, exchange: exchange, attention: attention, experts: experts,
      reproducible: reproducible, world: world, workspace: workspace)
  }

  /// Records the choices of experts, or takes them over from a run before, in an evaluation of the same tokens.
  package var routing: RoutingRecord? {
    get { runner.routing }
    set { runner.routing = newValue }
  }

  /// Reads `input_ids` and writes `logits`, `loss` and, where gradients are wanted, `grad.<name>`.
  ///
  /// The loss is the mean next-token cross-entropy over the first T−1 positions of all rows, with what the model's layers add
  /// to it, such as a loss for the balance of experts.
  ///
  /// - Parameter progress: Where is shown how far it is.
  /// - Returns: The loss, in nats, on every rank.
  package func run(
    tokens path: String, output: String, progress: ProgressDisplay? = nil
  ) throws -> Double {
    let (ids, rows, length) = try read(path)
    let model = folder.model
    let layout = SequenceLayout(
      shardLengths: SequenceLayout.evenShards(tokens: length, ranks: world.size),
      rank: world.rank, rows: 1)
    let writer = world.rank == 0 ? try makeWriter(output, rows: rows, length: length) : nil
    let logits = Tensor([layout.length, model.vocabulary], pool: context.workspace.pool)
    var sums = LossSums()
    // The first logit that is no number, or 0: a sum of such is no number either.
    var wrong: Float = 0
    let terms = model.lossTerms(NextToken())
    let targetsPerPosition = terms.targetsPerPosition(
      targets: rows * (length - 1), positions: rows * length)
    func shard(of row: Int) -> (inputs: [Int32], targets: [Int32], pass: SequencePass) {
      let all = ids[row * length..<(row + 1) * length]
      let shard = layout.shard.map { all.startIndex + $0 }
      return (
        shard.map { all[$0] }, shard.map { $0 + 1 < all.endIndex ? all[$0 + 1] : -1 },
        SequencePass(context: context, layout: layout, step: row)
      )
    }
    let balance =
      terms.contains { $0.name == ExpertBalance.lossName }
      ? try countChoices(rows: rows, shard) : nil
    for row in 0..<rows {
      let (inputs, targets, pass) = shard(of: row)
      let (result, added) =
        !hasGradients
        ? try runner.forward(
          inputs, targets: targets, pass: pass, balance: balance, logits: logits.pointer)
        : try runner.forwardAndBackward(
          inputs, targets: targets, pass: pass, targetsPerPosition: targetsPerPosition,
          balance: balance, logits: logits.pointer
        ) { [store] in try store.complete(region: $0, isLast: row == rows - 1) }
      try context.drain()
      sums += LossSums(result, terms: added, declared: terms)
      wrong += UnsafeBufferPointer(start: logits.pointer, count: logits.count).firstNotFinite ?? 0
      try collect(logits, layout: layout, row: row, length: length, writer: writer)
      progress?.show(Double(row + 1), of: Double(rows))
    }
    if let balance {
      try balance.complete()
      sums.add(ExpertBalance.lossName, sum: balance.loss.sum, positions: balance.loss.positions)
    }
    var numbers = try world.allReduce(sums.numbers + [Double(wrong)], .sum)
    let wrongOfAll = numbers.removeLast()
    let total = sums.with(numbers)
    guard total.isFinite else { throw NotFiniteError("the loss on \(path)", total.objective) }
    guard wrongOfAll == 0 else { throw NotFiniteError("a logit on \(path)", wrongOfAll) }
    let gradients = hasGradients ? try collectGradients() : nil
    if let gradients,
      let wrong = UnsafeBufferPointer(start: gradients.pointer, count: gradients.count)
        .firstNotFinite
    {
      throw NotFiniteError("a gradient on \(path)", Double(wrong))
    }
    if let writer {
      try withUnsafePointer(to: Float(total.objective)) {
        try writer.write("loss", UnsafeBufferPointer(start: $0, count: 1))
      }
      if let gradients { try write(gradients, to: writer, scale: 1 / Float(total.targets)) }
      try writer.finish()
    }
    return total.objective
  }

  /// What counts how the tokens of all rows fall on experts: complete where gradients depend on it; nil without experts.
  private func countChoices(
    rows: Int, _ shard: (Int) -> (inputs: [Int32], targets: [Int32], pass: SequencePass)
  ) throws -> ExpertBalance? {
    guard let experts = folder.model.experts else { return nil }
    let balance = ExpertBalance(experts: experts) { [world] in try world.allReduce($0, .sum) }
    guard hasGradients else { return balance }
    for row in 0..<rows {
      let (inputs, targets, pass) = shard(row)
      _ = try runner.forward(inputs, targets: targets, pass: pass, balance: balance)
      try context.drain()
    }
    try balance.complete()
    return balance
  }

  /// The rows of `input_ids`, checked against the vocabulary.
  ///
  /// - Throws: `CorpusError`: the file is data, although it has the form of weights.
  private func read(
    _ path: String
  ) throws(CorpusError) -> (ids: [Int32], rows: Int, length: Int) {
    do throws(CheckpointError) {
      return try tokens(SafetensorsFile(path: path), path: path)
    } catch {
      switch error {
      case .file(let error): throw .file(error)
      case .damaged(_, let reason), .unsupported(_, let reason):
        throw .unreadable(path: path, reason: reason)
      default: throw .unreadable(path: path, reason: "\(error)")
      }
    }
  }

  private func tokens(
    _ file: SafetensorsFile, path: String
  ) throws(CheckpointError) -> (ids: [Int32], rows: Int, length: Int) {
    guard let stored = file.tensor("input_ids") else {
      throw .damaged(path: path, reason: "it has no tensor named input_ids")
    }
    guard stored.shape.count == 2, stored.shape[0] > 0, stored.shape[1] >= 2 else {
      throw .damaged(
        path: path,
        reason: "input_ids has the shape \(stored.shape), not [rows, at least 2 tokens]")
    }
    let vocabulary = folder.model.vocabulary
    let ids = try file.readIntegers("input_ids")
    if let wrong = ids.firstIndex(where: { !(0..<vocabulary).contains($0) }) {
      throw .damaged(
        path: path,
        reason:
          "input_ids holds \(ids[wrong]) in row \(wrong / stored.shape[1]), beyond the model's "
          + "vocabulary of \(vocabulary)")
    }
    return (ids.map { Int32($0) }, stored.shape[0], stored.shape[1])
  }

  /// The tensors that have gradients: all but what no gradient reaches, such as a correction of experts' choice.
  private var differentiated: [WeightTensor] {
    (folder.model.tensors + folder.model.adapterTensors).filter { tensor in
      tensor.pieces.contains { folder.model.table[$0.parameter].isTrainable }
    }
  }

  private func makeWriter(_ output: String, rows: Int, length: Int) throws -> SafetensorsWriter {
    var tensors = [
      TensorDescription("logits", shape: [rows, length, folder.model.vocabulary]),
      TensorDescription("loss", shape: []),
    ]
    if hasGradients {
      tensors += differentiated.map {
        TensorDescription("grad." + $0.name, shape: $0.shape.dimensions)
      }
    }
    return try SafetensorsWriter(path: output, tensors: tensors)
  }

  /// Brings a row's logits to rank 0, which writes them.
  private func collect(
    _ logits: Tensor, layout: SequenceLayout, row: Int, length: Int, writer: SafetensorsWriter?
  ) throws {
    let vocabulary = folder.model.vocabulary
    guard let writer else {
      guard logits.count > 0 else { return }
      let bytes = UnsafeRawBufferPointer(start: logits.pointer, count: 4 * logits.count)
      return try world.send(bytes, to: 0, tag: 16).wait(for: "logits to leave")
    }
    var position = row * length
    for (rank, tokens) in layout.shardLengths.enumerated() where tokens > 0 {
      let part =
        rank == 0 ? logits : Tensor([tokens, vocabulary], pool: context.workspace.pool)
      if rank > 0 {
        let bytes = UnsafeMutableRawBufferPointer(start: part.pointer, count: 4 * part.count)
        try world.receive(into: bytes, from: rank, tag: 16).wait(for: "logits of rank \(rank)")
      }
      try writer.write(
        "logits", UnsafeBufferPointer(start: part.pointer, count: part.count),
        at: position * vocabulary)
      position += tokens
    }
  }

  /// The gradients of all parameters, summed over all ranks; 0 for what is not trained.
  private func collectGradients() throws -> Buffer {
    try store.finishSums(polling: context.workspace.poll)
    let all = Buffer(
      count: folder.model.table.count, pool: context.workspace.pool, kind: .gradients)
    all.pointer.update(repeating: 0, count: all.count)
    // Each number is one rank's.
    for part in store.parts {
      (all.pointer + part.range.lowerBound).update(from: part.gradients, count: part.range.count)
    }
    if world.size > 1 {
      let buffer = UnsafeMutableBufferPointer(start: all.pointer, count: all.count)
      try world.allReduce(buffer, .sum).wait(for: "the gradients of all parameters")
    }
    return all
  }

  private func write(_ gradients: Buffer, to writer: SafetensorsWriter, scale: Float) throws {
    for tensor in differentiated {
      var offset = 0
      for piece in tensor.pieces {
        let count = piece.elements.count
        let gradient =
          gradients.pointer + folder.model.table[piece.parameter].range.lowerBound
          + piece.elements.lowerBound
        for index in 0..<count { gradient[index] *= scale }
        try writer.write(
          "grad." + tensor.name, UnsafeBufferPointer(start: gradient, count: count), at: offset)
        offset += count
      }
    }
  }
}
