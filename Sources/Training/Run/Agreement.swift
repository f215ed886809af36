import Checkpoints
import Configuration
import Corpora
import MessagePassing
import Reporting
import Tensors

/// What all ranks must hold alike; the rank that differs is named.
struct Agreement: Sendable {
  /// One thing of a rank.
  struct Item: Sendable {
    /// What it is, as in "another build of the program".
    let what: String
    /// This rank's, in short.
    let value: String
    /// What to do where ranks differ.
    let cure: String

    init(_ what: String, _ value: String, cure: String) {
      (self.what, self.value, self.cure) = (what, value, cure)
    }
  }

  /// The things, in the same order on all ranks; what comes first is told first.
  let items: [Item]

  init(_ items: [Item]) { self.items = items }

  /// Compares all ranks' items.
  ///
  /// Collective: one gather of a short text.
  ///
  /// - Throws: `TrainingError.disagreement` on all ranks.
  func check(_ world: any Communicator) throws {
    let mine = items.map(\.value).joined(separator: Self.separator)
    let all = try world.allGather("\(world.hostName)\(Self.separator)\(mine)")
    let values = all.map { $0.components(separatedBy: Self.separator) }
    if let odd = disagreement(values.map { Array($0.dropFirst()) }) {
      throw TrainingError.disagreement(sentence(odd, hosts: values.map { $0[0] }))
    }
  }

  /// The first item in which a rank differs from most.
  struct Odd: Equatable {
    let item, rank: Int
    let value, others: String
    /// How many ranks differ from most.
    let count: Int
  }

  /// Finds the first item that is not the same on all ranks.
  ///
  /// - Parameter values: Each rank's, item by item.
  func disagreement(_ values: [[String]]) -> Odd? {
    for item in items.indices {
      let column = values.map { $0.count == items.count ? $0[item] : "" }
      // The value of most; of as many, the one that comes first.
      var counts: [String: Int] = [:]
      for value in column { counts[value, default: 0] += 1 }
      let most = counts.values.max()!
      let usual = column.first { counts[$0] == most }!
      guard let rank = column.firstIndex(where: { $0 != usual }) else { continue }
      return Odd(
        item: item, rank: rank, value: column[rank], others: usual, count: column.count - most)
    }
    return nil
  }

  /// What is wrong and what to do.
  func sentence(_ odd: Odd, hosts: [String]) -> String {
    let item = items[odd.item]
    let others =
      hosts.count == 2
      ? "rank \(1 - odd.rank) (\(hosts[1 - odd.rank]))"
      : "\(hosts.count - odd.count) of \(hosts.count) ranks"
    let more = odd.count > 1 ? ", as \(odd.count - 1) more differ" : ""
    return
      "rank \(odd.rank) (\(hosts[odd.rank])) has another \(item.what) than \(others): \(odd.value), not \(odd.others)\(more); "
      + item.cure
  }

  /// What no value contains.
  private static let separator = "\u{1F}"
}

extension Agreement {
  /// The program and its libraries, and what it was started with.
  static func ofProgram(_ configuration: RunConfiguration) -> Agreement {
    let same = "start every rank with the same program"
    return Agreement([
      Item("version of the program", Release.version, cure: same),
      Item(
        "build of the program", BuildIdentity.current,
        cure: "\(same): copy one executable to all hosts"),
      Item(
        "configuration", String(configuration.digest, radix: 16),
        cure: "start every rank with the same run file and options"),
      Item(
        "core type of OpenBLAS", BLAS.coreName,
        cure: "ranks would compute differently: set OPENBLAS_CORETYPE to the same on all hosts"),
    ])
  }

  /// What the run is about to begin with: where it goes on from, what it reads, how it computes.
  static func ofRun(
    from checkpoint: Checkpoint?, reading data: DataFingerprint, products: ProductSettings?
  ) -> Agreement {
    let same = "relative paths may mean different files on different hosts, and links may be old"
    return Agreement([
      Item(
        "step to go on from", checkpoint.map { "\($0.state.step)" } ?? "none",
        cure: "\(same); name the checkpoint by one path that all hosts share"),
      Item(
        "checkpoint", checkpoint.map { String($0.identity.prefix(16)) } ?? "none",
        cure: "\(same); name the checkpoint by one path that all hosts share"),
      Item(
        "content of the files of data.path, data.tokenizer, evaluation.path or distillation.from",
        String(data.digest, radix: 16), cure: "\(same); copy the same files to all hosts"),
      Item(
        "library of products", products.map { "\($0)" } ?? "",
        cure: "install the same version on all hosts, or set training.products=openblas"),
    ])
  }
}
