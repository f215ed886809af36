import Configuration
import Files
import Foundation
import Observation
import Training

/// The folder of a sweep: a folder for each run, and `sweep.json`, which says how each stands.
struct SweepFolder: Sendable {
  /// Where it lies.
  let path: String

  /// How a run stands, as its own folder tells.
  enum State: Sendable, Equatable {
    /// It has not begun.
    case waiting
    /// It goes on now, started by this program or another.
    case running
    /// All steps are done.
    case finished
    /// It was stopped or killed, and goes on from its last checkpoint.
    case interrupted
    /// It ended by an error: its exit code and last words.
    case failed(code: Int, words: String)

    /// The state in a word.
    var word: String {
      switch self {
      case .waiting: "waiting"
      case .running: "running"
      case .finished: "finished"
      case .interrupted: "interrupted"
      case .failed: "failed"
      }
    }

    /// Whether the run is still to be done.
    var isOpen: Bool { self == .waiting || self == .interrupted }
  }

  /// The folder of a run.
  func place(_ run: SweepRun) -> String { "\(path)/\(run.name)" }
  /// Where all that a run says goes.
  func output(_ run: SweepRun) -> String { "\(place(run))/output.txt" }
  private func runFile(_ run: SweepRun) -> String { "\(place(run))/run.yaml" }
  private func failure(_ run: SweepRun) -> String { "\(place(run))/failure.json" }

  /// What a run has logged so far.
  ///
  /// - Throws: `FileError` for a log that cannot be read.
  func record(_ run: SweepRun) throws -> RunRecord {
    var follower = LogFollower(run: place(run))
    try follower.poll()
    return follower.record
  }

  /// How a run stands.
  func state(_ run: SweepRun) throws -> State {
    state(run, try LogFollower.glance(run: place(run)))
  }

  /// The same of a run whose log is read.
  func state(_ run: SweepRun, _ record: RunRecord) -> State {
    if let data = FileManager.default.contents(atPath: failure(run)),
      let said = try? JSONValue(data)
    {
      return .failed(
        code: said["code"]?.integer ?? 1, words: said["words"]?.string ?? "it said nothing")
    }
    if RunFolder.isInUse(place(run)) { return .running }
    // Its writer is gone, however short a time ago.
    switch RunState(record, now: .infinity) {
    case .finished: return .finished
    case .waiting: return .waiting
    // A failure that nobody noted is one of a process that was killed with who started it.
    case .running, .interrupted, .failed: return .interrupted
    }
  }

  /// In what the run that is there is another than the one that is asked for: the first line that differs, of both; nil
  /// where they are the same, or none is there.
  func difference(_ run: SweepRun) -> (there: String, asked: String)? {
    guard let data = FileManager.default.contents(atPath: runFile(run)) else { return nil }
    func lines(_ text: String) -> [String] {
      text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
        .filter { !$0.isEmpty && !$0.hasPrefix("#") }
    }
    let (there, asked) = (lines(String(decoding: data, as: UTF8.self)), lines(run.runFile))
    if there == asked { return nil }
    let index = zip(there, asked).prefix { $0 == $1 }.count
    func line(_ lines: [String]) -> String { index < lines.count ? lines[index] : "nothing more" }
    return (line(there), line(asked))
  }

  /// Makes a run's folder with its run file, and forgets an earlier failure.
  func prepare(_ run: SweepRun) throws(FileError) {
    try FileSystem.makeFolder(place(run))
    try FileSystem.remove(failure(run))
    try AtomicFile.write(Data(run.runFile.utf8), to: runFile(run))
  }

  /// Notes that a run failed.
  func note(_ run: SweepRun, code: Int, words: String) throws(FileError) {
    let said: JSONValue = ["code": .integer(code), "words": .string(words)]
    try AtomicFile.write(Data((said.text + "\n").utf8), to: failure(run))
  }

  /// Removes a run with all that it has.
  func remove(_ run: SweepRun) throws(FileError) { try FileSystem.remove(place(run)) }

  /// Removes what is not kept of a finished run.
  func tidy(_ run: SweepRun, keeping kept: SweepSection.Kept) throws(FileError) {
    let parts: [String] =
      switch kept {
      case .all: []
      case .model: ["checkpoints"]
      case .log: ["checkpoints", "model", "adapter"]
      }
    for part in parts { try FileSystem.remove("\(place(run))/\(part)") }
  }

  /// Writes `sweep.json`: each run with its keys, its size and how it stands.
  func write(_ plan: SweepPlan, of file: String) throws {
    let runs = try plan.runs.map { run -> JSONValue in
      let record = try LogFollower.glance(run: place(run))
      let state = state(run, record)
      var fields: [String: JSONValue] = [
        "number": .integer(run.number), "name": .string(run.name), "state": .string(state.word),
        "parameters": .integer(run.parameters), "tokens": .integer(run.tokens),
        "steps": .integer(run.steps),
        "steps_done": .integer(record.steps.last?.number ?? record.start?.stepsDone ?? 0),
        "keys": .object(
          Dictionary(uniqueKeysWithValues: run.varied.map { ($0.key, .string($0.value)) })),
      ]
      if case .failed(let code, let words) = state {
        fields["code"] = .integer(code)
        fields["words"] = .string(words)
        fields["output"] = .string(output(run))
      }
      return .object(fields)
    }
    // A line a run.
    let text =
      "{\"sweep\":\(JSONValue.string(file).text),\"runs\":[\n"
      + runs.map(\.text).joined(separator: ",\n") + "\n]}\n"
    try AtomicFile.write(Data(text.utf8), to: "\(path)/sweep.json")
  }
}
