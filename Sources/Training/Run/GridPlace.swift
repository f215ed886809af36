import Configuration
import MessagePassing
import Models

/// Where a rank stands in the grid of sequence groups and data groups.
package struct GridPlace: Sendable {
  /// Ranks that share a sequence.
  package let sequence: Int
  /// Groups that hold different sequences.
  package let data: Int
  /// This rank's place in its sequence group.
  package let sequenceIndex: Int
  /// This rank's group.
  package let dataIndex: Int
  /// How experts are dealt over all ranks.
  package let experts: ExpertShape

  /// Places a rank; sequence groups are contiguous ranks.
  ///
  /// - Throws: `ConfigurationError` for a grid or batch that does not fit the number of ranks.
  package init(_ configuration: RunConfiguration, world: any Communicator) throws {
    try self.init(configuration, rank: world.rank, ranks: world.size)
  }

  /// Places rank `rank` of `ranks`.
  package init(_ configuration: RunConfiguration, rank: Int, ranks: Int) throws {
    do {
      let shape = try configuration.parallel.grid(ranks: ranks)
      (sequence, data) = (shape.sequence, shape.data)
      (sequenceIndex, dataIndex) = (shape.sequenceIndex(of: rank), shape.dataIndex(of: rank))
    } catch {
      throw configuration.error([
        KeyProblem("parallel.sequence", "parallel.data", message: "\(error)")
      ])
    }
    do {
      experts = try ExpertShape(
        ranks: sequence * data, size: configuration.parallel.experts,
        reproducible: configuration.parallel.reproducible > 0)
    } catch {
      throw configuration.error([KeyProblem("parallel.experts", message: "\(error)")])
    }
    guard !experts.keepsRanksApart || configuration.parallel.transport == .fp32 else {
      throw configuration.error([
        KeyProblem(
          "parallel.transport", "parallel.experts",
          message:
            "rounds what ranks send and not what a rank keeps, so that a reproducible run would have other bits with "
            + "other parallel.experts; give fp32")
      ])
    }
    let (batch, microBatches) = (configuration.training.batch, configuration.training.accumulation)
    guard batch % (data * microBatches) == 0 else {
      throw configuration.error([
        KeyProblem(
          "training.batch", "parallel.data",
          message:
            "\(batch) sequences a step cannot be dealt evenly to \(data) groups in \(microBatches) "
            + "micro-batches; choose a multiple of \(data * microBatches)")
      ])
    }
  }

  /// The sequence group of a rank.
  func dataIndex(of rank: Int) -> Int { rank / sequence }

  /// A rank of this grid that rehearses alone.
  ///
  /// - Parameter each: Ranks that a process hosts; more than one where they are virtual.
  package func rehearsal(of rank: Int, hosting each: Int = 1) -> RehearsalCommunicator {
    RehearsalCommunicator(rank: rank, size: sequence * data, hosting: each)
  }

  /// The rows of a step's batch that this rank works on, micro-batch by micro-batch, each of which has the same rows on every
  /// grid.
  package func rows(ofBatch batch: Int, microBatches: Int) -> [Range<Int>] {
    let each = batch / (data * microBatches)
    return (0..<microBatches).map { microBatch in
      let first = (microBatch * data + dataIndex) * each
      return first..<first + each
    }
  }
}

extension RunConfiguration {
  /// Checks that a model's experts can be dealt as `parallel.experts` says.
  ///
  /// - Throws: `ConfigurationError` with what does not fit.
  func check(_ experts: ExpertShape, of model: LanguageModel) throws {
    do { try experts.check(experts: model.experts) } catch {
      throw self.error([KeyProblem("parallel.experts", message: "\(error)")])
    }
  }
}
