import MessagePassing

/// The ways to carry states across ranks, as `parallel.exchange` names them.
package enum ExchangeKind: String, CaseIterable, Sendable {
  /// Point to point from neighbour to neighbour: LASP.
  case chain
  /// One all-gather per layer and direction: LASP-2.
  case gather
  /// Recursive doubling: ⌈log₂ P⌉ steps.
  case scan

  /// Makes the exchange.
  package func make() -> any StateExchange {
    switch self {
    case .chain: ChainExchange()
    case .gather: GatherExchange()
    case .scan: ScanExchange()
    }
  }
}

extension ParallelSection {
  /// The exchange that the run file names; nil where it leaves the choice to the program.
  package var exchangeKind: ExchangeKind? {
    guard exchange != "auto" else { return nil }
    guard let kind = ExchangeKind(rawValue: exchange) else {
      preconditionFailure("parallel.exchange \(exchange) passed its schema")
    }
    return kind
  }

  /// How the run file lets keys and values of attention cross.
  package var attentionExchange: AttentionExchange {
    guard let kind = AttentionExchange(rawValue: attention) else {
      preconditionFailure("parallel.attention \(attention) passed its schema")
    }
    return kind
  }
}
