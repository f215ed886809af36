import Configuration
import Foundation
import Models

/// Whole numbers that no run can have, told before anything is laid out by them.
extension RunConfiguration {
  /// The greatest whole number of a key, so that products of several fit 64 bits.
  private static func greatest(_ key: String) -> Int {
    switch key {
    case "model.depth": 1 << 10
    case "model.vocabulary", "data.vocabulary", "training.batch": 1 << 24
    case "threads": 1 << 16
    // Any number of 64 bits is a seed.
    case "training.seed": .max
    default: key.hasPrefix("model.") || key.hasPrefix("lora.") ? 1 << 20 : 1 << 40
    }
  }

  /// A problem for each whole number that was given and is beyond its greatest.
  static func extents(_ document: ConfigurationDocument) -> [KeyProblem] {
    guard let values = try? JSONValue(Data(document.json.text.utf8)) else { return [] }
    return document.given.compactMap { key in
      let path = key.split(separator: ".").map(String.init)
      let greatest = greatest(key)
      guard case .integer(let value)? = path.reduce(values as JSONValue?, { $0?[$1] }),
        value > greatest
      else { return nil }
      return KeyProblem(
        key, message: "\(value) is more than \(greatest), the most that is computed")
    }
  }

  /// Numbers that are each right by themselves, and together more than the bytes that 64 bits count.
  static func extents(
    _ model: ModelSection, batch: Int, length: Int
  ) -> [KeyProblem] {
    let numbers = [batch, length, model.dimension, model.depth]
    var product = 1
    for number in numbers {
      let (next, overflow) = product.multipliedReportingOverflow(by: max(number, 1))
      product = overflow ? .max : next
    }
    guard product > 1 << 56 else { return [] }
    return [
      KeyProblem(
        "training.batch", "sequence.length", "model.dimension",
        message:
          "\(batch) sequences of \(length) tokens in \(model.depth) blocks of \(model.dimension) are more "
          + "numbers than any machine has room for; choose a smaller training.batch or a shorter sequence.length"
      )
    ]
  }
}
