import Foundation

/// Gives a reader thousands of damaged files, and tells which it could not bear.
///
/// Each mutant is decided by the seed and its number. Where one ends the process, its name is the last line on standard
/// error; `LASP_FUZZ_ONLY` runs it alone, `LASP_FUZZ_CASES` and `LASP_FUZZ_SEED` run more of them, or others.
package struct Fuzzing: Sendable {
  /// What is read, as failures call it.
  package let reader: String
  private let form: FileForm
  private let originals: [[UInt8]]
  private let cases: Range<Int>
  private let seed: UInt64

  /// Processor time that a mutant may take, in seconds.
  private static let most = 5.0

  /// Prepares mutants.
  ///
  /// - Parameters:
  ///   - reader: What is read; readers with different names get different mutants.
  ///   - originals: Good files.
  ///   - cases: How many mutants there are unless the environment says it.
  package init(_ reader: String, _ form: FileForm, _ originals: [[UInt8]], cases: Int = 1000) {
    precondition(!originals.isEmpty, "\(reader) has no good file")
    let environment = ProcessInfo.processInfo.environment
    func number(_ name: String) -> Int? { environment[name].flatMap { Int($0) } }
    let only = number("LASP_FUZZ_ONLY")
    (self.reader, self.form, self.originals) = (reader, form, originals)
    self.cases = only.map { $0..<$0 + 1 } ?? 0..<(number("LASP_FUZZ_CASES") ?? cases)
    let name = reader.utf8.reduce(UInt64(5381)) { $0 &* 33 ^ UInt64($1) }
    seed = UInt64(number("LASP_FUZZ_SEED") ?? 1) &+ name &* 0x9E37_79B9
  }

  /// A mutant by its number.
  package func mutant(_ number: Int) -> [UInt8] {
    var draws = Draws(seed: seed, number: number)
    return form.mutant(of: draws.one(of: originals), &draws)
  }

  /// Lets a reader read every mutant: it must succeed, or throw an error of one sentence, within its time.
  ///
  /// - Returns: What was wrong, a line each.
  package func run(_ read: ([UInt8]) throws -> Void) -> [String] {
    var failures: [String] = []
    let current = CurrentCase()
    for number in cases {
      let name = "\(reader), mutant \(number)"
      let bytes = mutant(number)
      current.begin(name)
      let began = Self.processorSeconds
      do {
        try read(bytes)
      } catch {
        if let fault = Self.fault(of: error) { failures.append("\(name): \(fault)") }
      }
      let seconds = Self.processorSeconds - began
      if seconds > Self.most { failures.append("\(name): it took \(seconds) s") }
    }
    current.end()
    return failures
  }

  /// What is wrong with how an error is told; nil where it is one sentence.
  private static func fault(of error: any Error) -> String? {
    let text = "\(error)"
    if error is DecodingError || text.contains("Domain=") {
      return "it is told by Foundation: \(text)"
    }
    if text.isEmpty || text.utf8.count > 100_000 { return "an error of \(text.utf8.count) bytes" }
    return nil
  }

  private static var processorSeconds: Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
