import Corpora
import Files

/// What can be wrong with text that is to become tokens.
package enum PreparationError: Error, Equatable, CustomStringConvertible {
  /// A file that cannot be read.
  case input(InputError)
  /// The operating system refused an operation.
  case file(FileError)
  /// Nothing lies where it was looked for.
  case noFiles(pattern: String)
  /// A file of a format that other programs have text in.
  case foreignFormat(path: String, ForeignFormat)
  /// A file that is neither text nor lines of JSON.
  case notText(path: String, what: String, cure: String)
  /// A line that is no JSON object.
  case notJSON(path: String, line: Int)
  /// A line without the field, or whose field is no text.
  case noField(path: String, line: Int, field: String, present: [String])
  /// A mask asked of files that have no fields.
  case maskOfText(path: String)
  /// A token that there is not.
  case noToken(name: String, vocabulary: Int)
  /// Files without a token.
  case nothing
  /// A folder that holds something else.
  case taken(output: String, why: String)

  /// What the operating system refused, if that is what was wrong.
  package var fileError: FileError? {
    switch self {
    case .file(let error), .input(.file(let error)): error
    default: nil
    }
  }

  /// One sentence: what is wrong, where, and what to do.
  package var description: String {
    switch self {
    case .input(let error): return error.description
    case .file(let error): return error.description
    case .noFiles(let pattern): return "there is no file at \(pattern)"
    case .foreignFormat(let path, let format): return format.sentence(path)
    case .notText(let path, let what, let cure): return "\(path) is \(what); \(cure)"
    case .notJSON(let path, let line):
      return "\(path):\(line): this line is no JSON object; each line of a JSONL file must be one"
    case .noField(let path, let line, let field, let present):
      let fields =
        present.isEmpty ? "it has no field of text" : "it has \(present.joined(separator: ", "))"
      return
        "\(path):\(line): there is no text in the field \(field): \(fields); name the field by --field"
    case .maskOfText(let path):
      return
        "\(path) is plain text and has no fields; --mask-field needs JSONL files with a field for the prompt"
    case .noToken(let name, let vocabulary):
      return
        "the tokenizer has no token \(name); --end needs one as it is written, or a number below \(vocabulary)"
    case .nothing: return "the files hold no text; give files with at least one document"
    case .taken(let output, let why):
      return "\(output) \(why); give another --output, or --overwrite"
    }
  }
}

/// What `body` gives, with its error as one of preparing.
func inputs<T>(_ body: () throws(InputError) -> T) throws(PreparationError) -> T {
  do throws(InputError) { return try body() } catch { throw .input(error) }
}

/// What `body` gives, with its error as one of preparing.
func files<T>(_ body: () throws(FileError) -> T) throws(PreparationError) -> T {
  do throws(FileError) { return try body() } catch { throw .file(error) }
}
