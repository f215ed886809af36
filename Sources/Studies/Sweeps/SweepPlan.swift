import Configuration
import Models
import Reporting
import SequenceParallel
import Training

/// All runs of a sweep, checked before the first starts.
struct SweepPlan: Sendable {
  /// How runs are started, and what is kept of them.
  let section: SweepSection
  /// The runs in their order.
  let runs: [SweepRun]

  /// The most runs of a sweep.
  private static let most = 100_000

  /// Makes the runs of a sweep file.
  ///
  /// - Parameter overrides: Keys that all runs have.
  /// - Throws: All that is wrong with any of them, each problem once; `SweepError` for a sweep without an end; what the
  ///   data lack.
  init(_ file: SweepFile, overrides: [Override]) throws {
    section = file.section
    let count = file.axes.reduce(1) { min($0 * $1.choices.count, Self.most + 1) }
    guard count <= Self.most else {
      throw SweepError.request(
        "\(file.path): these are more than \(Self.most) runs; take fewer values")
    }
    let varied = Set(file.axes.flatMap(\.keys))
    for override in overrides where varied.contains(override.key) {
      throw SweepError.request(
        "--\(override.key): runs of the sweep differ in this key; change it in \(file.path)")
    }
    var maker = RunMaker(file: file, overrides: overrides)
    var runs: [SweepRun] = []
    var names: [String: Int] = [:]
    var problems: [Problem] = []
    for choices in Self.product(file.axes) {
      let label = choices.map(\.label).filter { !$0.isEmpty }.joined(separator: "-")
      let name = label.isEmpty ? "run" : String(label.prefix(120))
      names[name, default: 0] += 1
      let number = names[name] ?? 1
      do {
        runs.append(
          try maker.run(
            number: runs.count + 1, name: number == 1 ? name : "\(name)-\(number)", choices))
      } catch let error as ConfigurationError {
        for problem in error.problems where !problems.contains(problem) { problems.append(problem) }
        if problems.count >= 20 { break }
      }
    }
    if !problems.isEmpty { throw ConfigurationError(problems) }
    self.runs = runs
  }

  /// A choice of each axis, in all ways; the last axis changes fastest.
  static func product(_ axes: [SweepAxis]) -> [[SweepChoice]] {
    axes.reduce([[]]) { ways, axis in
      ways.flatMap { way in axis.choices.map { way + [$0] } }
    }
  }
}

/// Makes runs of a sweep; what runs that differ in their seeds alone have in common is found once.
private struct RunMaker {
  let file: SweepFile
  let overrides: [Override]
  /// What was found for a point.
  private struct Found {
    let dimension: Int?
    let parameters: Int
  }
  private var known: [String: Found] = [:]

  init(file: SweepFile, overrides: [Override]) { (self.file, self.overrides) = (file, overrides) }

  mutating func run(number: Int, name: String, _ choices: [SweepChoice]) throws -> SweepRun {
    var document = ConfigurationDocument(schemas: RunConfiguration.schemas)
    if let path = file.runFile { document.read(file: path) }
    for entry in file.shared { document.set(entry.key, to: entry.value, at: entry.origin) }
    document.apply(overrides)
    for entry in choices.flatMap(\.entries) {
      document.set(entry.key, to: entry.value, at: entry.origin)
    }
    var target: Int?
    var tokens: (parameters: Bool, amount: Double)?
    var point = choices
    for (index, choice) in choices.enumerated() {
      switch choice.rule {
      case .parameters(let count): target = count
      case .tokens(let amount): tokens = (false, amount)
      case .tokensPerParameter(let amount): tokens = (true, amount)
      case .seed(let seed):
        document.set("training.seed", to: .integer(seed), at: .wholeFile(file.path))
        point.remove(at: index)
      case nil: break
      }
    }
    let found = try find(
      document, target: target, point: point.map(\.identity).joined(separator: "\n"))
    if let dimension = found.dimension {
      document.set("model.dimension", to: .integer(dimension), at: .wholeFile(file.path))
    }
    var configuration = try RunConfiguration(document)
    if let tokens {
      let amount = tokens.amount * (tokens.parameters ? Double(found.parameters) : 1)
      let each = Double(configuration.training.batch * configuration.sequence.length)
      // What is beyond all bounds is told as such.
      let steps = Int(min(max(1, (amount / each).rounded()), 0x1p50))
      document.set("training.steps", to: .integer(steps), at: .wholeFile(file.path))
      configuration = try RunConfiguration(document)
    }
    _ = try GridPlace(configuration, rank: 0, ranks: file.section.ranks)
    return SweepRun(
      number: number, name: name, configuration: configuration, parameters: found.parameters,
      target: target, varied: varied(in: configuration))
  }

  /// The width where one is asked for, and the parameters.
  private mutating func find(
    _ document: ConfigurationDocument, target: Int?, point: String
  ) throws -> Found {
    if let found = known[point] { return found }
    var document = document
    if target != nil, !document.isGiven("model.from") {
      // Any width that is possible, so that all else can be checked.
      var copy = document
      var model = copy.section(ModelSection.self)
      model.sequenceLength = copy.section(SequenceSection.self).length
      if let dimension = MatchedWidth.first(
        of: model, in: model.dimension..<2 * model.dimension + 4096)
      {
        document.set("model.dimension", to: .integer(dimension), at: .wholeFile(file.path))
      }
    }
    let configuration = try RunConfiguration(document)
    let setup = try RunSetup(configuration, planning: true)
    let found: Found
    if let target {
      guard configuration.model.from == nil, configuration.lora.lora == nil else {
        throw configuration.error([
          KeyProblem(
            "model.from", "lora.targets",
            message: "the width of a model that is there cannot be chosen; remove match_parameters")
        ])
      }
      do throws(MatchError) {
        let width = try MatchedWidth(
          target, model: configuration.model, vocabulary: setup.model.vocabulary)
        found = Found(dimension: width.dimension, parameters: width.parameters)
      } catch {
        throw configuration.error([
          KeyProblem(
            "model.mixer", "model.depth",
            message: "no width of \(configuration.model.mixer) has nearly \(Format.count(target)) "
              + "parameters: \(error.reason)")
        ])
      }
    } else {
      found = Found(dimension: nil, parameters: setup.model.table.count)
    }
    known[point] = found
    return found
  }

  /// The values of the keys in which runs differ.
  private func varied(in configuration: RunConfiguration) -> [(key: String, value: String)] {
    var keys: [String] = []
    for axis in file.axes {
      for choice in axis.choices {
        switch choice.rule {
        case .parameters: keys.append("model.dimension")
        case .tokens, .tokensPerParameter: keys.append("training.steps")
        case .seed: keys.append("training.seed")
        case nil: keys += choice.entries.map(\.key)
        }
      }
    }
    let values = configuration.json.value
    var seen: Set<String> = []
    return keys.filter { seen.insert($0).inserted }.compactMap { key in
      let parts = key.split(separator: ".").map(String.init)
      return parts.reduce(values as JSONValue?) { $0?[$1] }
        .map { (key, $0.string ?? $0.text) }
    }
  }
}

/// A sweep that cannot be, or did not come to its end.
enum SweepError: ErrorWithExitReason, Equatable, CustomStringConvertible {
  /// What was asked for cannot be: what is wrong and what to do.
  case request(String)
  /// Some runs failed.
  case failed(String)
  /// Some runs are not at their end, and can go on.
  case stopped(String)

  /// What is wrong and what to do.
  var description: String {
    switch self {
    case .request(let sentence), .failed(let sentence), .stopped(let sentence): sentence
    }
  }

  var exitReason: ExitReason {
    switch self {
    case .request: .configuration
    case .failed: .failure
    case .stopped: .stopped
    }
  }
}
