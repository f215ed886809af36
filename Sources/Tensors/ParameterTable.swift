/// An index into a `ParameterTable`: what a layer holds instead of its weights.
package struct Parameter: Hashable, Sendable {
  /// Position in the table.
  package let index: Int
}

/// What a parameter is for; weight decay and initialisation read it.
package enum ParameterRole: String, Sendable {
  /// A projection.
  case matrix
  /// A normalisation's weight, or another per-channel scale.
  case norm
  /// An embedding table, or a head tied to it.
  case embedding
  /// The head's projection to the vocabulary.
  case head
  /// A bias, a decay or a step-size offset.
  case bias
}

/// How a parameter's first values are drawn, as a pure function of (seed, global index).
package enum ParameterInitialization: Sendable {
  /// Normal with mean 0 and this standard deviation.
  case normal(deviation: Double)
  /// Every element the same.
  case constant(Double)
  /// Computed from the element's index in the parameter.
  case indexed(@Sendable (_ index: Int) -> Double)
  /// Computed from the element's index and a uniform number in [0, 1).
  case drawn(@Sendable (_ index: Int, _ uniform: Double) -> Double)
  /// A matrix whose rows, or columns where they are fewer, are orthogonal and of this length.
  case orthogonal(gain: Double)
}

/// Every parameter of a model as a range in one index space, region by region.
///
/// Reduction buckets, optimizer shards and checkpoints are ranges of this space.
package struct ParameterTable: Sendable {
  /// One parameter.
  package struct Entry: Sendable {
    /// Its name in the model, such as `blocks.3.mixer.out`.
    package let name: String
    /// Its extents; a projection is `[output, input]`.
    package let shape: Shape
    /// Where it lies in the index space.
    package fileprivate(set) var range: Range<Int>
    /// What it is for.
    package let role: ParameterRole
    /// The region it belongs to.
    package let region: Int
    /// How its first values are drawn.
    package let initialization: ParameterInitialization
    /// Whether it is a part of an adapter.
    package let isAdapter: Bool
    /// Where its first values begin among the random numbers: those of the model are the same with and without adapters.
    fileprivate let firstDraw: Int
    /// Whether training changes it.
    ///
    /// What is frozen has no gradient and no state of an update rule.
    package fileprivate(set) var isTrainable = true
    /// Which expert of its layer it belongs to; nil where it belongs to none.
    package fileprivate(set) var expert: Expert?
  }

  /// One of a layer's experts.
  package struct Expert: Sendable, Equatable {
    /// Its number.
    package let number: Int
    /// How many the layer has.
    package let count: Int

    package init(_ number: Int, of count: Int) { (self.number, self.count) = (number, count) }
  }

  /// One region: the parameters of a block, of the embedding, or of the head.
  package struct Region: Sendable {
    /// Its name, such as `blocks.3`.
    package let name: String
    /// The part of the index space its parameters fill.
    package internal(set) var range: Range<Int>
  }

  /// All parameters, in the order of their ranges.
  package private(set) var entries: [Entry] = []
  /// All regions, in the order of the forward pass.
  package private(set) var regions: [Region] = []
  /// What is added to projections that have an adapter.
  package private(set) var adapters: [Parameter: LowRankAdapter] = [:]
  /// Numbers of all parameters of adapters.
  private var adapterCount = 0
  /// Where each name's parameter stands among all: models of experts have a hundred thousand.
  private var places: [String: Int] = [:]

  package init() {}

  /// All parameters, in the order of their ranges.
  package var parameters: [Parameter] { entries.indices.map { Parameter(index: $0) } }

  /// Number of elements of all parameters.
  package var count: Int { entries.last?.range.upperBound ?? 0 }

  /// Opens the next region; parameters added from now on belong to it.
  @discardableResult
  package mutating func addRegion(_ name: String) -> Int {
    regions.append(Region(name: name, range: count..<count))
    return regions.count - 1
  }

  /// Adds a parameter to the region opened last.
  package mutating func add(
    _ name: String, _ shape: Shape, role: ParameterRole, initialization: ParameterInitialization,
    isAdapter: Bool = false
  ) -> Parameter {
    precondition(!regions.isEmpty, "a parameter needs a region: \(name)")
    precondition(places[name] == nil, "two parameters named \(name)")
    places[name] = entries.count
    let range = count..<count + shape.count
    entries.append(
      Entry(
        name: name, shape: shape, range: range, role: role, region: regions.count - 1,
        initialization: initialization, isAdapter: isAdapter,
        firstDraw: isAdapter ? adapterCount : range.lowerBound - adapterCount))
    if isAdapter { adapterCount += shape.count }
    regions[regions.count - 1].range =
      regions[regions.count - 1].range.lowerBound..<range.upperBound
    return Parameter(index: entries.count - 1)
  }

  /// Gives a projection of the region opened last an adapter.
  package mutating func adapt(_ weight: Parameter, by adapter: LowRankAdapter) {
    let (shape, down, up) = (self[weight].shape, self[adapter.down].shape, self[adapter.up].shape)
    precondition(
      down == [up.columns, shape.columns] && up.rows == shape.rows,
      "an adapter of \(down) and \(up) for \(self[weight].name) \(shape)")
    precondition(adapters[weight] == nil, "two adapters of \(self[weight].name)")
    adapters[weight] = adapter
    for part in [adapter.down, adapter.up] { entries[part.index].expert = self[weight].expert }
  }

  /// Says which expert a parameter belongs to.
  package mutating func assign(_ parameter: Parameter, to expert: Expert) {
    entries[parameter.index].expert = expert
  }

  /// Leaves a parameter as it is from now on.
  package mutating func freeze(_ parameter: Parameter) {
    entries[parameter.index].isTrainable = false
  }

  /// The part of the index space that training changes: what has gradients.
  package var trainable: IndexRanges {
    IndexRanges(entries.filter(\.isTrainable).map(\.range))
  }

  /// Numbers that training leaves as they are.
  package var frozenCount: Int { count - trainable.count }

  /// One parameter's entry.
  package subscript(_ parameter: Parameter) -> Entry { entries[parameter.index] }

  /// The parameters that a range of the index space touches, each with the part of its range that lies there.
  package func pieces(of range: Range<Int>) -> [(entry: Entry, range: Range<Int>)] {
    entries.compactMap { entry in
      entry.range.overlaps(range) ? (entry, entry.range.clamped(to: range)) : nil
    }
  }

  /// The parameter of that name.
  package func parameter(named name: String) -> Parameter? {
    places[name].map(Parameter.init)
  }

  /// Some of another table's parameters, in the same regions, one after another; without adapters.
  init(_ other: ParameterTable, where isSelected: (Entry) -> Bool) {
    var end = 0
    entries = other.entries.filter(isSelected).map { entry in
      var own = entry
      own.range = end..<end + entry.range.count
      end = own.range.upperBound
      return own
    }
    places = Dictionary(uniqueKeysWithValues: entries.indices.map { (entries[$0].name, $0) })
    let selected = IndexRanges(other.entries.filter(isSelected).map(\.range))
    regions = other.regions.map { region in
      Region(
        name: region.name,
        range: selected.offset(
          of: region.range.lowerBound)..<selected.offset(of: region.range.upperBound))
    }
  }

  /// Writes the first values of the elements in `range` of the index space.
  ///
  /// - Parameter destination: Room for `range.count` numbers.
  package func initialize(
    _ range: Range<Int>, seed: UInt64, into destination: UnsafeMutablePointer<Float>
  ) {
    let ofModel = Random(seed: seed, purpose: 0x1417)
    let ofAdapters = Random(seed: seed, purpose: 0x10a4)
    for (entry, part) in pieces(of: range) {
      let random = entry.isAdapter ? ofAdapters : ofModel
      let shift = entry.firstDraw - entry.range.lowerBound
      if case .orthogonal(let gain) = entry.initialization {
        let matrix = OrthogonalMatrix(rows: entry.shape.rows, columns: entry.shape.columns) {
          random.normal(at: UInt64(entry.firstDraw + $0))
        }
        for index in part {
          destination[index - range.lowerBound] =
            Float(gain * matrix[index - entry.range.lowerBound])
        }
        continue
      }
      for index in part {
        let local = index - entry.range.lowerBound
        let value: Double =
          switch entry.initialization {
          case .normal(let deviation): deviation * random.normal(at: UInt64(index + shift))
          case .constant(let value): value
          case .indexed(let function): function(local)
          case .drawn(let function): function(local, random.uniform(at: UInt64(index + shift)))
          case .orthogonal: preconditionFailure("an orthogonal matrix is drawn as a whole")
          }
        destination[index - range.lowerBound] = Float(value)
      }
    }
  }
}
