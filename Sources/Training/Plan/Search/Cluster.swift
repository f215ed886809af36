import Foundation
import Tensors

/// The machines that a plan is made for.
package struct Cluster: Sendable, Equatable {
  /// A network by the α–β model: seconds of a message however short, and of a byte more.
  package struct Network: Sendable, Equatable {
    package var latency, secondsPerByte: Double

    package init(latency: Double, secondsPerByte: Double) {
      (self.latency, self.secondsPerByte) = (latency, secondsPerByte)
    }

    /// Shared memory, as measured between two ranks of a machine.
    package static let sharedMemory = Network(latency: 1e-6, secondsPerByte: 1 / 5e9)

    /// Reads `12GB/s,5us`; nil for what is none.
    package init?(_ text: String) {
      let parts = text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
      guard parts.count == 2, parts[0].hasSuffix("/s"),
        let speed = Quantity.bytes(String(parts[0].dropLast(2))), speed > 0,
        let latency = Quantity.seconds(parts[1]), latency >= 0
      else { return nil }
      self.init(latency: latency, secondsPerByte: 1 / speed)
    }
  }

  /// Ranks of the run, and hosts that they are dealt to evenly, a host's ranks consecutive.
  package var ranks, hosts: Int
  /// Bytes of a host's memory that ranks may take.
  package var memoryBytes: Int
  /// From host to host: every host has one link, which its ranks share.
  package var network: Network
  /// Threads of a rank.
  package var threads: Int
  /// What a thread reaches in products of fp32, in GFLOP/s, and how much faster bf16 is; 0 where it is not to be had.
  package var gigaflops, bfloat16Speed: Double

  package init(
    ranks: Int, hosts: Int, memoryBytes: Int, network: Network, threads: Int = 1,
    gigaflops: Double, bfloat16Speed: Double = 0
  ) {
    (self.ranks, self.hosts, self.memoryBytes) = (ranks, hosts, memoryBytes)
    (self.network, self.threads) = (network, threads)
    (self.gigaflops, self.bfloat16Speed) = (gigaflops, bfloat16Speed)
  }

  /// How much faster a precision is than fp32; 1 where that is not known.
  func speedup(of precision: Precision) -> Double {
    precision == .bf16 && bfloat16Speed > 0 ? bfloat16Speed : 1
  }

  /// Ranks of a host.
  package var ranksPerHost: Int { (ranks + hosts - 1) / hosts }
}

/// Numbers with units, as people write them.
package enum Quantity {
  /// `128GiB`, `12GB`, `1e9`: bytes; nil for what is none.
  package static func bytes(_ text: String) -> Double? {
    number(
      text,
      units: [
        "": 1, "B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 1024,
        "MiB": 1_048_576, "GiB": 1_073_741_824, "TiB": 1_099_511_627_776,
      ])
  }

  /// `350M`, `1B`, `1e21`, `20_000_000`: a number of parameters, tokens or operations; nil for what is none.
  package static func count(_ text: String) -> Double? {
    number(
      text.replacing("_", with: ""),
      units: ["": 1, "k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12])
  }

  /// `5us`, `5µs`, `0.1ms`, `2s`: seconds; nil for what is none.
  package static func seconds(_ text: String) -> Double? {
    number(text, units: ["ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1])
  }

  private static func number(_ text: String, units: [String: Double]) -> Double? {
    let digits = text.prefix { $0.isNumber || ".+-eE".contains($0) }
    let unit = text.dropFirst(digits.count).trimmingCharacters(in: .whitespaces)
    guard let value = Double(digits), let factor = units[unit], value.isFinite else { return nil }
    return value * factor
  }
}
