import Corpora
import DataParallel
import Foundation
import Measurement
import MessagePassing
import Models
import Reporting
import SequenceParallel
import Tensors

/// `lasp-train --dry-run`: checks a run and says what it will need, in one process without MPI.
package struct Plan {
  /// Processes planned for.
  package let processes: Int
  /// Ranks of the world: virtual ones, where there are more than processes.
  package let ranks: Int
  /// Where rank 0 stands.
  package let grid: GridPlace
  /// Tokens of a sequence that each rank of a group holds.
  package let shards: [Int]
  /// The model.
  package let model: LanguageModel
  /// The rehearsed ranks of the first sequence group, or processes with their virtual ranks: the ends and one
  /// between.
  let rehearsals: [Rehearsal]
  /// The same ranks where tokens choose the experts of a rank as often as they can; empty where experts are not dealt.
  let worst: [Rehearsal]
  /// Memory of a process but for what it holds of the run, in bytes; without what the first one tells of the run.
  let processBytes: Int
  /// The same ranks without a teacher; empty where there is none.
  private let untaught: [Rehearsal]
  private let teacher: LanguageModel?
  let configuration: RunConfiguration
  let exchange: ExchangeChoice
  /// What stands in for data that are not there.
  private let absent: AbsentTokens?

  /// How fast products are on one thread, in GFLOP/s, and which.
  struct Speed {
    let gigaflops: Double
    var of = "sgemm"
  }

  /// Prints the plan of a run.
  ///
  /// - Parameter ranks: Processes to plan for.
  package static func run(_ configuration: RunConfiguration, ranks: Int) throws {
    BLAS.setThreads(1)
    let plans = try stages(of: configuration, processes: ranks)
    let products = try configuration.products()
    // In fp32 the efficiency is a share of what OpenBLAS reaches, whichever library computes.
    let speed =
      products.precision == .fp32
      ? Speed(gigaflops: ProductPeak.measure(seconds: 1))
      : Speed(gigaflops: ProductPeak.measure(products, seconds: 1), of: "\(products):")
    print(description(of: plans, speed: speed), terminator: "")
  }

  /// Checks everything and rehearses a step; of several stages the first.
  ///
  /// - Parameters:
  ///   - given: What carries states; nil to choose.
  ///   - known: Memory of a process without the run, in bytes; nil to look.
  package init(
    _ configuration: RunConfiguration, processes: Int, exchange given: ExchangeChoice? = nil,
    processBytes known: Int? = nil
  ) throws {
    let configuration = configuration.stage(0)
    let ranks = try configuration.virtualRanks(processes: processes)
    let checkpoint = ResumePoint.planned(configuration)
    let setup = try RunSetup(
      configuration.findingTokenizer(in: checkpoint), resuming: checkpoint, planning: true)
    absent = setup.absent
    let model = setup.model
    self.configuration = configuration
    (self.processes, self.ranks) = (processes, ranks)
    self.model = model
    let grid = try GridPlace(configuration, rank: 0, ranks: ranks)
    self.grid = grid
    shards = SequenceLayout.evenShards(
      tokens: configuration.sequence.length, ranks: grid.sequence)
    let teacher = setup.teacherModel
    self.teacher = teacher
    func rehearsals(_ teacher: LanguageModel?) -> Rehearsals {
      Rehearsals(
        configuration, corpus: setup.corpus, model: model, teacher: teacher, ranks: ranks)
    }
    let rehearsed = rehearsals(teacher)
    let exchange = try given ?? ExchangeChoice(planning: rehearsed)
    self.exchange = exchange
    let each = ranks / processes
    func rehearse(
      _ rehearsed: Rehearsals, load: ExpertGroup.Load = .expected
    ) throws -> [Rehearsal] {
      func step(_ rank: Int) throws -> Rehearsal {
        try rehearsed.step(rank: rank, hosting: each, exchange: exchange.kind, load: load)
      }
      guard configuration.parallel.reproducible > 0 else {
        return try Self.chosen(of: grid.sequence).map(step)
      }
      return try Self.chosen(of: processes).map { process in
        Rehearsal(process: process, of: try (process * each..<(process + 1) * each).map(step))
      }
    }
    self.rehearsals = try rehearse(rehearsed)
    worst = grid.experts.size > 1 ? try rehearse(rehearsed, load: .worst) : []
    untaught = teacher == nil ? [] : try rehearse(rehearsals(nil))
    // With what a step has of the program's code in memory.
    processBytes = known ?? Plan.programBytes(processes: processes)
  }

  static func chosen(of count: Int) -> [Int] { Set([0, count / 2, count - 1]).sorted() }

  /// Whether processes host virtual ranks.
  private var isVirtual: Bool { configuration.parallel.reproducible > 0 }

  /// What a process holds but for the run, in bytes: what it has before, and what computing and messages add.
  ///
  /// As measured, on a machine's shared memory, with 1 to 16 processes: libraries that compute have buffers of their own, and their
  /// code and that of kernels is read; what Open MPI adds grows by as much each time that processes are twice as many.
  static func programBytes(processes: Int) -> Int {
    ProcessMemory.residentBytes + computingBytes + Int(6 * 1048576 * log2(Double(processes)))
  }

  /// What libraries and kernels add to a process that computes, in bytes, as measured.
  static let computingBytes = 10 << 20
  /// What log and console add to the first process, in bytes, as measured.
  static let reportingBytes = 4 << 20

  /// Bytes of the largest rank.
  package var memoryBytes: Int { rehearsals.map { total($0) }.max() ?? 0 }

  private func total(_ rehearsal: Rehearsal) -> Int {
    program(rehearsal) + rehearsal.bytes
  }

  /// Memory of a rank's process but for what it holds of the run.
  private func program(_ rehearsal: Rehearsal) -> Int {
    processBytes + (rehearsal.rank == 0 ? Self.reportingBytes : 0)
  }

  /// The plan as text.
  ///
  /// - Parameter speed: Speed of matrix products on one thread.
  func description(speed: Speed) -> String {
    let tokens = configuration.training.batch * configuration.sequence.length
    // Forward is a third of a step; what is run again is one forward more.
    let (parts, held) = (configuration.sequence.segments, rehearsals[0].segmentsHeld)
    let groups = (parts + held - 1) / held
    // All groups but the last run forward once more before the backward pass, and of each group all segments
    // but the last.
    let forwards = (groups - 1) * held + parts - groups
    let again =
      Double(forwards) / Double(parts) + (configuration.training.recompute ? 1 : 0)
    let step = model.operations(
      sequences: configuration.training.batch, length: configuration.sequence.length)
    let teacher =
      configuration.linearise.transfer.map {
        1e-9
          * model.teacherOperations(
            sequences: configuration.training.batch, length: configuration.sequence.length, by: $0)
      } ?? 0
    // A frozen model runs forward alone, whose attention is counted as if it went back, too.
    let lessons =
      self.teacher.map { model in
        let (batch, length) = (configuration.training.batch, configuration.sequence.length)
        let products = model.operationsPerToken * Double(batch * length)
        return 1e-9
          * (products + (model.operations(sequences: batch, length: length) - products) / 3)
      } ?? 0
    let operations = step * 1e-9 * (1 + again / 3) + teacher + lessons
    let cores = Double(min(Host(ranks: 1, index: 0).cores, ranks))
    let seconds = operations / (speed.gigaflops * cores) / Plan.efficiency
    let shortest = shards.min() ?? 0
    let longest = shards.max() ?? 0
    var lines = [
      row("ranks", "\(ranks) = \(grid.data) data × \(grid.sequence) sequence\(hosting)"),
      model.experts.flatMap { count in
        grid.experts.size > 1
          ? row(
            "experts",
            "\(count) a layer, \(count / grid.experts.size) on each of \(grid.experts.size) ranks")
          : nil
      },
      row(
        "shards",
        shortest == longest
          ? "\(Format.grouped(longest)) tokens of each sequence a rank"
          : "\(Format.grouped(shortest)) to \(Format.grouped(longest)) tokens of each sequence a rank"
      ),
      parts > 1 ? row("segments", segments) : nil,
      row(
        "model",
        "\(Format.grouped(model.table.count)) parameters, \(model.blocks.count) blocks, vocabulary "
          + "\(model.vocabulary)"),
      model.table.frozenCount > 0
        ? row(
          "train", Format.trained(model.table.trainable.count, frozen: model.table.frozenCount))
        : nil,
      row(
        "step",
        "\(configuration.training.batch) × \(Format.grouped(configuration.sequence.length)) = "
          + "\(Format.grouped(tokens)) tokens, \(String(format: "%.1f", operations)) GFLOP"),
      teacher > 0
        ? row(
          "teacher",
          "\(String(format: "%.1f", teacher)) GFLOP of these in the attention that layers learn from"
        )
        : nil,
      self.teacher.map {
        row(
          "teacher",
          "\(Format.grouped($0.table.count)) parameters, frozen; \(String(format: "%.1f", lessons)) GFLOP of these"
        )
      },
      row(
        "time",
        "about \(Format.seconds(seconds)) a step with \(Int(cores)) of this machine's cores"
          + (ranks > Int(cores)
            ? ", or \(Format.seconds(seconds * cores / Double(ranks))) with a core a rank" : "")
          + " (\(speed.of) \(Format.digits(speed.gigaflops)) GFLOP/s a core, \(Int(Plan.efficiency * 100))% of it)"
      ),
      exchange.reason.map { row("states", $0) },
      absent.map {
        row(
          "data",
          "\($0.path) is not here; planned as if it held \(Format.grouped($0.vocabulary)) different tokens"
        )
      },
      "",
    ].compactMap { $0 }
    lines.append(heading("", rehearsals.map { "\(isVirtual ? "process" : "rank") \($0.rank)" }))
    lines.append(heading("tokens of a sequence", rehearsals.map { Format.grouped($0.shard) }))
    for kind in BufferKind.allCases {
      lines.append(heading(kind.name, rehearsals.map { Format.bytes(bytes($0, kind)) }))
    }
    lines.append(heading("tokens", rehearsals.map { Format.bytes($0.tokenBytes) }))
    if configuration.checkpoint.background {
      lines.append(heading("checkpoint's copy", rehearsals.map { Format.bytes($0.copyBytes) }))
    }
    lines.append(heading("program", rehearsals.map { Format.bytes(program($0)) }))
    lines.append(heading("memory in all", rehearsals.map { Format.bytes(total($0)) }))
    lines.append("")
    lines.append(heading("bytes sent a step", []))
    lines.append(heading("states", rehearsals.map { Format.grouped($0.stateBytes) }))
    lines.append(heading("headers and halos", rehearsals.map { Format.grouped($0.haloBytes) }))
    lines.append(heading("gradients", rehearsals.map { Format.grouped($0.gradientBytes) }))
    if configuration.parallel.sharding != .none {
      lines.append(heading("weights", rehearsals.map { Format.grouped($0.weightBytes) }))
    }
    if !worst.isEmpty {
      lines.append(heading("tokens to experts", rehearsals.map { Format.grouped($0.expertBytes) }))
      lines += [
        "", heading("where experts of one rank take all they can", []),
        heading("memory in all", worst.map { Format.bytes(total($0)) }),
        heading("bytes to experts", worst.map { Format.grouped($0.expertBytes) }),
      ]
    }
    if self.teacher != nil {
      lines += lesson
    }
    if isVirtual {
      lines.append(
        heading(
          "to other processes", rehearsals.map { Format.grouped($0.bytesToOtherProcesses) }))
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// What of memory and messages the teacher costs.
  private var lesson: [String] {
    func cost(_ name: String, _ words: (Rehearsal, Rehearsal) -> String) -> String {
      heading(name, zip(rehearsals, untaught).map(words))
    }
    return [
      "", heading("for the teacher", []),
      cost("memory") { Format.bytes(max(0, $0.bytes - $1.bytes)) },
      cost("bytes sent a step") { Format.grouped($0.bytesSent - $1.bytesSent) },
    ]
  }

  /// How virtual ranks are dealt out.
  private var hosting: String {
    guard isVirtual else { return "" }
    let each = Format.number(ranks / processes, of: "virtual rank")
    return
      ", \(each) on \(processes > 1 ? "each of " : "")\(Format.number(processes, of: "process"))"
  }

  /// How the sequence is cut in time, and what is held of it.
  private var segments: String {
    let (parts, held) = (configuration.sequence.segments, rehearsals.map(\.segmentsHeld).min() ?? 1)
    let tokens = configuration.sequence.length / parts
    let kept =
      held >= parts
      ? "what each received is kept"
      : "groups of \(held) are held; the chain of the others runs twice (sequence.carry_bytes)"
    let growing =
      model.blocks.contains { $0.mixer.seesAllTokens }
      ? "; full attention keeps the keys and values of all, which grows with the length" : ""
    return "\(Format.grouped(parts)) of \(Format.grouped(tokens)) tokens; \(kept)\(growing)"
  }

  /// Bytes of one kind at the peak; what the pool caches beyond the peak, or may cache, counts as buffers.
  private func bytes(_ rehearsal: Rehearsal, _ kind: BufferKind) -> Int {
    let own = rehearsal.peakByKind[kind.rawValue]
    guard kind == .buffers else { return own }
    return own + rehearsal.poolBytes + rehearsal.spareBytes - rehearsal.peakByKind.reduce(0, +)
  }

  /// The share of the products' speed that a step reaches, for the estimate of its time.
  static let efficiency = 0.75

  func row(_ name: String, _ text: String) -> String {
    Format.left(name, 10) + text
  }

  private func heading(_ name: String, _ cells: [String]) -> String {
    Format.left(name, 22) + cells.map { Format.right($0, 16) }.joined()
  }
}
