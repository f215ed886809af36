import Configuration
import MessagePassing
import Tensors

extension Precision: KeyChoice {}

/// `training.products`: what computes matrix products, or how that is chosen.
package enum ProductsSetting: KeyChoice {
  /// What was faster when it was measured on this kind of CPU.
  case known
  /// What is faster here and now.
  case auto
  /// That library.
  case library(ProductLibrary)

  package static let allCases = [.known] + ProductLibrary.allCases.map(Self.library) + [.auto]

  package init?(rawValue: String) {
    guard let setting = Self.allCases.first(where: { $0.rawValue == rawValue }) else { return nil }
    self = setting
  }

  package var rawValue: String {
    switch self {
    case .known: "known"
    case .auto: "auto"
    case .library(let library): library.rawValue
    }
  }

  /// The library; nil where it is yet to be chosen.
  package var library: ProductLibrary? {
    if case .library(let library) = self { library } else { nil }
  }
}

extension RunConfiguration {
  /// The products that the run file asks for, without measuring anything.
  ///
  /// - Parameter library: What has been chosen where the run file names no library.
  /// - Throws: `ConfigurationError` for what this program or CPU does not have.
  package func products(choosing library: ProductLibrary? = nil) throws -> ProductSettings {
    do {
      return try ProductSettings(training.precision, by: training.products.library ?? library)
    } catch {
      let key =
        training.precision == .bf16 && training.products.library == nil ? "precision" : "products"
      throw self.error([KeyProblem("training.\(key)", message: error.description)])
    }
  }

  /// The products of weights that never change, whose forms stay in memory: in fp32 those of a library that needs none,
  /// unless the run file names another.
  package func productsOfWeightsThatStay() throws -> ProductSettings {
    try products(choosing: training.precision == .fp32 ? .openblas : nil)
  }

  /// The products that all ranks take, as rank 0 finds.
  ///
  /// Collective, whatever the run file names, since nothing is known yet of the other ranks' run files. With
  /// `parallel.reproducible` nothing is measured, which could come out otherwise the next time.
  ///
  /// - Parameter weightsStay: As in `productsOfWeightsThatStay`.
  package func chooseProducts(
    world: any Communicator, weightsStay: Bool = false
  ) throws -> ProductSettings {
    let mine = try world.together {
      guard world.rank == 0 else { return "" }
      let measures = training.products == .auto && parallel.reproducible == 0
      if measures { return try ProductSpeed.faster(training.precision).rawValue }
      return try (weightsStay ? productsOfWeightsThatStay() : products()).library.rawValue
    }
    return try products(choosing: ProductLibrary(rawValue: try world.broadcast(mine)))
  }
}
