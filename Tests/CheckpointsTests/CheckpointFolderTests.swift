import Foundation
import TemporaryFolders
import Testing

@testable import Checkpoints

@Suite("The checkpoints of a run")
struct CheckpointFolderTests {
  private let folder: TemporaryFolder
  private let small: SmallCheckpoint
  private var checkpoints: CheckpointFolder { CheckpointFolder(path: folder.path) }

  init() throws { (folder, small) = (try TemporaryFolder(), try SmallCheckpoint()) }

  private func write(_ step: Int) throws {
    try small.write(below: folder.path, step: step, serial: checkpoints.nextSerial())
  }

  private var steps: [Int] { get throws { try checkpoints.items().map(\.step) } }

  @Test("The latest is the one that was written last, whatever its step")
  func latest() throws {
    #expect(try checkpoints.latest() == nil && checkpoints.nextSerial() == 1)
    for step in [100, 200, 300, 150] { try write(step) }
    #expect(try steps == [100, 200, 300, 150])
    #expect(try checkpoints.latest()?.state.step == 150)
  }

  @Test("The newest and those of some steps are kept, and always the one that was just written")
  func pruned() throws {
    for step in [10, 20, 30, 40, 15] { try write(step) }
    let last = folder.file("step-00000015")
    checkpoints.prune(keeping: 0, every: 0, and: last)
    #expect(try steps == [10, 20, 30, 40, 15])
    checkpoints.prune(keeping: 2, every: 20, and: last)
    #expect(try steps == [20, 40, 15])
    checkpoints.prune(keeping: 1, every: 0, and: folder.file("step-00000020"))
    #expect(try steps == [20, 15])
  }

  @Test(
    "Those after the one that a run goes back to are set aside, and kept until they are forgotten")
  func setAside() throws {
    for step in [100, 200, 300] { try write(step) }
    let first = try Checkpoint(path: folder.file("step-00000100"))
    let aside = try checkpoints.setAside(after: first).map(\.is)
    #expect(
      aside == [
        folder.file("step-00000200.abandoned-1"), folder.file("step-00000300.abandoned-1"),
      ])
    #expect(try steps == [100])
    try write(200)
    #expect(try checkpoints.latest()?.state.serial == 4)
    #expect(
      try checkpoints.setAside(after: first).map(\.is) == [folder.file("step-00000200.abandoned-2")]
    )
    try Checkpoint(path: folder.file("step-00000200.abandoned-1")).verify()
    #expect(try checkpoints.forget() == 3)
    #expect(try folder.names == ["step-00000100"])
  }

  @Test("What a killed run left of a checkpoint goes with the next one, and is never taken for one")
  func unfinished() throws {
    try folder.write(".tmp-step-00000300-1/model.safetensors", "half")
    try write(100)
    #expect(try steps == [100])
    #expect(try folder.names == ["step-00000100"])
  }

  @Test("One that cannot be opened stands where it was written")
  func damaged() throws {
    for step in [100, 200] { try write(step) }
    try folder.write("step-00000150/state.json", "{")
    try folder.write("step-00000300/state.json", "")
    #expect(try steps == [100, 150, 200, 300])
    #expect(try checkpoints.latest()?.state.step == 200)
  }

  @Test("A folder of checkpoints that cannot be read is an error, and not a run without any")
  func unreadable() throws {
    let file = folder.file("checkpoints")
    try Data().write(to: URL(fileURLWithPath: file))
    #expect(throws: CheckpointError.self) { try CheckpointFolder(path: file).items() }
    #expect(try CheckpointFolder(path: folder.file("none")).items().isEmpty)
  }
}
