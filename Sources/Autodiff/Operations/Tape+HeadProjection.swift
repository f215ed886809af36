import Kernels
import Measurement
import Tensors

extension Tape {
  /// Each head by a matrix of its own: `y_h = x_{h/share} W_h + b_h`, plus `x_{h/share}` where there is a skip.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, keyHeads·d]`; a head of it serves `heads / keyHeads` neighbouring ones.
  ///   - weight: Shape `[heads, d, f]`.
  ///   - bias: A number a head, or nil.
  ///   - skips: Whether `x` is added; then `f = d`.
  /// - Returns: Shape `[N, heads·f]`.
  package func headProjection(
    _ x: Variable, weight: Parameter, bias: Parameter? = nil, skips: Bool = false
  ) -> Variable {
    let shape = parameters.table[weight].shape
    let (heads, width, rows) = (shape[0], shape[1], x.shape.rows)
    let own = x.shape.columns / width
    precondition(
      x.shape.columns % width == 0 && own > 0 && heads % own == 0
        && bias.map { parameters.table[$0].shape.count == heads } ?? true,
      "x \(x.shape) by heads of \(shape)")
    let kernel = HeadProjection(
      heads: heads, share: heads / own, width: width, features: shape[2], skips: skips)
    let y = Tensor([rows, kernel.columns.y], pool: pool)
    let (stored, columns, piece) = (x.stored, kernel.columns.x, HeadProjection.piece)
    // Where the weight is frozen, nobody reads what went into it again.
    let kept = trains(weight) ? kept(x) : nil
    let pieces = (rows + piece - 1) / piece
    let scratch = Tensor([kernel.scratchCount * workspace.team.size], pool: pool, kind: .buffers)
    @Sendable func tokens(_ index: Int) -> Range<Int> {
      index * piece..<min((index + 1) * piece, rows)
    }
    workspace.compute(.projections) {
      // All threads read the weights.
      nonisolated(unsafe) let w = UnsafePointer(parameters.value(weight))
      nonisolated(unsafe) let b = bias.map { UnsafePointer(parameters.value($0)) }
      workspace.team.parallel(pieces * heads) { thread, items in
        for item in items {
          let (head, tokens) = (item % heads, tokens(item / heads))
          kernel.forward(
            TokenRows(stored, stride: columns), weight: w, bias: b, into: y.pointer, head: head,
            tokens: tokens, scratch: scratch.pointer + thread * kernel.scratchCount)
          guard let kept, stored.kind == .float, head % kernel.share == 0 else { continue }
          for token in tokens {
            let first = token * columns + head / kernel.share * width
            kept.keep(first..<first + width, of: stored.floats)
          }
        }
      }
    }
    let (sum, input) = (x.sum, kept?.numbers)
    return record(y, inputs: [x], always: trains(weight, bias)) { [unowned self] dy in
      let target = sum.isNeeded ? sum.target(in: workspace) : nil
      let scratch = Tensor([kernel.scratchCount * workspace.team.size], pool: pool, kind: .buffers)
      workspace.compute(.projections) {
        // All threads read the weights, which have been acquired anew since the forward pass; each adds to its own heads'.
        nonisolated(unsafe) let w = UnsafePointer(parameters.value(weight))
        nonisolated(unsafe) let (dw, db) = (gradientSums(weight), bias.flatMap(gradientSums))
        if let (dx, accumulate) = target {
          if !accumulate { dx.clear() }
          workspace.team.parallel(pieces * own) { thread, items in
            for item in items {
              for head in item % own * kernel.share..<(item % own + 1) * kernel.share {
                kernel.backward(
                  weight: w, dy.pointer, into: dx.pointer, head: head,
                  tokens: tokens(item / own),
                  scratch: scratch.pointer + thread * kernel.scratchCount)
              }
            }
          }
        }
        guard dw != nil || db != nil else { return }
        workspace.team.parallel(heads) { thread, part in
          for head in part {
            kernel.weightBackward(
              input.map { TokenRows($0, stride: columns) }, dy.pointer, dWeight: dw, dBias: db,
              head: head,
              tokens: 0..<rows, scratch: scratch.pointer + thread * kernel.scratchCount)
          }
        }
      }
    }
  }

  /// Positive features of each `width` numbers; its twin reads them again, and not what they are of.
  ///
  /// - Parameters:
  ///   - u: Shape `[N, C]`, `C` a multiple of `width`.
  ///   - readers: Who reads the result.
  /// - Returns: Shape `[N, C / width · features.count(width)]`.
  package func positiveFeatures(
    _ u: Variable, _ features: PositiveFeatures, width: Int, for readers: Readers = .any
  ) -> Variable {
    precondition(width > 0 && u.shape.columns % width == 0, "u \(u.shape) in parts of \(width)")
    let (rows, count) = (u.shape.count / width, features.count(width))
    let shape: Shape = [u.shape.rows, u.shape.columns / width * count]
    let (y, input) = (workspace.room(for: shape, readers: readers), u.stored)
    let extremes = features.hasExtremes ? Tensor([rows, 2], pool: pool) : nil
    @Sendable func places(_ row: Int) -> UnsafeMutablePointer<Int32>? {
      extremes.map {
        UnsafeMutableRawPointer($0.pointer + 2 * row).assumingMemoryBound(to: Int32.self)
      }
    }
    rowBlocks(rows, width: count, of: [input, y], on: .normsAndGates) { _, rows, block in
      let own = rows.lowerBound * width..<rows.upperBound * width
      let results = rows.lowerBound * count..<rows.upperBound * count
      features.forward(
        input.read(own, block(0)), into: y.room(results, block(1)), rows: rows.count,
        columns: width, extremes: places(rows.lowerBound))
      y.finish(results, block(1))
    }
    let sum = u.sum
    return record(y, shape, inputs: [u], remembersOutput: true) { [unowned self] dy in
      let (du, accumulate) = sum.target(in: workspace)
      let scratch = Tensor([workspace.team.size * count], pool: pool, kind: .buffers)
      rowBlocks(rows, width: count, of: [y], on: .normsAndGates) { thread, rows, block in
        let results = rows.lowerBound * count..<rows.upperBound * count
        features.backward(
          y.read(results, block(0)), dy.pointer + results.lowerBound,
          into: du.pointer + rows.lowerBound * width, rows: rows.count, columns: width,
          isRounded: y.kind == .bfloat16, extremes: places(rows.lowerBound), accumulate: accumulate,
          scratch: scratch.pointer + thread * count)
      }
    }
  }
}
