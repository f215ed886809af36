import MessagePassing
import Reporting
import Tensors
import Testing

@testable import Training

@Suite("Values that stand out")
struct SpikeTests {
  init() { BLAS.setThreads(1) }

  @Test("The score is that of median and median deviation")
  func score() {
    var detector = SpikeDetector(window: 8, threshold: 5, values: [1, 2, 3, 4, 5, 6, 7])
    // Median 4, deviations 3 2 1 0 1 2 3: median 2.
    let below = detector.note(4 + 5 * 2 / 0.6745 - 1e-9)
    #expect(below == nil)
    detector = SpikeDetector(window: 8, threshold: 5, values: [1, 2, 3, 4, 5, 6, 7])
    let found = detector.note(24)
    #expect(found?.median == 4)
    #expect(abs((found?.score ?? 0) - 0.6745 * 20 / 2) < 1e-12)
    #expect(detector.values == [1, 2, 3, 4, 5, 6, 7, 24])
  }

  @Test(
    "Nothing stands out of less than half a window, nor below it, nor when it has become the level")
  func level() {
    var detector = SpikeDetector(window: 16, threshold: 8)
    let early = (0..<8).compactMap { _ in detector.note(1) }
    let (below, first) = (detector.note(-100), detector.note(2))
    #expect(early.isEmpty && below == nil && first != nil)
    var spikes = 1
    while detector.note(2) != nil { spikes += 1 }
    #expect(spikes < 16)
  }

  @Test("What a checkpoint holds goes on as the run itself")
  func memory() throws {
    let section = try SmallRun("training.on_spike=skip", "training.spike_window=8").configuration
      .training
    var run = StepGuard(section)
    for step in 0..<20 { _ = run.note(loss: 1 + 0.01 * Double(step % 3), norm: 1) }
    _ = run.skip()
    var resumed = StepGuard(section, memory: run.memory)
    #expect(run == resumed)
    let (one, other) = (run.note(loss: 9, norm: 1), resumed.note(loss: 9, norm: 1))
    #expect(one != nil && one == other)
    #expect(run.spikes == 1 && run == resumed)
  }

  @Test(
    "A spike is only told of, or its update is left out on all ranks, but not more often than max_skips",
    arguments: ["off", "warn", "skip"], [1, 3])
  func action(name: String, ranks: Int) throws {
    let small = try SmallRun(
      "training.on_spike=\(name)", "training.max_skips=2", "training.spike_window=32")
    try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let run = try small.make(on: world)
      _ = try run.step(0)
      // Steps of much smaller losses have gone before.
      run.vigilance = StepGuard(
        small.configuration.training,
        memory: StepGuard.Memory(
          losses: (0..<32).map { 0.1 + 0.001 * Double($0 % 5) },
          norms: [Double](repeating: 1, count: 32)))
      for step in 1..<4 {
        let before = run.weights
        let outcome = try run.step(step)
        let isLeftOut = name == "skip" && step < 3
        #expect((run.weights == before) == isLeftOut)
        #expect(outcome.spike?.leavesOutUpdate ?? false == isLeftOut)
        #expect((outcome.spike != nil) == (name != "off"))
        #expect(outcome.spike?.quantity ?? "loss" == "loss")
      }
      #expect(run.optimizer.stateStart == (name == "skip" ? 2 : 0))
    }
  }

  @Test("A loss above that of guessing is told of once, when it is long so")
  func chance() {
    var levels = LossLevels(vocabulary: 256, window: 3)
    // log 256 = 5.545
    let told = [5.6, 6.0, 6.0, 5.5, 6.0, 6.0, 6.0, 6.0].map { levels.note($0) }
    #expect(told == [false, false, false, false, false, false, true, false])
    let again = levels.noteEvaluation(1000)
    #expect(!again)
    levels = LossLevels(vocabulary: 256, window: 3)
    let evaluations = [8, 1072].map { levels.noteEvaluation($0) }
    #expect(evaluations == [false, true])
    #expect(levels.sentence(evaluation: 1072, step: 9).contains("5.5452"))
  }
}
