import Configuration
import Foundation
import Reporting

extension StreamEvaluation {
  /// What the files gave.
  package struct Result: CustomStringConvertible {
    /// Sums over all files.
    package let sums: LossSums
    let tokensAreBytes: Bool
    /// Losses by how many tokens of its document a prediction sees; nil where nobody asked.
    package let positions: PositionSums?

    /// Bytes of the texts that are predicted; nil where nobody knows.
    package var bytes: Int? { sums.bytes > 0 ? sums.bytes : nil }
    /// The sum of all losses over the bytes that are predicted; nil where nobody knows these.
    package var bitsPerByte: Double? { sums.bitsPerByte }

    /// The loss, bits a byte where they are known, and the perplexity; then what else was minimised in training, and the
    /// table of positions.
    package var description: String {
      let loss = sums.meanLoss
      let bits = bitsPerByte.map { String(format: "%.6f bits per byte, ", $0) } ?? ""
      let perplexity = String(
        format: "perplexity %.4f a %@", exp(loss), tokensAreBytes ? "byte" : "token")
      let line =
        String(format: "loss %.6f nats a token, ", loss) + bits + perplexity
        + ", over \(sums.targets) tokens"
        + (tokensAreBytes ? "" : bytes.map { " of \($0) bytes" } ?? "")
      return ([line] + objective + table).joined(separator: "\n")
    }

    private var minimised: [LossSums.Term] { sums.terms.filter { $0.weight != 0 } }

    /// The whole objective, where there is more to it than the loss.
    private var objective: [String] {
      guard !minimised.isEmpty else { return [] }
      let parts = minimised.map {
        String(format: "%g × %@ %.6f", $0.weight, $0.name, sums.mean($0))
      }
      return [
        String(format: "objective %.6f = loss + ", sums.objective) + parts.joined(separator: " + ")
      ]
    }

    // MARK: Positions

    /// The bins that have a prediction, with how many tokens these see.
    private var rows: [(range: ClosedRange<Int>, bin: PositionSums.Bin)] {
      (positions?.bins ?? []).enumerated().filter { $0.element.targets > 0 }
        .map { (PositionSums.range(of: $0.offset), $0.element) }
    }

    private var table: [String] {
      guard positions != nil else { return [] }
      let hasBits = bytes != nil
      func line(_ cells: [String]) -> String {
        Format.left(cells[0], 24) + cells.dropFirst().map { Format.right($0, 15) }.joined()
      }
      let heading =
        ["tokens seen", "targets", "loss"] + (hasBits ? ["bits per byte"] : []) + ["perplexity"]
      return ["", "by how many tokens of its document a prediction sees", line(heading)]
        + rows.map { range, bin in
          let sums = LossSums(bin)
          let most = Format.grouped(range.upperBound)
          return line(
            [
              range.count == 1 ? most : "\(Format.grouped(range.lowerBound)) – \(most)",
              Format.grouped(bin.targets), Format.fixed(sums.meanLoss),
            ] + (hasBits ? [sums.bitsPerByte.map(Format.fixed) ?? "–"] : [])
              + [Format.digits(exp(sums.meanLoss))])
        }
    }

    /// The same as one line of JSON.
    ///
    /// - Parameters:
    ///   - model: Folder of the model.
    ///   - paths: The files.
    ///   - ranks: How many ranks evaluated them.
    package func json(model: String, paths: [String], ranks: Int) -> JSONLine {
      var line = JSONLine()
      line.set("model", model)
      line.set("data", paths)
      line.set("ranks", ranks)
      Self.set(sums, in: &line)
      if !minimised.isEmpty {
        line.set("objective", sums.objective)
        var terms = JSONLine()
        for term in minimised {
          var one = JSONLine()
          one.set("weight", term.weight)
          one.set("mean", sums.mean(term))
          terms.set(term.name, one)
        }
        line.set("terms", terms)
      }
      guard positions != nil else { return line }
      line.set(
        "positions",
        objects: rows.map { range, bin in
          var object = JSONLine()
          object.set("from", range.lowerBound)
          object.set("to", range.upperBound)
          Self.set(LossSums(bin), in: &object)
          return object
        })
      return line
    }

    private static func set(_ sums: LossSums, in line: inout JSONLine) {
      line.set("loss", sums.meanLoss)
      line.set("perplexity", exp(sums.meanLoss))
      line.set("bits_per_byte", sums.bitsPerByte)
      line.set("tokens", sums.targets)
      line.set("bytes", sums.bytes > 0 ? .integer(sums.bytes) : .null)
    }
  }
}

extension LossSums {
  /// What a bin of positions gave.
  fileprivate init(_ bin: PositionSums.Bin) {
    self.init(loss: bin.loss, targets: bin.targets)
    bytes = bin.bytes
  }
}
