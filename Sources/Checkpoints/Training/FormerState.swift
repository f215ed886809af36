import Files

/// The numbers of a checkpoint of an earlier release: all in `state.safetensors`, by the parameters' own names.
struct FormerState {
  let file: SafetensorsFile

  init(of path: String) throws(CheckpointError) {
    file = try SafetensorsFile(path: path + "/state.safetensors")
  }

  /// The name of a parameter's numbers, of which moments had another one before.
  func name(of quantity: TrainingState.Quantity, _ parameter: String) -> String {
    let former =
      switch quantity.name {
      case "first_moment": "mean.\(parameter)"
      case "second_moment": "square.\(parameter)"
      default: quantity.name(of: parameter)
      }
    return file.tensor(former) == nil ? quantity.name(of: parameter) : former
  }
}
