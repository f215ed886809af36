import Configuration
import Foundation
import Models
import Tensors

/// What a run needs to go on: weights and moments by parameter name, the step and the seed.
///
/// A checkpoint is a folder `step-00000120` that appears under its name only when it is complete:
/// `state.safetensors` holds `weight.<name>`, `mean.<name>` and `square.<name>`; `state.json` the rest.
public struct TrainingState: Sendable, Equatable {
  /// Steps done.
  public var step: Int
  /// The run's seed.
  public var seed: Int
  /// The release that wrote it.
  public var version: String

  /// Describes a state.
  public init(step: Int, seed: Int, version: String) {
    (self.step, self.seed, self.version) = (step, seed, version)
  }

  /// Three flat buffers in the parameters' index space.
  public struct Numbers: @unchecked Sendable {
    /// Weights, means and squares.
    public let weights, means, squares: UnsafeMutablePointer<Float>

    /// Names the buffers.
    public init(
      weights: UnsafeMutablePointer<Float>, means: UnsafeMutablePointer<Float>,
      squares: UnsafeMutablePointer<Float>
    ) {
      (self.weights, self.means, self.squares) = (weights, means, squares)
    }

    var kinds: [(prefix: String, base: UnsafeMutablePointer<Float>)] {
      [("weight.", weights), ("mean.", means), ("square.", squares)]
    }
  }

  /// Writes a checkpoint below `folder`, and deletes all but the latest `keep` (0: none is deleted).
  ///
  /// - Returns: The checkpoint's folder.
  @discardableResult
  public func write(
    _ numbers: Numbers, table: ParameterTable, below folder: String, keep: Int
  ) throws -> String {
    let path = folder + "/" + Self.name(step)
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true)
    let atomic = try AtomicFolder(destination: path)
    let keys: JSONValue = [
      "step": .integer(step), "seed": .integer(seed), "version": .string(version),
    ]
    try AtomicFile.write(keys.encoded, to: atomic.path + "/state.json")
    let writer = try SafetensorsWriter(
      path: atomic.path + "/state.safetensors",
      tensors: numbers.kinds.flatMap { kind in
        table.entries.map { TensorDescription(kind.prefix + $0.name, shape: $0.shape.dimensions) }
      })
    for (prefix, base) in numbers.kinds {
      for entry in table.entries {
        try writer.write(
          prefix + entry.name,
          UnsafeBufferPointer(start: base + entry.range.lowerBound, count: entry.range.count))
      }
    }
    try writer.finish()
    try atomic.commit()
    if keep > 0 {
      for old in Self.steps(below: folder).dropLast(keep) {
        try? FileManager.default.removeItem(atPath: folder + "/" + Self.name(old))
      }
    }
    return path
  }

  /// Reads a checkpoint into buffers of the same model.
  ///
  /// - Throws: `CheckpointError` that lists every missing tensor and wrong shape.
  public static func read(
    _ path: String, table: ParameterTable, into numbers: Numbers
  ) throws -> TrainingState {
    let json = try JSONValue(file: path + "/state.json")
    guard let step = json["step"]?.integer, let seed = json["seed"]?.integer else {
      throw CheckpointError.damaged(path: path + "/state.json", reason: "it has no step or seed")
    }
    let file = try SafetensorsFile(path: path + "/state.safetensors")
    let wrong = numbers.kinds.flatMap { kind in
      table.entries.compactMap { entry -> String? in
        let name = kind.prefix + entry.name
        guard let found = file.tensor(name) else { return "\(name) is missing" }
        return found.shape == entry.shape.dimensions
          ? nil : "\(name) is \(found.shape) but the model's is \(entry.shape)"
      }
    }
    guard wrong.isEmpty else {
      throw CheckpointError.damaged(
        path: path, reason: "it does not fit this model: " + wrong.joined(separator: ", "))
    }
    for (prefix, base) in numbers.kinds {
      for entry in table.entries {
        try file.readFloats(
          prefix + entry.name, elements: nil, into: base + entry.range.lowerBound)
      }
    }
    return TrainingState(step: step, seed: seed, version: json["version"]?.string ?? "")
  }

  /// The latest complete checkpoint below a folder, or nil.
  public static func latest(below folder: String) -> String? {
    steps(below: folder).last.map { folder + "/" + name($0) }
  }

  private static func name(_ step: Int) -> String {
    let digits = String(step)
    return "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
  }

  /// Steps of the complete checkpoints below a folder, ascending.
  private static func steps(below folder: String) -> [Int] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.compactMap { $0.hasPrefix("step-") ? Int($0.dropFirst(5)) : nil }
      .filter { FileManager.default.fileExists(atPath: "\(folder)/\(name($0))/state.json") }
      .sorted()
  }
}
