#if LASP_ONEDNN
  import CBFloat16
  import COneDNN

  /// A product of one shape by oneDNN, for one thread at a time.
  final class OneDNNProduct {
    /// What is multiplied: `C ← A B (+ C)`, A `[m, k]`, B `[k, n]`.
    struct Shape: Hashable {
      var m, n, k: Int
      /// Numbers from one row of A to the next; of Aᵀ where A is read transposed.
      var stride: Int
      /// Whether A is read from memory that holds its transpose.
      var transposed = false
      /// Whether the product is added to what C holds.
      var adds = false
      /// What numbers C has.
      var result = Operand.Kind.float
    }

    /// What B is.
    enum Right {
      /// Packed as the product likes it, from fp32 numbers `[k, n]` or, transposed, `[n, k]`.
      case packed(transposed: Bool)
      /// Packed for another product with the same weight.
      case packedLike(OneDNNProduct)
      /// Rows of operands.
      case plain
    }

    private let raw: UnsafeMutablePointer<lasp_dnnl_product>
    /// How B is packed without the library, whose own way takes 1.2 to 5 times as long: where the CPU has the instructions.
    private let blocks: PairBlocks?

    /// Blocks of 16 pairs of rows by some columns.
    private struct PairBlocks {
      let k, n, columns: Int
      /// Whether B is read from memory that holds its transpose.
      let transposed: Bool
    }

    /// Makes the product, or is nil where the library has none; its operands are of one kind.
    init?(_ engine: OneDNNEngine, _ shape: Shape, _ right: Right, operands: Operand.Kind) {
      func number(_ kind: Operand.Kind) -> Int32 {
        Int32(kind == .float ? lasp_dnnl_float : lasp_dnnl_bfloat16)
      }
      let type = number(operands)
      let (m, n, k) = (Int64(shape.m), Int64(shape.n), Int64(shape.k))
      let a = lasp_dnnl_matrix(
        type: type, row: shape.transposed ? 1 : Int64(shape.stride),
        column: shape.transposed ? Int64(shape.stride) : 1)
      let c = lasp_dnnl_matrix(type: number(shape.result), row: n, column: 1)
      let made: UnsafeMutablePointer<lasp_dnnl_product>?
      let adds: Int32 = shape.adds ? 1 : 0
      switch right {
      case .packed(let transposed):
        let b = lasp_dnnl_matrix(
          type: number(.float), row: transposed ? 1 : n,
          column: transposed ? k : 1)
        made = lasp_dnnl_create(engine.raw, m, n, k, a, b, c, adds, type, nil)
      case .packedLike(let pattern):
        let b = lasp_dnnl_matrix(type: type, row: n, column: 1)
        made = lasp_dnnl_create(engine.raw, m, n, k, a, b, c, adds, type, pattern.raw)
      case .plain:
        let b = lasp_dnnl_matrix(type: type, row: n, column: 1)
        made = lasp_dnnl_create(engine.raw, m, n, k, a, b, c, adds, -1, nil)
      }
      guard let made else { return nil }
      raw = made
      guard case .packed(let transposed) = right, lasp_pairs_available() != 0 else {
        blocks = nil
        return
      }
      let columns = Int(lasp_dnnl_block_columns(made, k, n))
      blocks =
        columns > 0
        ? PairBlocks(k: shape.k, n: shape.n, columns: columns, transposed: transposed) : nil
    }

    deinit { lasp_dnnl_destroy(raw) }

    /// Bytes of B when packed.
    var packedBytes: Int { Int(raw.pointee.packed_bytes) }

    /// Bytes that it works in.
    var scratchBytes: Int { Int(raw.pointee.scratch_bytes) }

    /// Packs B; gives 0 where that went well.
    func tryPacking(_ b: UnsafePointer<Float>, into packed: UnsafeMutableRawPointer) -> Int {
      guard let blocks else { return Int(lasp_dnnl_pack(raw, b, packed)) }
      lasp_pairs_pack_blocks(
        b, blocks.k, blocks.n, blocks.transposed ? 1 : 0, blocks.columns,
        packed.assumingMemoryBound(to: UInt32.self))
      return 0
    }

    /// Packs B.
    func pack(_ b: UnsafePointer<Float>, into packed: UnsafeMutableRawPointer) {
      let status = tryPacking(b, into: packed)
      guard status == 0 else { OneDNN.fail("could not pack a weight (status \(status))") }
    }

    /// Computes it on the calling thread; gives 0 where that went well.
    func tryRunning(
      _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, into c: UnsafeMutableRawPointer,
      scratch: UnsafeMutableRawPointer
    ) -> Int { Int(lasp_dnnl_execute(raw, a, b, c, scratch)) }

    /// Computes it on the calling thread.
    func run(
      _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, into c: UnsafeMutableRawPointer,
      scratch: UnsafeMutableRawPointer
    ) {
      let status = tryRunning(a, b, into: c, scratch: scratch)
      guard status == 0 else { OneDNN.fail("could not compute a product (status \(status))") }
    }
  }

  /// Where oneDNN computes: this CPU.
  ///
  /// Unchecked: the library's engine serves all threads, and nothing here changes.
  final class OneDNNEngine: @unchecked Sendable {
    let raw: dnnl_engine_t
    private let openMP = lasp_openmp_find()

    /// Nil where the library does not start.
    init?() {
      var engine: dnnl_engine_t?
      guard dnnl_engine_create(&engine, dnnl_cpu, 0) == dnnl_success, let engine else { return nil }
      raw = engine
    }

    deinit { dnnl_engine_destroy(raw) }

    /// `C ← C + Aᵀ B` in fp32 on the calling thread, A `[k, m]`, B `[k, n]`, C `[m, n]`, or some columns and rows of each;
    /// gives 0 where that went well.
    ///
    /// - Parameters:
    ///   - a: Rows `strideA` numbers apart.
    ///   - b: Rows `strideB` numbers apart, as are those of C.
    func tryAdding(
      _ a: UnsafePointer<Float>, strideA: Int, _ b: UnsafePointer<Float>, strideB: Int,
      to c: UnsafeMutablePointer<Float>, m: Int, n: Int, k: Int
    ) -> Int {
      Int(
        lasp_dnnl_add_outer(
          openMP, Int64(m), Int64(n), Int64(k), a, Int64(strideA), b, Int64(strideB), c))
    }
  }
#endif
