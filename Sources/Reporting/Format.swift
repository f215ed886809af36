import Foundation

/// Numbers as text for people: three digits, units, columns.
package enum Format {
  /// A count in three digits: `512`, `8.19k`, `1.23M`.
  package static func count(_ value: Double) -> String {
    scaled(value, base: 1000, units: ["", "k", "M", "G", "T", "P"])
  }

  /// A whole count in three digits.
  package static func count(_ value: Int) -> String { count(Double(value)) }

  /// Bytes in three digits: `512 B`, `1.50 GiB`.
  package static func bytes(_ value: Int) -> String {
    scaled(Double(value), base: 1024, units: [" B", " KiB", " MiB", " GiB", " TiB", " PiB"])
  }

  /// A whole number with its thousands set apart: `1,234,567`.
  package static func grouped(_ value: Int) -> String {
    let digits = String(value.magnitude)
    let head = digits.count % 3
    var groups = head > 0 ? [digits.prefix(head)] : []
    for start in stride(from: head, to: digits.count, by: 3) {
      groups.append(digits.dropFirst(start).prefix(3))
    }
    return (value < 0 ? "-" : "") + groups.joined(separator: ",")
  }

  /// A number of things: `1 thread`, `8 threads`, `2 processes`.
  package static func number(_ value: Int, of thing: String) -> String {
    "\(grouped(value)) \(thing)\(value == 1 ? "" : thing.hasSuffix("s") ? "es" : "s")"
  }

  /// A time to come or gone: `0:07`, `12:34`, `1:02:03`, `3d 04h`.
  package static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "-" }
    let all = Int(seconds.rounded())
    let (days, hours, minutes, rest) = (all / 86400, all / 3600 % 24, all / 60 % 60, all % 60)
    if days > 0 { return String(format: "%dd %02dh", days, hours) }
    if hours > 0 { return String(format: "%d:%02d:%02d", hours, minutes, rest) }
    return String(format: "%d:%02d", minutes, rest)
  }

  /// A measured time: `4.20 µs`, `12.3 ms`, `4.21 s`, from a minute on as `duration`.
  package static func seconds(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 0 else { return "-" }
    if seconds >= 60 { return duration(seconds) }
    if seconds < 0.9995e-3 { return digits(seconds * 1e6) + " µs" }
    return seconds < 0.9995 ? digits(seconds * 1e3) + " ms" : digits(seconds) + " s"
  }

  /// A share: `99.6%`; `-` for none.
  package static func percent(_ share: Double?, decimals: Int = 1) -> String {
    guard let share, share.isFinite else { return "-" }
    return String(format: "%.\(decimals)f%%", share * 100)
  }

  /// A number with four decimals, in powers of ten where they would not do: `1.3863`, `3.20e-05`.
  package static func fixed(_ value: Double) -> String {
    if value.isNaN { return "–" }
    guard value.isFinite else { return "\(value)" }
    let plain = value == 0 || (abs(value) >= 0.001 && abs(value) < 9999)
    return String(format: plain ? "%.4f" : "%.2e", value)
  }

  /// A number in three digits: `0.812`, `12.3`, `1.24e+03`.
  package static func digits(_ value: Double) -> String {
    if value.isNaN { return "–" }
    guard value.isFinite else { return "\(value)" }
    let size = abs(value)
    if size == 0 { return "0" }
    if size < 0.00995 || size >= 9999.5 { return String(format: "%.2e", value) }
    return String(
      format: size < 0.9995 ? "%.3f" : size < 9.995 ? "%.2f" : size < 99.95 ? "%.1f" : "%.0f", value
    )
  }

  /// What training changes and what it leaves: `12,288 trainable, 153,792 frozen`.
  package static func trained(_ trainable: Int, frozen: Int) -> String {
    "\(grouped(trainable)) trainable, \(grouped(frozen)) frozen"
  }

  /// `text` moved to the right end of a column.
  package static func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }

  /// `text` at the left end of a column.
  package static func left(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  /// `text` shortened in its middle to `width` characters, so that a path's two ends stay.
  package static func shortened(_ text: String, _ width: Int) -> String {
    guard text.count > width else { return text }
    let head = max(0, width - 1) / 2
    return "\(text.prefix(head))…\(text.suffix(max(0, width - 1 - head)))"
  }

  /// A line in as many as it takes for none to have more than `width` characters, broken between words; what follows the first
  /// is set in, below the text of `  name     text`.
  ///
  /// A word that is longer, such as a path, stays whole. The codes of colours take no room.
  package static func folded(_ line: String, width: Int) -> String {
    guard line.count > width, width >= 20 else { return line }
    let margin = line.prefix { $0 == " " }.count
    let label = line.dropFirst(margin).prefix { $0 != " " }.count
    let gap = line.dropFirst(margin + label).prefix { $0 == " " }.count
    let hanging = margin + (margin == 2 && gap > 1 ? label + gap : 2)
    var lines: [Substring] = []
    var rest: Substring? = line[...]
    while let text = rest, !text.isEmpty {
      var hidden = 0
      for code in text.split(separator: "\u{1b}" as Character, omittingEmptySubsequences: false)
        .dropFirst()
      {
        hidden += 2 + code.prefix { $0 != "m" }.count
      }
      let room = max(8, width + hidden - (lines.isEmpty ? 0 : hanging))
      let words = text.drop { $0 == " " }
      let blank =
        words.prefix(max(0, room + 1 - (text.count - words.count))).lastIndex(of: " ")
        ?? words.firstIndex(of: " ")
      guard text.count > room, let blank else {
        lines.append(text)
        break
      }
      lines.append(text[..<blank])
      rest = text[blank...].drop { $0 == " " }
    }
    return lines.joined(separator: "\n" + String(repeating: " ", count: hanging))
  }

  private static func scaled(_ value: Double, base: Double, units: [String]) -> String {
    guard value.isFinite else { return "-" }
    var (value, index) = (value, 0)
    // 999.5 would be written with four digits.
    while abs(value) >= (base == 1000 ? 999.5 : 1023.5), index < units.count - 1 {
      value /= base
      index += 1
    }
    return (index == 0 ? String(format: "%.0f", value) : digits(value)) + units[index]
  }
}
