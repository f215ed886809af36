import Autodiff
import Foundation
import Measurement
import MessagePassing
import Models
import Reporting
import SequenceParallel
import Tensors
import Training

/// `lasp-train benchmark experts`: a layer of experts, forward and backward, beside a dense channel mixer of the width that a
/// token takes of them.
///
/// Concretely: the half of a block along channels, with its norm and residual, from the gradient of its output to that of its
/// input and the sums of its weights' gradients. The weights' forms for products are made once, and timed apart; there is no
/// optimizer. Both take turns, so that they meet the same machine.
package enum ExpertsBenchmark {
  /// Measures on this process alone, without MPI, and prints.
  ///
  /// - Parameter configuration: The model, whose channels are experts; the tokens; the steps.
  /// - Throws: What is wrong with the configuration.
  package static func run(_ configuration: RunConfiguration) throws {
    try RankProgram.run(configuration) { world, workspace in
      let report = try ExpertsBenchmark.report(configuration, workspace: workspace)
      if world.communicator.rank == 0 { print(report, terminator: "") }
    }
  }

  private static func report(
    _ configuration: RunConfiguration, workspace: Workspace
  ) throws -> String {
    var section = configuration.model
    section.depth = 1
    section.channels = .experts
    let keys = section.subsections[ExpertsSection.self]
    let width = keys.width > 0 ? keys.width : section.glu
    var dense = section
    dense.channels = .glu
    dense.glu = min(keys.active, keys.count) * width + keys.sharedWidth
    let tokens = configuration.training.batch * configuration.sequence.length
    let cases = [
      try ChannelWorkload(dense, tokens: tokens, workspace: workspace),
      try ChannelWorkload(section, tokens: tokens, workspace: workspace),
    ]
    var figures = cases.map { _ in ChannelFigures() }
    for round in 0...configuration.training.steps {
      for (index, workload) in cases.enumerated() {
        let (pass, preparation) = (try workload.run(), try workload.prepare())
        // The first meets pages that nobody has touched, and products that no library has met.
        if round > 0 { figures[index].add(pass, preparation: preparation) }
      }
    }
    let titles = ["ms forward", "ms back", "together", "preparation", "products"]
    func row(_ name: String, _ figures: ChannelFigures) -> String {
      line(
        name,
        [figures.forward, figures.backward, figures.whole, figures.preparation, figures.products]
          .map { String(format: "%.1f", $0.median * 1e3) })
    }
    let ratio = zip(figures[1].whole, figures[0].whole).map { $0 / $1 }.median
    return """
      \(Format.grouped(tokens)) tokens, dimension \(section.dimension), \(keys.count) experts of width \(width), \
      \(min(keys.active, keys.count)) a token\(keys.sharedWidth > 0 ? ", \(keys.sharedWidth) for all" : ""); \
      \(workspace.productSettings?.precision.rawValue ?? "fp32"), \
      \(Format.number(workspace.team.size, of: "thread")), median of \
      \(Format.number(configuration.training.steps, of: "pass"))

      \(line("", titles))
      \(row("dense, width \(dense.glu)", figures[0]))
      \(row("experts", figures[1]))

      ratio             \(String(format: "%.3f", ratio)) of the dense layer's time, forward and back

      preparation: of the weights for products, once a step, not in the ratio. products: those with weights, of the time
      together; the rest is routing, sorting, norms and gates.

      """
  }

  private static func line(_ name: String, _ cells: [String]) -> String {
    Format.left(name, 18) + cells.map { Format.right($0, 13) }.joined()
  }
}

/// Why there is nothing to measure.
private struct NoChannelsError: Error, CustomStringConvertible {
  let description: String
}

/// Seconds of passes.
private struct ChannelFigures {
  var forward: [Double] = []
  var backward: [Double] = []
  var whole: [Double] = []
  var products: [Double] = []
  var preparation: [Double] = []

  mutating func add(_ pass: ChannelWorkload.Seconds, preparation seconds: Double) {
    forward.append(pass.forward)
    backward.append(pass.backward)
    whole.append(pass.forward + pass.backward)
    products.append(pass.products)
    preparation.append(max(0, seconds - pass.forward - pass.backward))
  }
}

/// The half of a block along channels, and its input.
private struct ChannelWorkload {
  /// Of a pass, and the part of it that goes to products with weights.
  typealias Seconds = (forward: Double, backward: Double, products: Double)

  private let block: Block
  private let store: WholeParameters
  private let forms: WeightForms
  private let input, gradient: Tensor
  private let pass: SequencePass
  private let balance: ExpertBalance?
  private let workspace: Workspace
  private let terms: [String: Double]

  init(_ section: ModelSection, tokens: Int, workspace: Workspace) throws {
    self.workspace = workspace
    let model = LanguageModel(Architectures.make(section, vocabulary: max(2, section.vocabulary)))
    block = model.blocks[0]
    guard block.channels != nil else {
      throw NoChannelsError(description: "blocks of this model.mixer have no layer along channels")
    }
    let runner = PassRunner(
      table: model.table, gradients: true, sequence: SoloCommunicator(), workspace: workspace)
    store = runner.store
    model.table.initialize(0..<model.table.count, seed: 1, into: store.values.pointer)
    forms = WeightForms(store, workspace: workspace, keeping: true)
    func numbers(_ seed: UInt64) -> Tensor {
      let tensor = Tensor([tokens, model.dimension], pool: workspace.pool)
      let random = Random(seed: seed, purpose: 0)
      for i in 0..<tensor.count { tensor.pointer[i] = Float(random.normal(at: UInt64(i))) }
      return tensor
    }
    (input, gradient) = (numbers(1), numbers(2))
    pass = SequencePass(
      context: runner.context,
      layout: SequenceLayout(shardLengths: [tokens], rank: 0, rows: 1))
    balance = block.channels?.mixer.experts.map {
      ExpertBalance(experts: $0.experts) { $0 }
    }
    terms = Dictionary(
      block.lossTerms.map { ($0.name, 1.0) }, uniquingKeysWith: { first, _ in first })
  }

  /// A pass whose weights are prepared.
  func run() throws -> Seconds { try run(forms) }

  /// Seconds of a pass that prepares them.
  func prepare() throws -> Double {
    let seconds = try run(WeightForms(store, workspace: workspace))
    return seconds.forward + seconds.backward
  }

  private func run(_ forms: WeightForms) throws -> Seconds {
    let tape = Tape(workspace: workspace, parameters: store, recording: true, forms: forms)
    tape.targetsPerPosition = terms
    tape.balance = balance.map { ExpertBalance(experts: $0.choices.count) { $0 } }
    let counters = workspace.counters
    counters.reset()
    let x = Variable(input, needsGradient: true)
    let start = Clock.seconds
    let y = try tape.region(block.region, recompute: false, input: x) {
      try block.mixChannels($0!, tape: tape, pass: pass)
    }
    try tape.balance?.complete()
    let middle = Clock.seconds
    try tape.backward(from: y, gradient: gradient)
    let end = Clock.seconds
    return (middle - start, end - middle, counters.seconds(.projections))
  }
}
