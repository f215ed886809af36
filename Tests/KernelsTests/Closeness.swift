/// Whether numbers are those of a reference, each to a tolerance of 1 or, where that is larger, of itself.
func isClose(_ got: [Float], _ right: [Double], _ tolerance: Double) -> Bool {
  got.count == right.count
    && zip(got, right).allSatisfy { abs(Double($0) - $1) <= tolerance * max(1, abs($1)) }
}
