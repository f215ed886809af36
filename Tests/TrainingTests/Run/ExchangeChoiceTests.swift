import MessagePassing
import Tensors
import Testing

@testable import Training

@Suite("The choice of an exchange")
struct ExchangeChoiceTests {
  init() { BLAS.setThreads(1) }

  @Test("All ranks measure the network and take the same exchange for the same reason")
  func measured() throws {
    let run = try SmallRun("parallel.exchange=auto", "parallel.sequence=2")
    let choices = try ThreadCommunicator.run(ranks: 4, deadline: 60) { world in
      let setup = try RunSetup(run.configuration)
      let choice = try ExchangeChoice(
        measuring: setup.rehearsals(run.configuration, ranks: 4), world: world)
      return "\(choice.kind): \(choice.reason ?? "")"
    }
    #expect(Set(choices).count == 1)
    #expect(choices[0].contains("2 ranks and 2 layers"))
  }

  @Test("An exchange that the run file names is taken without a reason")
  func named() throws {
    let run = try SmallRun("parallel.exchange=scan")
    let setup = try RunSetup(run.configuration)
    let choice = try ExchangeChoice(
      planning: setup.rehearsals(run.configuration, ranks: 4))
    #expect(choice.kind == .scan && choice.reason == nil)
  }

  @Test(
    "A reproducible run reads no clock: all virtual ranks, every time, choose by the same figures")
  func reproducible() throws {
    let run = try SmallRun("parallel.exchange=auto", "parallel.reproducible=4")
    let choices = try (0..<3).flatMap { _ in
      try ThreadCommunicator.run(ranks: 4, deadline: 60) { world in
        let setup = try RunSetup(run.configuration)
        let choice = try ExchangeChoice(
          measuring: setup.rehearsals(run.configuration, ranks: 4), world: world)
        // With all digits of what was compared, not only those that are printed.
        return "\(choice.kind) \(choice.cost!.layers)"
      }
    }
    #expect(Set(choices).count == 1)
  }

  @Test("A dry run says what it would take and by which nominal network")
  func planned() throws {
    let run = try SmallRun("parallel.exchange=auto")
    let text = try Plan(run.configuration, processes: 4).description(
      speed: Plan.Speed(gigaflops: 100))
    #expect(text.contains("parallel.exchange=auto takes "))
    #expect(text.contains("nominal network's 5.00 µs a message and 10 GB/s, 4 ranks and 2 layers"))
  }
}
