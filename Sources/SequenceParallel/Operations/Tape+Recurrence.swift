import Autodiff
import Kernels
import Measurement

extension Tape {
  /// A linear recurrence over the whole sequence, of which this rank holds a shard.
  ///
  /// Concretely: `S_t = A_t S_{t−1} + k_tᵀ v_t`, `o_t = scale · q_t S_t`, where `S` before the shard comes
  /// from the rank before; the order of events is `ShardRun`'s, and the work inside chunks fills the wait.
  ///
  /// - Parameters:
  ///   - kernel: Which recurrence.
  ///   - inputs: q, k, v, a and b, which may be stored for products, and what the kernel reads beside them.
  ///   - subsequences: Where tokens fall on several, each with a state of its own; all their states cross together. The
  ///     decay is then none or from data.
  ///   - slot: The layer and state, for carries and messages.
  ///   - pass: The shard's layout and seams.
  /// - Returns: `[N, heads·outputWidth]`.
  package func recurrence(
    _ kernel: any RecurrenceKernel, _ inputs: RecurrenceInputs,
    of subsequences: Subsequences? = nil, slot: CarrySlot, pass: SequencePass
  ) throws -> Variable {
    let workspace = workspace
    let run = RecurrenceRun(
      units: RecurrenceUnits(
        kernel: kernel, inputs: inputs, layout: pass.layout, of: subsequences), slot: slot,
      pass: pass)
    let (o, kept) = try workspace.counters.measure(.recurrence) { try run.forward() }
    let output = kernel.readsOutput ? o : nil
    return record(o, inputs: inputs.variables, remembersOutput: kernel.readsOutput) {
      [unowned self] dO in
      try workspace.counters.measure(.recurrence) {
        let gradients = RecurrenceGradients(inputs, pool: pool)
        try run.backward(o: output, dO: dO, kept: kept, into: gradients)
        gradients.deliver(to: inputs, in: workspace)
      }
    }
  }
}
