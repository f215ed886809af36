#if LASP_ONEDNN
  import Synchronization

  /// Products by oneDNN, of weights that it has packed: in fp32, or of bf16 operands with sums in fp32.
  ///
  /// Each call stays on its thread: where a rank has several, rows are cut over them here.
  package final class OneDNNProducts: MatrixProducts {
    package let operands: Operand.Kind
    private let team: ThreadTeam
    private let pool: BufferPool
    private let engine: OneDNNEngine
    /// Whether weights' gradients in fp32 are by the library's product for any shape.
    private let addsAnyShape: Bool
    private let made: Mutex<Made>

    /// A product and its thread.
    private struct Key: Hashable {
      let shape: OneDNNProduct.Shape
      let direction: ProductDirection?
      let thread: Int
    }

    /// A weight's shape and direction.
    private struct PackingKey: Hashable {
      let rows, columns: Int
      let direction: ProductDirection
    }

    /// Unchecked: only under the lock is it looked at, and a thread computes with products of its own.
    private struct Made: @unchecked Sendable {
      var packings: [PackingKey: OneDNNProduct] = [:]
      var products: [Key: OneDNNProduct] = [:]
      var scratch: Buffer?
    }

    /// What each thread works in, in bytes, unless a product needs more.
    private static let scratchBytes = 2 << 20
    /// Products that are kept; more than any run has shapes, unless lengths are all different.
    private static let limit = 1024
    /// Tokens that a product in bf16 sums at once for a weight's gradient.
    ///
    /// What oneDNN rearranges for so many stays in the second cache: for all at once it takes 4 % longer on Zen 4, and up
    /// to 29 % with AMX. In fp32 it makes no difference.
    private static let tokensOfSum = 512
    /// Rows and columns of a weight whose gradient the product for any shape sums at once: it works in 1.5 KiB of its own for
    /// each, which no pool knows of.
    private static let sideOfSum = 2048
    /// Rows that parts of a product are multiples of.
    private static let rowsOfPart = 64

    /// Makes the products of a workspace, which has these threads and this memory.
    init(operands: Operand.Kind, team: ThreadTeam, pool: BufferPool, addsAnyShape: Bool) {
      (self.operands, self.team, self.pool) = (operands, team, pool)
      self.addsAnyShape = addsAnyShape
      guard let engine = OneDNNEngine() else {
        preconditionFailure("oneDNN does not start, which ProductSettings has not found out")
      }
      self.engine = engine
      made = Mutex(Made())
    }

    package func form(
      of values: UnsafePointer<Float>, rows: Int, columns: Int, for direction: ProductDirection,
      in workspace: Workspace
    ) -> Buffer? {
      let packer = made.withLock { made in
        reserve(Self.scratchBytes, &made)
        return Borrowed(packing(rows, columns, direction, &made))
      }.product
      let form = Buffer(count: (packer.packedBytes + 3) / 4, pool: pool, kind: .weights)
      workspace.compute(.projections) { packer.pack(values, into: form.pointer) }
      return form
    }

    package func output(
      _ x: Operand, _ weight: WeightMatrix, into y: Operand, count: Int, beta: Float
    ) {
      multiply(
        x, weight, into: UnsafeMutableRawPointer(mutating: y.first), y.kind, count: count,
        beta: beta)
    }

    package func inputGradient(
      _ dy: Operand, _ weight: WeightMatrix, into dx: UnsafeMutablePointer<Float>, count: Int,
      beta: Float
    ) { multiply(dy, weight, into: dx, .float, count: count, beta: beta) }

    package func addWeightGradient(
      _ dy: Operand, _ x: Operand, to dW: UnsafeMutablePointer<Float>, rows: Int, columns: Int,
      count: Int
    ) {
      guard count > 0 else { return }
      if operands == .float, addsAnyShape {
        return addFloat(dy.floats, x.floats, to: dW, rows, columns, count)
      }
      if operands == .bfloat16, PairedGradient.isFaster {
        return addPaired(dy.halves, x.halves, to: dW, rows, columns, count)
      }
      let bytes = operands.bytes
      let most = operands == .float ? count : Self.tokensOfSum
      for start in stride(from: 0, to: count, by: most) {
        let tokens = min(most, count - start)
        let (left, right) = (
          dy.first + start * rows * bytes, x.first + start * columns * bytes
        )
        run(
          rows, direction: nil,
          shape: {
            OneDNNProduct.Shape(
              m: $0, n: columns, k: tokens, stride: rows, transposed: true, adds: true)
          },
          { _ in .plain }
        ) { product, part, scratch in
          product.run(
            left + part.lowerBound * bytes, right, into: dW + part.lowerBound * columns,
            scratch: scratch)
        }
      }
    }

    private func addFloat(
      _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>, to dW: UnsafeMutablePointer<Float>,
      _ rows: Int, _ columns: Int, _ count: Int
    ) {
      // Each thread writes rows of its own.
      nonisolated(unsafe) let (dy, x, dW) = (dy, x, dW)
      team.parallel(rows, grain: Self.rowsOfPart) { [engine] part in
        for row in stride(from: part.lowerBound, to: part.upperBound, by: Self.sideOfSum) {
          for column in stride(from: 0, to: columns, by: Self.sideOfSum) {
            let status = engine.tryAdding(
              dy + row, strideA: rows, x + column, strideB: columns,
              to: dW + row * columns + column, m: min(Self.sideOfSum, part.upperBound - row),
              n: min(Self.sideOfSum, columns - column), k: count)
            guard status == 0 else {
              OneDNN.fail("could not add a weight's gradient (status \(status))")
            }
          }
        }
      }
    }

    private func addPaired(
      _ dy: UnsafePointer<UInt16>, _ x: UnsafePointer<UInt16>,
      to dW: UnsafeMutablePointer<Float>, _ rows: Int, _ columns: Int, _ count: Int
    ) {
      let scratch = made.withLock { made in
        reserve(PairedGradient.scratchBytes, &made)
        return Work(parts: [], scratch: made.scratch!)
      }.scratch
      let each = scratch.count / team.size
      // Each thread writes rows and has scratch of its own.
      nonisolated(unsafe) let (dy, x, dW, first) = (dy, x, dW, scratch.pointer)
      team.parallel(rows, grain: Self.rowsOfPart) { thread, part in
        PairedGradient.add(
          dy, x, to: dW, part, rows: rows, columns: columns, count: count,
          scratch: first + thread * each)
      }
    }

    private func multiply(
      _ x: Operand, _ weight: WeightMatrix, into y: UnsafeMutableRawPointer,
      _ kind: Operand.Kind, count: Int, beta: Float
    ) {
      precondition(beta == 0 || kind == .float, "a product added to numbers in bf16")
      precondition(beta == 0 || beta == 1, "a product added to \(beta) of what was there")
      guard let form = weight.form else {
        preconditionFailure("a weight [\(weight.rows), \(weight.columns)] that is not packed")
      }
      let isOutput = weight.direction == .output
      let n = isOutput ? weight.rows : weight.columns
      let k = isOutput ? weight.columns : weight.rows
      let (bytes, bytesOfY) = (operands.bytes, kind.bytes)
      let (left, right) = (x.first, UnsafeRawPointer(form.pointer))
      run(
        count, direction: weight.direction,
        shape: {
          OneDNNProduct.Shape(m: $0, n: n, k: k, stride: k, adds: beta == 1, result: kind)
        },
        { .packedLike(packing(weight.rows, weight.columns, weight.direction, &$0)) }
      ) { product, part, scratch in
        product.run(
          left + part.lowerBound * k * bytes, right, into: y + part.lowerBound * n * bytesOfY,
          scratch: scratch)
      }
    }

    /// Cuts rows over the threads, each of which computes a product of its own.
    private func run(
      _ count: Int, direction: ProductDirection?, shape: (Int) -> OneDNNProduct.Shape,
      _ right: (inout Made) -> OneDNNProduct.Right,
      _ body: (OneDNNProduct, Range<Int>, UnsafeMutableRawPointer) -> Void
    ) {
      guard count > 0 else { return }
      let units = (count + Self.rowsOfPart - 1) / Self.rowsOfPart
      let parts = min(team.size, units)
      let work = made.withLock { made in
        let parts = (0..<parts).map { part in
          let start = units * part / parts * Self.rowsOfPart
          let end = min(count, units * (part + 1) / parts * Self.rowsOfPart)
          let key = Key(shape: shape(end - start), direction: direction, thread: part)
          return Part(product: product(key, right, &made), rows: start..<end)
        }
        reserve(parts.map(\.product.scratchBytes).max() ?? 0, &made)
        return Work(parts: parts, scratch: made.scratch!)
      }
      let each = work.scratch.count / team.size
      if parts == 1 {
        return body(work.parts[0].product, work.parts[0].rows, work.scratch.pointer)
      }
      withoutActuallyEscaping(body) { body in
        // Each thread has a product, rows and scratch of its own.
        nonisolated(unsafe) let body = body
        team.workers { thread in
          guard thread < parts else { return }
          let part = work.parts[thread]
          body(part.product, part.rows, work.scratch.pointer + thread * each)
        }
      }
    }

    /// What one thread computes.
    private struct Part {
      let product: OneDNNProduct
      let rows: Range<Int>
    }

    /// Unchecked: it stays with the rank whose products these are.
    private struct Work: @unchecked Sendable {
      let parts: [Part]
      let scratch: Buffer
    }

    /// Unchecked: it stays with the rank whose products these are.
    private struct Borrowed: @unchecked Sendable {
      let product: OneDNNProduct
      init(_ product: OneDNNProduct) { self.product = product }
    }

    private func product(
      _ key: Key, _ right: (inout Made) -> OneDNNProduct.Right, _ made: inout Made
    ) -> OneDNNProduct {
      if let known = made.products[key] { return known }
      if made.products.count >= Self.limit { made.products = [:] }
      let right = right(&made)
      let product = make(key.shape, right)
      made.products[key] = product
      return product
    }

    /// What packs weights of a shape; products of any number of rows read the same packed weight.
    private func packing(
      _ rows: Int, _ columns: Int, _ direction: ProductDirection, _ made: inout Made
    ) -> OneDNNProduct {
      let key = PackingKey(rows: rows, columns: columns, direction: direction)
      if let known = made.packings[key] { return known }
      let isOutput = direction == .output
      let (n, k) = isOutput ? (rows, columns) : (columns, rows)
      let packing = make(
        OneDNNProduct.Shape(m: 256, n: n, k: k, stride: k), .packed(transposed: isOutput))
      made.packings[key] = packing
      return packing
    }

    private func make(
      _ shape: OneDNNProduct.Shape, _ right: OneDNNProduct.Right
    ) -> OneDNNProduct {
      guard let product = OneDNNProduct(engine, shape, right, operands: operands) else {
        OneDNN.fail(
          "has no product [\(shape.m), \(shape.k)] × [\(shape.k), \(shape.n)] of \(operands.name)")
      }
      return product
    }

    /// Sees to it that each thread has so much to work in.
    private func reserve(_ bytes: Int, _ made: inout Made) {
      let each = (max(bytes, Self.scratchBytes) + 4095) / 4096 * 1024
      if let scratch = made.scratch, scratch.count >= each * team.size { return }
      made.scratch = Buffer(count: each * team.size, pool: pool, kind: .buffers)
    }
  }
#endif
