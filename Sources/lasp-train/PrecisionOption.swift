import ArgumentParser
import Configuration
import Tensors

/// The option of commands that run a model: what its products read.
struct PrecisionOption: ParsableArguments {
  @Option(
    name: .customLong("precision"),
    help: ArgumentHelp(
      "fp32, or bf16: operands of matrix products are rounded, sums stay fp32.", valueName: "p"))
  var name: String?

  func validate() throws {
    guard let name, Precision(rawValue: name) == nil else { return }
    throw ValidationError("--precision \(name) is neither fp32 nor bf16.")
  }

  /// Refuses the key that says the same.
  func check(against overrides: OverrideOptions) throws {
    if name != nil, overrides.gives("training.precision") {
      throw ValidationError("--precision says what --training.precision does; give one of them.")
    }
  }

  /// What it sets of the run file.
  var overrides: [Override] { name.map { [Override("training.precision=\($0)")] } ?? [] }
}
