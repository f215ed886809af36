import Autodiff
import Kernels
import Tensors

/// The keys and values of a shard's tokens and of those shortly before it, whichever ranks hold them.
package struct RecentTokens {
  /// Keys beside values, `[rows × (halo + length), keys + values]`, stored for products; zero where there is nothing.
  let tokens: Variable
  /// Numbers of a token's keys, and as many of its values.
  let columns: Int
  /// Tokens of a row before the shard's own.
  let halo: Int
  /// For each row, where the document that the sequence begins in starts, as far as is known.
  let starts: [Int]
  let pass: SequencePass

  /// Tokens of a row.
  var count: Int { halo + pass.layout.length }
  /// The position of the first.
  var first: Int { pass.layout.shard.lowerBound - halo }

  /// Calls `body` with each token of the shard and the position at which its document starts, as far as is known.
  func forEachStart(_ row: Int, _ body: (_ token: Int, _ start: Int) -> Void) {
    let layout = pass.layout
    var start = starts[row]
    var later = layout.documentStarts[row][...]
    for token in 0..<layout.length {
      while let next = later.first, next <= layout.shard.lowerBound + token {
        start = max(start, next)
        later.removeFirst()
      }
      body(token, start)
    }
  }

  /// A row's tokens, as keys and values of one head.
  func keys(_ tensor: Tensor, row: Int, column: Int) -> SoftmaxAttention.Keys {
    let base = tensor.pointer + row * count * 2 * columns + column
    return SoftmaxAttention.Keys(
      TokenRows(base, stride: 2 * columns), TokenRows(base + columns, stride: 2 * columns),
      tokens: count, first: first)
  }
}

extension Tape {
  /// Brings the keys and values of the tokens shortly before the shard to it.
  ///
  /// The ranks that hold them send them as a halo; what came before the sequence enters by `pass.left`. Gradients go back
  /// the same way. Run again (recomputation), it sends nothing.
  ///
  /// - Parameters:
  ///   - k: Shape `[N, C]`, `N = rows × length`; `v` likewise.
  ///   - span: What queries see.
  ///   - leaving: Whether the token that the window leaves behind at each step is wanted, too.
  ///   - slot: The layer's window, for carries and messages.
  package func recentTokens(
    k: Variable, v: Variable, span: AttentionSpan, leaving: Bool, slot: CarrySlot,
    pass: SequencePass
  ) throws -> RecentTokens {
    precondition(slot.content == .window, "the slot of a window is not \(slot.content)")
    precondition(k.shape == v.shape && span.width > 0, "k \(k.shape), v \(v.shape) of \(span)")
    let (columns, layout) = (k.shape.columns, pass.layout)
    let isTerraced = span == .terraced(span.width)
    let width = !isTerraced && leaving ? span.width : span.reach
    let isAlone = layout.shardLengths.count == 1
    let before = isAlone ? pass.left.values[slot]?.shape[1] ?? 0 : layout.start
    func makeExchange() -> HaloExchange {
      HaloExchange(
        width: width, columns: [columns, columns], carried: min(width, before), keeps: width,
        terrace: isTerraced ? span.width : nil, slot: slot, pass: pass, category: .attention)
    }
    let halo: Halo
    if let kept: Halo = pass.memory[slot] {
      halo = kept
    } else {
      let exchange = makeExchange()
      try exchange.begin([k.stored, v.stored])
      halo = try exchange.finish()
      pass.memory[slot] = halo
    }
    let (length, count) = (layout.length, halo.tokens + layout.length)
    let shape: Shape = [layout.rows * count, 2 * columns]
    let all = workspace.room(for: shape, readers: .products)
    let (keys, values) = (k.stored, v.stored)
    rowBlocks(layout.rows * count, width: 2 * columns, of: [all], on: .attention) {
      _, part, block in
      let numbers = part.lowerBound * 2 * columns..<part.upperBound * 2 * columns
      let target = all.room(numbers, block(0))
      for index in part {
        let (row, token) = (index / count, index % count - halo.tokens)
        let to = target + (index - part.lowerBound) * 2 * columns
        if token < 0 {
          to.update(
            from: halo.pointer(row: row, token: token + halo.tokens), count: 2 * columns)
          continue
        }
        let from = (row * length + token) * columns
        keys.copy(from..<from + columns, into: to)
        values.copy(from..<from + columns, into: to + columns)
      }
      all.finish(numbers, block(0))
    }
    let (sumOfK, sumOfV, own) = (k.sum, v.sum, k.shape)
    let tokens = record(all, shape, inputs: [k, v]) { [unowned self] d in
      let exchange = makeExchange()
      try exchange.beginBackward()
      let dHalo = Tensor(halo.values.shape, pool: pool)
      let (dk, dv) = (Tensor(own, pool: pool), Tensor(own, pool: pool))
      workspace.compute(.attention) {
        for row in 0..<layout.rows {
          let first = row * count * 2 * columns
          (dHalo.pointer + row * halo.tokens * 2 * columns).update(
            from: d.pointer + first, count: halo.tokens * 2 * columns)
          workspace.team.parallel(length, grain: 64) { tokens in
            for token in tokens {
              let from = d.pointer + first + (halo.tokens + token) * 2 * columns
              let to = (row * length + token) * columns
              (dk.pointer + to).update(from: from, count: columns)
              (dv.pointer + to).update(from: from + columns, count: columns)
            }
          }
        }
      }
      exchange.addRight(to: [dk, dv], halo: dHalo)
      try exchange.send(dHalo)
      try exchange.finishBackward([dk, dv], halo: dHalo)
      sumOfK.add(dk, in: workspace)
      sumOfV.add(dv, in: workspace)
    }
    let first = layout.shard.lowerBound
    return RecentTokens(
      tokens: tokens, columns: columns, halo: halo.tokens,
      starts: isTerraced ? halo.before.map { -$0 } : halo.known.map { first - $0 }, pass: pass)
  }

  /// What tokens are when their window leaves them behind, for a recurrence that goes on with them: their keys, and
  /// their values with a one beside each head's.
  ///
  /// Of a sliding window of `w`, the row of each token has those of the token `w` before, or zeros where that is of no
  /// document or of another one. Of a terraced window the rows are those of the recent tokens themselves, without the
  /// last `w`.
  ///
  /// - Parameter heads: Heads of keys and values.
  /// - Returns: `[rows × count, C]` and `[rows × count, heads · (V + 1)]`.
  package func leavingTokens(
    _ recent: RecentTokens, span: AttentionSpan, heads: Int
  ) -> (k: Variable, v: Variable) {
    let layout = recent.pass.layout
    let isTerraced = span == .terraced(span.width)
    // The row of each token that comes out, among the recent ones; −1 for none.
    let offset = isTerraced ? 0 : recent.halo - span.width
    let count = isTerraced ? max(0, recent.count - span.width) : layout.length
    var source = [Int](repeating: -1, count: layout.rows * count)
    for row in 0..<layout.rows {
      if isTerraced {
        for index in 0..<count { source[row * count + index] = row * recent.count + index }
      } else {
        recent.forEachStart(row) { token, start in
          guard layout.shard.lowerBound + token - span.width >= start else { return }
          source[row * count + token] = row * recent.count + token + offset
        }
      }
    }
    let part = Leaving(source: source, columns: recent.columns, heads: heads)
    return (leaving(recent, part, ofValues: false), leaving(recent, part, ofValues: true))
  }

  private func leaving(_ recent: RecentTokens, _ part: Leaving, ofValues: Bool) -> Variable {
    let x = recent.tokens
    let (rows, width) = (part.source.count, part.columns / part.heads)
    let extra = ofValues ? 1 : 0
    let (columns, first) = (part.heads * (width + extra), ofValues ? part.columns : 0)
    let shape: Shape = [rows, columns]
    let (y, input) = (workspace.room(for: shape, readers: .products), x.stored)
    rowBlocks(rows, width: columns, of: [y], on: .attention) { _, range, block in
      let numbers = range.lowerBound * columns..<range.upperBound * columns
      let room = y.room(numbers, block(0))
      for row in range {
        let target = room + (row - range.lowerBound) * columns
        guard part.source[row] >= 0 else {
          target.update(repeating: 0, count: columns)
          continue
        }
        let from = part.source[row] * 2 * part.columns + first
        for head in 0..<part.heads {
          let (at, to) = (from + head * width, target + head * (width + extra))
          input.copy(at..<at + width, into: to)
          if ofValues { to[width] = 1 }
        }
      }
      y.finish(numbers, block(0))
    }
    let sum = x.sum
    return record(y, shape, inputs: [x]) { [unowned self] dy in
      let (dx, accumulate) = sum.target(in: workspace)
      workspace.compute(.attention) {
        if !accumulate { dx.clear() }
        // Each row goes to a row of its own.
        workspace.team.parallel(rows, grain: 64) { range in
          for row in range where part.source[row] >= 0 {
            let from = dy.pointer + row * columns
            let to = dx.pointer + part.source[row] * 2 * part.columns + first
            for head in 0..<part.heads {
              let (target, gradient) = (to + head * width, from + head * (width + extra))
              for i in 0..<width { target[i] += gradient[i] }
            }
          }
        }
      }
    }
  }
}

/// Which of the recent tokens come out where.
private struct Leaving {
  /// Of each row that comes out, the row that it was; −1 for zeros.
  let source: [Int]
  /// Numbers of a token's keys, in so many heads.
  let columns, heads: Int
}
