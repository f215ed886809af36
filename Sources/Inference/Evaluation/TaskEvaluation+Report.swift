import Configuration
import Corpora
import Reporting

/// What a task's evaluation shows: a table for people, JSON for programs.
extension TaskEvaluation {
  /// The lines above the rows.
  package func heading(task: String, sequences: Int) -> [String] {
    let what =
      depth == .answer ? "where the answer stands" : "where the question stands"
    let cells = ["length", "loss", "all", "inside", "cross"] + parts.map(\.name)
    return [
      "\(task): right answers in \(Format.number(sequences, of: "sequence")) of each length; by chance "
        + Format.percent(chance),
      "the columns on the right: \(what), as a share of the sequence", "", Self.line(cells),
    ]
  }

  /// The line of a length.
  package func line(_ row: Row) -> String {
    Self.line(
      [
        Format.grouped(row.length), Format.fixed(row.sums.meanLoss),
        Format.percent(row.answers.accuracy), Format.percent(row.sums.inside.accuracy),
        Format.percent(row.sums.crossing.accuracy),
      ] + row.depths.map { Format.percent($0.accuracy) })
  }

  /// All rows as one line of JSON.
  package func json(_ rows: [Row], model: String, task: String, sequences: Int) -> JSONLine {
    var line = JSONLine()
    line.set("model", model)
    line.set("task", task)
    line.set("sequences", sequences)
    line.set("ranks", ranks)
    line.set("chance", chance)
    line.set("depth", depth.rawValue)
    line.set("lengths", objects: rows.map(object))
    return line
  }

  private func object(_ row: Row) -> JSONLine {
    var object = JSONLine()
    object.set("length", row.length)
    object.set("loss", row.sums.meanLoss)
    Self.set(row.answers, in: &object)
    object.set("inside", row.sums.inside.accuracy)
    object.set("crossing", row.sums.crossing.accuracy)
    object.set(
      "depths",
      objects: zip(parts, row.depths).map { part, answers in
        var depth = JSONLine()
        depth.set("from", part.from)
        depth.set("to", part.to)
        Self.set(answers, in: &depth)
        return depth
      })
    return object
  }

  private static func set(_ answers: LossSums.Answers, in object: inout JSONLine) {
    object.set("accuracy", answers.accuracy)
    object.set("right", answers.right)
    object.set("asked", answers.asked)
  }

  private static func line(_ cells: [String]) -> String {
    cells.map { Format.right($0, 9) }.joined()
  }

  /// The parts of a sequence that depths are told apart by.
  private var parts: [(from: Double, to: Double, name: String)] {
    (0..<depths).map {
      let (from, to) = (Double($0) / Double(depths), Double($0 + 1) / Double(depths))
      return (from, to, "–" + Format.percent(to, decimals: 0))
    }
  }
}
