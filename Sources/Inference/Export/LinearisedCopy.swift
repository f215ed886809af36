import Autodiff
import Checkpoints
import Models
import Reporting
import Tensors

/// `lasp-train linearise`: writes the model that a method makes of a pretrained Transformer.
package struct LinearisedCopy {
  private let folder: ModelFolder
  private let exchange: TensorExchange
  private let seed: Int

  /// Opens the Transformer.
  ///
  /// - Parameters:
  ///   - linearisation: What is made of it.
  ///   - seed: Of weights that it does not have.
  /// - Throws: `CheckpointError`; `LinearisationError` where the method does not fit.
  package init(modelFolder: String, by linearisation: Linearisation, seed: Int) throws {
    folder = try ModelFolder(verifying: modelFolder, linearising: linearisation)
    exchange = folder.exchange!
    self.seed = seed
    Notices.print(folder.notices)
  }

  /// Writes the new model's folder, which appears when it is complete.
  package func write(_ output: String) throws {
    let model = folder.model
    let store = WholeParameters(table: model.table, gradients: false, pool: BufferPool())
    model.table.initialize(
      0..<model.table.count, seed: UInt64(bitPattern: Int64(seed)), into: store.values.pointer)
    try folder.read(into: store)
    try ModelFolder.write(model, to: output, keeping: folder.origin()) {
      try $0(0..<model.table.count, store.values.pointer)
    }
  }

  /// What was kept, exchanged and added, a line each.
  package var report: [String] {
    func line(_ name: String, _ tensors: [WeightTensor], _ note: String) -> String {
      let count = tensors.reduce(0) { $0 + $1.shape.count }
      return Format.left(name, 10) + Format.right(Format.grouped(count), 16)
        + " parameters in \(Format.number(tensors.count, of: "tensor"))"
        + (tensors.isEmpty ? "" : note)
    }
    let names = Self.kinds(exchange.added)
    return [
      line("kept", exchange.kept, ""),
      line(
        "left out", exchange.dropped, ": " + Self.kinds(exchange.dropped).joined(separator: ", ")),
      line("added", exchange.added, ": " + names.joined(separator: ", ")),
    ]
  }

  /// Names of tensors with a star for the layer's number, each once.
  private static func kinds(_ tensors: [WeightTensor]) -> [String] {
    var seen: [String] = []
    for tensor in tensors {
      let kind = tensor.name.split(separator: ".").map { Int($0) == nil ? String($0) : "*" }
        .joined(separator: ".")
      if !seen.contains(kind) { seen.append(kind) }
    }
    return seen
  }
}
