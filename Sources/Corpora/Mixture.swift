import Tensors

/// Which file each sample of a mixture is drawn from, and how many were drawn from that file before.
///
/// Concretely: files are the leaves of a binary tree. A node that is visited for the `n`-th time, from 0,
/// sends the visit to its lighter side where `⌊(n + 1) p + θ⌋ > ⌊n p + θ⌋`, with the lighter side's share `p`
/// of the node's weight and a phase `θ` in [0, 1) that the seed decides. Of the first `n` visits the lighter
/// side then had `⌊n p + θ⌋`, and the heavier one the others: never one away from its share, for all `n`,
/// and known without the visits before. So every file has its weight's share of the samples to within a few,
/// however long the run.
///
/// Within every `block` of samples they come in an order that the seed decides, so that a file has no
/// fixed place in a batch.
///
/// - Complexity: A draw takes a step a level of the tree. Its depth is that of a Shannon–Fano code: about the
///   logarithm of one over the file's share.
struct Mixture: Sendable {
  /// Samples whose order is random.
  static let block = 64

  /// One division of weight between two sides.
  private struct Node {
    /// The lighter side's share, in 2⁻⁶⁴ths; at most a half.
    let share: UInt64
    /// The phase, in 2⁻⁶⁴ths.
    let phase: UInt64
    /// The lighter side, and the other: a node's index, or `−1 −` the index of a file.
    var lighter = 0
    var heavier = 0

    /// How many of the first `visits` went to the lighter side.
    func lighterCount(of visits: Int) -> Int {
      let product = UInt64(visits).multipliedFullWidth(by: share)
      let carries = product.low.addingReportingOverflow(phase).overflow
      return Int(product.high) + (carries ? 1 : 0)
    }
  }

  private var nodes: [Node] = []
  private let seed: UInt64

  /// Prepares a mixture.
  ///
  /// - Parameters:
  ///   - weights: The files' weights, above 0; only the ratios matter.
  ///   - seed: The run's seed.
  init(weights: [Double], seed: UInt64) {
    precondition(!weights.isEmpty, "a mixture of no files")
    precondition(
      weights.allSatisfy { $0 > 0 && $0.isFinite }, "weights \(weights) that are not above 0")
    self.seed = seed
    // So scaled, no sum overflows.
    let most = weights.max()!
    let ordered = weights.indices
      .sorted { (weights[$1], $0) < (weights[$0], $1) }
      .map { (file: $0, weight: weights[$0] / most) }
    _ = divide(ordered[...])
  }

  /// Adds the nodes of a part of the files, heaviest first, and gives the topmost one or the file.
  private mutating func divide(_ files: ArraySlice<(file: Int, weight: Double)>) -> Int {
    guard files.count > 1 else { return -1 - files.first!.file }
    let total = files.reduce(0) { $0 + $1.weight }
    // The cut at which the sides are the most alike.
    var (cut, front) = (files.startIndex + 1, files.first!.weight)
    while cut < files.endIndex - 1, front + files[cut].weight / 2 < total / 2 {
      front += files[cut].weight
      cut += 1
    }
    let back = files[cut...].reduce(0) { $0 + $1.weight }
    let share = min(front, back) / (front + back)
    let index = nodes.count
    let phase = Random(seed: seed, .mixturePhase, item: UInt64(index)).bits(at: 0)
    nodes.append(
      Node(
        share: UInt64(share * 0x1p64), phase: UInt64(phase[0]) | UInt64(phase[1]) << 32))
    let (first, second) = (divide(files[..<cut]), divide(files[cut...]))
    (nodes[index].lighter, nodes[index].heavier) =
      front < back ? (first, second) : (second, first)
    return index
  }

  /// The file that a sample is drawn from, and the number of samples drawn from it before.
  ///
  /// Over all samples each file's numbers are 0, 1, 2, …, each once; within a block they come in any order.
  func draw(_ sample: Int) -> (file: Int, number: Int) {
    guard !nodes.isEmpty else { return (0, sample) }
    let (block, place) = sample.quotientAndRemainder(dividingBy: Self.block)
    let order = Permutation(
      count: Self.block, random: Random(seed: seed, .mixture, item: UInt64(block)))
    var visit = block * Self.block + order[place]
    var next = 0
    while next >= 0 {
      let node = nodes[next]
      let before = node.lighterCount(of: visit)
      if node.lighterCount(of: visit + 1) > before {
        (next, visit) = (node.lighter, before)
      } else {
        (next, visit) = (node.heavier, visit - before)
      }
    }
    return (-1 - next, visit)
  }
}
