/// How much a command says beside its result, and in what form.
package enum ConsoleMode: String, CaseIterable, Sendable {
  /// A bar at a terminal's foot that is drawn anew.
  case live
  /// Lines alone, now and then.
  case plain
  /// Warnings alone.
  case quiet
}
