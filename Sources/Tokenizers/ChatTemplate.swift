/// How a question to a model is written, so that it answers: one of four forms that are recognised by their marks.
///
/// Templates are programs in a language of their own, which is not run here.
package enum ChatTemplate: Equatable, Sendable {
  /// `<|im_start|>user … <|im_end|>`, with a system message where none is given.
  case chatML(system: String?, begins: Bool)
  /// `[INST] <<SYS>> … [/INST]`.
  case llama2
  /// `<|start_header_id|>user<|end_header_id|> … <|eot_id|>`, with what stands before every system message.
  case llama3(preamble: String?)
  /// `[INST] … [/INST]`, with or without spaces inside the marks.
  case mistral(before: String, after: String)

  /// The forms, as they are named.
  package static let names = ["ChatML", "Llama 2", "Llama 3", "Mistral"]

  /// Recognises a template; nil where it is none of these.
  package init?(_ template: String) {
    func has(_ mark: String) -> Bool { template.contains(mark) }
    if has("<|im_start|>"), has("<|im_end|>") {
      let system =
        template.text(between: "<|im_start|>system\\n", and: "<|im_end|>")
        ?? template.text(between: "<|im_start|>system\n", and: "<|im_end|>")
      self = .chatML(system: system, begins: has("bos_token"))
    } else if has("<|start_header_id|>"), has("<|eot_id|>") {
      guard has("Cutting Knowledge Date") else {
        self = .llama3(preamble: nil)
        return
      }
      guard let cut = template.text(between: "Cutting Knowledge Date: ", and: "\\n"),
        let today = template.text(between: "date_string = \"", and: "\"")
      else { return nil }
      self = .llama3(preamble: "Cutting Knowledge Date: \(cut)\nToday Date: \(today)\n\n")
    } else if has("[INST]"), has("[/INST]") {
      guard !has("<<SYS>>") else {
        self = .llama2
        return
      }
      self = .mistral(
        before: has("[INST] ") ? " " : "", after: has(" [/INST]") ? " " : "")
    } else {
      return nil
    }
  }

  /// The text that asks a model.
  ///
  /// - Parameters:
  ///   - system: What the model is told before; nil for what the template says.
  ///   - begin: How the token is written that begins a text.
  package func text(system: String?, user: String, begin: String) -> String {
    switch self {
    case .chatML(let own, let begins):
      let system = (system ?? own).map { "<|im_start|>system\n\($0)<|im_end|>\n" } ?? ""
      return (begins ? begin : "") + system
        + "<|im_start|>user\n\(user)<|im_end|>\n<|im_start|>assistant\n"
    case .llama2:
      let system = system.map { "<<SYS>>\n\($0)\n<</SYS>>\n\n" } ?? ""
      return "\(begin.isEmpty ? "<s>" : begin)[INST] \((system + user).trimmed) [/INST]"
    case .llama3(let preamble):
      func message(_ role: String, _ text: String) -> String {
        "<|start_header_id|>\(role)<|end_header_id|>\n\n\(text)"
      }
      let told =
        preamble != nil || system != nil
        ? message("system", (preamble ?? "") + (system ?? "").trimmed + "<|eot_id|>") : ""
      return (begin.isEmpty ? "<|begin_of_text|>" : begin) + told
        + message("user", user.trimmed + "<|eot_id|>") + message("assistant", "")
    case .mistral(let before, let after):
      let system = system.map { "\($0)\n\n" } ?? ""
      return "\(begin.isEmpty ? "<s>" : begin)[INST]\(before)\(system)\(user)\(after)[/INST]"
    }
  }

  /// How the token is written that ends an answer; nil where it is the one that ends a text.
  package var end: String? {
    switch self {
    case .chatML: "<|im_end|>"
    case .llama3: "<|eot_id|>"
    case .llama2, .mistral: nil
    }
  }
}

extension String {
  /// The text between two marks, where it has no sign of a program in it; nil where there is none.
  fileprivate func text(between first: String, and last: String) -> String? {
    var rest = self[...]
    while let start = rest.range(of: first) {
      rest = rest[start.upperBound...]
      guard let end = rest.range(of: last) else { return nil }
      let text = rest[..<end.lowerBound]
      if !text.contains(where: { "'\"{}+".contains($0) }), !text.isEmpty { return String(text) }
    }
    return nil
  }

  /// The text without white space at its ends.
  fileprivate var trimmed: String {
    var text = self[...]
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return String(text.drop(while: \.isWhitespace))
  }
}
