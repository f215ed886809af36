import ArgumentParser

/// The option of commands that open a model with an adapter of it.
struct AdapterOption: ParsableArguments {
  @Option(
    name: .customLong("adapter"),
    help: ArgumentHelp(
      "Folder of an adapter of the model, as PEFT writes it. An adapter's folder may also stand in the model's place.",
      valueName: "folder"), completion: .directory)
  var path: String?
}
