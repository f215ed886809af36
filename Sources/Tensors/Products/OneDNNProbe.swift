/// Whether the library does here what `OneDNNProducts` asks of it: small products of each kind, compared with their sums.
///
/// A library may be built for other CPUs, lack what its header has, or be held back by its environment
/// (`ONEDNN_MAX_CPU_ISA`).
enum OneDNNProbe {
  #if LASP_ONEDNN
    private static let problems: [Operand.Kind: String] = {
      var found: [Operand.Kind: String] = [:]
      for kind in [Operand.Kind.float, .bfloat16] { found[kind] = look(kind) }
      return found
    }()

    /// What it cannot do with operands of a kind, as the middle of a sentence; nil where it can do everything.
    static func problem(with operands: Operand.Kind) -> String? { problems[operands] }

    /// What one product is asked for.
    private struct Case {
      let name: String
      let shape: OneDNNProduct.Shape
      /// Whether B is packed, and from its transpose; nil where it is plain rows of operands.
      let packs: Bool?
      /// Whether the library's product for any shape is asked.
      var isAnyShape = false
    }

    private static func cases(_ operands: Operand.Kind) -> [Case] {
      let (m, n, k) = (48, 32, 40)
      typealias Shape = OneDNNProduct.Shape
      let all = [
        Case(name: "x Wᵀ", shape: Shape(m: m, n: n, k: k, stride: k), packs: true),
        Case(
          name: "dy W", shape: Shape(m: m, n: n, k: k, stride: k, adds: true), packs: false),
        Case(
          name: "dyᵀ x",
          shape: Shape(m: m, n: n, k: k, stride: m, transposed: true, adds: true), packs: nil),
      ]
      return operands == .float
        ? all + [
          Case(
            name: "dyᵀ x of any shape",
            shape: Shape(m: m, n: n, k: k, stride: m, transposed: true, adds: true), packs: nil,
            isAnyShape: true)
        ]
        : all + [
          Case(
            name: "x Wᵀ in bf16",
            shape: Shape(m: m, n: n, k: k, stride: k, result: .bfloat16), packs: true)
        ]
    }

    private static func look(_ operands: Operand.Kind) -> String? {
      guard let engine = OneDNNEngine() else { return "does not start" }
      for one in cases(operands) {
        if let problem = look(one, engine, operands) { return problem }
      }
      return nil
    }

    private static func look(
      _ one: Case, _ engine: OneDNNEngine, _ operands: Operand.Kind
    ) -> String? {
      let shape = one.shape
      let right: OneDNNProduct.Right = one.packs.map { .packed(transposed: $0) } ?? .plain
      let product =
        one.isAnyShape ? nil : OneDNNProduct(engine, shape, right, operands: operands)
      if product == nil, !one.isAnyShape { return "has no product \(one.name) of \(operands.name)" }
      let pool = BufferPool()
      // Numbers that bf16 can hold; their sums, too.
      func matrix(_ rows: Int, _ columns: Int) -> Tensor {
        Tensor(
          [rows, columns], (0..<rows * columns).map { Float(($0 * 7 + $0 / columns) % 5 - 2) / 2 },
          pool: pool)
      }
      func stored(_ tensor: Tensor) -> Operand {
        guard operands == .bfloat16 else { return Operand(tensor) }
        let operand = Operand(bfloat16: tensor.count, pool: pool)
        BFloat16.round(tensor.pointer, into: operand.halves, count: tensor.count)
        return operand
      }
      let a = shape.transposed ? matrix(shape.k, shape.m) : matrix(shape.m, shape.k)
      let b = one.packs == true ? matrix(shape.n, shape.k) : matrix(shape.k, shape.n)
      let c = matrix(shape.m, shape.n)
      let before = c.numbers
      let (left, plain) = (stored(a), stored(b))
      let result = shape.result == .float ? Operand(c) : stored(c)
      let status: Int
      if let product {
        let scratch = Buffer(count: product.scratchBytes / 4 + 1024, pool: pool)
        let packed = Buffer(count: product.packedBytes / 4 + 16, pool: pool)
        if one.packs != nil, product.tryPacking(b.pointer, into: packed.pointer) != 0 {
          return "does not pack a weight for \(one.name) of \(operands.name)"
        }
        status = product.tryRunning(
          left.first, one.packs != nil ? UnsafeRawPointer(packed.pointer) : plain.first,
          into: UnsafeMutableRawPointer(mutating: result.first), scratch: scratch.pointer)
      } else {
        status = engine.tryAdding(
          left.floats, strideA: shape.stride, plain.floats, strideB: shape.n, to: c.pointer,
          m: shape.m, n: shape.n, k: shape.k)
      }
      guard status == 0 else {
        return "does not compute \(one.name) of \(operands.name) (status \(status))"
      }
      result.copy(0..<c.count, into: c.pointer)
      for row in 0..<shape.m {
        for column in 0..<shape.n {
          var sum = shape.adds ? before[row * shape.n + column] : 0
          for i in 0..<shape.k {
            let x = shape.transposed ? a.pointer[i * shape.m + row] : a.pointer[row * shape.k + i]
            let y =
              one.packs == true
              ? b.pointer[column * shape.k + i] : b.pointer[i * shape.n + column]
            sum += x * y
          }
          // A result in bf16 is the nearest.
          let right = shape.result == .float ? 0 : abs(sum) / 256
          guard abs(c.pointer[row * shape.n + column] - sum) <= right + 1e-3 else {
            return "computes \(one.name) of \(operands.name) wrongly"
          }
        }
      }
      return nil
    }
  #else
    /// Nothing is asked of a library that is not there.
    static func problem(with operands: Operand.Kind) -> String? { nil }
  #endif
}
