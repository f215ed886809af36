import Tensors

/// Where weights and gradients lie: whole in memory, or supplied region by region.
///
/// A layer knows its weights as `Parameter`s only. The tape acquires a region before its layers run, in
/// either pass, and releases it after.
package protocol ParameterStore: AnyObject {
  /// Every parameter's name, shape and range.
  var table: ParameterTable { get }
  /// Makes the weights of a region readable; its gradients writable if `gradients`.
  func acquire(region: Int, gradients: Bool) throws
  /// Allows the weights of a region to go.
  func release(region: Int) throws
  /// Allows the weights of a region that will be acquired soon to be fetched meanwhile.
  func prefetch(region: Int) throws
  /// The weights of a parameter of an acquired region.
  func value(_ parameter: Parameter) -> UnsafeMutablePointer<Float>
  /// The gradient sums of a parameter of a region acquired with its gradients; ops add to them.
  func gradient(_ parameter: Parameter) -> UnsafeMutablePointer<Float>
  /// The gradient sums of what comes of the rows of one source, where those of several are added up in the end; of source 0
  /// the sums themselves.
  func gradient(_ parameter: Parameter, source: Int) -> UnsafeMutablePointer<Float>
}

extension ParameterStore {
  /// Nothing has to be fetched.
  package func prefetch(region: Int) {}

  /// All rows are of one source.
  package func gradient(_ parameter: Parameter, source: Int) -> UnsafeMutablePointer<Float> {
    precondition(source == 0, "a source \(source) of gradients that are not formed apart")
    return gradient(parameter)
  }
}

/// All weights and all gradients, each in one flat buffer.
package final class WholeParameters: ParameterStore {
  /// Every parameter's name, shape and range.
  package let table: ParameterTable
  /// All weights, in the table's index space.
  package let values: Buffer
  /// All gradient sums, likewise; absent where no gradients are wanted.
  package let gradients: Buffer?

  /// Takes room for weights and for gradients, both uninitialised.
  package init(table: ParameterTable, gradients: Bool, pool: BufferPool) {
    self.table = table
    values = Buffer(count: table.count, pool: pool, kind: .weights)
    self.gradients =
      gradients ? Buffer(count: table.count, pool: pool, kind: .gradients) : nil
  }

  /// Sets every gradient sum to zero.
  package func clearGradients() {
    gradients?.pointer.update(repeating: 0, count: table.count)
  }

  /// Everything is always here.
  package func acquire(region: Int, gradients: Bool) {}

  /// Everything stays here.
  package func release(region: Int) {}

  /// The weights of a parameter.
  package func value(_ parameter: Parameter) -> UnsafeMutablePointer<Float> {
    values.pointer + table[parameter].range.lowerBound
  }

  /// The gradient sums of a parameter.
  package func gradient(_ parameter: Parameter) -> UnsafeMutablePointer<Float> {
    guard let gradients else { preconditionFailure("this store has no gradients") }
    return gradients.pointer + table[parameter].range.lowerBound
  }
}
