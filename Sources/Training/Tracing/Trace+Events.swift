import Configuration
import Measurement

extension Trace {
  /// This rank's lane as events of a trace file, one a line, with a comma after each but the last.
  ///
  /// - Parameters:
  ///   - rank: The lane's number.
  ///   - name: The lane's name, such as `rank 3 (node7)`.
  ///   - zero: The reading of this rank's clock that is time 0 of the file.
  /// - Source: the Trace Event Format of Chrome, which Perfetto reads too: complete events (`X`), flow events (`s`, `f`),
  ///   metadata (`M`).
  func events(rank: Int, name: String, zero: UInt64) -> String {
    var lines = [
      metadata("thread_name", lane: rank) { $0.set("name", name) },
      metadata("thread_sort_index", lane: rank) { $0.set("sort_index", rank) },
    ]
    // An outer span comes before those inside it.
    let ordered = Self.filled(spans.sorted { ($0.start, $1.end) < ($1.start, $0.end) })
    for span in ordered {
      let start = microseconds(Int64(bitPattern: span.start &- zero))
      var event = traceEvent("X", lane: rank)
      event.set("ts", start)
      event.set("dur", microseconds(Int64(span.end - span.start)))
      event.set("name", span.name)
      if let message = span.message { event.set("args", message.details) }
      lines.append(event)
      guard let arrow = span.message?.arrow else { continue }
      var flow = arrow.flowEvent(lane: rank)
      flow.set("ts", start)
      flow.set("cat", "message")
      flow.set("name", "message")
      lines.append(flow)
    }
    return lines.map(\.text).joined(separator: ",\n")
  }

  /// Some time of a lane.
  struct Interval: Equatable {
    let name: String
    let start, end: UInt64
    let message: Message?
  }

  /// The least gap that gets a name of its own, in nanoseconds.
  private static let leastGap: UInt64 = 1000

  /// Spans with one more, `other`, for each time between two that lie in the same step, forward or backward pass.
  ///
  /// - Parameter ordered: By their starts, an outer one before those inside it.
  static func filled(_ ordered: [Span]) -> [Interval] {
    let parts = Set(TimeCategory.allCases.map(\.name))
    var result: [Interval] = []
    // Spans that are not over, and until when each has been filled.
    var open: [(span: Span, filled: UInt64)] = []
    func isDivided(_ span: Span) -> Bool { span.message == nil && !parts.contains(span.name) }
    func fill(to time: UInt64) {
      guard let last = open.last, isDivided(last.span), time > last.filled,
        time - last.filled >= leastGap
      else { return }
      result.append(
        Interval(name: TimeCategory.other.name, start: last.filled, end: time, message: nil))
    }
    func close(until time: UInt64) {
      while let last = open.last, last.span.end <= time {
        fill(to: last.span.end)
        open.removeLast()
        if !open.isEmpty {
          open[open.count - 1].filled = max(open[open.count - 1].filled, last.span.end)
        }
      }
    }
    for span in ordered {
      close(until: span.start)
      fill(to: span.start)
      if !open.isEmpty { open[open.count - 1].filled = span.start }
      result.append(
        Interval(name: span.name, start: span.start, end: span.end, message: span.message))
      open.append((span, span.start))
    }
    close(until: .max)
    return result
  }

  /// A trace file of all lanes.
  static func file(lanes: [String]) -> String {
    let program = metadata("process_name", lane: nil) { $0.set("name", "lasp-train") }
    return "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n"
      + ([program.text] + lanes).joined(separator: ",\n") + "\n]}\n"
  }
}

extension Trace.Message {
  /// What the file tells of it.
  fileprivate var details: JSONLine {
    let (what, place, number) =
      switch content {
      case .states(let layer): ("states", "layer", layer)
      case .halo(let layer): ("halo", "layer", layer)
      case .keys(let layer): ("keys", "layer", layer)
      case .tokens(let layer): ("tokens", "layer", layer)
      case .carry(let segment): ("carry", "segment", segment)
      case .gradients(let bucket): ("gradients", "bucket", bucket)
      case .weights(let unit): ("weights", "unit", unit)
      }
    var details = JSONLine()
    details.set("what", what)
    details.set(place, number)
    if let direction { details.set("direction", direction) }
    details.set("bytes", bytes)
    return details
  }
}

extension Trace.Arrow {
  /// The flow event of it: `e` binds its head to the span that encloses it.
  fileprivate func flowEvent(lane: Int) -> JSONLine {
    switch self {
    case .tail(let id):
      var event = traceEvent("s", lane: lane)
      event.set("id", id)
      return event
    case .head(let id):
      var event = traceEvent("f", lane: lane)
      event.set("bp", "e")
      event.set("id", id)
      return event
    }
  }
}

private func traceEvent(_ phase: String, lane: Int?) -> JSONLine {
  var event = JSONLine()
  event.set("ph", phase)
  event.set("pid", 0)
  if let lane { event.set("tid", lane) }
  return event
}

private func metadata(
  _ name: String, lane: Int?, _ arguments: (inout JSONLine) -> Void
) -> JSONLine {
  var event = traceEvent("M", lane: lane)
  var values = JSONLine()
  arguments(&values)
  event.set("name", name)
  event.set("args", values)
  return event
}

private func microseconds(_ nanoseconds: Int64) -> Double { Double(nanoseconds) / 1000 }
