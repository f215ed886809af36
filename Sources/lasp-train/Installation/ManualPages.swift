import ArgumentParser
import Configuration
import Foundation
import Reporting
import Training

/// Manual pages: one for the program, one for each command, and one for the run file.
enum ManualPages {
  /// The pages by the names of their files, such as `lasp-train-evaluate.1`.
  static func all() throws -> [(file: String, text: String)] {
    let help = try JSONValue(Data(LaspTrain._dumpHelp().utf8))
    guard let command = help["command"] else { preconditionFailure("no command in \(help.text)") }
    return pages(of: command, name: "lasp-train", inner: []) + [("lasp-train.5", keys)]
  }

  private static func pages(
    of command: JSONValue, name: String, inner path: [String]
  ) -> [(file: String, text: String)] {
    let commands = (command["subcommands"]?.array ?? []).filter {
      $0["shouldDisplay"]?.bool != false && $0["commandName"]?.string != "help"
    }
    let own = (file: name + ".1", text: page(of: command, name: name, path: path, commands))
    return [own]
      + commands.flatMap { one -> [(file: String, text: String)] in
        let word = one["commandName"]?.string ?? ""
        return pages(of: one, name: "\(name)-\(word)", inner: path + [word])
      }
  }

  private static func page(
    of command: JSONValue, name: String, path: [String], _ commands: [JSONValue]
  ) -> String {
    var lines = heading(name, section: 1)
    lines += [".SH NAME", "\(escaped(name)) \\- \(escaped(command["abstract"]?.string ?? ""))"]
    lines += [".SH SYNOPSIS", ".nf"]
    lines += usage(path).map(escaped) + [".fi"]
    if let text = command["discussion"]?.string, !text.isEmpty {
      lines += [".SH DESCRIPTION"] + paragraphs(text)
    }
    let arguments = (command["arguments"]?.array ?? []).filter {
      $0["shouldDisplay"]?.bool != false
    }
    if !arguments.isEmpty { lines += [".SH OPTIONS"] + arguments.flatMap(option) }
    if !commands.isEmpty {
      lines.append(".SH COMMANDS")
      lines += commands.flatMap { one in
        let word = one["commandName"]?.string ?? ""
        return [
          ".TP", ".BR \(escaped("\(name)-\(word)")) (1)", escaped(one["abstract"]?.string ?? ""),
        ]
      }
    }
    lines += [
      ".SH SEE ALSO",
      ".BR lasp-train (1), .BR lasp-train (5), .BR mpirun (1)".replacing(", .BR", with: ",\n.BR"),
    ]
    return lines.joined(separator: "\n") + "\n"
  }

  /// The usage lines of a command.
  private static func usage(_ path: [String]) -> [String] {
    var command: any ParsableCommand.Type = LaspTrain.self
    for word in path {
      let inner = command.configuration.subcommands
      guard let next = inner.first(where: { $0._commandName == word }) else { break }
      command = next
    }
    return (command.configuration.usage ?? path.joined(separator: " ")).split(separator: "\n")
      .map(String.init)
  }

  private static func option(_ argument: JSONValue) -> [String] {
    let value = argument["valueName"]?.string ?? ""
    let names = (argument["names"]?.array ?? []).map { name in
      let text = name["name"]?.string ?? ""
      return name["kind"]?.string == "short" ? "-\(text)" : "--\(text)"
    }
    let isOption = argument["kind"]?.string == "option"
    let head =
      names.isEmpty
      ? "\\fI\(escaped(value))\\fR"
      : names.map { "\\fB\(escaped($0))\\fR" }.joined(separator: ", ")
        + (isOption ? " \\fI\(escaped(value))\\fR" : "")
    let fallback = argument["defaultValue"]?.string.map { " Default: \($0)." } ?? ""
    return [".TP", head, escaped((argument["abstract"]?.string ?? "") + fallback)]
  }

  /// The keys of the run file.
  private static var keys: String {
    var lines = heading("lasp-train", section: 5)
    lines += [
      ".SH NAME", "lasp-train \\- the run file", ".SH DESCRIPTION",
      "A run file is YAML: sections of keys. Every key has a default, so a run file holds only what differs from it.",
      "On the command line \\fB\\-\\-section.key=value\\fR overrides a key. \\fBlasp-train config\\fR prints all of them.",
    ]
    for section in RunConfiguration.schemas {
      lines += [
        ".SH \(section.name.isEmpty ? "OUTSIDE ALL SECTIONS" : escaped(section.name))",
        escaped(section.documentation),
      ]
      for key in section.keys {
        let unit = key.unit.map { " [\($0)]" } ?? ""
        lines += [
          ".TP",
          "\\fB\(escaped(section.path(of: key.name)))\\fR = \\fI\(escaped(key.defaultValue.yaml))\\fR",
          escaped(key.documentation), ".br", escaped("Takes \(key.kind.words)\(unit)."),
        ]
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func heading(_ name: String, section: Int) -> [String] {
    [".TH \(escaped(name.uppercased())) \(section) \"\" \"lasp-train \(Release.version)\""]
  }

  private static func paragraphs(_ text: String) -> [String] {
    text.split(separator: "\n\n").flatMap { part -> [String] in
      let lines = part.split(separator: "\n").map { escaped(String($0)) }
      // Lines that are set apart stay lines.
      return [".PP"] + (lines.count > 1 ? [".nf"] + lines + [".fi"] : lines)
    }
  }

  /// A text that means itself to troff.
  private static func escaped(_ text: String) -> String {
    let plain = text.replacing("\\", with: "\\e").replacing("-", with: "\\-")
    return plain.hasPrefix(".") || plain.hasPrefix("'") ? "\\&" + plain : plain
  }
}
