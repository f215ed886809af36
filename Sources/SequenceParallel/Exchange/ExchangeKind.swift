import Configuration

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

/// What `parallel.exchange` takes: an exchange, or the choice of one at the start.
package enum ExchangeSetting: KeyChoice {
  /// That exchange.
  case kind(ExchangeKind)
  /// The one that the measured network makes fastest.
  case auto

  package static let allCases = ExchangeKind.allCases.map(Self.kind) + [.auto]

  package init?(rawValue: String) {
    guard let setting = Self.allCases.first(where: { $0.rawValue == rawValue }) else { return nil }
    self = setting
  }

  package var rawValue: String {
    switch self {
    case .kind(let kind): kind.rawValue
    case .auto: "auto"
    }
  }

  /// The exchange; nil where it is yet to be chosen.
  package var kind: ExchangeKind? { if case .kind(let kind) = self { kind } else { nil } }
}
