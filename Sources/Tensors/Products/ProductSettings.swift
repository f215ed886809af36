import COpenBLAS

/// In which precision matrix products read their operands; their sums are fp32.
package enum Precision: String, CaseIterable, Sendable {
  /// fp32.
  case fp32
  /// bf16, mixed precision: weights, their gradients and everything else stay fp32.
  case bf16
}

/// A library of matrix products.
package enum ProductLibrary: String, CaseIterable, Sendable {
  case openblas
  case onednn

  /// What is taken for fp32 where nobody chooses: what was faster when it was measured on this kind of CPU, else
  /// OpenBLAS.
  ///
  /// Training steps by oneDNN took 3 to 6 % less time than by OpenBLAS on Zen 4, 3 % on Emerald Rapids.
  package static func known(ofFamily family: CPUFamily) -> ProductLibrary {
    switch family {
    case .zen4, .emeraldRapids: .onednn
    case .other: .openblas
    }
  }
}

/// A kind of CPU on which libraries were measured.
package enum CPUFamily: Sendable {
  /// AMD's fourth Zen, such as EPYC 9004.
  case zen4
  /// Intel's fifth Xeon Scalable, with AMX.
  case emeraldRapids
  /// One of which nothing is known.
  case other

  /// The CPU that runs this.
  package static var current: CPUFamily {
    var (vendor, family, model): (UInt32, UInt32, UInt32) = (0, 0, 0)
    lasp_cpu_model(&vendor, &family, &model)
    return of(vendor: vendor, family: family, model: model)
  }

  /// The family of a CPU that says this of itself.
  package static func of(vendor: UInt32, family: UInt32, model: UInt32) -> CPUFamily {
    // "Auth" of AuthenticAMD, "Genu" of GenuineIntel.
    switch (vendor, family, model) {
    case (0x6874_7541, 0x19, 0x10...0x1F), (0x6874_7541, 0x19, 0x60...0x7F),
      (0x6874_7541, 0x19, 0xA0...0xAF):
      return .zen4
    case (0x756E_6547, 0x6, 0xCF): return .emeraldRapids
    default: return .other
    }
  }
}

/// Why products cannot be computed as asked.
package struct ProductError: Error, CustomStringConvertible {
  /// The sentence.
  package let description: String
}

/// Which library computes the products of a workspace, and in which precision.
package struct ProductSettings: Sendable, Equatable {
  package let precision: Precision
  /// What computes, which is not always what was asked for.
  package let library: ProductLibrary

  /// Products that this program and CPU have.
  ///
  /// - Parameter library: Nil for what is known to be fast here.
  /// - Throws: What is missing, and what to do.
  package init(
    _ precision: Precision = .fp32, by library: ProductLibrary? = nil
  ) throws(ProductError) {
    let asked =
      library ?? (precision == .bf16 ? .onednn : ProductLibrary.known(ofFamily: .current))
    self.precision = precision
    guard asked == .onednn else {
      self.library = asked
      return
    }
    let isDefault = library == nil
    guard OneDNN.version != nil, OneDNN.staysOnThread else {
      if isDefault, precision == .fp32 {
        self.library = .openblas
        return
      }
      let why =
        OneDNN.version == nil
        ? "this program was built without oneDNN; install libdnnl-dev and build it again"
        : "the oneDNN here is not built on OpenMP, and would run threads beside the program's; install libdnnl-dev"
      throw ProductError(
        description: why
          + (precision == .bf16
            ? ", choose precision=fp32, or products=openblas, which widens bf16 to fp32 and is slower than fp32"
            : ", or choose products=openblas"))
    }
    // Where oneDNN multiplies no bf16, OpenBLAS computes, and that is what log and checkpoint have.
    guard precision == .fp32 || OneDNN.hasBFloat16 else {
      self.library = .openblas
      return
    }
    self.library = asked
    if let problem = OneDNNProbe.problem(with: precision == .bf16 ? .bfloat16 : .float) {
      throw ProductError(
        description: "oneDNN \(OneDNN.version ?? "") \(problem) on this CPU; choose "
          + (precision == .bf16 ? "precision=fp32, or " : "")
          + "products=openblas" + (precision == .bf16 ? ", which widens bf16 to fp32" : ""))
    }
  }

  private init(precision: Precision, library: ProductLibrary) {
    (self.precision, self.library) = (precision, library)
  }

  /// fp32 by OpenBLAS.
  package static let plain = ProductSettings(precision: .fp32, library: .openblas)

  /// Whether bf16 is widened to fp32, for a library that multiplies none.
  package var widens: Bool { precision == .bf16 && library == .openblas }

  /// What is worth saying when computing begins, or nil.
  package var warning: String? {
    guard widens else { return nil }
    let said =
      "products of bf16 are computed by OpenBLAS from operands widened to fp32: the same operands as elsewhere, "
      + "but slower than fp32"
    guard OneDNN.version != nil else { return said }
    return said
      + (OneDNN.hasBFloat16
        ? "; training.products=onednn multiplies bf16"
        : "; oneDNN multiplies bf16 only by AVX512-BF16 or AMX, which this CPU lacks or ONEDNN_MAX_CPU_ISA hides")
  }

  /// The products of a workspace with these threads and this memory.
  func products(team: ThreadTeam, pool: BufferPool) -> any MatrixProducts {
    if widens { return WidenedProducts(team: team, pool: pool) }
    if library == .onednn,
      let products = OneDNN.products(
        of: precision == .bf16 ? .bfloat16 : .float, team: team, pool: pool)
    {
      return products
    }
    return OpenBLASProducts()
  }
}

extension ProductSettings: CustomStringConvertible {
  /// Such as `bf16 by oneDNN 2.6.3`.
  package var description: String {
    let name =
      switch library {
      case .openblas: "OpenBLAS"
      case .onednn: "oneDNN \(OneDNN.version ?? "")"
      }
    return "\(precision.rawValue) by \(name)" + (widens ? ", widened to fp32" : "")
  }
}
