import Tensors
import Testing

@testable import Autodiff

@Suite("Regions of the tape")
struct RegionTests {
  init() { BLAS.setThreads(1) }

  /// A store that allows only what has been acquired, and notes what happens.
  final class StrictStore: ParameterStore {
    enum Event: Equatable { case acquire(Int, gradients: Bool), release(Int) }

    private let whole: WholeParameters
    private var held: [Int: (count: Int, gradients: Bool)] = [:]
    private(set) var events: [Event] = []

    init(_ whole: WholeParameters) { self.whole = whole }

    var table: ParameterTable { whole.table }
    /// Regions that are acquired now.
    var open: [Int] { held.filter { $0.value.count > 0 }.map(\.key).sorted() }

    func acquire(region: Int, gradients: Bool) {
      events.append(.acquire(region, gradients: gradients))
      held[region, default: (0, false)].count += 1
      held[region]!.gradients = held[region]!.gradients || gradients
    }

    func release(region: Int) {
      events.append(.release(region))
      held[region, default: (0, false)].count -= 1
      if held[region]!.count == 0 { held[region]!.gradients = false }
    }

    func value(_ parameter: Parameter) -> UnsafeMutablePointer<Float> {
      let region = table[parameter].region
      #expect(open.contains(region), "the weights of region \(region) are read but not acquired")
      return whole.value(parameter)
    }

    func gradient(_ parameter: Parameter) -> UnsafeMutablePointer<Float> {
      let region = table[parameter].region
      #expect(held[region]?.gradients == true, "region \(region) has no gradients to add to")
      return whole.gradient(parameter)
    }
  }

  /// Three blocks of one projection each, then a head that also reads the first block's weights.
  struct Pile {
    let workspace = Workspace()
    let store: StrictStore
    let whole: WholeParameters
    let tape: Tape

    init(recording: Bool) {
      var table = ParameterTable()
      for region in 0..<4 {
        table.addRegion("r\(region)")
        _ = table.add("w\(region)", [4, 4], role: .matrix, initialization: .normal(deviation: 1))
      }
      whole = WholeParameters(table: table, gradients: true, pool: workspace.pool)
      table.initialize(0..<table.count, seed: 1, into: whole.values.pointer)
      whole.clearGradients()
      store = StrictStore(whole)
      tape = Tape(workspace: workspace, parameters: store, recording: recording)
    }

    func forward(recompute: Bool) throws -> Variable {
      let numbers = (0..<12).map { Float($0 % 5) - 2 }
      var x: Variable? = Variable(
        Tensor([3, 4], numbers, pool: workspace.pool), needsGradient: false)
      let weights = (0..<4).map { store.table.parameter(named: "w\($0)")! }
      for region in 0..<3 {
        x = try tape.region(region, recompute: recompute, input: x) { [tape] in
          try tape.silu(tape.linear($0!, weights[region]))
        }
      }
      return try tape.region(3, borrowing: [0], recompute: recompute, input: x) { [tape] in
        try tape.linear(tape.linear($0!, weights[3]), weights[0])
      }
    }

    var gradients: [Float] {
      Array(UnsafeBufferPointer(start: whole.gradients!.pointer, count: whole.table.count))
    }
  }

  @Test("Nothing is read but what is acquired, and all is released", arguments: [false, true])
  func acquires(recompute: Bool) throws {
    let pile = Pile(recording: true)
    let y = try pile.forward(recompute: recompute)
    // The weights of a region go between the passes.
    #expect(pile.store.open == [])
    try pile.tape.backward(
      from: y, gradient: Tensor(y.shape, y.value.numbers, pool: pile.workspace.pool))
    #expect(pile.store.open == [])
  }

  @Test(
    "A region that forms gradients in the forward pass stays, with them, until it has run backward")
  func staysAcquired() throws {
    let pile = Pile(recording: true)
    let weight = pile.store.table.parameter(named: "w2")!
    let x = Variable(
      Tensor([1, 4], [1, 2, 3, 4], pool: pile.workspace.pool), needsGradient: false)
    let y = try pile.tape.region(2, recompute: false, formsGradients: true, input: x) { x in
      pile.store.gradient(weight)[0] = 5
      return try pile.tape.linear(x!, weight)
    }
    #expect(pile.store.open == [2])
    try pile.tape.backward(
      from: y, gradient: Tensor(y.shape, y.value.numbers, pool: pile.workspace.pool))
    #expect(pile.store.events == [.acquire(2, gradients: true), .release(2)])
  }

  @Test("Without recording, a region is released as soon as it has run")
  func evaluates() throws {
    let pile = Pile(recording: false)
    _ = try pile.forward(recompute: false)
    #expect(
      pile.store.events == [
        .acquire(0, gradients: false), .release(0), .acquire(1, gradients: false), .release(1),
        .acquire(2, gradients: false), .release(2), .acquire(3, gradients: false),
        .acquire(0, gradients: false), .release(0), .release(3),
      ])
  }

  @Test(
    "A region is complete once, when nothing can add to it: a tied one with its last use",
    arguments: [false, true])
  func completes(recompute: Bool) throws {
    let pile = Pile(recording: true)
    var completed: [Int] = []
    var early: [Float] = []
    let third = pile.whole.table.regions[3].range
    pile.tape.regionCompleted = { region in
      completed.append(region)
      if region == 3 { early = Array(pile.gradients[third]) }
    }
    let y = try pile.forward(recompute: recompute)
    try pile.tape.backward(
      from: y, gradient: Tensor(y.shape, y.value.numbers, pool: pile.workspace.pool))
    #expect(completed == [3, 2, 1, 0])
    #expect(early == Array(pile.gradients[third]) && early.contains { $0 != 0 })
  }

  @Test("Recomputed regions give the same gradients, bit for bit")
  func recomputes() throws {
    let gradients = try [false, true].map { recompute in
      let pile = Pile(recording: true)
      let y = try pile.forward(recompute: recompute)
      try pile.tape.backward(
        from: y, gradient: Tensor(y.shape, y.value.numbers, pool: pile.workspace.pool))
      return pile.gradients
    }
    #expect(gradients[0] == gradients[1])
  }

  @Test("A value that later regions read gets the gradients of all of them, recomputed or not")
  func shares() throws {
    /// One region after another, of which the later read what the first shares, or all in one region.
    func gradients(recompute: Bool, inOne: Bool) throws -> [Float] {
      let pile = Pile(recording: true)
      let (tape, weights) = (
        pile.tape, (0..<3).map { pile.store.table.parameter(named: "w\($0)")! }
      )
      let numbers = (0..<12).map { Float($0 % 5) - 2 }
      let x = Variable(Tensor([3, 4], numbers, pool: pile.workspace.pool), needsGradient: false)
      func first(_ x: Variable) throws -> Variable {
        let y = try tape.linear(x, weights[0])
        tape.share(y, as: "first")
        return tape.silu(y)
      }
      func later(_ x: Variable, _ index: Int) throws -> Variable {
        tape.product(try tape.linear(x, weights[index]), tape.sharedValue("first")!)
      }
      var y: Variable
      if inOne {
        y = try tape.region(0, borrowing: [1, 2], recompute: recompute, input: x) {
          try later(later(first($0!), 1), 2)
        }
      } else {
        y = try tape.region(0, recompute: recompute, input: x) { try first($0!) }
        for index in 1...2 {
          y = try tape.region(index, recompute: recompute, input: y) { try later($0!, index) }
        }
      }
      try tape.backward(
        from: y, gradient: Tensor(y.shape, y.value.numbers, pool: pile.workspace.pool))
      return pile.gradients
    }
    let right = try gradients(recompute: false, inOne: true)
    #expect(right.contains { $0 != 0 })
    #expect(try gradients(recompute: false, inOne: false) == right)
    #expect(try gradients(recompute: true, inOne: false) == right)
    #expect(try gradients(recompute: true, inOne: true) == right)
  }

  @Test("Messages may progress after every op of the backward pass")
  func polls() throws {
    let pile = Pile(recording: true)
    let y = try pile.forward(recompute: false)
    var polls = 0
    let source = pile.workspace.progress.add(hasPeers: false) { polls += 1 }
    defer { source.remove() }
    try pile.tape.backward(
      from: y, gradient: Tensor(y.shape, y.value.numbers, pool: pile.workspace.pool))
    #expect(polls >= 8)
  }
}
