/// The world's ranks as a grid, with a communicator for each way that data crosses it.
public struct ParallelGrid: Sendable {
  /// Ranks on each axis.
  public let shape: GridShape
  /// All ranks.
  public let world: any Communicator
  /// The ranks that share this rank's sequence, in the order of the sequence.
  public let sequence: any Communicator
  /// The ranks that hold the same part of different sequences.
  public let data: any Communicator
  /// All ranks once more, for the reduction of gradients, which goes on beside everything else.
  public let reduction: any Communicator

  /// Where this rank stands in its sequence.
  public var sequenceIndex: Int { sequence.rank }
  /// Which sequence group this rank belongs to.
  public var dataIndex: Int { data.rank }

  /// Makes the grid of a world; collective.
  ///
  /// - Parameters:
  ///   - sequence: Ranks that share a sequence; 0 for all that `data` leaves.
  ///   - data: Groups that hold different sequences; 0 for what `sequence` leaves.
  /// - Throws: `MessagePassingError.grid`, with the equation that does not hold, before any communication.
  public init(world: any Communicator, sequence: Int = 0, data: Int = 0)
    throws(MessagePassingError)
  {
    shape = try GridShape(ranks: world.size, sequence: sequence, data: data)
    self.world = world
    self.sequence = try world.split(color: shape.dataIndex(of: world.rank), key: world.rank)
    self.data = try world.split(color: shape.sequenceIndex(of: world.rank), key: world.rank)
    reduction = try world.duplicate()
  }
}
