import Autodiff
import SequenceParallel
import Tensors

/// Attention transfer: each layer of a linear model learns to give what the softmax attention that it stands in for gives.
///
/// Concretely: `L = (1/layers) Σ_layers (weight · mean_{n,c} (ȳ − y)² + crossEntropy · mean_{n,h} −Σ_j a_ij ln ā_ij)`, with the
/// teacher's output y and the student's ȳ before the projection out, both of the same queries, keys and values, and the weights a
/// of the teacher and ā of the student's features; each layer hands on the teacher's output. So layers do not influence each
/// other, and each is differentiated and forgotten before the next runs.
///
/// - Source: LoLCATs (arXiv 2410.10254), section 3.1; Hedgehog (2402.04347) for the cross-entropy of weights.
package struct AttentionTransfer: Objective {
  /// What the mean squared difference is multiplied by.
  package let weight: Double
  /// What the mean cross-entropy of attention's weights is multiplied by.
  package let crossEntropy: Double

  package init(weight: Double = 1000, crossEntropy: Double = 0) {
    (self.weight, self.crossEntropy) = (weight, crossEntropy)
  }

  package var transfer: AttentionTransfer? { self }
  package var lossTerms: [DeclaredTerm] { [] }

  package func callAsFunction(
    _ hidden: Variable, head: Head, targets: [Int32], tape: Tape,
    logits: UnsafeMutablePointer<Float>?
  ) throws -> (loss: Variable, result: HeadResult) {
    preconditionFailure("attention transfer has no loss at the head")
  }
}

/// A mixer that stands in for softmax attention, and can learn from it.
package protocol AttentionStudent: TokenMixer {
  /// Runs teacher and student, adds the student's loss and its gradient, and gives the teacher's output, with the residual.
  ///
  /// - Parameter slots: For what of the teacher's crosses seams, and for its keys where its weights are compared.
  func transfer(
    _ x: Variable, adding residual: Variable?, by transfer: AttentionTransfer, layers: Int,
    losses: PositionLosses, slots: (teacher: CarrySlot, weights: CarrySlot), tape: Tape,
    pass: SequencePass
  ) throws -> Variable
  /// The size of the teacher's attention, for counting its operations.
  var teacherAttention: AttentionSize { get }
  /// Features of a head whose weights are compared with the teacher's; nil where it has none.
  var comparedFeatures: Int? { get }
}

extension LanguageModel {
  /// How many layers learn from attention.
  package var students: Int { blocks.count { $0.mixer is any AttentionStudent } }

  /// Whether any of them has weights that can be compared with the attention's.
  package var comparesWeights: Bool {
    blocks.contains { ($0.mixer as? any AttentionStudent)?.comparedFeatures != nil }
  }

  /// Operations of the attention that they learn from, which runs forward alone, over so many sequences; and where its weights are
  /// compared, of that.
  package func teacherOperations(
    sequences: Int, length: Int, by transfer: AttentionTransfer
  ) -> Double {
    blocks.reduce(0) { sum, block in
      guard let student = block.mixer as? any AttentionStudent else { return sum }
      let attention = student.teacherAttention
      let compared =
        transfer.crossEntropy > 0
        ? student.comparedFeatures.map { attention.comparison(length: length, features: $0) } : nil
      return sum + Double(sequences) * (attention.operations(length: length) / 3 + (compared ?? 0))
    }
  }

  /// Runs a shard through the teacher; each student learns from its layer's input and is differentiated at once.
  func transfer(
    _ inputs: [Int32], by transfer: AttentionTransfer, tape: Tape, pass: SequencePass
  ) throws -> (loss: Variable, result: HeadResult) {
    let losses = PositionLosses(count: inputs.count)
    let (layers, depth) = (students, blocks.count)
    var x = try embedded(inputs, tape: tape)
    for (index, block) in blocks.enumerated() {
      x = try tape.region(
        block.region, borrowing: borrowed(by: block), recompute: false, input: x
      ) { x in
        try block.run(x!, tape: tape, pass: pass) { x, residual in
          guard let student = block.mixer as? any AttentionStudent else {
            return try block.mixer(x, adding: residual, tape: tape, pass: pass)
          }
          // The teacher is a layer of its own for what it sends.
          return try student.transfer(
            x, adding: residual, by: transfer, layers: layers, losses: losses,
            slots: (
              CarrySlot(layer: depth + index, .window),
              CarrySlot(layer: 2 * depth + index, .window)
            ), tape: tape, pass: pass)
        }
      }
      if tape.isRecording { try tape.backwardSoFar() }
      x = Variable(x.value, needsGradient: false)
    }
    // What is differentiated already: nothing is left to begin from.
    let loss = Variable(Tensor([1], pool: tape.pool), needsGradient: false)
    return (loss, HeadResult(losses))
  }
}

extension LinearisedLayer: AttentionStudent {
  package func transfer(
    _ x: Variable, adding residual: Variable?, by transfer: AttentionTransfer, layers: Int,
    losses: PositionLosses, slots: (teacher: CarrySlot, weights: CarrySlot), tape: Tape,
    pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; the outputs of both [N, H·d].
    let inputs = try inputs(x, tape: tape, pass: pass)
    let right = try teacher(inputs, slot: slots.teacher, tape: tape, pass: pass)
    if transfer.weight > 0 {
      let learnt = try student(inputs, tape: tape, pass: pass)
      tape.addSquaredDifference(
        learnt, from: right,
        factor: transfer.weight / Double(layers * learnt.shape.columns), to: losses)
    }
    if transfer.crossEntropy > 0,
      let sums = try crossEntropy(inputs, slot: slots.weights, tape: tape, pass: pass)
    {
      let heads = projections.heads.heads
      tape.addLosses(sums, factor: transfer.crossEntropy / Double(layers * heads), to: losses)
    }
    return try output(right, adding: residual, tape: tape)
  }
}
