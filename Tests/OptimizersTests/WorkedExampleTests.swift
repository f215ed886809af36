import Foundation
import Tensors
import Testing

@testable import Optimizers

@Suite("The worked example of adding an update rule")
struct WorkedExampleTests {
  private static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

  @Test("Docs/Architecture.md shows the code that is tested here")
  func documented() throws {
    let text = try String(
      contentsOf: Self.tests.appending(path: "WorkedExample.swift"), encoding: .utf8)
    let page = try String(
      contentsOf: Self.tests.deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Docs/Architecture.md"), encoding: .utf8)
    let files = text.components(separatedBy: "\n// example: ").dropFirst().dropLast()
    #expect(files.count == 1)
    for file in files {
      let lines = file.split(separator: "\n", maxSplits: 1).map(String.init)
      #expect(page.contains("`\(lines[0])`"))
      #expect(page.contains("```swift\n\(lines[1])\n```"), "\(lines[0])")
    }
  }

  @Test("Three steps are those of the equations in Double, however the weights are cut")
  func reference() {
    let count = 1000
    func numbers(_ stride: Int, _ shift: Int, _ cycle: Int) -> [Float] {
      (0..<count).map { (index: Int) -> Float in
        let number = (index * stride + shift) % cycle - cycle / 2
        return Float(number)
      }
    }
    let gradients = [numbers(7, 0, 11), numbers(7, 3, 11), numbers(7, 6, 11)]
    let first = numbers(1, 0, 9)
    func run(cut: Int) -> [Float] {
      var (weights, momentum) = (first, [Float](repeating: 0, count: count))
      let team = ThreadTeam(size: 2)
      for step in 0..<3 {
        weights.withUnsafeMutableBufferPointer { w in
          momentum.withUnsafeMutableBufferPointer { m in
            gradients[step].withUnsafeBufferPointer { g in
              for range in [0..<cut, cut..<count] where !range.isEmpty {
                let first = range.lowerBound
                SignMomentum(beta: 0.5).update(
                  UpdateSlice(
                    range: range, weights: w.baseAddress! + first,
                    gradients: g.baseAddress! + first, state: [m.baseAddress! + first]),
                  UpdateStep(
                    number: step + 1, learningRate: 0.25,
                    decay: WeightDecay([(0..<count / 2, 0.5)]), gradientScale: 2), team: team)
              }
            }
          }
        }
      }
      return weights
    }
    var (right, m) = (first.map(Double.init), [Double](repeating: 0, count: count))
    for step in 0..<3 {
      for i in 0..<count {
        m[i] = 0.5 * m[i] + 0.5 * 2 * Double(gradients[step][i])
        let keep = i < count / 2 ? 0.875 : 1
        let sign: Double = m[i] > 0 ? 1 : m[i] < 0 ? -1 : 0
        right[i] = keep * right[i] - 0.25 * sign
      }
    }
    // Every factor is a power of two or a short sum of such: nothing is rounded.
    #expect(run(cut: 0).map(Double.init) == right)
    #expect(run(cut: 333) == run(cut: 0))
  }
}
