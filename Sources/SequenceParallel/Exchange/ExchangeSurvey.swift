import Kernels
import Measurement
import Tensors

/// An exchange that notes what it carries: for a rehearsal.
package final class ExchangeSurvey: StateExchange {
  /// What a layer carries.
  package struct Load: Sendable {
    /// The algebra of its maps.
    package let map: StateMap
    /// States of the layer: rows × heads.
    package let units: Int
    /// Numbers of the maps that gather and scan send.
    package let sentMapCount: Int
  }

  /// The loads of all layers, in the order of the forward pass.
  package private(set) var loads: [Load] = []

  private let exchange: any StateExchange

  /// Makes a survey of what an exchange is given.
  package init(of exchange: any StateExchange) { self.exchange = exchange }

  /// Notes a layer.
  package func begin(_ problem: SeamProblem) throws -> any StateTransfer {
    if problem.direction == .forward && problem.pass.segment == 0 {
      loads.append(
        Load(map: problem.map, units: problem.units, sentMapCount: problem.sentMapCount))
    }
    return try exchange.begin(problem)
  }

  package func poll() throws { try exchange.poll() }

  package func drain() throws { try exchange.drain() }
}

extension ExchangeSurvey.Load {
  /// What the layer costs where its arithmetic runs at a given speed: the same numbers on every rank and in every
  /// run.
  ///
  /// - Parameter speed: Multiplications with additions a second.
  package func nominal(speed: Double) -> ExchangeCost.Layer {
    let states = units * map.stateCount
    let maps = units * map.kind.count(map.keyDimension)
    // A matrix meets each of its columns K times; other maps meet each number once.
    let each = map.kind == .matrix ? map.keyDimension : 1
    return ExchangeCost.Layer(
      stateBytes: 4 * states, mapBytes: 4 * sentMapCount,
      combineSeconds: Double(states * each) / speed, composeSeconds: Double(maps * each) / speed)
  }

  /// What the layer costs where its arithmetic takes the time that it takes here.
  package func measured() -> ExchangeCost.Layer {
    let maps = units * map.kind.count(map.keyDimension)
    let states = units * map.stateCount
    let numbers = UnsafeMutablePointer<Float>.allocate(capacity: 2 * maps + 2 * states)
    defer { numbers.deallocate() }
    numbers.initialize(repeating: 0.5, count: 2 * maps + 2 * states)
    let (input, output) = (numbers + 2 * maps, numbers + 2 * maps + states)
    let combine = Self.seconds {
      for unit in 0..<units {
        let at = unit * map.stateCount
        map.combine(
          numbers + unit * (maps / units), input + at, adding: output + at, into: output + at)
      }
    }
    let compose = Self.seconds {
      for unit in 0..<units {
        let at = unit * (maps / units)
        map.composeMaps(later: numbers + at, earlier: numbers + at, into: numbers + maps + at)
      }
    }
    return ExchangeCost.Layer(
      stateBytes: 4 * states, mapBytes: 4 * sentMapCount, combineSeconds: combine,
      composeSeconds: compose)
  }

  /// The least time of a few runs.
  private static func seconds(_ body: () -> Void) -> Double {
    (0..<3).map { _ in
      let started = Clock.nanoseconds
      body()
      return Double(Clock.nanoseconds - started) * 1e-9
    }.min() ?? 0
  }
}
