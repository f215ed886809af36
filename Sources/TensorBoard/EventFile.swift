import Files
import Foundation
import SwiftProtobuf

/// A file of events that TensorBoard reads: numbers by step, and texts.
///
/// Each step is one write at the file's end, so that TensorBoard may read while a run goes on.
package final class EventFile: Sendable {
  /// Where it lies.
  package let path: String
  private let descriptor: Int32

  /// The folder of a run's event files.
  package static func folder(of run: String) -> String { "\(run)/tensorboard" }

  /// Begins a file in a run's folder, or goes on with the one that is there.
  ///
  /// - Parameter stepsDone: Steps that the run has done: what a file has of later ones is cut off, so that none stands
  ///   there twice. 0 removes all that was there.
  /// - Throws: `FileError`.
  package init(run: String, stepsDone: Int, time: Double) throws(FileError) {
    let folder = Self.folder(of: run)
    if stepsDone == 0 { try FileSystem.remove(folder) }
    try FileSystem.makeFolder(folder)
    let last = try FileSystem.names(in: folder).filter { $0.hasPrefix("events.out.tfevents.") }
      .sorted().last
    var host = [CChar](repeating: 0, count: 256)
    gethostname(&host, host.count - 1)
    let hostName = String(
      decoding: host.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    path = "\(folder)/" + (last ?? "events.out.tfevents.\(Int(time)).\(hostName).\(getpid())")
    let place = path
    descriptor = open(place, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o666)
    guard descriptor >= 0 else { throw FileError("write", place) }
    if last == nil {
      var first = EventRecord()
      first.wallTime = time
      first.fileVersion = "brain.Event:2"
      try write([first])
    } else {
      try cut(after: stepsDone)
    }
  }

  deinit { close(descriptor) }

  /// Adds a step.
  package func add(_ step: BoardStep) throws(FileError) {
    try write([Self.event(step.number, step.time, step.scalars)])
  }

  /// Adds an evaluation.
  package func add(_ evaluation: BoardEvaluation) throws(FileError) {
    try write([Self.event(evaluation.step, evaluation.time, evaluation.scalars)])
  }

  /// Adds several steps at once.
  package func add(_ steps: [BoardStep]) throws(FileError) {
    try write(steps.map { Self.event($0.number, $0.time, $0.scalars) })
  }

  /// Adds a text, such as the run file; TensorBoard reads it as Markdown.
  package func add(text: String, named tag: String, step: Int, time: Double) throws(FileError) {
    var value = EventRecord.Summary.Value()
    value.tag = tag
    value.metadata.pluginData.pluginName = "text"
    // DT_STRING, a list of one.
    value.tensor.dtype = 7
    value.tensor.tensorShape.dim = [.with { $0.size = 1 }]
    value.tensor.stringVal = [Data(text.utf8)]
    var event = EventRecord()
    (event.step, event.wallTime) = (Int64(step), time)
    event.summary.value = [value]
    try write([event])
  }

  /// The run file as TensorBoard shows it: as it is, letter by letter.
  package static func code(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { "    \($0)" }
      .joined(separator: "\n")
  }

  private static func event(_ step: Int, _ time: Double, _ scalars: [(String, Double)])
    -> EventRecord
  {
    var event = EventRecord()
    (event.step, event.wallTime) = (Int64(step), time)
    event.summary.value = scalars.map { tag, number in
      var value = EventRecord.Summary.Value()
      value.tag = tag
      value.simpleValue = Float(number)
      return value
    }
    return event
  }

  private func write(_ events: [EventRecord]) throws(FileError) {
    var data = Data()
    for event in events {
      // Every field is of a kind that can always be written.
      guard let bytes: Data = try? event.serializedData() else { continue }
      data.append(RecordFile.record(bytes))
    }
    let failed = data.withUnsafeBytes { bytes in
      var done = 0
      while done < bytes.count {
        let count = Glibc.write(descriptor, bytes.baseAddress! + done, bytes.count - done)
        if count < 0 && errno != EINTR { return true }
        done += max(count, 0)
      }
      return false
    }
    if failed { throw FileError("write", path) }
  }

  /// Cuts off what the file has of steps that are done anew, and a record that is not whole.
  private func cut(after step: Int) throws(FileError) {
    let file = try MappedFile(path: path).data
    let records = RecordFile.records(file)
    var end = RecordFile.end(of: records)
    for record in records {
      guard let event = try? EventRecord(serializedBytes: record.data) else { continue }
      if event.step > Int64(step) {
        end = record.offset
        break
      }
    }
    if ftruncate(descriptor, off_t(end)) != 0 { throw FileError("write", path) }
  }
}
