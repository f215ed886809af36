/// The speed of some consecutive steps.
struct Pace: Sendable {
  private var tokens = 0
  private var operations = 0.0
  private var waiting = 0.0
  private var reducing = 0.0
  private var hidden = 0.0
  private(set) var seconds = 0.0

  /// Adds a step.
  mutating func add(_ report: StepReport) {
    tokens += report.tokens
    operations += report.operations
    waiting += report.waitShare * report.seconds
    seconds += report.seconds
    let reduction = report.ranks.reduce(0) { $0 + $1.transferSeconds }
    reducing += reduction
    hidden += (report.hiddenShare ?? 0) * reduction
  }

  /// Tokens a second over the whole world.
  var tokensPerSecond: Double { Double(tokens) / seconds }
  /// Operations a second over the whole world, in units of 10⁹.
  var gigaflops: Double { operations / seconds * 1e-9 }
  /// The ranks' mean share of the time spent waiting for states.
  var waitShare: Double { waiting / seconds }
  /// The share of the time of sums of gradients in which ranks did not wait for them.
  var hiddenShare: Double? { reducing > 0 ? hidden / reducing : nil }
}
