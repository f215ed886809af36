import Tensors

/// The keys and values that each rank holds for full attention over a sequence group.
///
/// The first rank also holds what came before the sequence: `layout.start` tokens, of which the last so many
/// exist as its `left` carry has; the others are zero and nobody sees them. A message has a header, for each
/// row how many of those tokens exist, and keys beside values of consecutive positions, with their log gates where
/// there are any: not the gates' sums, so that what is carried stays true whatever comes after it.
struct HeldKeys {
  let slot: CarrySlot
  /// Numbers of a token's keys, values and log gates.
  let widths: KeyWidths
  /// Whether messages hold parts of what a rank holds, and so the sum of the log gates behind them.
  let sendsTails: Bool
  let pass: SequencePass

  private var layout: SequenceLayout { pass.layout }
  private var workspace: Workspace { pass.context.workspace }
  var gates: Int { widths.gates }

  /// The positions that a rank holds.
  func positions(of rank: Int) -> Range<Int> {
    let shard = layout.shard(of: rank)
    return rank == 0 ? -layout.start..<shard.upperBound : shard
  }

  /// Floats of all that a token has.
  var tokenCount: Int { widths.token }

  /// Floats of keys and values at so many positions.
  func count(_ positions: Int) -> Int { layout.rows * positions * tokenCount }

  /// Floats that stand before them.
  var headCount: Int {
    MessageHeader.floats + layout.rows * (1 + (sendsTails ? gates : 0))
  }

  /// How many tokens before the sequence exist in each row, on the first rank.
  var leftLengths: [Int] { pass.leftLengths(slot, columns: tokenCount, atMost: layout.start) }

  /// Writes a message of some positions that this rank holds.
  func write(
    _ positions: Range<Int>, of heads: any KeyReader, _ header: MessageHeader,
    into message: UnsafeMutablePointer<Float>
  ) {
    header.write(to: message)
    let lengths = leftLengths
    for (row, length) in lengths.enumerated() {
      message[MessageHeader.floats + row] = Float(countBits: length)
    }
    if sendsTails, gates > 0 {
      writeTails(from: positions.upperBound, of: heads.own, into: message)
    }
    let (own, body) = (heads.own, message + headCount)
    let before = positions.clamped(to: positions.lowerBound..<max(positions.lowerBound, 0))
    for row in 0..<layout.rows {
      let target = body + row * positions.count * tokenCount
      for (index, position) in before.enumerated() {
        let target = target + index * tokenCount
        if let left = pass.left.values[slot], -position <= lengths[row] {
          let token = (row + 1) * left.shape[1] + position
          target.update(from: left.pointer + token * tokenCount, count: tokenCount)
        } else {
          target.update(repeating: 0, count: tokenCount)
        }
      }
      for position in before.upperBound..<max(before.upperBound, positions.upperBound) {
        copy(
          own.token(row: row, position: position),
          into: target + (position - positions.lowerBound) * tokenCount)
      }
    }
  }

  /// Puts what a token has side by side.
  func copy(_ token: KeyToken, into target: UnsafeMutablePointer<Float>) {
    target.update(from: token.k, count: widths.k)
    (target + widths.k).update(from: token.v, count: widths.v)
    if let log = token.gates { (target + widths.k + widths.v).update(from: log, count: gates) }
  }

  /// Writes the sums of the log gates from a position to the shard's end.
  private func writeTails(
    from position: Int, of own: KeyBlock, into message: UnsafeMutablePointer<Float>
  ) {
    for row in 0..<layout.rows {
      for head in 0..<gates {
        var sum = 0.0
        if let log = own.gates(row: row, head: head) {
          for token in max(0, position - own.first)..<max(0, position - own.first, own.tokens) {
            sum += Double(log[token][0])
          }
        }
        message[MessageHeader.floats + layout.rows + row * gates + head] = Float(sum)
      }
    }
  }

  /// The sums of the log gates behind a message's part of what a rank holds, for every row and head.
  func tails(in message: UnsafePointer<Float>) -> [Double] {
    let count = layout.rows * gates
    return workspace.known(assuming: [Double](repeating: 0, count: count)) {
      (0..<count).map { Double(message[MessageHeader.floats + layout.rows + $0]) }
    }
  }

  /// The tokens before the sequence that exist, as a message of the first rank tells.
  func lengths(in message: UnsafePointer<Float>) -> [Int] {
    workspace.known(assuming: [Int](repeating: layout.start, count: layout.rows)) {
      (0..<layout.rows).map { message[MessageHeader.floats + $0].countInBits }
    }
  }

  /// What came before the sequence, on the first rank.
  private var leftBlock: KeyBlock? {
    guard layout.rank == 0, let left = pass.left.values[slot] else { return nil }
    let tokens = left.shape[1]
    return KeyBlock(packed: left, first: -tokens, tokens: tokens, widths: widths)
  }

  /// Absorbs what came before the sequence, on the first rank.
  func absorbLeft(_ heads: any KeyReader) throws {
    guard let block = leftBlock else { return }
    heads.see(before: leftLengths)
    try heads.absorb(block, after: heads.noGates)
  }

  /// The gradients between the first rank's queries and what came before the sequence.
  ///
  /// - Returns: Room for the sum of all ranks' gradients of that, `[rows, start, tokenCount]`, on the first rank,
  ///   and where somebody wants them.
  func backwardLeft(_ heads: any KeyReader, dO: Tensor, dq: Tensor) throws -> Tensor? {
    var left: Tensor?
    if pass.holdsLeftGradients && layout.start > 0 {
      let sums = Tensor([layout.rows, layout.start, tokenCount], pool: workspace.pool)
      workspace.compute(.attention) { sums.clear() }
      left = sums
    }
    guard let block = leftBlock else { return left }
    let gradients = Tensor([layout.rows, block.tokens, tokenCount], pool: workspace.pool)
    workspace.compute(.attention) { gradients.clear() }
    let target = KeyBlock(
      packed: gradients, first: block.first, tokens: block.tokens, widths: widths)
    try heads.backward(block, after: heads.noGates, into: target, dO: dO, dq: dq)
    workspace.compute(.attention) {
      deliver(gradients.pointer, positions: block.positions, to: target, left: left)
    }
    return left
  }

  /// Adds gradients of positions that this rank holds, `[rows, positions, tokenCount]`, to its own, and to
  /// those of what came before the sequence.
  func deliver(
    _ packed: UnsafePointer<Float>, positions: Range<Int>, to own: KeyBlock, left: Tensor?
  ) {
    for row in 0..<layout.rows {
      for (index, position) in positions.enumerated() {
        let source = packed + (row * positions.count + index) * tokenCount
        if position >= 0 {
          add(source, to: own.token(row: row, position: position))
        } else if let left {
          let token = left.pointer + ((row + 1) * layout.start + position) * tokenCount
          add(
            source,
            to: KeyToken(
              k: token, v: token + widths.k,
              gates: gates > 0 ? token + widths.k + widths.v : nil))
        }
      }
    }
  }

  /// Adds what `pass.right` has as gradients of a block's positions, on the last rank.
  func addRight(to gradients: KeyBlock) {
    guard let right = pass.right.gradients[slot] else { return }
    let tokens = right.shape[1]
    let first = layout.total - tokens
    workspace.compute(.attention) {
      for row in 0..<layout.rows {
        let seen = max(first, layout.lastDocumentStart(row: row))
        for position in gradients.positions where position >= seen {
          add(
            right.pointer + (row * tokens + position - first) * tokenCount,
            to: gradients.token(row: row, position: position))
        }
      }
    }
  }

  private func add(_ source: UnsafePointer<Float>, to sum: KeyToken) {
    for column in 0..<widths.k { sum.k[column] += source[column] }
    for column in 0..<widths.v { sum.v[column] += source[widths.k + column] }
    guard let log = sum.gates else { return }
    for head in 0..<gates { log[head] += source[widths.k + widths.v + head] }
  }
}

/// Collects the keys and values of a whole sequence on its last rank, for what comes after it.
final class KeptKeys {
  private let held: HeldKeys
  private let all: Tensor
  private let first: Int
  private let total: Int
  private let rows: Int

  /// Takes room for everything, if this is the last rank and somebody wants it.
  init?(_ held: HeldKeys) {
    let (pass, layout) = (held.pass, held.pass.layout)
    guard pass.holdsRight else { return nil }
    self.held = held
    (first, total, rows) = (-layout.start, layout.total, layout.rows)
    all = Tensor(
      [rows, total - first, held.tokenCount], pool: pass.context.workspace.pool)
  }

  /// Keeps a part of a block.
  func keep(_ block: KeyBlock) {
    let pass = held.pass
    pass.context.workspace.compute(.attention) {
      for row in 0..<rows {
        for position in block.positions {
          held.copy(
            block.token(row: row, position: position),
            into: all.pointer + (row * (total - first) + position - first) * held.tokenCount)
        }
      }
    }
  }

  /// Hands over what belongs to documents that go on.
  ///
  /// - Parameter known: For each row, how many tokens before the sequence exist.
  func finish(known: [Int]) {
    let (pass, layout) = (held.pass, held.pass.layout)
    let workspace = pass.context.workspace
    let lengths = (0..<rows).map {
      total - max(-known[$0], layout.lastDocumentStart(row: $0))
    }
    let tokens = lengths.max() ?? 0
    var kept = all
    if tokens < total - first {
      kept = Tensor([rows, tokens, held.tokenCount], pool: workspace.pool)
      workspace.compute(.attention) {
        let count = tokens * held.tokenCount
        for row in 0..<rows {
          let end = (row + 1) * (total - first) * held.tokenCount
          (kept.pointer + row * count).update(from: all.pointer + (end - count), count: count)
        }
      }
    }
    pass.right.values[held.slot] = kept
    pass.setRightLengths(lengths, layer: held.slot.layer)
  }
}
