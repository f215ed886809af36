#if LASP_SERVER
  import FlyingFox
  import FlyingSocks

  /// The page's data as server-sent events: at once, and whenever there is more.
  ///
  /// - Source: HTML Living Standard, 9.2.
  struct EventStream: AsyncBufferedSequence {
    typealias Element = UInt8

    let runs: WatchedRuns

    func makeAsyncIterator() -> Iterator { Iterator(runs: runs) }

    struct Iterator: AsyncBufferedIteratorProtocol {
      let runs: WatchedRuns
      private var known = -1
      private var rest: ArraySlice<UInt8> = []

      init(runs: WatchedRuns) { self.runs = runs }

      mutating func next() async throws -> UInt8? { try await nextBuffer(suggested: 1)?.first }

      mutating func nextBuffer(suggested count: Int) async throws -> ArraySlice<UInt8>? {
        if rest.isEmpty { rest = try await event() }
        let part = rest.prefix(Swift.max(1, count))
        rest = rest.dropFirst(part.count)
        return part
      }

      /// The next event; a comment where nothing comes for long, by which one sees that the reader has gone.
      private mutating func event() async throws -> ArraySlice<UInt8> {
        // A page is drawn anew by each: not more often than a person wants to see it move.
        if known >= 0 { try await Task.sleep(for: .seconds(1)) }
        guard let page = await runs.page(after: known, within: 10) else {
          try Task.checkCancellation()
          return ArraySlice(": nothing new\n\n".utf8)
        }
        known = page.version
        return ArraySlice("data: \(page.text)\n\n".utf8)
      }
    }
  }
#endif
