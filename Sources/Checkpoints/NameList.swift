/// A list of names for a message: a handful, and how many more.
func listed(_ names: [String], atMost most: Int = 5) -> String {
  let shown = names.count > most + 1 ? Array(names.prefix(most)) : names
  let rest = names.count - shown.count
  return shown.joined(separator: ", ") + (rest > 0 ? " and \(rest) more" : "")
}
