import Reporting

/// The plans of a run's stages.
extension Plan {
  /// The plan of each stage, in their order; all have the exchange of the first, and count the program as it does.
  static func stages(of configuration: RunConfiguration, processes: Int) throws -> [Plan] {
    var plans: [Plan] = []
    for index in 0..<configuration.stageCount {
      plans.append(
        try Plan(
          configuration.stage(index), processes: processes, exchange: plans.first?.exchange,
          processBytes: plans.first?.processBytes))
    }
    return plans
  }

  /// Bytes of the largest rank in the stage that needs the most.
  package static func memory(_ configuration: RunConfiguration, processes: Int) throws -> Int {
    try stages(of: configuration, processes: processes).map(\.memoryBytes).max() ?? 0
  }

  /// The plan of the stage that needs the most memory, after a line for each.
  static func description(of plans: [Plan], speed: Speed) -> String {
    let most = plans.indices.max { plans[$0].memoryBytes < plans[$1].memoryBytes }!
    let plan = plans[most]
    guard plans.count > 1 else { return plan.description(speed: speed) }
    let lines = plans.enumerated().map { index, plan in
      let table = plan.model.table
      return plan.row(
        index == 0 ? "stages" : "",
        "\(index + 1), \(plan.configuration.linearise.stage.rawValue): "
          + "\(Format.grouped(plan.configuration.training.steps)) steps at most, "
          + "\(Format.trained(table.trainable.count, frozen: table.frozenCount)), "
          + "\(Format.bytes(plan.memoryBytes)) of memory")
    }
    return (lines + [plan.row("", "what follows is stage \(most + 1), which needs the most")])
      .joined(separator: "\n") + "\n" + plan.description(speed: speed)
  }
}
