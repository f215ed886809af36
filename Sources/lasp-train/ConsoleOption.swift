import ArgumentParser
import Reporting

/// The option of commands that take a while: how much they say meanwhile.
struct ConsoleOption: ParsableArguments {
  @Option(
    name: .customLong("console"),
    help: ArgumentHelp(
      "live: a bar at the terminal's foot; plain: lines alone; quiet: warnings and results alone (default: live on a terminal, else plain).",
      valueName: "mode"))
  var mode: ConsoleMode?
}

extension ConsoleMode: ExpressibleByArgument {}
