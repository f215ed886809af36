import Tensors

extension LanguageModel {
  /// The tensors of the weight file that are trained as a whole beside adapters.
  package var savedTensors: [WeightTensor] {
    guard let lora else { return [] }
    return tensors.filter { lora.saves($0.name) }
  }

  /// What stays as it is because the model has adapters: all that is no part of them, nor of a module trained as a whole.
  package var frozenByAdapters: [Parameter] {
    guard lora != nil else { return [] }
    let saved = Set(savedTensors.flatMap(\.pieces).map(\.parameter))
    return table.parameters.filter { !table[$0].isAdapter && !saved.contains($0) }
  }

  /// What names exactly the modules that have an adapter: ends of their paths, where these name no other, else the paths.
  package var adaptedModules: [String] {
    let adapted = adaptedPaths
    let ends = Set(adapted.map(\.lastName))
    let fitting = tensors.compactMap(\.module).filter { module in
      ends.contains { LoRA.Targets.ends(module, with: $0) }
    }
    return Set(fitting) == Set(adapted) ? ends.sorted() : adapted
  }

  /// The paths of the modules that have an adapter.
  private var adaptedPaths: [String] {
    let end = ".\(ModelBuilder.downName)"
    return adapterTensors.compactMap {
      $0.name.hasSuffix(end) ? String($0.name.dropLast(end.count)) : nil
    }
  }

  /// - Throws: Targets and modules that name nothing, and those that are tied.
  func checkAdapters(_ lora: LoRA, _ builder: ModelBuilder) throws(AdapterError) {
    let adapted = adaptedPaths
    let names = architecture.outerNames
    let head = names.head.removingWeight
    var wanted: [LoRA.Targets] = [lora.targets]
    if case .suffixes(let suffixes) = lora.targets {
      if architecture.tiesEmbedding,
        suffixes.contains(where: { LoRA.Targets.ends(head, with: $0) })
      {
        throw .noProjection(module: head, why: "it has the embedding's weights")
      }
      if lora.needsEach { wanted = suffixes.map { .suffixes([$0]) } }
    }
    for targets in wanted where !adapted.contains(where: targets.contains) {
      var projections: [String] = []
      for tensor in tensors where builder.whyNoProjection(tensor) == nil {
        if let name = tensor.module?.lastName, !projections.contains(name) {
          projections.append(name)
        }
      }
      throw .noMatch(targets: targets.words, projections: projections)
    }
    for module in lora.modulesToSave {
      var own = lora
      own.modulesToSave = [module]
      let fitting = tensors.filter { own.saves($0.name) }
      if architecture.tiesEmbedding,
        fitting.contains(where: { $0.name == names.embedding }) || head.hasSuffix(module)
      {
        throw .noProjection(
          module: module, why: "embedding and head are tied, and cannot be trained as a whole")
      }
      guard fitting.isEmpty else { continue }
      var near: [String] = []
      for tensor in tensors {
        let name = tensor.name.removingWeight.lastName
        if !near.contains(name) { near.append(name) }
      }
      throw .nothingToSave(module: module, tensors: near)
    }
  }
}

extension LoRA.Targets {
  /// The targets as a sentence names them.
  fileprivate var words: String {
    switch self {
    case .suffixes(let suffixes): suffixes.joined(separator: ", ")
    case .pattern(let pattern): "the regular expression \(pattern)"
    case .allLinear: "all-linear"
    }
  }
}

extension String {
  /// A tensor's name without `.weight`.
  fileprivate var removingWeight: String {
    hasSuffix(".weight") ? String(dropLast(".weight".count)) : self
  }

  /// The last part of a path; with the one before where it is a number.
  fileprivate var lastName: String {
    let parts = split(separator: ".")
    let isNumber = parts.last?.allSatisfy(\.isNumber) ?? false
    return parts.suffix(isNumber ? 2 : 1).joined(separator: ".")
  }
}
