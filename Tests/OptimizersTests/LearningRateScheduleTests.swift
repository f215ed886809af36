import Foundation
import Testing

@testable import Optimizers

@Suite struct LearningRateSchedules {
  @Test(arguments: [.constant, .cosine, .wsd(decay: 20)] as [LearningRateSchedule.Course])
  func warmsUpInAStraightLineToThePeak(course: LearningRateSchedule.Course) {
    let schedule = LearningRateSchedule(course, peak: 2, minimum: 0.1, warmup: 10, steps: 100)
    for step in 0..<10 {
      #expect(abs(schedule.rate(at: step) - 0.2 * Double(step + 1)) < 1e-12)
    }
  }

  @Test func constantStaysAtThePeak() {
    let schedule = LearningRateSchedule(.constant, peak: 3, minimum: 0.1, steps: 10)
    #expect((0..<20).allSatisfy { schedule.rate(at: $0) == 3 })
  }

  @Test func cosineFallsToTheMinimumAtTheLastStep() {
    let schedule = LearningRateSchedule(.cosine, peak: 2, minimum: 0.1, warmup: 10, steps: 110)
    #expect(abs(schedule.rate(at: 59) - 1.1) < 1e-12)
    // A third of the way the cosine of 60 degrees is a half.
    let thirds = LearningRateSchedule(.cosine, peak: 1, warmup: 0, steps: 3)
    #expect(abs(thirds.rate(at: 0) - 0.75) < 1e-12)
    #expect(abs(thirds.rate(at: 1) - 0.25) < 1e-12)
    #expect(abs(schedule.rate(at: 109) - 0.2) < 1e-12)
    #expect(abs(schedule.rate(at: 500) - 0.2) < 1e-12)
    let rates = (9..<110).map { schedule.rate(at: $0) }
    #expect(zip(rates, rates.dropFirst()).allSatisfy { $0 > $1 })
  }

  @Test func wsdStaysAndThenFallsInAStraightLine() {
    let schedule = LearningRateSchedule(
      .wsd(decay: 20), peak: 1, minimum: 0.5, warmup: 10, steps: 100)
    #expect((10..<80).allSatisfy { schedule.rate(at: $0) == 1 })
    for step in 80..<100 {
      #expect(abs(schedule.rate(at: step) - (1 - 0.025 * Double(step - 79))) < 1e-12)
    }
    #expect(schedule.rate(at: 200) == 0.5)
  }

  @Test func runsShorterThanTheirWarmupAreDefined() {
    for course in [LearningRateSchedule.Course.constant, .cosine, .wsd(decay: 50)] {
      let schedule = LearningRateSchedule(course, peak: 1, warmup: 10, steps: 5)
      for step in 0..<8 {
        #expect((0...1).contains(schedule.rate(at: step)))
      }
    }
  }
}
