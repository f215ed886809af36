import Configuration
import Foundation
import Models
import SequenceParallel

/// What a layout costs: memory and bytes as its rehearsal counts them, and time by a model of the machines.
///
/// Concretely, with a rank's part C of the step's operations at three quarters of the products' speed, α and β of the network, P
/// ranks, and G gradient and W weight bytes that a rank sends in b messages:
///
///     time = C + 2 · micro-batches · segments · exchange + X' + max(G' / b, G' − ⅔C) + max(W' / b, W' − C) + 2⌈log₂P⌉ α
///
/// where the exchange is `ExchangeCost`'s, and G' and W' are the times of these bytes and messages over a link that the ranks of
/// a host share. Sums go on behind the backward pass, but for the last; gathers behind the blocks before them. X' is the time of tokens
/// that go to experts of other ranks and back, for which each layer waits.
package struct PlanEstimate: Sendable {
  package let choice: PlanChoice
  /// Bytes of memory that a rank needs.
  package internal(set) var memoryBytes: Int
  /// Bytes that a rank sends a step.
  package let bytesSent: Int
  /// Seconds of a step: computing, and waiting for states, tokens, sums and gathers.
  package let compute, states, tokens, gradients, weights, sums: Double

  /// Seconds of a step.
  package var seconds: Double { compute + states + tokens + gradients + weights + sums }
  /// What estimates are sorted by: time, and within a hundredth, which no model tells apart, memory.
  var order: (Int, Int) { (Int((log(seconds) * 100).rounded()), memoryBytes) }
  /// Share of the step that ranks wait for the network.
  package var networkShare: Double { (seconds - compute) / seconds }

  /// What a step computes: the model's operations, and how much of the forward pass is run again.
  struct Work {
    let operations: Double
    let again: Double
    /// Messages in which gradients, or weights, travel.
    let messages: Int
    /// What the layers exchange in a pass of one micro-batch of one segment.
    let layers: [ExchangeCost.Layer]
    /// How many layers have experts.
    let expertLayers: Int

    /// Times of a pass forward that are run again, for segments that are not held and for blocks whose activations are not kept.
    static func again(segments: Int, held: Int, recompute: Bool) -> Double {
      let groups = (segments + held - 1) / held
      let forwards = (groups - 1) * held + segments - groups
      return Double(forwards) / Double(segments) + (recompute ? 1 : 0)
    }
  }

  /// Estimates what was rehearsed.
  init(
    _ choice: PlanChoice, memoryBytes: Int, _ step: Rehearsal, _ work: Work, on cluster: Cluster
  ) {
    (self.choice, self.memoryBytes, bytesSent) = (choice, memoryBytes, step.bytesSent)
    let speed = cluster.gigaflops * 1e9 * cluster.speedup(of: choice.precision)
    compute =
      work.operations * (1 + work.again / 3)
      / (Double(cluster.ranks * cluster.threads) * speed * Plan.efficiency)
    states = Self.states(choice, work, on: cluster)
    let rounds = Self.rounds(cluster.ranks)
    let (latency, byte) = Self.shared(cluster)
    let messages = Double(work.messages)
    func transfer(_ bytes: Int) -> Double {
      bytes == 0 ? 0 : Double(bytes) * byte + messages * 2 * rounds * latency
    }
    tokens = Self.tokens(choice, work, bytes: step.expertBytes, on: cluster)
    let (sent, gathered) = (transfer(step.gradientBytes), transfer(step.weightBytes))
    gradients = max(sent / messages, sent - compute * 2 / 3)
    weights = max(gathered / messages, gathered - compute)
    sums = 2 * rounds * latency
  }

  /// ⌈log₂P⌉.
  private static func rounds(_ ranks: Int) -> Double {
    Double(Int.bitWidth - max(0, ranks - 1).leadingZeroBitCount)
  }

  /// α and β of messages among all ranks, each of which sends at once.
  private static func shared(_ cluster: Cluster) -> (latency: Double, secondsPerByte: Double) {
    guard cluster.hosts > 1 else {
      let own = Cluster.Network.sharedMemory
      // A memory serves some ranks at once.
      return (own.latency, own.secondsPerByte * max(1, Double(cluster.ranksPerHost) / 4))
    }
    return (
      cluster.network.latency, cluster.network.secondsPerByte * Double(cluster.ranksPerHost)
    )
  }

  /// Seconds for tokens on their way to experts and back: each layer waits for counts, rows and outputs, and for two ways of
  /// gradients.
  private static func tokens(
    _ choice: PlanChoice, _ work: Work, bytes: Int, on cluster: Cluster
  ) -> Double {
    guard let group = choice.experts, group > 1 else { return 0 }
    let each = cluster.ranksPerHost
    let isInside = cluster.hosts == 1 || (group <= each && each % group == 0)
    let (latency, byte) =
      isInside
      ? (
        Cluster.Network.sharedMemory.latency,
        Cluster.Network.sharedMemory.secondsPerByte * max(1, Double(each) / 4)
      ) : shared(cluster)
    let waits = 5 * work.expertLayers * choice.accumulation * choice.segments
    return Double(bytes) * byte + Double(waits * (group - 1)) * latency
  }

  private static func states(
    _ choice: PlanChoice, _ work: Work, on cluster: Cluster
  ) -> Double {
    let each = cluster.ranksPerHost
    // Groups are consecutive ranks, and hosts have consecutive ranks.
    let isInside = cluster.hosts == 1 || (choice.sequence <= each && each % choice.sequence == 0)
    let network = isInside ? .sharedMemory : cluster.network
    // In the chain only the last rank of a host sends to another; else all do.
    let users = isInside || choice.exchange == .chain ? 1 : each
    let cost = ExchangeCost(
      ranks: choice.sequence, latency: network.latency,
      secondsPerByte: network.secondsPerByte * Double(users), layers: work.layers)
    return 2 * Double(choice.accumulation * choice.segments) * cost.seconds(choice.exchange)
  }
}
