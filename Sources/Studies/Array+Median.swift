extension [Double] {
  /// The middle value, or the mean of the two middle ones.
  var median: Double {
    precondition(!isEmpty, "no values, no median")
    let sorted = sorted()
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2
  }
}
