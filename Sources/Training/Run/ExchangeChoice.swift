import Foundation
import Measurement
import MessagePassing
import Reporting
import SequenceParallel

/// `parallel.exchange: auto`: which exchange a run takes, and why.
package struct ExchangeChoice {
  /// The exchange.
  package let kind: ExchangeKind
  /// Why, in one sentence; nil where the run file names the exchange itself.
  package let reason: String?
  /// What the exchanges were found to cost; nil where the run file names the exchange itself.
  package let cost: ExchangeCost?

  /// A dry run's machine: 5 µs a message, 10 GB/s, and 4·10⁹ multiplications with additions a second.
  private static let nominal = (latency: 5e-6, secondsPerByte: 1e-10, speed: 4e9)

  /// Chooses with nominal figures of the network and of the ranks' arithmetic: a function of the run file and the
  /// number of ranks alone.
  package init(
    planning rehearsals: Rehearsals
  ) throws {
    let configuration = rehearsals.configuration
    if let kind = configuration.parallel.exchange.kind {
      (self.kind, reason, cost) = (kind, nil, nil)
      return
    }
    let grid = try GridPlace(configuration, rank: 0, ranks: rehearsals.ranks)
    let loads = try rehearsals.loads()
    let cost = ExchangeCost(
      ranks: grid.sequence, latency: Self.nominal.latency,
      secondsPerByte: Self.nominal.secondsPerByte,
      layers: loads.map { $0.nominal(speed: Self.nominal.speed) })
    self.cost = cost
    kind = cost.best
    reason = Self.sentence(cost, network: "a nominal network")
  }

  /// Chooses for a run: neighbours measure the network, and rank 0 decides for all.
  ///
  /// Collective.
  package init(
    measuring rehearsals: Rehearsals, world: any Communicator
  ) throws {
    let configuration = rehearsals.configuration
    if let kind = configuration.parallel.exchange.kind {
      (self.kind, reason, cost) = (kind, nil, nil)
      return
    }
    guard configuration.parallel.reproducible == 0 else {
      // A measurement could choose otherwise on another rank or the next time.
      self = try Self(planning: rehearsals)
      return
    }
    let grid = try GridPlace(configuration, world: world)
    let loads = try rehearsals.loads()
    let group = try world.split(coloring: grid.dataIndex(of:))
    let bytes = loads.map { 4 * $0.units * $0.map.stateCount }.max() ?? 0
    let network = try NetworkProbe.measure(group, world: world, bytes: bytes)
    let cost = ExchangeCost(
      ranks: grid.sequence, latency: network.latency, secondsPerByte: network.secondsPerByte,
      layers: loads.map { $0.measured() })
    let answer = try world.broadcast(
      "\(cost.best.rawValue) \(Self.sentence(cost, network: "this network"))")
    let parts = answer.split(separator: " ", maxSplits: 1).map(String.init)
    guard parts.count == 2, let kind = ExchangeKind(rawValue: parts[0]) else {
      preconditionFailure("rank 0 chose \(answer)")
    }
    (self.kind, reason, self.cost) = (kind, parts[1], cost)
  }

  private static func sentence(_ cost: ExchangeCost, network: String) -> String {
    guard cost.ranks > 1 else { return "parallel.exchange=auto: one rank exchanges nothing" }
    let states = cost.layers.map(\.stateBytes).max() ?? 0
    let costs = ExchangeKind.allCases.map { "\($0.rawValue) \(Format.seconds(cost.seconds($0)))" }
    return "parallel.exchange=auto takes \(cost.best.rawValue): by \(network)'s "
      + "\(Format.seconds(cost.latency)) a message and "
      + String(format: "%.3g GB/s", 1e-9 / cost.secondsPerByte)
      + ", \(cost.ranks) ranks and \(cost.layers.count) layers of \(Format.bytes(states)), "
      + "a pass takes longer by: " + costs.joined(separator: ", ")
  }
}
