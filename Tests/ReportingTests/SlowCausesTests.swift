import Measurement
import MessagePassing
import Testing

@testable import Reporting

@Suite("What made a run slow")
struct SlowCausesTests {
  /// A step of a second a rank: how long it computed, and for how much of that it had a core.
  private func step(
    _ ranks: [(compute: Double, processor: Double)], load: Double? = nil, throttled: Double = 0,
    majorFaults: Int = 0
  ) -> [RankFigures] {
    ranks.map { rank in
      var figures = RankFigures(Counters(), seconds: 1)
      (figures.computeSeconds, figures.computeProcessorSeconds) = (rank.compute, rank.processor)
      figures.majorFaults = majorFaults
      figures.pressure = load.map { ProcessorPressure(throttledSeconds: throttled, load: $0) }
      return figures
    }
  }

  private func sentences(
    _ steps: [[RankFigures]], hosts: [String] = ["node01", "node01"]
  ) -> [String] {
    var causes = SlowCauses(hosts: hosts, cores: ["node01": 2, "node02": 4])
    for step in steps { causes.add(step) }
    return causes.sentences
  }

  @Test("A run whose ranks have their cores is told nothing")
  func fine() {
    #expect(sentences([step([(0.9, 0.89), (0.9, 0.88)], load: 2)]) == [])
    let steps = Array(repeating: step([(0.9, 0.89), (0.9, 0.88)], load: 2), count: 3)
    #expect(sentences(steps) == [])
  }

  @Test("The first step, in which memory is touched, does not count")
  func first() {
    #expect(sentences([step([(9, 1), (9, 1)], load: 2), step([(0.9, 0.9), (0.9, 0.9)])]) == [])
  }

  @Test("Ranks without cores are told of, with the load that took them")
  func crowded() {
    let busy = step([(1, 0.39), (1, 0.39)], load: 10.8)
    #expect(
      sentences([busy, busy, busy]) == [
        "61% of the computing time ranks had no core: load 10.8 on 2 cores"
      ])
  }

  @Test("Of several hosts the worst is named")
  func worstHost() {
    let busy = step([(1, 1), (1, 0.2)], load: 9)
    #expect(
      sentences([busy, busy], hosts: ["node01", "node02"]) == [
        "40% of the computing time ranks had no core: load 9.00 on 4 cores of node02"
      ])
  }

  @Test("A quota that is used up is told of instead")
  func throttled() {
    let held = step([(1, 0.5), (1, 0.5)], load: 2, throttled: 0.45)
    #expect(
      sentences([held, held, held]) == [
        "50% of the computing time ranks had no core: the control group was held back for 900 ms "
          + "of 2.00 s, since its quota was used up"
      ])
  }

  @Test("A rank that is slower than the others is named with its host")
  func slowRank() {
    let one = step([(1, 1), (1, 1), (1, 1), (1.18, 1.18)])
    let hosts = ["node01", "node01", "node02", "node02"]
    #expect(
      sentences([one, one], hosts: hosts) == ["rank 3 on node02 is 18% slower than the median"])
    let two = step([(1, 1), (1.4, 1), (1, 1), (1.18, 1.18), (1, 1)])
    #expect(
      sentences([two, two], hosts: hosts + ["node02"]) == [
        "rank 1 on node01 is 40% slower than the median, most of it without a core, "
          + "and 1 other rank by 10% or more"
      ])
  }

  @Test("Pages that come from a disk are told of")
  func disk() {
    let slow = step([(0.9, 0.9), (0.9, 0.9)], majorFaults: 1000)
    #expect(
      sentences([slow, slow]) == [
        "2,000 pages were read from a disk while ranks computed: memory is short"
      ])
  }

  @Test("Figures travel between ranks as numbers")
  func numbers() {
    var figures = step([(0.7, 0.6)], load: 3, throttled: 0.25, majorFaults: 5)[0]
    figures.stateBytesSent = 7
    (figures.weightBytesSent, figures.involuntarySwitches, figures.minorFaults) = (8, 9, 10)
    #expect(RankFigures(figures.numbers) == figures)
    figures.pressure = nil
    #expect(RankFigures(figures.numbers) == figures)
  }
}
