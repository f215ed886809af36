import Configuration
import MessagePassing

/// The run file's `parallel` section: how the ranks divide the work.
package struct ParallelSection: ConfigurationSection, Equatable {
  package static let name = "parallel"
  package static let documentation = "How ranks divide the work: sequence × data = all ranks."

  @Key("sequence", .layout, unit: "ranks", "Ranks that share a sequence; 0 = all that are left.")
  package var sequence = 0

  @Key(
    "data", .layout, unit: "groups", "Groups with different sequences; 0 = what sequence leaves.")
  package var data = 0

  @Key(
    "exchange", .layout,
    "How states cross ranks; auto measures the network at the start and chooses.")
  package var exchange = ExchangeSetting.kind(.chain)

  @Key("attention", .layout, "How keys and values of attention without a window cross ranks.")
  package var attention = AttentionExchange.gather

  @Key(
    "sharding", .layout,
    "What is cut over all ranks: the optimizer's moments, gradients too, or weights too.")
  package var sharding = Sharding.none

  @Key(
    "experts", .layout, from: 1, unit: "ranks",
    "Ranks over which each layer's experts are dealt; tokens go to them. 1 = every rank has all.")
  package var experts = 1

  @Key(
    "bucket_bytes", .layout, from: 1, unit: "bytes", "Gradients that are summed over ranks at once."
  )
  package var bucketBytes = 8 << 20

  @Key("transport", .course, "How gradients travel; bf16 halves the bytes, and sums stay in fp32.")
  package var transport = GradientTransport.fp32

  @Key(
    "reproducible", .layout, unit: "virtual ranks",
    "Virtual ranks of a sequence, a thread each: the same bits on any number of ranks; 0 = none.")
  package var reproducible = 0

  @Key(
    "timeout", .layout, above: 0, unit: "seconds",
    "How long a rank waits for others, or stands still, before the job ends and names the culprit.")
  package var timeout = 300.0

  package init() {}

  /// The grid for a number of ranks; virtual ones, where ranks are virtual.
  ///
  /// - Parameter ranks: Number of ranks in the world.
  /// - Throws: `MessagePassingError.grid`, with the equation that does not hold.
  package func grid(ranks: Int) throws(MessagePassingError) -> GridShape {
    guard reproducible > 0 else {
      return try GridShape(ranks: ranks, sequence: sequence, data: data)
    }
    return try GridShape(ranks: ranks, sequence: reproducible)
  }

  /// The ranks of the world that a number of processes makes: more than processes where ranks are virtual.
  ///
  /// Each process hosts as many virtual ranks, which follow each other.
  ///
  /// - Throws: `MessagePassingError.grid`, with the equation that does not hold.
  package func ranks(processes: Int) throws(MessagePassingError) -> Int {
    guard reproducible > 0 else { return processes }
    if sequence > 0 {
      let shape = try GridShape(ranks: processes, sequence: sequence, data: data)
      guard reproducible % sequence == 0 else {
        throw .grid(
          "parallel.reproducible \(reproducible) = parallel.sequence \(sequence) × a whole number of "
            + "virtual ranks cannot hold; choose a multiple of \(sequence), or leave parallel.sequence out"
        )
      }
      return reproducible * shape.data
    }
    let groups = max(data, 1)
    guard reproducible * groups % processes == 0 else {
      let equation = data > 0 ? "parallel.data \(data) × " : ""
      throw .grid(
        "\(equation)parallel.reproducible \(reproducible) = \(processes) ranks × a whole number of virtual "
          + "ranks cannot hold; choose a multiple, or start a number of ranks that divides "
          + "\(reproducible * groups)")
    }
    return reproducible * groups
  }
}
