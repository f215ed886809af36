import Foundation

extension Trace {
  /// This rank's lane as events of a trace file, one a line, with a comma after each but the last.
  ///
  /// - Parameters:
  ///   - rank: The lane's number.
  ///   - name: The lane's name, such as `rank 3 (node7)`.
  ///   - zero: The reading of this rank's clock that is time 0 of the file.
  /// - Source: the Trace Event Format of Chrome, which Perfetto reads too: complete events (`X`), metadata (`M`).
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
      let details = span.message.map {
        """
        ,"args":{"layer":\($0.layer),"direction":\(Self.quoted($0.direction)),"bytes":\($0.bytes)}
        """
      }
      lines.append(
        """
        {"ph":"X","pid":0,"tid":\(rank),"ts":\(start),"dur":\(length),"name":\(Self.quoted(span.name))\(details ?? "")}
        """)
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

  private static func quoted(_ text: String) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    // Texts always have a form in JSON.
    return (try? encoder.encode(text)).map { String(decoding: $0, as: UTF8.self) } ?? "\"\""
  }
}
