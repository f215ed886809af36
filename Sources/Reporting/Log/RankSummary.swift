import Configuration

/// What a log holds of the ranks' figures of a step.
package enum RankDetail: String, KeyChoice {
  /// Each rank's.
  case all
  /// The least, the median and the most of them, and their mean: a line does not grow with the ranks.
  case summary
}

/// Values of all ranks in short.
package struct RankSummary: Sendable, Equatable {
  package let mean, least, median, most: Double
  /// The first ranks that have the least and the most.
  package let leastRank, mostRank: Int

  /// Sums up values in rank order; nil where there is none.
  ///
  /// The median of an even number is the mean of the two in the middle.
  package init?(_ values: [Double]) {
    let sorted = values.sorted()
    guard let least = sorted.first, let most = sorted.last else { return nil }
    (self.least, self.most) = (least, most)
    leastRank = values.firstIndex(of: least) ?? 0
    mostRank = values.firstIndex(of: most) ?? 0
    mean = values.reduce(0, +) / Double(values.count)
    let middle = sorted.count / 2
    median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }

  /// As it stands in a log.
  var json: JSONLine {
    var json = JSONLine()
    json.set("mean", mean)
    json.set("least", least)
    json.set("least_rank", leastRank)
    json.set("median", median)
    json.set("most", most)
    json.set("most_rank", mostRank)
    return json
  }
}
