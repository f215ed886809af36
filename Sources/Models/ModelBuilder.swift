import Tensors

/// A tensor of a weight file: one parameter, or several one after another along the first extent.
package struct WeightTensor: Sendable {
  /// The name in the file, such as `model.layers.0.token_mixer.qkvu_proj.weight`.
  package let name: String
  /// Extents in the file.
  package let shape: Shape
  /// The parameters it is made of.
  package let parts: [Parameter]
}

/// Collects a model's parameters, and how its weight files name them.
///
/// Where a file fuses weights that this program keeps apart (or the other way round), that is a matter of
/// names only: the layers never see it.
package struct ModelBuilder {
  /// All parameters so far.
  package private(set) var table = ParameterTable()
  /// All tensors of the weight file so far.
  package private(set) var tensors: [WeightTensor] = []
  /// Standard deviation of the initial weights.
  package let deviation: Double

  package init(deviation: Double) { self.deviation = deviation }

  /// Opens a region; what is added from now on belongs to it.
  package mutating func region(_ name: String) -> Int { table.addRegion(name) }

  /// A parameter that is a tensor of its own.
  package mutating func parameter(
    _ name: String, _ shape: Shape, role: ParameterRole, initialization: ParameterInitialization
  ) -> Parameter {
    let parameter = table.add(name, shape, role: role, initialization: initialization)
    tensors.append(WeightTensor(name: name, shape: shape, parts: [parameter]))
    return parameter
  }

  /// A projection `[output, input]`, named `name.weight` and `name.bias`.
  package mutating func linear(_ name: String, _ output: Int, _ input: Int, bias: Bool = false)
    -> Linear
  {
    let weight = parameter(
      name + ".weight", [output, input], role: .matrix,
      initialization: .normal(deviation: deviation))
    return Linear(
      weight: weight,
      bias: bias
        ? parameter(name + ".bias", [output], role: .bias, initialization: .constant(0)) : nil)
  }

  /// Projections of one input that the file fuses along the output.
  ///
  /// - Parameters:
  ///   - name: The fused tensor's name, without `.weight`.
  ///   - parts: Each projection's own name and output width, in the file's order.
  package mutating func fused(
    _ name: String, parts: [(name: String, output: Int)], input: Int, bias: Bool
  ) -> [Linear] {
    let total = parts.reduce(0) { $0 + $1.output }
    let weights = parts.map {
      table.add(
        "\(name).\($0.name).weight", [$0.output, input], role: .matrix,
        initialization: .normal(deviation: deviation))
    }
    tensors.append(WeightTensor(name: name + ".weight", shape: [total, input], parts: weights))
    guard bias else { return weights.map { Linear(weight: $0, bias: nil) } }
    let biases = parts.map {
      table.add(
        "\(name).\($0.name).bias", [$0.output], role: .bias, initialization: .constant(0))
    }
    tensors.append(WeightTensor(name: name + ".bias", shape: [total], parts: biases))
    return zip(weights, biases).map { Linear(weight: $0, bias: $1) }
  }

  /// A normalisation's weight, ones at first.
  package mutating func norm(_ name: String, width: Int, epsilon: Float) -> Norm {
    Norm(
      weight: parameter(name, [width], role: .norm, initialization: .constant(1)),
      epsilon: epsilon)
  }

  /// An embedding table.
  package mutating func embedding(_ name: String, vocabulary: Int, width: Int) -> Parameter {
    parameter(
      name, [vocabulary, width], role: .embedding, initialization: .normal(deviation: deviation))
  }
}
