import Tensors
import Testing

@Suite struct ThreadTeamTests {
  @Test(arguments: [1, 2, 3, 7]) func everyItemIsDoneOnce(size: Int) {
    let team = ThreadTeam(size: size)
    for count in [0, 1, 5, 64, 1000] {
      var done = [Int](repeating: 0, count: count)
      done.withUnsafeMutableBufferPointer { done in
        nonisolated(unsafe) let done = done
        team.parallel(count) { for item in $0 { done[item] += 1 } }
      }
      #expect(done.allSatisfy { $0 == 1 })
    }
  }
}
