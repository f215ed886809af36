import Autodiff
import Measurement
import MessagePassing
import Tensors

/// Brings tokens' rows to the ranks that have their experts, and what becomes of them back: for one layer of one pass.
///
/// Concretely: a token has a row for each expert that it chose. Sorted by expert, the rows for one rank's experts lie together.
///
/// - Forward, each rank tells each other member of its group how many rows come for each of that one's experts (`begin`), and
///   sends these with their weights in one message, where there are any. An expert has its rows by the rank they came from,
///   and then in that rank's order, whatever arrived first (`arrive`). What experts make of them goes back to where they came
///   from (`sendHome`, `finish`).
/// - Backward, gradients of that go out (`cross`), and gradients of rows and of their weights come home: a weight's is formed
///   where the expert's output is.
///
/// Nothing can deadlock. All ranks of a group go through the same exchanges in the same order, a rank without tokens too. In
/// each a rank posts the receives that it knows of, then sends what it has, which needs nobody, and only then waits: for counts,
/// which each rank sends when it comes to the exchange; for rows, which leave with the counts; for what comes home, which a rank
/// sends when it has had all rows. So a rank waits only for what others send at places of the program that are not behind its own,
/// and the rank that is furthest behind waits for nobody. States of a sequence cross at places of the same order on all
/// ranks. Messages of two ranks and one tag are met in the order of the exchanges.
final class ExpertExchange {
  private let routing: Routing
  let width: Int
  let layer: Int
  let pass: SequencePass
  let group: ExpertGroup
  private unowned let tape: Tape
  /// For each member, which of this rank's rows, in the order of experts, are for its experts.
  private let leaving: [Range<Int>]
  /// As what rows travel.
  let kind: Operand.Kind
  /// How many rows each member has for each of this rank's experts; nil until it has told.
  private var told: [[Int]?]
  /// Messages under way, by member: counts, and rows or gradients of outputs.
  private var counting: [Int: IncomingMessage] = [:]
  private var arriving: [Int: IncomingMessage] = [:]

  /// What a message holds, by which it is tagged.
  enum Content: Int {
    /// How many rows come for each expert.
    case counts
    /// Rows of tokens, and their weights before them.
    case rows
    /// What experts made of rows.
    case outputs
    /// Gradients of that.
    case outputGradients
    /// Gradients of rows.
    case rowGradients
    /// Gradients of their weights.
    case weightGradients

    var direction: ExchangeDirection {
      switch self {
      case .counts, .rows, .outputs: .forward
      case .outputGradients, .rowGradients, .weightGradients: .backward
      }
    }
  }

  /// - Parameter counts: What the members told, where the rows have come already.
  init(
    _ routing: Routing, width: Int, layer: Int, pass: SequencePass, group: ExpertGroup, tape: Tape,
    counts: [[Int]]?
  ) {
    (self.routing, self.width, self.layer) = (routing, width, layer)
    (self.pass, self.group, self.tape) = (pass, group, tape)
    let (shape, rows, mine) = (group.shape, routing.rows, group.ranks.rank)
    leaving = (0..<shape.size).map { member in
      let experts = shape.experts(of: member, among: rows.count)
      return rows[experts.lowerBound].lowerBound..<rows[experts.upperBound - 1].upperBound
    }
    kind = pass.context.workspace.products.operands
    told = counts ?? [[Int]?](repeating: nil, count: shape.size)
    told[mine] = rows[shape.experts(of: mine, among: rows.count)].map(\.count)
  }

  var workspace: Workspace { pass.context.workspace }
  var mine: Int { group.ranks.rank }

  /// How experts are dealt.
  var shape: ExpertShape { group.shape }

  /// This rank's experts.
  var experts: Range<Int> { group.shape.experts(of: mine, among: routing.rule.experts) }

  /// How many rows each member has for each of this rank's experts.
  var counts: [[Int]] {
    told.map {
      guard let counts = $0 else { preconditionFailure("rows are asked for before they came") }
      return counts
    }
  }

  /// Rows that come from a member.
  private func count(from member: Int) -> Int { told[member]?.reduce(0, +) ?? 0 }

  /// Rows that come from all.
  private var total: Int { told.indices.reduce(0) { $0 + count(from: $1) } }

  // MARK: To the experts

  /// Tells all members how many rows come, and sends them.
  ///
  /// - Parameter tokens: Shape `[N, D]`, as they travel.
  func begin(_ tokens: Operand) throws {
    let count = MessageHeader.floats + experts.count
    for member in group.others {
      counting[member] = try receive(Tensor([count], pool: workspace.pool), from: member, .counts)
    }
    for member in group.others {
      let message = Tensor([count], pool: workspace.pool)
      workspace.compute(.normsAndGates) {
        header(.counts, from: mine, count: count).write(to: message.pointer)
        let experts = group.shape.experts(of: member, among: routing.rule.experts)
        for (index, rows) in routing.rows[experts].enumerated() {
          message.pointer[MessageHeader.floats + index] = Float(countBits: rows.count)
        }
      }
      try send(message, to: member, .counts)
    }
    try sendRows(of: tokens, .rows)
    group.coming = self
  }

  /// Goes as far as messages have come.
  func advance() throws {
    for member in group.others where told[member] == nil {
      if try counting[member]?.test() == true { try take(member) }
    }
    for message in arriving.values { _ = try message.test() }
  }

  /// Takes what a member has told, and posts the receive of its rows.
  private func take(_ member: Int) throws {
    guard let message = counting.removeValue(forKey: member)?.message else { return }
    try workspace.run {
      try check(message, .counts, from: member)
    }
    let experts = experts
    told[member] = workspace.known(assuming: assumed) {
      experts.indices.map {
        message.pointer[MessageHeader.floats + $0 - experts.lowerBound].countInBits
      }
    }
    let rows = count(from: member)
    guard rows > 0 else { return }
    arriving[member] = try receive(
      Tensor([floats(of: rows, .rows)], pool: workspace.pool), from: member, .rows)
  }

  /// Rows for each expert that a rehearsal assumes to come from a member: it has as many tokens as this rank.
  private var assumed: [Int] {
    switch group.load {
    case .expected: return routing.rows[experts].map(\.count)
    case .worst:
      let count = experts.count
      let all = routing.tokens * min(routing.rule.chosen, count)
      return (0..<count).map { ($0 + 1) * all / count - $0 * all / count }
    }
  }

  /// Waits for all rows, and puts them in order.
  ///
  /// - Parameter tokens: What `begin` sent, of which this rank's experts have their own.
  func arrive(_ tokens: Operand) throws -> ArrivedRows {
    try workspace.counters.measure(.stateWait) {
      for member in group.others {
        try counting[member]?.wait(
          for:
            "how many rows rank \(group.worldRank(of: member)) has for experts of layer \(layer)",
          polling: workspace.poll)
        try take(member)
      }
    }
    let weights = Tensor([total], pool: workspace.pool)
    let rows = try ordered(tokens, .rows, weights: weights)
    group.coming = nil
    return ArrivedRows(counts: counts, rows: rows, weights: weights)
  }

  /// Sends gradients of what experts made of tokens to where it was made, and waits for those of other ranks.
  ///
  /// - Parameter gradients: Shape `[N, D]`, as they travel.
  /// - Returns: Those of the rows that came, `[R, D]`.
  func cross(_ gradients: Operand) throws -> Operand {
    for member in group.others {
      let rows = count(from: member)
      guard rows > 0 else { continue }
      arriving[member] = try receive(
        Tensor([floats(of: rows, .outputGradients)], pool: workspace.pool), from: member,
        .outputGradients)
    }
    try sendRows(of: gradients, .outputGradients)
    return try ordered(gradients, .outputGradients, weights: nil)
  }

  /// Sends each member the rows of tokens that chose its experts.
  private func sendRows(of tokens: Operand, _ content: Content) throws {
    for member in group.others {
      let places = leaving[member]
      let rows = workspace.known(assuming: assumedToLeave(places.count)) { places.count }
      guard rows > 0 else { continue }
      let message = Tensor([floats(of: rows, content)], pool: workspace.pool)
      workspace.compute(.normsAndGates) {
        header(content, from: mine, count: message.count).write(to: message.pointer)
        if content == .rows {
          routing.copyWeights(of: places, into: message.pointer + MessageHeader.floats)
        }
      }
      tape.copyRows(
        of: tokens, routing, places, to: body(message, rows: rows, content), width: width)
      try send(message, to: member, content)
    }
  }

  /// Rows for a member that a rehearsal assumes.
  private func assumedToLeave(_ expected: Int) -> Int {
    guard group.load == .worst else { return expected }
    let others = routing.rule.experts - experts.count
    return routing.tokens * min(routing.rule.chosen, others) / (group.shape.size - 1)
  }

  /// Waits for the rows of all members, and puts them, and weights that come with them, in order.
  private func ordered(
    _ tokens: Operand, _ content: Content, weights: Tensor?
  ) throws -> Operand {
    try workspace.counters.measure(.stateWait) {
      for member in group.others {
        try arriving[member]?.wait(
          for:
            "the \(content.direction) rows of rank \(group.worldRank(of: member)) for experts of layer \(layer)",
          polling: workspace.poll)
      }
      // Whose rows are here waits for this rank's, which move only while both call MPI.
      try workspace.run { try group.outbox.push() }
    }
    let rows = workspace.room(for: [total, width], readers: .products)
    let blocks = blocks
    for block in blocks where block.member == mine {
      let first = leaving[mine].lowerBound + block.first
      let places = first..<first + block.count
      tape.copyRows(of: tokens, routing, places, to: rows.from(block.place * width), width: width)
      if let weights {
        workspace.run { routing.copyWeights(of: places, into: weights.pointer + block.place) }
      }
    }
    for member in group.others {
      guard let message = arriving.removeValue(forKey: member)?.message else { continue }
      try mark(.receive, member, content, message) {
        try workspace.compute(.normsAndGates) {
          try check(message, content, from: member)
          let from = body(message, rows: count(from: member), content)
          for block in blocks where block.member == member {
            rows.from(block.place * width).update(
              from: from.from(block.first * width), count: block.count * width)
            if let weights {
              (weights.pointer + block.place).update(
                from: message.pointer + MessageHeader.floats + block.first, count: block.count)
            }
          }
        }
      }
    }
    return rows
  }

  // MARK: Home

  /// Numbers of this rank's rows on their way home, in the order of experts.
  struct Homecoming {
    fileprivate let content: Content
    /// Shape `[rows that left, columns]`; filled when all have come.
    fileprivate let numbers: Tensor
    fileprivate let messages: [(member: Int, incoming: IncomingMessage)]
  }

  /// Sends what became of rows to where they came from.
  ///
  /// - Parameter numbers: Shape `[R, columns]`, in the order of the rows that came.
  func sendHome(_ numbers: Tensor, columns: Int, _ content: Content) throws -> Homecoming {
    let target = Tensor([routing.count, columns], pool: workspace.pool)
    var messages: [(member: Int, incoming: IncomingMessage)] = []
    for member in group.others where !leaving[member].isEmpty {
      let places = leaving[member]
      let slice = Tensor(
        [places.count, columns], buffer: target.buffer,
        offset: target.offset + places.lowerBound * columns)
      messages.append((member, try receive(slice, from: member, content)))
    }
    let blocks = blocks
    for member in group.others {
      let rows = count(from: member)
      guard rows > 0 else { continue }
      let message = Tensor([rows, columns], pool: workspace.pool)
      workspace.compute(.normsAndGates) {
        for block in blocks where block.member == member {
          (message.pointer + block.first * columns).update(
            from: numbers.pointer + block.place * columns, count: block.count * columns)
        }
      }
      try send(message, to: member, content)
    }
    workspace.compute(.normsAndGates) {
      for block in blocks where block.member == mine {
        let place = leaving[mine].lowerBound + block.first
        (target.pointer + place * columns).update(
          from: numbers.pointer + block.place * columns, count: block.count * columns)
      }
    }
    return Homecoming(content: content, numbers: target, messages: messages)
  }

  /// Waits until all numbers have come home.
  ///
  /// - Returns: Shape `[rows that left, columns]`, in the order of experts.
  func finish(_ homecoming: Homecoming) throws -> Tensor {
    let content = homecoming.content
    try workspace.counters.measure(.stateWait) {
      for (member, incoming) in homecoming.messages {
        try incoming.wait(
          for:
            "what experts of rank \(group.worldRank(of: member)) made of rows of layer \(layer)",
          polling: workspace.poll)
        mark(.receive, member, content, incoming.message) {}
      }
      try group.outbox.push()
    }
    return homecoming.numbers
  }
}
