import Configuration
import MessagePassing

/// Where a rank stands in the grid of sequence groups and data groups.
public struct GridPlace: Sendable {
  /// Ranks that share a sequence.
  public let sequence: Int
  /// Groups that hold different sequences.
  public let data: Int
  /// This rank's place in its sequence group.
  public let sequenceIndex: Int
  /// This rank's group.
  public let dataIndex: Int

  /// Places a rank; sequence groups are contiguous ranks.
  ///
  /// - Throws: `ConfigurationError` for a grid or batch that does not fit the number of ranks.
  public init(_ configuration: RunConfiguration, world: any Communicator) throws {
    try self.init(configuration, rank: world.rank, ranks: world.size)
  }

  /// Places rank `rank` of `ranks`.
  public init(_ configuration: RunConfiguration, rank: Int, ranks: Int) throws {
    do {
      let shape = try configuration.parallel.grid(ranks: ranks)
      (sequence, data) = (shape.sequence, shape.data)
      (sequenceIndex, dataIndex) = (shape.sequenceIndex(of: rank), shape.dataIndex(of: rank))
    } catch {
      throw configuration.error([
        KeyProblem("parallel.sequence", "parallel.data", message: "\(error)")
      ])
    }
    let (batch, portions) = (configuration.training.batch, configuration.training.accumulation)
    guard batch % (data * portions) == 0 else {
      throw configuration.error([
        KeyProblem(
          "training.batch", "parallel.data",
          message:
            "\(batch) sequences a step cannot be dealt evenly to \(data) groups in \(portions) "
            + "portions; choose a multiple of \(data * portions)")
      ])
    }
  }

  /// A rank of this grid that rehearses alone.
  ///
  /// - Parameter each: Ranks that a process hosts; more than one where they are virtual.
  public func rehearsal(of rank: Int, hosting each: Int = 1) -> RehearsalCommunicator {
    RehearsalCommunicator(rank: rank, size: sequence * data, hosting: each) { [sequence] in
      $0 / sequence
    }
  }

  /// The rows of a step's batch that this rank works on, portion by portion.
  public func rows(ofBatch batch: Int, portions: Int) -> [Range<Int>] {
    let each = batch / (data * portions)
    return (0..<portions).map { portion in
      let first = dataIndex * each * portions + portion * each
      return first..<first + each
    }
  }
}
