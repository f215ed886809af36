import LogFixtures
import Testing

@testable import Reporting

@Suite("The console")
struct ConsoleTests {
  private let captured = Captured()

  private func console(
    steps: Int = 300, every: Int = 1, chance: Double? = 0.25, terminal: Bool = false,
    width: Int = 100, quiet: Bool = false
  ) -> Console {
    let console = Console(
      steps: steps, every: every,
      output: captured.output(terminal: terminal, width: width, quiet: quiet))
    console.banner(LogFixture.start(steps: steps, chance: chance))
    return console
  }

  /// What stands above the first heading.
  private static let legend = [
    "inside: right answers where the pair lies in the question's own shard",
    "cross: where it lies in an earlier rank's; grad: the gradient's norm; lr: learning rate",
    "peak: of what fp32 products alone reach on all cores; wait: of the time, for other ranks' states",
    "overlap: of the sums of gradients, hidden behind computing",
  ]

  /// The table, from its heading.
  private var table: [String] { Array(body.drop { !$0.hasSuffix("  left") }) }

  /// What was printed after the banner.
  private var body: [String] {
    captured.lines.firstIndex(of: "").map { Array(captured.lines[($0 + 1)...]) } ?? []
  }

  @Test("Where kernels are slow, the banner does not tell the machine's speed as theirs")
  func slowKernels() {
    var event = LogFixture.start(steps: 3, chance: nil)
    event.slowKernels = "OpenBLAS runs Prescott kernels"
    #expect(
      Banner(event).lines.contains(
        "  sgemm   OpenBLAS for Haswell, slow; the machine has 100 GFLOP/s a thread"))
  }

  @Test("The banner says what runs where, a line each")
  func banner() throws {
    _ = console()
    #expect(
      captured.lines == [
        "lasp-train \(Release.version)",
        "  hosts   node1  ranks 0–1  sequence group 0",
        "          node2  rank 2     sequence group 0",
        "  ranks   3 × 2 threads, grid sequence 3 × data 1",
        "  model   tnl, 3 blocks",
        "  step    16 × 512 = 8,192 tokens; 170 to 171 of each sequence a rank",
        "  data    recall task",
        "  memory  about 200 MiB a rank",
        "  sgemm   OpenBLAS for Haswell, 100 GFLOP/s a thread",
        "  oneDNN  2.6.3, not used: products in fp32 by OpenBLAS",
        "  log     runs/a/log.jsonl",
        "",
      ])
  }

  @Test(
    "On a narrow terminal a line of the banner goes on in the next, and a long path is shortened")
  func narrow() {
    var event = LogFixture.start()
    event.model = "tnl, 3 blocks, width 64, vocabulary 256, 2,015,232 parameters, from runs/a/model"
    event.data = "/" + String(repeating: "a", count: 60) + ".txt"
    let lines = Banner(event, width: 60).lines
    #expect(lines.contains("  model   tnl, 3 blocks, width 64, vocabulary 256, 2,015,232"))
    #expect(lines.contains("          parameters, from runs/a/model"))
    #expect(lines.allSatisfy { $0.count <= 60 })
  }

  @Test("Where parameters are frozen the banner says how many, and how many are trained")
  func frozen() {
    var event = LogFixture.start()
    #expect(!Banner(event).lines.contains { $0.hasPrefix("  train") })
    event.frozenParameters = 123_000
    #expect(Banner(event).lines.contains("  train   456 trainable, 123,000 frozen"))
  }

  @Test(
    "Of one host the banner says only its name; of many the first, and how many more",
    arguments: [
      (1, 2, 2, ["  hosts   n0 (2 ranks)"]), (1, 1, 1, ["  hosts   n0 (1 rank)"]),
      (
        2, 4, 2,
        [
          "  hosts   n0  ranks 0–3  sequence groups 0–1",
          "          n1  ranks 4–7  sequence groups 2–3",
        ]
      ),
      (
        2, 3, 2,
        [
          "  hosts   n0  ranks 0–2  sequence groups 0–1",
          "          n1  ranks 3–5  sequence groups 1–2",
          "          sequence groups that cross hosts: 1 of 3, since 2 ranks a group do not divide a host's",
        ]
      ),
      (
        12, 1, 12,
        (0..<6).map {
          ($0 == 0 ? "  hosts   " : "          ") + "n\($0)  rank \($0)  sequence group 0"
        }
          + ["          and 6 more"]
      ),
    ] as [(Int, Int, Int, [String])])
  func hosts(count: Int, each: Int, sequence: Int, lines: [String]) throws {
    var event = LogFixture.start()
    event.hosts = (0..<count).flatMap { host in Array(repeating: "n\(host)", count: each) }
    (event.sequenceRanks, event.dataGroups) = (sequence, count * each / sequence)
    let printed = Banner(event).lines.dropFirst().prefix { !$0.hasPrefix("  ranks") }
    #expect(Array(printed) == lines)
  }

  @Test("What there is to train on stands under the data, where there is an end to it")
  func tokens() {
    var event = LogFixture.start()
    #expect(!Banner(event).lines.contains { $0.hasPrefix("  tokens") })
    event.tokens = "41,000 to train on"
    #expect(
      Banner(event).lines.contains("  tokens  41,000 to train on"))
  }

  @Test("A step is one line under its heading, with its share of the peak of what can run at once")
  func step() throws {
    console().step(LogFixture.step(0))
    #expect(
      body == Self.legend + [
        "   step    loss inside  cross     grad       lr tok/s GFLOP/s peak wait overlap   memory    left",
        "  1/300  1.3863  25.0% 100.0%    0.812 5.00e-03 16.4k     200  50%   5%     80%  210 MiB    2:30",
      ])
  }

  @Test(
    "A line has the columns for which there is room, those that are needed first",
    arguments: [
      (20, nil, "   step    loss peak"),
      (80, nil, "   step    loss     grad       lr tok/s GFLOP/s peak wait   memory    left"),
      (
        80, 0.25,
        "   step    loss inside  cross     grad       lr tok/s peak wait   memory    left"
      ),
      (
        140, 0.25,
        "   step    loss inside  cross     grad       lr tok/s GFLOP/s peak wait overlap   memory    left"
      ),
    ] as [(Int, Double?, String)])
  func columns(width: Int, chance: Double?, heading: String) throws {
    let console = console(chance: chance, width: width)
    console.step(LogFixture.step(0))
    let table = body.suffix(2)
    #expect(table.first == heading)
    #expect(table.allSatisfy { $0.count == heading.count && $0.count <= max(width, 21) })
  }

  @Test(
    "Lines stay aligned and within 100 columns",
    arguments: [(1, 0.25), (300, 0.25), (300, nil), (999_999, 0.25)] as [(Int, Double?)])
  func aligned(steps: Int, chance: Double?) throws {
    let console = console(steps: steps, chance: chance)
    for step in [0, steps / 3, steps - 1] { console.step(LogFixture.step(step, loss: 11.0904)) }
    let widths = Set(table.map(\.count))
    #expect(widths.count == 1, "\(body.joined(separator: "\n"))")
    #expect(widths.allSatisfy { $0 <= 100 })
  }

  @Test(
    "Every n-th step has a line, and the first and the last; its speed is the mean since the last")
  func every() throws {
    let console = console(steps: 25, every: 10)
    for step in 0..<25 { console.step(LogFixture.step(step)) }
    let steps = table.dropFirst().compactMap { $0.split(separator: " ").first }
    #expect(steps == ["1/25", "10/25", "20/25", "25/25"])
    var pace = Pace()
    for step in 0..<2 { pace.add(LogFixture.step(step)) }
    #expect(pace.tokensPerSecond == 16384)
    #expect(pace.gigaflops == 200)
    #expect(abs(pace.waitShare - 0.05) < 1e-12)
    #expect(abs(pace.hiddenShare! - 0.8) < 1e-12)
  }

  @Test(
    "Without a number of steps lines come by time, further and further apart",
    arguments: [
      (false, [1, 11, 21, 31, 41]), (true, [1, 5, 9, 13, 17, 21, 25, 29, 33, 37, 41, 45]),
    ])
  func byTime(terminal: Bool, numbers: [Int]) throws {
    let console = console(steps: 1000, every: 0, terminal: terminal)
    for step in 0..<47 { console.step(LogFixture.step(step)) }
    let steps = body.filter { $0.contains("/1000") }.compactMap {
      $0.split(separator: "/").first?.split(separator: " ").last.flatMap { Int($0) }
    }
    #expect(steps == numbers)
  }

  @Test("Quiet, only warnings are said")
  func quiet() throws {
    let console = console(steps: 1, quiet: true)
    console.step(LogFixture.step(0))
    console.advice("note: mpirun")
    console.warning("slow disk")
    console.end(reason: "finished", steps: 1, seconds: 1, modelPath: nil)
    #expect(captured.lines == [])
    #expect(captured.notices == ["warning: slow disk"])
  }

  @Test(
    "Evaluations give the perplexity, bits per byte where the bytes are known, and recall where there is some"
  )
  func evaluation() throws {
    let console = console()
    console.evaluation(
      EvaluationReport(step: 100, sums: LogFixture.sums(bytes: 32), seconds: 0.5))
    console.evaluation(
      EvaluationReport(step: 200, sums: LogFixture.sums(), seconds: 2, recallChance: 0.25))
    #expect(
      body == [
        "evaluation after step 100: loss 1.3863, 1.0000 bits per byte, perplexity 4.00 (500 ms)",
        "evaluation after step 200: loss 1.3863, perplexity 4.00, recall 25.0% inside 100.0% cross "
          + "(2.00 s)",
      ])
  }

  @Test("The summary gives the loss, recall beside chance, and where things are")
  func end() throws {
    let console = console(steps: 2)
    console.step(LogFixture.step(1))
    console.evaluation(
      EvaluationReport(
        step: 2, sums: LogFixture.sums(loss: 0.5, bytes: 16), seconds: 1,
        recallChance: 0.25))
    console.end(reason: "finished", steps: 2, seconds: 151, modelPath: "runs/a/model")
    #expect(
      Array(body[7...]) == [
        "",
        "finished after 2 steps in 2:31",
        "  loss     1.3863",
        "  held out 0.5000, 0.7213 bits per byte, perplexity 1.65",
        "  speed    16.4k tokens/s, evaluations left out",
        "  recall   within the question's own shard   25.0%",
        "           from an earlier rank's shard     100.0%",
        "           by chance                         25.0%",
        "  weights  runs/a/model",
        "  log      runs/a/log.jsonl",
      ])
  }

  @Test(
    "Without a terminal there is no bar; with one it stands below every line and ends with the run")
  func foot() throws {
    let console = console(steps: 2, terminal: true)
    console.step(LogFixture.step(0))
    console.warning("slow disk")
    console.step(LogFixture.step(1))
    let bar = "[==============>               ]  50%  step 1  loss 1.3863  16.4k tok/s  0:01 left"
    #expect(captured.feet == [bar, "", bar, "", bar, ""])
    #expect(captured.notices == ["warning: slow disk"])
  }

  @Test(
    "The bar fills from the left and fits its room",
    arguments: [
      (0, 44, "[                    ]   0%  1:00 left"),
      (5, 44, "[=========>          ]  50%  1:00 left"),
      (10, 44, "[====================] 100%  1:00 left"), (5, 20, "50%  1:00 left"),
      (5, 6, "50%  1"),
    ])
  func bar(done: Int, width: Int, text: String) {
    #expect(
      ProgressDisplay.bar(share: Double(done) / 10, note: "1:00 left", width: min(width, 38))
        == text)
  }
}
