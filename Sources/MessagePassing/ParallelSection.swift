import Configuration

/// The run file's `parallel` section: how the ranks divide the work.
package struct ParallelSection: ConfigurationSection, Equatable {
  /// Ranks that share a sequence; 0 for all that `data` leaves.
  package var sequence: Int
  /// Groups that hold different sequences; 0 for what `sequence` leaves.
  package var data: Int
  /// How states cross ranks.
  package var exchange: String
  /// How keys and values of attention to all tokens cross ranks.
  package var attention: String
  /// What of the weights' memory is cut over the ranks.
  package var sharding: Sharding
  /// Least bytes of gradients that are worth a reduction of their own.
  package var bucketBytes: Int
  /// How gradients travel.
  package var transport: GradientTransport
  /// Virtual ranks of a sequence; 0 where ranks are processes.
  package var reproducible: Int

  /// The keys of `parallel`.
  package static let schema = SectionSchema(
    "parallel", "How ranks divide the work: sequence × data = all ranks.",
    [
      .integer("sequence", 0, unit: "ranks", "Ranks that share a sequence; 0 = all that are left."),
      .integer(
        "data", 0, unit: "groups", "Groups with different sequences; 0 = what sequence leaves."),
      .choice(
        "exchange", "chain", of: ["chain", "gather", "scan", "auto"],
        "How states cross ranks; auto measures the network at the start and chooses."),
      .choice(
        "attention", "gather", of: ["gather", "ring"],
        "How keys and values of attention without a window cross ranks."),
      .choice(
        "sharding", "none", of: Sharding.allCases.map(\.rawValue),
        "What is cut over all ranks: the optimizer's moments, gradients too, or weights too."),
      .integer(
        "bucket_bytes", 8 << 20, from: 1, unit: "bytes",
        "Gradients that are summed over ranks at once."),
      .choice(
        "transport", "fp32", of: GradientTransport.allCases.map(\.rawValue),
        "How gradients travel; bf16 halves the bytes, and sums stay in fp32."),
      .integer(
        "reproducible", 0, unit: "virtual ranks",
        "Virtual ranks of a sequence, a thread each: the same bits on any number of ranks; 0 = none."
      ),
    ])

  /// Reads the section.
  package init(_ values: SectionValues) {
    sequence = values.integer("sequence")
    data = values.integer("data")
    exchange = values.string("exchange")
    attention = values.string("attention")
    // The schema allows no other text.
    sharding = Sharding(rawValue: values.string("sharding"))!
    bucketBytes = values.integer("bucket_bytes")
    transport = GradientTransport(rawValue: values.string("transport"))!
    reproducible = values.integer("reproducible")
  }

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
