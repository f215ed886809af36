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
    let (input, piece) = (x.value, HeadProjection.piece)
    let pieces = (rows + piece - 1) / piece
    @Sendable func tokens(_ index: Int) -> Range<Int> {
      index * piece..<min((index + 1) * piece, rows)
    }
    workspace.compute(.projections) {
      // All threads read the weights.
      nonisolated(unsafe) let w = UnsafePointer(parameters.value(weight))
      nonisolated(unsafe) let b = bias.map { UnsafePointer(parameters.value($0)) }
      workspace.team.parallel(pieces * heads) { items in
        for item in items {
          kernel.forward(
            input.pointer, weight: w, bias: b, into: y.pointer, head: item % heads,
            tokens: tokens(item / heads))
        }
      }
    }
    return record(y, inputs: [x], always: trains(weight, bias)) { [unowned self] dy in
      let target = x.needsGradient ? x.gradientTarget(in: workspace) : nil
      let scratch = Tensor([kernel.scratchCount * workspace.team.size], pool: pool)
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
        workspace.team.parallel(heads) { part in
          for head in part {
            kernel.weightBackward(
              input.pointer, dy.pointer, dWeight: dw, dBias: db, head: head, tokens: 0..<rows)
          }
        }
      }
    }
  }

  /// Positive features of each `width` numbers.
  ///
  /// - Parameter u: Shape `[N, C]`, `C` a multiple of `width`.
  /// - Returns: Shape `[N, C / width · features.count(width)]`.
  package func positiveFeatures(
    _ u: Variable, _ features: PositiveFeatures, width: Int
  ) -> Variable {
    precondition(width > 0 && u.shape.columns % width == 0, "u \(u.shape) in parts of \(width)")
    let (rows, count) = (u.shape.count / width, features.count(width))
    let y = Tensor([u.shape.rows, u.shape.columns / width * count], pool: pool)
    let (input, grain) = (u.value, max(1, Tape.grain / count))
    workspace.compute(.normsAndGates) {
      workspace.team.parallel(rows, grain: grain) {
        features.forward(input.pointer, into: y.pointer, rows: $0, columns: width)
      }
    }
    return record(y, inputs: [u]) { [unowned self] dy in
      let (du, accumulate) = u.gradientTarget(in: workspace)
      let scratch = Tensor([workspace.team.size * count], pool: pool)
      workspace.compute(.normsAndGates) {
        workspace.team.parallel(rows, grain: grain) { thread, part in
          features.backward(
            input.pointer, y.pointer, dy.pointer, into: du.pointer, rows: part, columns: width,
            accumulate: accumulate, scratch: scratch.pointer + thread * count)
        }
      }
    }
  }
}
