import Tensors

/// A tensor of a weight file: one parameter, or several one after another along the first extent.
package struct WeightTensor: Sendable {
  /// The name in the file, such as `model.layers.0.token_mixer.qkvu_proj.weight`.
  package let name: String
  /// Extents in the file.
  package let shape: Shape
  /// What it is made of, in the file's order of numbers.
  package let pieces: [WeightPiece]
}

/// Numbers of a parameter that follow each other in a tensor of the file.
package struct WeightPiece: Sendable, Equatable {
  /// The parameter.
  package let parameter: Parameter
  /// Which of its numbers.
  package let elements: Range<Int>
}

/// Collects a model's parameters, and how its weight files name them.
///
/// Where a file fuses weights that this program keeps apart (or the other way round), that is a matter of
/// names only: the layers never see it.
package struct ModelBuilder {
  /// All parameters so far.
  package internal(set) var table = ParameterTable()
  /// All tensors of the weight file so far.
  package private(set) var tensors: [WeightTensor] = []
  /// All tensors of adapters so far.
  private(set) var adapterTensors: [WeightTensor] = []
  /// Routers of experts, which no adapter changes.
  var routers: Set<Parameter> = []
  /// The first reason why adapters are impossible.
  private(set) var adapterProblem: AdapterError?
  /// Standard deviation of the initial weights.
  package let deviation: Double
  private let lora: LoRA?
  /// Tensors before the region opened last.
  private var tensorsBefore = 0

  package init(deviation: Double) { self.init(deviation: deviation, adapting: nil) }

  /// - Parameter lora: Which projections get adapters, in the region of each.
  init(deviation: Double, adapting lora: LoRA?) {
    (self.deviation, self.lora) = (deviation, lora)
  }

  /// Opens a region; what is added from now on belongs to it.
  package mutating func region(_ name: String) -> Int {
    closeRegion()
    return table.addRegion(name)
  }

  /// Adds adapters to the region opened last, after which nothing is added to it.
  mutating func closeRegion() {
    guard let lora, adapterProblem == nil else { return }
    do throws(AdapterError) {
      try adapt(Array(tensors[tensorsBefore...]), as: lora)
    } catch {
      adapterProblem = error
    }
    tensorsBefore = tensors.count
  }

  /// Notes a tensor of an adapter's file.
  mutating func addAdapterTensor(_ tensor: WeightTensor) { adapterTensors.append(tensor) }

  /// A parameter that is a tensor of its own.
  package mutating func parameter(
    _ name: String, _ shape: Shape, role: ParameterRole, initialization: ParameterInitialization
  ) -> Parameter {
    let parameter = table.add(name, shape, role: role, initialization: initialization)
    fuse([parameter], into: name, shape)
    return parameter
  }

  /// A parameter that has no tensor of its own; `fuse` puts it into one.
  package mutating func part(
    _ name: String, _ shape: Shape, role: ParameterRole, initialization: ParameterInitialization
  ) -> Parameter {
    table.add(name, shape, role: role, initialization: initialization)
  }

  /// A tensor of the file whose first extent is that of some parameters one after another, of whatever kind.
  package mutating func fuse(_ parts: [Parameter], into name: String, _ shape: Shape) {
    fuse(
      parts.map { WeightPiece(parameter: $0, elements: 0..<table[$0].range.count) }, into: name,
      shape)
  }

  /// A tensor of the file whose rows hold those of some parameters side by side.
  ///
  /// - Parameter parts: Each of shape `[rows, columns]`, all of as many rows.
  package mutating func fuse(columnsOf parts: [Parameter], into name: String) {
    let shapes = parts.map { table[$0].shape }
    let rows = shapes[0].rows
    precondition(shapes.allSatisfy { $0.rows == rows }, "\(name): rows of \(shapes)")
    let pieces = (0..<rows).flatMap { row in
      zip(parts, shapes).map { part, shape in
        WeightPiece(
          parameter: part, elements: row * shape.columns..<(row + 1) * shape.columns)
      }
    }
    fuse(pieces, into: name, [rows, shapes.reduce(0) { $0 + $1.columns }])
  }

  /// A tensor of the file that takes some rows of each parameter in turn, such as a head's queries, keys and values.
  ///
  /// - Parameters:
  ///   - parts: Of shapes `[groups · rows, …]`, with one number of columns.
  ///   - groups: How many turns there are.
  package mutating func fuse(
    interleaving parts: [Parameter], groups: Int, into name: String, _ shape: Shape
  ) {
    let counts = parts.map { table[$0].range.count }
    precondition(counts.allSatisfy { $0 % groups == 0 }, "\(name): \(groups) groups of \(counts)")
    let pieces = (0..<groups).flatMap { group in
      zip(parts, counts).map { part, count in
        WeightPiece(
          parameter: part, elements: group * count / groups..<(group + 1) * count / groups)
      }
    }
    fuse(pieces, into: name, shape)
  }

  private mutating func fuse(_ pieces: [WeightPiece], into name: String, _ shape: Shape) {
    let count = pieces.reduce(0) { $0 + $1.elements.count }
    precondition(count == shape.count, "\(name): \(count) numbers for a shape of \(shape)")
    tensors.append(WeightTensor(name: name, shape: shape, pieces: pieces))
  }

  /// A projection `[output, input]`, named `name.weight` and `name.bias`.
  ///
  /// - Parameter initialization: Of the weight; normal where nil.
  package mutating func linear(
    _ name: String, _ output: Int, _ input: Int, bias: Bool = false,
    initialization: ParameterInitialization? = nil
  ) -> Linear {
    let weight = parameter(
      name + ".weight", [output, input], role: .matrix,
      initialization: initialization ?? .normal(deviation: deviation))
    return Linear(
      weight: weight,
      bias: bias
        ? parameter(name + ".bias", [output], role: .bias, initialization: .constant(0)) : nil)
  }

  /// A projection `[output, input]` whose bias begins as `initialBias` says.
  package mutating func linear(
    _ name: String, _ output: Int, _ input: Int, initialBias: ParameterInitialization
  ) -> Linear {
    let weight = linear(name, output, input).weight
    return Linear(
      weight: weight,
      bias: parameter(name + ".bias", [output], role: .bias, initialization: initialBias))
  }

  /// Projections of one input that the file fuses along the output.
  ///
  /// - Parameters:
  ///   - name: The fused tensor's name, without `.weight`.
  ///   - parts: Each projection's own name and output width, in the file's order.
  ///   - groups: In how many turns the file takes rows of each, such as a head's queries and its gates.
  package mutating func fused(
    _ name: String, parts: [(name: String, output: Int)], groups: Int = 1, input: Int, bias: Bool
  ) -> [Linear] {
    let total = parts.reduce(0) { $0 + $1.output }
    let weights = parts.map {
      table.add(
        "\(name).\($0.name).weight", [$0.output, input], role: .matrix,
        initialization: .normal(deviation: deviation))
    }
    fuse(interleaving: weights, groups: groups, into: name + ".weight", [total, input])
    guard bias else { return weights.map { Linear(weight: $0, bias: nil) } }
    let biases = parts.map {
      table.add(
        "\(name).\($0.name).bias", [$0.output], role: .bias, initialization: .constant(0))
    }
    fuse(interleaving: biases, groups: groups, into: name + ".bias", [total])
    return zip(weights, biases).map { Linear(weight: $0, bias: $1) }
  }

  /// A normalisation's weight, ones at first.
  ///
  /// - Parameter isZeroCentred: Whether the weight is stored as what it differs from 1 by.
  package mutating func norm(
    _ name: String, width: Int, epsilon: Float, isZeroCentred: Bool = false
  ) -> Norm {
    let offset: Float = isZeroCentred ? 1 : 0
    return Norm(
      weight: parameter(
        name, [width], role: .norm, initialization: .constant(isZeroCentred ? 0 : 1)),
      epsilon: epsilon, offset: offset)
  }

  /// An embedding table.
  package mutating func embedding(_ name: String, vocabulary: Int, width: Int) -> Parameter {
    parameter(
      name, [vocabulary, width], role: .embedding, initialization: .normal(deviation: deviation))
  }
}
