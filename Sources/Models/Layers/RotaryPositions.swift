import Foundation
import Kernels

/// The frequencies of a model's rotary positions: their base, and how they are scaled for longer sequences.
struct RotaryPositions: Sendable, Equatable {
  /// θ, above 1.
  let base: Double
  /// Nil for none.
  var scaling: RotaryScaling?

  /// Whether the frequencies follow from an even number of a head's numbers only.
  var needsPairs: Bool { if case .yarn = scaling { true } else { false } }

  /// The frequencies of heads of `d` numbers: `ω_j = θ^(−2j/d)`, scaled.
  func frequencies(dimension d: Int) -> RotaryFrequencies {
    let plain = RotaryFrequencies(dimension: d, base: base)
    return scaling?.scaled(plain, base: base) ?? plain
  }
}

/// How the frequencies ω of rotary positions are changed so that a model reads more tokens than it was first trained on.
enum RotaryScaling: Sendable, Equatable {
  /// `ω/s`.
  case linear(factor: Double)
  /// `ω` for wavelengths below `n/high`, `ω/s` above `n/low`, and between them by how many fit n.
  case llama3(factor: Double, low: Double, high: Double, length: Double)
  /// `ω` for pairs that turn often in n tokens, `ω/s` for those that turn seldom, and a ramp between them.
  case yarn(YaRN)

  /// YaRN's numbers.
  ///
  /// - Source: arXiv 2309.00071, section 3.
  struct YaRN: Sendable, Equatable {
    /// s, by how much the sequence grows, and n, the tokens that the model was first trained on.
    let factor, length: Double
    /// Turns in n tokens from which frequencies stay, and below which they are divided.
    let fast, slow: Double
    /// Whether the ramp's ends are whole pairs.
    let isTruncated: Bool
    /// What cosines and sines are multiplied by.
    let magnitude: Double

    /// `0.1 m ln s + 1`, or 1 where the sequence does not grow.
    static func magnitude(factor s: Double, _ m: Double = 1) -> Double {
      s <= 1 ? 1 : 0.1 * m * log(s) + 1
    }

    /// The ramp from 0 to 1 along the pairs of heads of `d` numbers.
    fileprivate func ramp(dimension d: Int, base: Double) -> [Double] {
      func pair(turning turns: Double) -> Double {
        Double(d) * log(length / (turns * 2 * .pi)) / (2 * log(base))
      }
      let (first, last) = (pair(turning: fast), pair(turning: slow))
      let low = max(isTruncated ? first.rounded(.down) : first, 0)
      var high = min(isTruncated ? last.rounded(.up) : last, Double(d - 1))
      if high == low { high += 0.001 }
      return (0..<d / 2).map { min(max((Double($0) - low) / (high - low), 0), 1) }
    }
  }

  /// The frequencies that a model computes with.
  ///
  /// - Source: "Extending Context Window" (arXiv 2306.15595) for linear; Llama 3.1 (2407.21783) for llama3; YaRN
  ///   (2309.00071).
  func scaled(_ plain: RotaryFrequencies, base: Double) -> RotaryFrequencies {
    switch self {
    case .linear(let s):
      return RotaryFrequencies(plain.radians.map { $0 / s })
    case .llama3(let s, let low, let high, let n):
      return RotaryFrequencies(
        plain.radians.map { frequency in
          let wavelength = 2 * .pi / frequency
          if wavelength < n / high { return frequency }
          if wavelength > n / low { return frequency / s }
          let share = (n / wavelength - low) / (high - low)
          return (1 - share) * frequency / s + share * frequency
        })
    case .yarn(let yarn):
      let ramp = yarn.ramp(dimension: plain.dimension, base: base)
      return RotaryFrequencies(
        zip(plain.radians, ramp).map { $0 / yarn.factor * $1 + $0 * (1 - $1) },
        magnitude: yarn.magnitude)
    }
  }
}
