import Foundation
import Models
import Reporting
import Tensors

/// `lasp-train benchmark recurrence`: the speed of every recurrence, forward and backward, on one thread.
///
/// Concretely: seconds are processor time of the thread, and operations are counted by
/// `RecurrenceSize.operationsPerToken`, whatever a kernel really does. Matrix products are timed in between,
/// so that both meet the same machine.
package enum RecurrenceBenchmark {
  /// Measures and prints, a line at a time.
  ///
  /// Starts no MPI.
  ///
  /// - Parameters:
  ///   - tokens: Tokens of the sequence; the curve has its own.
  ///   - heads: Heads, each with a state of its own; the curve has one.
  ///   - curve: Whether the time per token is wanted over lengths, instead of the speeds at one.
  package static func run(tokens: Int, heads: Int, curve: Bool) {
    BLAS.setThreads(1)
    print("One thread, OpenBLAS for \(BLAS.coreName); times are of the processor, medians\n")
    curve ? printCurve() : printSpeeds(tokens: tokens, heads: heads)
  }

  /// Times of each recurrence; the median of them counts.
  private static let repetitions = 3

  // MARK: The speeds

  private static func printSpeeds(tokens: Int, heads: Int) {
    print("\(Format.grouped(tokens)) tokens, \(Format.number(heads, of: "head"))\n")
    let titles = ["ms forward", "ms back", "ns/token", "GFLOP/s", "sgemm", "ratio"]
    for dimension in [64, 128] {
      print(line(Format.left("K = V = \(dimension)", 22), titles))
      for recurrence in MeasuredRecurrence.all(dimension) {
        print(speeds(recurrence, tokens: tokens, heads: heads))
        fflush(nil)
      }
      print("")
    }
    print(
      """
      ns/token: forward and backward, of one head. GFLOP/s: by the formula's count for chunks of 64 tokens.
      ratio: to what sgemm reached in the same seconds; above 1 where the kernel does less than the formula counts.

      """)
    for dimension in [64, 128] {
      ElementwiseBenchmark.printSpeeds(tokens: tokens, channels: heads * dimension)
    }
    print(
      """
      GB/s: of what must move, x, g and h forward, and g, dh, h, dx and dg back. memory: what this thread reaches in
      the same seconds with two arrays read and one written. ratio: to it, forward and back together; above 1 where
      the numbers come from a cache.
      """)
  }

  private static func speeds(
    _ recurrence: MeasuredRecurrence, tokens: Int, heads: Int
  ) -> String {
    let workload = recurrence.workload(tokens: tokens, heads: heads)
    var (forward, backward, peaks): ([Double], [Double], [Double]) = ([], [], [])
    for _ in 0..<repetitions {
      peaks.append(ProductPeak.measure(seconds: 0.05))
      let seconds = workload.run()
      forward.append(seconds.forward)
      backward.append(seconds.backward)
    }
    let seconds = forward.median + backward.median
    let operations = recurrence.size(heads: heads).operationsPerToken * Double(tokens)
    let speed = operations / seconds * 1e-9
    return line(
      Format.left("  " + recurrence.name, 22),
      [
        String(format: "%.1f", forward.median * 1e3), String(format: "%.1f", backward.median * 1e3),
        String(format: "%.0f", seconds * 1e9 / Double(tokens * heads)),
        String(format: "%.1f", speed), String(format: "%.1f", peaks.median),
        String(format: "%.2f", speed / peaks.median),
      ])
  }

  /// A row of the table.
  static func line(_ name: String, _ cells: [String]) -> String {
    name + cells.map { Format.right($0, 11) }.joined()
  }

  // MARK: The curve

  private static func printCurve() {
    let lengths = (0...8).map { 1024 << $0 }
    print("ns per token, forward and backward, of one head with K = V = 64\n")
    print(
      Format.left("tokens", 22) + lengths.map { Format.right("\($0 / 1024)K", 7) }.joined()
        + Format.right("last/first", 12))
    for recurrence in MeasuredRecurrence.all(64) {
      let times = lengths.map { nanoseconds(recurrence, tokens: $0) }
      print(
        Format.left("  " + recurrence.name, 22)
          + times.map { Format.right(String(format: "%.0f", $0), 7) }.joined()
          + Format.right(String(format: "%.2f", times.last! / times[0]), 12) + "  " + bars(times))
      fflush(nil)
    }
    print(
      """

      The bars begin at zero: a flat row is a time per token that does not depend on the length. Short
      sequences take turns, so that all come from memory and none from a cache.
      """
    )
  }

  /// Time of a token.
  ///
  /// Short sequences take turns, so that each finds its numbers in memory and not in a cache: as in a
  /// training step, where other layers have run between.
  private static func nanoseconds(_ recurrence: MeasuredRecurrence, tokens: Int) -> Double {
    let workloads = (0..<max(1, 65_536 / tokens)).map { _ in
      recurrence.workload(tokens: tokens, heads: 1)
    }
    func round() -> Double {
      workloads.reduce(0) {
        let seconds = $1.run()
        return $0 + seconds.forward + seconds.backward
      }
    }
    _ = round()  // The first one finds pages that nobody has touched.
    let seconds = (0..<repetitions).map { _ in round() }
    return seconds.median * 1e9 / Double(tokens * workloads.count)
  }

  /// A bar for each value, from zero to the largest.
  private static func bars(_ values: [Double]) -> String {
    let heights = Array("▁▂▃▄▅▆▇█")
    let most = values.max() ?? 1
    return String(
      values.map { heights[max(0, min(7, Int(($0 / most * 8).rounded()) - 1))] })
  }
}
