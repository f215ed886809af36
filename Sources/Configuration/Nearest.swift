/// The name in `names` that is nearest to `text`, where one is near enough to be what was meant.
///
/// - Complexity: O(names · length²).
package func nearest(to text: String, among names: [String]) -> String? {
  let ranked = names.map { (name: $0, distance: editDistance(text.lowercased(), $0.lowercased())) }
  guard let best = ranked.min(by: { $0.distance < $1.distance }) else { return nil }
  return best.distance <= max(2, text.count / 3) ? best.name : nil
}

/// The least number of insertions, deletions, replacements and swaps of neighbours that turn `a`
/// into `b`.
///
/// Source: optimal string alignment, the restricted Damerau–Levenshtein distance.
func editDistance(_ a: String, _ b: String) -> Int {
  let a = Array(a)
  let b = Array(b)
  var beforeLast: [Int] = []
  var last = Array(0...b.count)
  for i in 0..<a.count {
    var row = [i + 1]
    for j in 0..<b.count {
      var cost = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
        cost = min(cost, beforeLast[j - 1] + 1)
      }
      row.append(cost)
    }
    beforeLast = last
    last = row
  }
  return last[b.count]
}
