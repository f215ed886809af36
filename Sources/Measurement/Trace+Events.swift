import Foundation

extension Trace {
  /// This rank's lane as events of a trace file, one a line, with a comma after each but the last.
  ///
  /// - Parameters:
  ///   - rank: The lane's number.
  ///   - name: The lane's name, such as `rank 3 (node7)`.
  ///   - zero: The reading of this rank's clock that is time 0 of the file.
  /// - Source: the Trace Event Format of Chrome, which Perfetto reads too: complete events (`X`), flow events (`s`, `f`),
  ///   metadata (`M`).
  public func events(rank: Int, name: String, zero: UInt64) -> String {
    var lines = [
      """
      {"ph":"M","pid":0,"tid":\(rank),"name":"thread_name","args":{"name":\(Self.quoted(name))}}
      """,
      """
      {"ph":"M","pid":0,"tid":\(rank),"name":"thread_sort_index","args":{"sort_index":\(rank)}}
      """,
    ]
    // An outer span comes before those inside it.
    let ordered = spans.sorted { ($0.start, $1.end) < ($1.start, $0.end) }
    for span in ordered {
      let start = Self.microseconds(Int64(bitPattern: span.start &- zero))
      let length = Self.microseconds(Int64(span.end - span.start))
      let details = span.message.map { ",\"args\":{\($0.details)}" }
      lines.append(
        """
        {"ph":"X","pid":0,"tid":\(rank),"ts":\(start),"dur":\(length),"name":\(Self.quoted(span.name))\(details ?? "")}
        """)
      if let arrow = span.message?.arrow {
        lines.append(
          """
          {\(arrow.details),"pid":0,"tid":\(rank),"ts":\(start),"cat":"message","name":"message"}
          """)
      }
    }
    return lines.joined(separator: ",\n")
  }

  /// A trace file of all lanes.
  public static func file(lanes: [String]) -> String {
    """
    {"displayTimeUnit":"ms","traceEvents":[
    {"ph":"M","pid":0,"name":"process_name","args":{"name":"lasp-train"}},
    \(lanes.joined(separator: ",\n"))
    ]}

    """
  }

  private static func microseconds(_ nanoseconds: Int64) -> String {
    String(format: "%.3f", Double(nanoseconds) / 1000)
  }

  fileprivate static func quoted(_ text: String) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    // Texts always have a form in JSON.
    return (try? encoder.encode(text)).map { String(decoding: $0, as: UTF8.self) } ?? "\"\""
  }
}

extension Trace.Message {
  /// What the file tells of it, as members of an object.
  fileprivate var details: String {
    let (what, place, number) =
      switch content {
      case .states(let layer): ("states", "layer", layer)
      case .halo(let layer): ("halo", "layer", layer)
      case .keys(let layer): ("keys", "layer", layer)
      case .carry(let segment): ("carry", "segment", segment)
      case .gradients(let bucket): ("gradients", "bucket", bucket)
      case .weights(let unit): ("weights", "unit", unit)
      }
    let way = direction.map { ",\"direction\":\(Trace.quoted($0))" } ?? ""
    return "\"what\":\"\(what)\",\"\(place)\":\(number)\(way),\"bytes\":\(bytes)"
  }
}

extension Trace.Arrow {
  /// What makes a flow event of it: `e` binds its head to the span that encloses it.
  fileprivate var details: String {
    switch self {
    case .tail(let id): "\"ph\":\"s\",\"id\":\(id)"
    case .head(let id): "\"ph\":\"f\",\"bp\":\"e\",\"id\":\(id)"
    }
  }
}
