import Autodiff
import Configuration
import MessagePassing
import ReferenceMath
import SequenceParallel
import Tensors
import Testing

@testable import Models

@Suite("Blocks")
struct BlockTests {
  init() { BLAS.setThreads(1) }

  /// A token mixer that is a projection.
  private struct Projection: TokenMixer {
    let linear: Linear
    func callAsFunction(
      _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
    ) throws -> Variable {
      try linear(x, adding: residual, tape: tape)
    }
  }

  /// A channel mixer that reads the layout of its pass, throws where it is told to, and adds a term to the loss.
  private struct Counting: ChannelMixer {
    struct Refused: Error {}
    var lossTerms: [DeclaredTerm] { [DeclaredTerm("tokens", weight: 1)] }
    let linear: Linear
    let refuses: Bool

    func callAsFunction(
      _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
    ) throws -> Variable {
      if refuses { throw Refused() }
      let one = tape.constant([1], Float(pass.layout.length))
      tape.addLoss("tokens", weight: 1, one)
      return try linear(x, adding: residual, tape: tape)
    }
  }

  enum Shape: CaseIterable {
    case pre, post, sandwich, scaled, renewed, renewedByFactors, alone
  }

  @Test(
    "Norms stand where they are put, and a block may have no channel mixer",
    arguments: Shape.allCases)
  func composition(shape: Shape) throws {
    let width = 6
    var builder = ModelBuilder(deviation: 0.5)
    let region = builder.region("block")
    let mixer = Projection(linear: builder.linear("mixer", width, width))
    let channels = Counting(linear: builder.linear("channels", width, width), refuses: false)
    let norms = (0..<4).map { builder.norm("norm\($0)", width: width, epsilon: 1e-6) }
    func around(_ first: Int) -> Block.Norms {
      switch shape {
      case .pre, .alone: .pre(norms[first])
      case .post: .post(norms[first])
      case .sandwich: .sandwich(before: norms[first], after: norms[first + 1])
      case .scaled: .scaled(norms[first], factor: 0.3)
      case .renewed: .renewed(norms[first], kept: 1, added: 1)
      case .renewedByFactors: .renewed(norms[first], kept: 1.5, added: -0.4)
      }
    }
    let block = Block(
      region: region, mixer: mixer, norms: around(0),
      channels: shape == .alone ? nil : (channels, around(2)))

    var draws = Draws(seed: 4)
    let (numbers, weights) = (draws.normals(5 * width), draws.normals(builder.table.count))
    let workspace = Workspace()
    let store = WholeParameters(table: builder.table, gradients: true, pool: workspace.pool)
    store.clearGradients()
    store.values.pointer.update(from: weights, count: weights.count)
    let tape = Tape(workspace: workspace, parameters: store, recording: true)
    let x = Variable(Tensor([5, width], numbers, pool: workspace.pool), needsGradient: true)
    let pass = SequencePass(
      context: RankContext(
        workspace: workspace, sequence: SoloCommunicator(), exchange: ChainExchange()),
      layout: SequenceLayout(shardLengths: [5], rank: 0, rows: 1))
    let y = try tape.region(region, recompute: false, input: x) {
      try block($0!, tape: tape, pass: pass)
    }
    let seed = draws.normals(5 * width)
    try tape.backward(from: y, gradient: Tensor([5, width], seed, pool: workspace.pool))

    let terms = builder.table.entries.map { entry in
      Term(Matrix(entry.shape.rows, entry.shape.columns, Array(weights[entry.range])))
    }
    func norm(_ x: Term, _ index: Int) -> Term {
      x.rmsNorm(weight: terms[2 + index], epsilon: 1e-6)
    }
    func around(_ x: Term, _ first: Int, _ layer: (Term) -> Term) -> Term {
      switch shape {
      case .pre, .alone: x + layer(norm(x, first))
      case .post: norm(x + layer(x), first)
      case .sandwich: x + norm(layer(norm(x, first)), first + 1)
      case .scaled: x + layer(norm(x, first)).scaled(by: 0.3)
      case .renewed: norm(x, first) + layer(norm(x, first))
      case .renewedByFactors:
        norm(x, first).scaled(by: 1.5) + layer(norm(x, first)).scaled(by: -0.4)
      }
    }
    let input = Term(Matrix(5, width, numbers))
    var right = around(input, 0) { $0.projected(by: terms[0]) }
    if shape != .alone { right = around(right, 2) { $0.projected(by: terms[1]) } }
    right.backward(Matrix(5, width, seed))
    #expect(relativeError(y.value.numbers, right.matrix.numbers) < 1e-6)
    #expect(relativeError(x.gradient?.numbers ?? [], input.gradient.numbers) < 1e-5)
    let gradients = Array(
      UnsafeBufferPointer(start: store.gradients!.pointer, count: weights.count))
    for (entry, term) in zip(builder.table.entries, terms) {
      #expect(
        relativeError(Array(gradients[entry.range]), term.gradient.numbers) < 1e-5, "\(entry.name)")
    }
    #expect(block.lossTerms.map(\.name) == (shape == .alone ? [] : ["tokens"]))
    #expect(tape.terms.map(\.sum) == (shape == .alone ? [] : [5]))
  }

  @Test(
    "A convolution has a bias where the file has one, and any activation after it",
    arguments: [true, false])
  func convolution(bias: Bool) throws {
    let (length, channels, taps) = (7, 3, 4)
    var builder = ModelBuilder(deviation: 0.5)
    let region = builder.region("convolution")
    let convolution = builder.convolution(
      "conv1d", channels: channels, taps: taps, bias: bias, activation: .sigmoid,
      slot: CarrySlot(layer: 0, .halo(0)))
    #expect(builder.tensors.map(\.name) == ["conv1d.weight"] + (bias ? ["conv1d.bias"] : []))
    var draws = Draws(seed: 6)
    let (numbers, weights) = (draws.normals(length * channels), draws.normals(builder.table.count))
    let workspace = Workspace()
    let store = WholeParameters(table: builder.table, gradients: true, pool: workspace.pool)
    store.clearGradients()
    store.values.pointer.update(from: weights, count: weights.count)
    let tape = Tape(workspace: workspace, parameters: store, recording: true)
    let x = Variable(
      Tensor([length, channels], numbers, pool: workspace.pool), needsGradient: true)
    let pass = SequencePass(
      context: RankContext(
        workspace: workspace, sequence: SoloCommunicator(), exchange: ChainExchange()),
      layout: SequenceLayout(shardLengths: [length], rank: 0, rows: 1))
    let y = try tape.region(region, recompute: false, input: x) {
      try convolution($0!, tape: tape, pass: pass)
    }
    let seed = draws.normals(length * channels)
    try tape.backward(
      from: y, gradient: Tensor([length, channels], seed, pool: workspace.pool))

    let input = Term(Matrix(length, channels, numbers))
    let kernel = Term(Matrix(channels, taps, Array(weights[..<(channels * taps)])))
    let offset = Term(
      Matrix(1, channels, bias ? Array(weights[(channels * taps)...]) : [0, 0, 0]))
    let right = (input.shortConvolution(kernel) + offset.repeated(length)).sigmoid
    right.backward(Matrix(length, channels, seed))
    #expect(relativeError(y.value.numbers, right.matrix.numbers) < 1e-6)
    #expect(relativeError(x.gradient?.numbers ?? [], input.gradient.numbers) < 1e-5)
    let gradients = Array(
      UnsafeBufferPointer(start: store.gradients!.pointer, count: weights.count))
    let expected = kernel.gradient.numbers + (bias ? offset.gradient.numbers : [])
    #expect(relativeError(gradients, expected) < 1e-5)
  }

  @Test("What a channel mixer throws ends the pass")
  func throwing() throws {
    var builder = ModelBuilder(deviation: 0.5)
    let region = builder.region("block")
    let norm = Norm(weight: nil, epsilon: 1e-6)
    let block = Block(
      region: region, mixer: Projection(linear: builder.linear("mixer", 2, 2)), norms: .pre(norm),
      channels: (Counting(linear: builder.linear("c", 2, 2), refuses: true), .pre(norm)))
    let workspace = Workspace()
    let store = WholeParameters(table: builder.table, gradients: false, pool: workspace.pool)
    let tape = Tape(workspace: workspace, parameters: store, recording: false)
    let pass = SequencePass(
      context: RankContext(
        workspace: workspace, sequence: SoloCommunicator(), exchange: ChainExchange()),
      layout: SequenceLayout(shardLengths: [1], rank: 0, rows: 1))
    let x = Variable(Tensor([1, 2], [1, 2], pool: workspace.pool), needsGradient: false)
    #expect(throws: Counting.Refused.self) { try block(x, tape: tape, pass: pass) }
  }

  @Test(
    "Mix-LN has norms after the layers of a share of the blocks, rounded down",
    arguments: [(12, 0.25, 3), (3, 0.25, 0), (5, 0.5, 2), (4, 1, 4)])
  func mix(depth: Int, share: Double, post: Int) throws {
    for mixer in ["tnl", "gla"] {
      let section = ModelSection([
        "mixer": .string(mixer), "depth": .integer(depth), "norm": .string("mix"),
        "norm_share": .number(share),
      ])
      let architecture = Architectures.make(section, vocabulary: 9)
      let isPost = LanguageModel(architecture).blocks.map {
        if case .post = $0.mixerNorms { true } else { false }
      }
      #expect(isPost == (0..<depth).map { $0 < post })
      let again = try Architectures.read(.object(architecture.configuration)).architecture
      #expect(again.configuration == architecture.configuration)
      #expect(again.configuration["norm_placement"] == "mix")
      let plain = Architectures.make(ModelSection(["mixer": .string(mixer)]), vocabulary: 9)
      #expect(plain.configuration["norm_placement"] == nil)
    }
  }

  @Test("A tensor of the file may fuse any parameters: rows, columns, or groups of rows in turn")
  func fused() {
    var builder = ModelBuilder(deviation: 1)
    _ = builder.region("all")
    func part(_ name: String, _ shape: Tensors.Shape) -> Parameter {
      builder.part(name, shape, role: .norm, initialization: .constant(0))
    }
    let (scale, offset) = (part("scale", [3]), part("offset", [2]))
    builder.fuse([scale, offset], into: "vectors", [5])
    let (left, right) = (part("left", [2, 2]), part("right", [2, 1]))
    builder.fuse(columnsOf: [left, right], into: "columns")
    let (q, k) = (part("q", [4, 2]), part("k", [2, 2]))
    builder.fuse(interleaving: [q, k], groups: 2, into: "heads", [6, 2])
    let order = builder.tensors.map { tensor in
      tensor.pieces.flatMap { piece in
        let first = builder.table[piece.parameter].range.lowerBound
        return piece.elements.map { first + $0 }
      }
    }
    #expect(order[0] == [0, 1, 2, 3, 4])
    #expect(order[1] == [5, 6, 9, 7, 8, 10])
    #expect(order[2] == [11, 12, 13, 14, 19, 20, 15, 16, 17, 18, 21, 22])
    #expect(builder.tensors.map(\.shape) == [[5], [2, 3], [6, 2]])
  }
}
