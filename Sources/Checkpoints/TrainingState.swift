import Configuration
import Files
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

  /// The numbers of which a checkpoint has one for each element of the parameters' index space.
  public enum Kind: String, CaseIterable, Sendable {
    /// The weights.
    case weight
    /// The first moments.
    case firstMoment = "mean"
    /// The second moments.
    case secondMoment = "square"

    func name(_ entry: ParameterTable.Entry) -> String { rawValue + "." + entry.name }
  }

  /// A checkpoint that is being written, piece by piece, below a run's folder.
  public final class Writer {
    private let state: TrainingState
    private let table: ParameterTable
    private let below: String
    private let folder: AtomicFolder
    private let writer: SafetensorsWriter

    /// Begins a checkpoint, which appears under its name only when it is complete.
    public init(_ state: TrainingState, table: ParameterTable, below folder: String) throws {
      (self.state, self.table, below) = (state, table, folder)
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      self.folder = try AtomicFolder(destination: folder + "/" + TrainingState.name(state.step))
      let keys: JSONValue = [
        "step": .integer(state.step), "seed": .integer(state.seed),
        "version": .string(state.version),
      ]
      try AtomicFile.write(keys.encoded, to: self.folder.path + "/state.json")
      writer = try SafetensorsWriter(
        path: self.folder.path + "/state.safetensors",
        tensors: Kind.allCases.flatMap { kind in
          table.entries.map { TensorDescription(kind.name($0), shape: $0.shape.dimensions) }
        })
    }

    /// Writes the numbers of a range of the index space; each is to be written once, in any order.
    public func write(_ kind: Kind, _ range: Range<Int>, _ numbers: UnsafePointer<Float>) throws {
      for (entry, part) in table.pieces(of: range) {
        try writer.write(
          kind.name(entry),
          UnsafeBufferPointer(
            start: numbers + part.lowerBound - range.lowerBound, count: part.count),
          at: part.lowerBound - entry.range.lowerBound)
      }
    }

    /// Writes what the streams of tokens carry into the next step: `streams.safetensors`, with a tensor
    /// `streams.<stream>.<name>` each and the streams' `position`.
    ///
    /// - Parameters:
    ///   - streams: For each stream its tensors by name.
    ///   - position: Tokens of each stream that have been read.
    public func write(
      streams: [[String: (shape: [Int], numbers: [Float])]], position: Int
    ) throws {
      let tensors = streams.enumerated().flatMap { index, stream in
        stream.sorted { $0.key < $1.key }.map { ("streams.\(index).\($0.key)", $0.value) }
      }
      let file = try SafetensorsWriter(
        path: folder.path + "/" + TrainingState.streamsName,
        tensors: [TensorDescription("position", shape: [1], type: .int64)]
          + tensors.map { TensorDescription($0.0, shape: $0.1.shape) })
      try file.write("position", [position])
      for (name, tensor) in tensors {
        try tensor.numbers.withUnsafeBufferPointer { try file.write(name, $0) }
      }
      try file.finish()
    }

    /// Completes the checkpoint, and deletes all but the latest `keep` (0: none is deleted).
    ///
    /// - Returns: The checkpoint's folder.
    public func finish(keep: Int) throws -> String {
      try writer.finish()
      try folder.commit()
      if keep > 0 {
        for old in TrainingState.steps(below: below).dropLast(keep) {
          try? FileManager.default.removeItem(atPath: below + "/" + TrainingState.name(old))
        }
      }
      return below + "/" + TrainingState.name(state.step)
    }
  }

  /// Where the numbers of a range of the index space are to be read to.
  public struct Place {
    /// Which numbers.
    public let kind: Kind
    /// Of which parameters.
    public let range: Range<Int>
    /// Room for them.
    public let numbers: UnsafeMutablePointer<Float>

    /// Names a place.
    public init(_ kind: Kind, _ range: Range<Int>, _ numbers: UnsafeMutablePointer<Float>) {
      (self.kind, self.range, self.numbers) = (kind, range, numbers)
    }
  }

  /// Reads parts of a checkpoint of the same model.
  ///
  /// - Throws: `CheckpointError` that lists every missing tensor and wrong shape.
  public static func read(
    _ path: String, table: ParameterTable, into places: [Place]
  ) throws -> TrainingState {
    let json = try JSONValue(file: path + "/state.json")
    guard let step = json["step"]?.integer, let seed = json["seed"]?.integer else {
      throw CheckpointError.damaged(path: path + "/state.json", reason: "it has no step or seed")
    }
    let file = try SafetensorsFile(path: path + "/state.safetensors")
    let wrong = Kind.allCases.flatMap { kind in
      table.entries.compactMap { entry -> String? in
        let name = kind.name(entry)
        guard let found = file.tensor(name) else { return "\(name) is missing" }
        return found.shape == entry.shape.dimensions
          ? nil : "\(name) is \(found.shape) but the model's is \(entry.shape)"
      }
    }
    guard wrong.isEmpty else {
      throw CheckpointError.damaged(
        path: path, reason: "it does not fit this model: " + wrong.joined(separator: ", "))
    }
    for place in places {
      for (entry, part) in table.pieces(of: place.range) {
        let first = part.lowerBound - entry.range.lowerBound
        try file.readFloats(
          place.kind.name(entry), elements: first..<first + part.count,
          into: place.numbers + part.lowerBound - place.range.lowerBound)
      }
    }
    return TrainingState(step: step, seed: seed, version: json["version"]?.string ?? "")
  }

  fileprivate static let streamsName = "streams.safetensors"

  /// Reads what some streams of tokens carry.
  ///
  /// - Parameters:
  ///   - streams: Which of the streams.
  ///   - count: Number of all streams.
  ///   - position: Tokens of each that have been read.
  /// - Throws: `CheckpointError` where the checkpoint has none, or those of other streams.
  public static func readStreams(
    _ path: String, _ streams: Range<Int>, of count: Int, position: Int
  ) throws -> [[String: (shape: [Int], numbers: [Float])]] {
    let file = path + "/" + streamsName
    guard FileManager.default.fileExists(atPath: file) else {
      throw CheckpointError.unsupported(
        path: path,
        reason:
          "it was written without data.carry, so the states in the middle of this run's streams "
          + "are not known; go on with data.carry=false, or from the start")
    }
    let tensors = try SafetensorsFile(path: file)
    let names = tensors.tensors.map(\.name).filter { $0.hasPrefix("streams.") }
    let known = (names.compactMap { Int($0.split(separator: ".")[1]) }.max() ?? -1) + 1
    let read = try tensors.readIntegers("position").first ?? 0
    guard known == count, read == position else {
      throw CheckpointError.unsupported(
        path: path,
        reason: "\(known) streams had read \(read) tokens each, but by this run file it would be "
          + "\(count) and \(position); use the same training.batch and sequence.length")
    }
    return try streams.map { stream in
      let prefix = "streams.\(stream)."
      var parts: [String: (shape: [Int], numbers: [Float])] = [:]
      for name in names where name.hasPrefix(prefix) {
        parts[String(name.dropFirst(prefix.count))] = (
          tensors.tensor(name)!.shape, try tensors.readFloats(name)
        )
      }
      return parts
    }
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
