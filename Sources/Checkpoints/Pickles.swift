import Files

/// Weights that Python pickled: whoever reads such a file runs what is written in it, so none is opened here.
enum Pickles {
  /// How to make a file of it that can be read, as a sentence goes on.
  static func conversion(_ path: String) -> String {
    let name = FileSystem.name(of: path)
    // All shards of a model become one file.
    let pattern =
      name.contains("-of-")
      ? name.prefix { $0 != "-" } + "-*." + name.split(separator: ".").last! : Substring(name)
    return
      "convert it, if you trust it, in its folder: python3 -c \"import glob, torch; from safetensors.torch import "
      + "save_file; save_file({n: t.clone().contiguous() for f in glob.glob('\(pattern)') for n, t in "
      + "torch.load(f, map_location='cpu', weights_only=True).items()}, 'model.safetensors', "
      + "{'format': 'pt'})\""
  }

  /// Whether a file's name is that of pickled weights.
  static func isNamed(_ name: String) -> Bool {
    [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"].contains { name.hasSuffix($0) }
      && !others.contains { name.hasPrefix($0) }
  }

  /// What a trainer leaves beside weights, pickled too.
  private static let others = [
    "training_args.", "optimizer.", "scheduler.", "scaler.", "rng_state",
  ]

  /// The path itself, or a file in it, where that is named like pickled weights; nil where nothing is.
  static func path(at path: String) -> String? {
    guard FileSystem.isFolder(path) else {
      return isNamed(FileSystem.name(of: path)) && FileSystem.exists(path) ? path : nil
    }
    let names = (try? FileSystem.names(in: path)) ?? []
    return names.first(where: isNamed).map { "\(path)/\($0)" }
  }
}
