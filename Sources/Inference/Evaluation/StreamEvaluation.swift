import Autodiff
import Checkpoints
import Corpora
import DataParallel
import MessagePassing
import Models
import Reporting
import SequenceParallel
import Tensors

/// `lasp-train evaluate MODEL_DIR --data.path FILE`: the loss over whole files, each as one stream.
///
/// A file is read in windows of `sequence.length` tokens, shared by all ranks, the last one as long as what is left; the
/// state goes from the last rank of a window to the first rank of the next, so every token sees all of its document that
/// came before it.
package struct StreamEvaluation {
  /// A file, or the first part of one.
  private struct Stream {
    let file: TokenFile
    let windows: SequentialWindows
    /// How many of its tokens are read; the last that is predicted may be one more.
    let tokens: Int
    /// Bytes of the text that is predicted, where that is all of a text; else targets are asked for theirs.
    let textBytes: Int?

    init(_ file: TokenFile, end: Int, length: Int, vocabulary: Int) {
      self.file = file
      tokens = file.labels == nil ? end - 1 : end
      let isWhole =
        end == file.count && file.documents == nil && file.lossMask == nil && file.labels == nil
      textBytes = isWhole ? file.text?.predictedBytes : nil
      windows = SequentialWindows(
        [(file, 0..<end)], length: length, batch: 1, vocabulary: vocabulary)
    }
  }

  private let runner: ModelRunner<DistributedParameters>
  private let world: any Communicator
  private let streams: [Stream]
  private let length: Int
  let paths: [String]

  /// Opens a model and files over all ranks, which share every window.
  ///
  /// - Parameters:
  ///   - adapter: The folder of an adapter of the model, or nil.
  ///   - data: Where the files stand.
  ///   - length: Tokens of a window.
  ///   - tokens: Tokens to predict at most, from the first file's start; nil for all.
  ///   - parallel: How states and keys cross ranks, and how experts are dealt over them.
  package init(
    modelFolder: String, adapter: String? = nil, data: DataSection, length: Int,
    tokens: Int? = nil, parallel: ParallelSection,
    world: any Communicator, workspace: Workspace
  ) throws {
    let folder = try ModelFolder(verifying: modelFolder, adapter: adapter)
    if world.rank == 0 { Notices.print(folder.notices) }
    let model = folder.model
    self.world = world
    runner = try ModelRunner(
      folder, exchange: parallel.exchange.kind ?? .chain, attention: parallel.attention,
      experts: parallel.experts, reproducible: parallel.reproducible > 0, world: world,
      workspace: workspace)
    self.length = length
    paths = data.path.map(\.path)
    try data.checkTokenizer(model: folder.path)
    let tokenizer = try data.readTokenizer(model: folder.path)
    try tokenizer?.check(vocabulary: model.vocabulary)
    let files = try data.openFiles(
      tokenizer: tokenizer?.tokenizer,
      meaning: tokenizer?.tokenizer ?? data.tokenizerOfTokens(model: folder.path))
    var streams: [Stream] = []
    var left = tokens ?? .max
    for (file, _) in files where left > 0 {
      guard file.count >= 2 else {
        throw CorpusError.tooShort(path: file.path, tokens: file.count, heldOut: 0, length: 1)
      }
      try file.check(said: data.vocabulary > 0 ? data.vocabulary : model.vocabulary)
      let (end, targets) = try file.end(ofTargets: left, vocabulary: model.vocabulary)
      left -= targets
      streams.append(Stream(file, end: end, length: length, vocabulary: model.vocabulary))
    }
    self.streams = streams
  }

  /// Reads every file to its end, or as far as was asked.
  ///
  /// - Parameters:
  ///   - byPosition: Whether losses are told apart by how many tokens of its document a prediction sees.
  ///   - progress: Where is shown how far it is.
  package func run(byPosition: Bool = false, progress: ProgressDisplay? = nil) throws -> Result {
    let model = runner.model
    let terms = model.lossTerms(NextToken())
    let hasBalance = terms.contains { $0.name == ExpertBalance.lossName }
    // Of all windows together, so that neither they nor ranks change it.
    let balance = model.experts.map { experts in
      guard hasBalance else { return ExpertBalance(experts: experts) }
      return ExpertBalance(experts: experts) { [world] in try world.allReduce($0, .sum) }
    }
    var sums = LossSums()
    var positions =
      byPosition ? PositionSums(longest: streams.map(\.tokens).max() ?? 1) : nil
    let knowsBytes = streams.allSatisfy(\.file.knowsBytes)
    let windows = streams.reduce(0) { $0 + $1.windows.windows }
    var done = 0
    for stream in streams {
      var left = Carry()
      var documentStart = 0
      var reader = WindowReader(stream.windows, world: world)
      for window in 0..<stream.windows.windows {
        let start = window * length
        try reader.read(window, tokens: min(length, stream.tokens - start))
        let batch = reader.batch
        let (result, added) = try runner.forward(
          batch.inputs, targets: batch.targets, window: reader.layout(start: start), from: &left,
          balance: balance, step: window)
        var seen = LossSums(result, terms: added, declared: terms)
        let bytes =
          knowsBytes && (byPosition || stream.textBytes == nil)
          ? try stream.windows.targetBytes(batch, step: window) : nil
        if stream.textBytes == nil {
          seen.bytes = bytes?.reduce(0) { $0 + Int($1) } ?? 0
        }
        sums += seen
        let starts = reader.documentStarts
        if byPosition {
          var next = 0
          for (index, place) in batch.positions.enumerated() {
            while next < starts.count, starts[next] <= place {
              documentStart = start + starts[next]
              next += 1
            }
            guard batch.targets[index] >= 0 else { continue }
            positions?.add(
              after: start + place - documentStart + 1, loss: result.losses[index],
              bytes: bytes?[index] ?? 0)
          }
        }
        if let last = starts.last { documentStart = start + last }
        done += 1
        progress?.show(Double(done), of: Double(windows), note: "window \(done) of \(windows)")
      }
      try runner.context.drain()
      // The text's own bytes, which a tokenizer that changes text does not give back, are told once.
      if knowsBytes, world.rank == 0, let bytes = stream.textBytes { sums.bytes += bytes }
    }
    if let balance, hasBalance {
      try balance.complete()
      sums.add(ExpertBalance.lossName, sum: balance.loss.sum, positions: balance.loss.positions)
    }
    let count = sums.numbers.count
    let all = try world.allReduce(sums.numbers + (positions?.numbers ?? []), .sum)
    let total = sums.with(Array(all.prefix(count)))
    guard total.targets > 0 else { throw CorpusError.noTarget(paths: paths) }
    guard total.isFinite else {
      throw NotFiniteError("the loss on \(paths.joined(separator: ", "))", total.objective)
    }
    return Result(
      sums: total, tokensAreBytes: streams.allSatisfy(\.windows.tokensAreBytes),
      positions: positions?.with(all.dropFirst(count)))
  }
}

/// Reads a rank's shards of windows, of which the last is shorter.
private struct WindowReader {
  private let windows: SequentialWindows
  private let world: any Communicator
  private var shards: [Int] = []
  private var tokens = 0
  /// This rank's part of the window that was read last.
  private(set) var batch = TokenBatch(rows: 0..<1, positions: 0..<0)

  init(_ windows: SequentialWindows, world: any Communicator) {
    (self.windows, self.world) = (windows, world)
  }

  /// Reads the first tokens of a window.
  mutating func read(_ window: Int, tokens: Int) throws {
    if tokens != self.tokens {
      self.tokens = tokens
      shards = SequenceLayout.evenShards(tokens: tokens, ranks: world.size)
      let first = shards[..<world.rank].reduce(0, +)
      batch = TokenBatch(rows: 0..<1, positions: first..<first + shards[world.rank])
    }
    try windows.fill(&batch, step: window)
  }

  /// Where documents begin in the window, ascending.
  var documentStarts: [Int] { batch.documentStarts[0].filter { $0 < tokens } }

  /// Where every rank's shard lies.
  func layout(start: Int) -> SequenceLayout {
    SequenceLayout(
      shardLengths: shards, rank: world.rank, rows: 1, start: start,
      documentStarts: [documentStarts])
  }
}
