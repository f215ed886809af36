import Faults

#if LASP_ONEDNN
  import COneDNN
#endif

/// The library oneDNN, where the program has been built with it.
package enum OneDNN {
  #if LASP_ONEDNN
    /// Its version, such as `2.6.3`; nil where the program has been built without it.
    package static var version: String? {
      let version = Int(lasp_dnnl_version())
      return "\(version / 10000).\(version / 100 % 100).\(version % 100)"
    }

    /// Whether it has products of bf16 on this CPU.
    package static var hasBFloat16: Bool { lasp_dnnl_has_bfloat16() != 0 }

    /// Whether what it computes can be kept on the thread that calls it.
    package static var staysOnThread: Bool { lasp_dnnl_stays_on_thread() != 0 }

    /// Products by it, of a workspace with these threads and this memory.
    ///
    /// - Parameter addsAnyShape: Whether weights' gradients in fp32 are by its product for any shape, or by one of their
    ///   shape. On Zen 4 the former is 5 to 17 % faster (2 % with 2,048 outputs and 512 inputs), on Emerald Rapids up to a
    ///   third slower.
    package static func products(
      of operands: Operand.Kind, team: ThreadTeam, pool: BufferPool,
      addsAnyShape: Bool = CPUFamily.current == .zen4
    ) -> (any MatrixProducts)? {
      OneDNNProducts(operands: operands, team: team, pool: pool, addsAnyShape: addsAnyShape)
    }

    /// Ends the process because the library does not do what its probe found that it does: exit code 2.
    static func fail(_ what: String) -> Never {
      LastWords.end(
        "oneDNN \(version ?? "") \(what); set training.products=openblas, which does without it",
        code: 2)
    }
  #else
    /// Its version, such as `2.6.3`; nil where the program has been built without it.
    package static var version: String? { nil }

    /// Whether it has products of bf16 on this CPU.
    package static var hasBFloat16: Bool { false }

    /// Whether what it computes can be kept on the thread that calls it.
    package static var staysOnThread: Bool { true }

    /// There are none.
    package static func products(
      of operands: Operand.Kind, team: ThreadTeam, pool: BufferPool, addsAnyShape: Bool = false
    ) -> (any MatrixProducts)? { nil }
  #endif
}
