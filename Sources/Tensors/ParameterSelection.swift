/// Some of a table's parameters, as a table of their own with the same regions.
package struct ParameterSelection: Sendable {
  /// The parameters, one after another.
  package let table: ParameterTable
  /// Where they lie in the index space of all.
  package let ranges: IndexRanges
  /// Of each parameter of the whole table its place in the other; nil where it is not there.
  private let places: [Parameter?]

  /// Selects parameters.
  package init(_ whole: ParameterTable, where isSelected: (ParameterTable.Entry) -> Bool) {
    table = ParameterTable(whole, where: isSelected)
    ranges = IndexRanges(whole.entries.filter(isSelected).map(\.range))
    var count = 0
    places = whole.entries.map { entry in
      guard isSelected(entry) else { return nil }
      count += 1
      return Parameter(index: count - 1)
    }
  }

  /// A parameter of the whole table in this one; nil where it is not there.
  package func place(of parameter: Parameter) -> Parameter? { places[parameter.index] }

  /// Where a range of this table's index space lies in that of all, piece by piece.
  package func whole(_ range: Range<Int>) -> [Range<Int>] {
    guard !range.isEmpty else { return [] }
    let (first, last) = (
      ranges.index(ofNumber: range.lowerBound), ranges.index(ofNumber: range.upperBound - 1)
    )
    return ranges.pieces(of: first..<last + 1)
  }

  /// What of a range of the index space of all lies in this table's, piece by piece.
  package func own(_ range: Range<Int>) -> [Range<Int>] {
    ranges.pieces(of: range).map { piece in
      let first = ranges.offset(of: piece.lowerBound)
      return first..<first + piece.count
    }
  }

  /// The same of several.
  package func own(_ some: IndexRanges) -> IndexRanges {
    IndexRanges(some.ranges.flatMap { own($0) })
  }
}
