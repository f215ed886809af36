import Configuration
import Files
import Foundation
import Measurement

/// One step of a run's trace, a lane a rank, small enough for a page.
struct TracePicture {
  /// Ranks and spans of a lane, at most.
  private static let (lanes, least) = (64, 1.0 / 1500)
  private let step: String
  private let path: String
  private let milliseconds: Double
  private let rows: [(name: String, spans: [JSONValue])]

  /// Reads the file that a run's log names; nil where there is none, or it is no trace.
  init?(of record: RunRecord) {
    guard let path = record.trace else { return nil }
    let beside = "\(record.folder)/\(URL(fileURLWithPath: path).lastPathComponent)"
    guard let place = [path, beside].first(where: FileSystem.exists),
      let file = try? MappedFile(path: place),
      let events = (try? JSONValue(file.data))?["traceEvents"]?.array
    else { return nil }
    let spans = events.filter { $0["ph"]?.string == "X" }.compactMap(TraceSpan.init)
    // The last step: its memory is warm.
    guard let number = spans.compactMap(\.stepNumber).max() else { return nil }
    let whole = spans.filter { $0.stepNumber == number }
    guard let start = whole.map(\.start).min(), let end = whole.map(\.end).max(), end > start else {
      return nil
    }
    var names: [Int: String] = [:]
    for event in events where event["name"]?.string == "thread_name" {
      if let lane = event["tid"]?.integer { names[lane] = event["args"]?["name"]?.string }
    }
    let parts = TimeCategory.allCases.map(\.name)
    let inside = spans.filter { $0.start >= start && $0.end <= end + 1 && parts.contains($0.name) }
    let lanes = Dictionary(grouping: inside, by: \.lane).sorted { $0.key < $1.key }
    (step, milliseconds, self.path) = ("\(number)", (end - start) / 1000, place)
    rows = lanes.prefix(Self.lanes).map { lane, spans in
      (
        names[lane] ?? "rank \(lane)",
        Self.drawn(spans, from: start, length: end - start).map { span in
          .array([
            .number(Self.place(span.start - start, end - start)),
            .number(Self.place(span.end - span.start, end - start)), .string(span.name),
          ])
        }
      )
    }
  }

  var json: JSONValue {
    [
      "step": .string(step), "path": .string(path), "ms": .number(milliseconds),
      "rows": .array(rows.map { ["name": .string($0.name), "spans": .array($0.spans)] }),
    ]
  }

  /// Spans that can be seen: neighbours of one name as one, what is too short left out; outer ones first.
  private static func drawn(_ spans: [TraceSpan], from start: Double, length: Double) -> [TraceSpan]
  {
    var result: [TraceSpan] = []
    for span in spans.sorted(by: { ($0.start, $1.end) < ($1.start, $0.end) }) {
      if let last = result.last, last.name == span.name, span.start - last.end < least * length {
        result[result.count - 1].end = max(last.end, span.end)
      } else {
        result.append(span)
      }
    }
    return result.filter { $0.end - $0.start >= least * length }
  }

  private static func place(_ value: Double, _ length: Double) -> Double {
    (value / length * 1e4).rounded() / 1e4
  }
}

/// A span of a trace file, in microseconds.
private struct TraceSpan {
  let name: String
  let lane: Int
  let start: Double
  var end: Double

  init?(_ event: JSONValue) {
    guard let name = event["name"]?.string, let lane = event["tid"]?.integer,
      let start = event["ts"]?.number, let length = event["dur"]?.number
    else { return nil }
    (self.name, self.lane, self.start, end) = (name, lane, start, start + length)
  }

  /// The number of the step that it is; nil for a part of one.
  var stepNumber: Int? { name.hasPrefix("step ") ? Int(name.dropFirst(5)) : nil }
}
