import Models

/// How the names of a file's tensors are matched with those of a model.
struct TensorNames {
  /// The file's name of each tensor, by its name in the model's layout.
  let stored: [String: String]
  /// What other tools put into names, as it is found; empty for none.
  let wrappers: [String]

  /// Parts of names that tools add where they wrap a model or its blocks: `torch.compile`, data parallelism, FSDP.
  private static let added: Set<Substring> = [
    "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module",
  ]

  init(stored: [String: String], wrappers: [String]) {
    (self.stored, self.wrappers) = (stored, wrappers)
  }

  /// Matches names; `module.` counts as added only where it leads them all.
  ///
  /// - Throws: `CheckpointError.unsupported` when two names are the same without what was added.
  init(_ names: [String], path: String) throws(CheckpointError) {
    var names = names.map { (short: $0.split(separator: ".")[...], whole: $0) }
    var wrappers: Set<Substring> = []
    for index in names.indices {
      wrappers.formUnion(names[index].short.filter(Self.added.contains))
      names[index].short.removeAll(where: Self.added.contains)
    }
    while !names.isEmpty, names.allSatisfy({ $0.short.first == "module" && $0.short.count > 1 }) {
      wrappers.insert("module")
      for index in names.indices { names[index].short.removeFirst() }
    }
    var stored: [String: String] = [:]
    for (short, whole) in names {
      if let other = stored.updateValue(whole, forKey: short.joined(separator: ".")) {
        throw .unsupported(path: path, reason: "\(other) and \(whole) are names of one tensor")
      }
    }
    (self.stored, self.wrappers) = (stored, wrappers.map { "\($0)." }.sorted())
  }

  /// The names by which a model finds tensors that a file calls otherwise.
  func renamed(for model: LanguageModel) -> TensorNames {
    var names = stored
    for tensor in model.tensors where names[tensor.name] == nil {
      guard let other = model.architecture.otherName(of: tensor.name),
        let found = names.removeValue(forKey: other)
      else { continue }
      names[tensor.name] = found
    }
    return TensorNames(stored: names, wrappers: wrappers)
  }

  /// Names in the model's layout, sorted, of tensors that a model does not take.
  ///
  /// - Throws: `CheckpointError.mismatch` for a bias that belongs to a weight of the model: its output would be
  ///   another without it.
  func left(over model: LanguageModel, path: String) throws(CheckpointError) -> [String] {
    let wanted = Set(model.tensors.map(\.name))
    let constants = Set(model.architecture.constants.map(\.name))
    let left = stored.keys.filter { name in
      !wanted.contains(name) && !constants.contains(name)
        && !Self.harmless.contains { name.hasSuffix($0) }
        && !(model.architecture.tiesEmbedding && name == model.architecture.outerNames.head)
    }.sorted()
    let biases = left.filter {
      $0.hasSuffix(".bias") && wanted.contains($0.dropLast(4) + "weight")
    }
    guard biases.isEmpty else {
      throw .mismatch(path: path, reason: "it announces no bias, but there is \(listed(biases))")
    }
    return left
  }

  /// Ends of the names of tensors that follow from the config or say nothing about the mathematics.
  private static let harmless = [
    "rotary_emb.inv_freq", "rotary.inv_freq", ".attn.masked_bias", "num_batches_tracked",
    "position_ids",
  ]
}
