import Configuration
import Corpora
import Dispatch
import Files
import Foundation
import Reporting
import Synchronization

/// Text made into a folder of tokens that training reads: `lasp-train prepare`.
///
/// Files are cut into units whatever the number of workers; each becomes a part on the disk, and the parts are put
/// together in their order. Stopped and started again, it goes on with the units that are left.
package struct Preparation {
  private let options: PreparationOptions
  private let output: TerminalOutput
  private let units: [WorkUnit]
  private let sources: [SourceFile]
  private let parts: String

  /// Bytes of a file of lines that one worker reads.
  package static let lineBytes = 32 << 20

  /// Looks at all files.
  ///
  /// - Parameter lineBytes: Bytes of a file of lines that one worker reads.
  /// - Throws: `PreparationError` when one is missing or no text, or the output is taken.
  package init(
    _ options: PreparationOptions, output: TerminalOutput = .standard(),
    lineBytes: Int = Preparation.lineBytes
  ) throws(PreparationError) {
    (self.options, self.output) = (options, output)
    sources = try SourceFile.all(options.inputs)
    units = WorkUnit.all(sources, lineBytes: lineBytes)
    parts = "\(options.output)/.parts"
    if options.maskField != nil, let text = sources.first(where: { $0.kind == .text }) {
      throw .maskOfText(path: text.path)
    }
  }

  /// Prepares the folder.
  ///
  /// - Returns: What it holds.
  /// - Throws: `PreparationError`; what is complete stays for the next start.
  package func run() throws(PreparationError) -> PreparedFolder {
    if let complete = try begin() { return complete }
    let width = PreparedFolder.tokenBytes(vocabulary: options.tokenizer.vocabulary)
    let all = units.indices.map {
      TokenPart(folder: parts, index: $0, tokenBytes: width, hasMask: options.maskField != nil)
    }
    let counts = try work(all)
    guard counts.contains(where: { $0.tokens > 0 }) else { throw .nothing }
    let folder = try assemble(all, counts, tokenBytes: width)
    try files { () throws(FileError) in try FileSystem.remove(parts) }
    return folder
  }

  /// What decides the result: what an earlier start must have been given to be gone on with.
  private var plan: Data {
    var fields = options.fingerprint
    fields["sources"] = .array(
      sources.map { .object(["path": .string($0.path), "bytes": .integer($0.bytes)]) })
    return JSONValue.object(fields).encoded
  }

  /// Makes the folder, or finds what an earlier start left; gives a complete folder of the same plan.
  private func begin() throws(PreparationError) -> PreparedFolder? {
    let (folder, plan) = (options.output, plan)
    if options.replaces, FileSystem.exists(folder) {
      guard holdsOnlyOurs(folder) else {
        throw .taken(output: folder, why: "holds other files, which --overwrite would delete")
      }
      try files { () throws(FileError) in try FileSystem.remove(folder) }
    }
    let planPath = "\(folder)/plan.json"
    if let file = try? MappedFile(path: planPath) {
      guard file.data == plan else {
        throw .taken(
          output: folder, why: "was prepared, or begun, from other files or with other options")
      }
      if let complete = try? PreparedFolder(folder: folder), !FileSystem.exists(parts) {
        return complete
      }
    } else if FileSystem.exists(folder) {
      let names = (try? FileSystem.names(in: folder)) ?? [""]
      guard names.isEmpty else { throw .taken(output: folder, why: "is not empty") }
    }
    try files { () throws(FileError) in
      try FileSystem.makeFolder(parts)
      try AtomicFile.write(plan, to: planPath)
    }
    return nil
  }

  private func holdsOnlyOurs(_ folder: String) -> Bool {
    let ours: Set<String> = [
      PreparedFolder.metaName, PreparedFolder.tokensName, PreparedFolder.documentsName,
      PreparedFolder.maskName, "plan.json", ".parts",
    ]
    let names = (try? FileSystem.names(in: folder)) ?? [""]
    return names.allSatisfy { ours.contains($0) || $0.hasPrefix(".tmp-") }
  }

  /// Makes the parts that are not complete.
  private func work(_ all: [TokenPart]) throws(PreparationError) -> [TokenPart.Counts] {
    let complete = all.map(\.counts)
    let left = all.indices.filter { complete[$0] == nil }
    let (units, options) = (units, options)
    let total = left.reduce(0) { $0 + units[$1].range.count }
    if left.count < all.count {
      output.line("going on: \(all.count - left.count) of \(all.count) parts are there")
    }
    let progress = PreparationProgress(total: total, output: output)
    let results = Mutex(
      (counts: complete, next: 0, failure: PreparationError?.none, failed: Int.max))
    DispatchQueue.concurrentPerform(iterations: max(1, min(options.workers, left.count))) { _ in
      while true {
        let place: Int? = results.withLock {
          guard $0.failure == nil, $0.next < left.count else { return nil }
          $0.next += 1
          return left[$0.next - 1]
        }
        guard let place else { return }
        let unit = units[place]
        do throws(PreparationError) {
          let reader = DocumentReader(unit: unit, options: options)
          let counts = try all[place].write(reader) { position throws(PreparationError) in
            progress.read(
              place, bytes: min(unit.range.count, max(0, position - unit.range.lowerBound)))
          }
          results.withLock { $0.counts[place] = counts }
          progress.finish(place, bytes: unit.range.count, tokens: counts.tokens)
        } catch {
          // Of several errors the first in the order of files is told.
          results.withLock {
            if place < $0.failed { ($0.failure, $0.failed) = (error, place) }
          }
        }
      }
    }
    progress.end()
    let (counts, failure) = results.withLock { ($0.counts, $0.failure) }
    if let failure { throw failure }
    return counts.map { $0 ?? TokenPart.Counts() }
  }

  /// Puts the parts together; `meta.json` comes last.
  private func assemble(
    _ all: [TokenPart], _ counts: [TokenPart.Counts], tokenBytes: Int
  ) throws(PreparationError) -> PreparedFolder {
    let folder = options.output
    try files { () throws(FileError) in
      let tokens = try BufferedOutput(path: "\(folder)/\(PreparedFolder.tokensName)")
      let documents = try BufferedOutput(path: "\(folder)/\(PreparedFolder.documentsName)")
      let mask =
        options.maskField == nil
        ? nil : try BufferedOutput(path: "\(folder)/\(PreparedFolder.maskName)")
      var first = 0
      for (part, counts) in zip(all, counts) {
        try tokens.append(MappedFile(path: part.tokensPath))
        let starts = try MappedFile(path: part.documentsPath)
        for index in 0..<counts.documents {
          let start = withExtendedLifetime(starts) {
            starts.bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)
          }
          try documents.append(UInt64(littleEndian: start) + UInt64(first))
        }
        if let mask { try mask.append(MappedFile(path: part.maskPath)) }
        first += counts.tokens
      }
      try tokens.commit()
      try documents.commit()
      try mask?.commit()
    }
    func sum(_ of: some Sequence<TokenPart.Counts>, _ count: (TokenPart.Counts) -> Int) -> Int {
      of.reduce(0) { $0 + count($1) }
    }
    let prepared = PreparedFolder(
      vocabulary: options.tokenizer.vocabulary, tokenBytes: tokenBytes,
      tokens: sum(counts, \.tokens), documents: sum(counts, \.documents),
      masked: options.maskField == nil ? nil : sum(counts, \.masked),
      tokenizer: options.tokenizerPath, tokenizerHash: options.tokenizerHash,
      sources: sources.indices.map { index in
        let own = counts.indices.filter { units[$0].file == index }.map { counts[$0] }
        return PreparedFolder.Source(
          path: sources[index].path, bytes: sources[index].bytes, documents: sum(own, \.documents),
          tokens: sum(own, \.tokens))
      })
    try files { () throws(FileError) in
      try AtomicFile.write(prepared.encoded, to: "\(folder)/\(PreparedFolder.metaName)")
    }
    return prepared
  }
}
