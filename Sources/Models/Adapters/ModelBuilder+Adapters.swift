import Tensors

extension ModelBuilder {
  /// Gives the projections among some tensors of the region opened last the adapters that are asked for.
  ///
  /// Where a tensor fuses several weights, they share A, and each has its rows of B.
  mutating func adapt(_ tensors: [WeightTensor], as lora: LoRA) throws(AdapterError) {
    for tensor in tensors {
      guard let module = tensor.module, lora.adapts(module) else { continue }
      if let why = whyNoProjection(tensor) {
        if lora.targets == .allLinear { continue }
        throw .noProjection(module: module, why: why)
      }
      // PEFT, too, leaves the head out where all are meant.
      if lora.targets == .allLinear, table[tensor.pieces[0].parameter].role == .head { continue }
      try add(to: tensor, module, rank: lora.rank(of: module), scale: lora.scale(of: module))
    }
  }

  private mutating func add(
    to tensor: WeightTensor, _ module: String, rank: Int, scale: Float
  ) throws(AdapterError) {
    guard (1...AdapterError.mostRank).contains(rank) else {
      throw .rank(module: module, rank: rank)
    }
    let input = tensor.shape.columns
    let bound = 1 / Double(input).squareRoot()
    let name = "\(module).\(Self.downName)"
    let down = table.add(
      name, [rank, input], role: .matrix, initialization: .drawn { bound * (2 * $1 - 1) },
      isAdapter: true)
    addAdapterTensor(
      WeightTensor(
        name: name, shape: [rank, input],
        pieces: [WeightPiece(parameter: down, elements: 0..<rank * input)]))
    var ups: [Parameter: Parameter] = [:]
    let upName = "\(module).\(Self.upName)"
    let pieces = tensor.pieces.map { piece in
      let rows = piece.elements.lowerBound / input..<piece.elements.upperBound / input
      if ups[piece.parameter] == nil {
        let weight = table[piece.parameter]
        let isWhole = weight.shape.rows == tensor.shape.rows
        let up = table.add(
          isWhole ? upName : "\(weight.name).lora_B", [weight.shape.rows, rank], role: .matrix,
          initialization: .constant(0), isAdapter: true)
        ups[piece.parameter] = up
        table.adapt(piece.parameter, by: LowRankAdapter(down: down, up: up, scale: scale))
      }
      return WeightPiece(
        parameter: ups[piece.parameter]!, elements: rows.lowerBound * rank..<rows.upperBound * rank)
    }
    addAdapterTensor(
      WeightTensor(name: upName, shape: [tensor.shape.rows, rank], pieces: pieces))
  }

  /// Why a tensor's weights are no projection that an adapter can be added to; nil where they are.
  func whyNoProjection(_ tensor: WeightTensor) -> String? {
    let entries = tensor.pieces.map { table[$0.parameter] }
    if entries.contains(where: { $0.role == .embedding }) {
      return "it is an embedding; name it in modules_to_save to train it as a whole"
    }
    if tensor.pieces.contains(where: { routers.contains($0.parameter) }) {
      return "it chooses experts; name it in modules_to_save to train it as a whole"
    }
    if tensor.shape.rank == 3, entries.allSatisfy({ $0.role == .matrix && $0.shape.rank == 2 }) {
      return "it has the matrices of all experts in one; name other projections"
    }
    guard entries.allSatisfy({ $0.role == .matrix || $0.role == .head }), tensor.shape.rank == 2
    else { return "it is no projection" }
    let input = tensor.shape.columns
    let isRows = zip(tensor.pieces, entries).allSatisfy { piece, entry in
      entry.shape.rank == 2 && entry.shape.columns == input
        && piece.elements.lowerBound % input == 0 && piece.elements.upperBound % input == 0
    }
    return isRows ? nil : "its columns belong to different projections"
  }

  /// What is added to a module's path for A.
  static let downName = "lora_A.weight"
  /// What is added to a module's path for B.
  static let upName = "lora_B.weight"
}

extension WeightTensor {
  /// The path of the module whose weight it is; nil for what is no weight.
  package var module: String? {
    name.hasSuffix(".weight") ? String(name.dropLast(".weight".count)) : nil
  }
}
