import Foundation
import Kernels
import ReferenceMath
import Testing

@Suite("Divergence of a student's distribution from a teacher's")
struct KullbackLeiblerTests {
  /// A row's divergence and gradient, the logits given in Double.
  private func row(
    _ student: [Float], _ teacher: [Float], temperature: Float, factor: Float?
  ) -> (divergence: Float, gradient: [Float]) {
    var gradient = teacher
    let divergence = gradient.withUnsafeMutableBufferPointer { teacher in
      student.withUnsafeBufferPointer {
        KullbackLeibler.row(
          $0.baseAddress!, teacher.baseAddress!, count: student.count, temperature: temperature,
          gradient: factor)
      }
    }
    return (divergence, gradient)
  }

  @Test(
    "Value and gradient are those of the formula in Double",
    arguments: [1, 2, 19, 256, 700], [0.5, 1, 3] as [Float])
  func formula(count: Int, temperature: Float) {
    var draws = Draws(seed: UInt64(count))
    let student = draws.normals(count).map { 3 * $0 }
    let teacher = draws.normals(count).map { 3 * $0 + 40 }
    let logits = Term(Matrix(1, count, student.map(Double.init)))
    let expected = logits.divergence(
      from: Matrix(1, count, teacher.map(Double.init)), [0], temperature: Double(temperature))
    expected.backward()
    let found = row(student, teacher, temperature: temperature, factor: 2 * temperature)
    #expect(abs(Double(found.divergence) - expected.matrix[0, 0]) <= 2e-5 * expected.matrix[0, 0])
    let slopes = logits.gradient.numbers.map { 2 * Double(temperature * temperature) * $0 }
    #expect(relativeError(found.gradient, slopes, normAtLeast: 1e-6) <= 1e-5)
  }

  @Test(
    "From itself a distribution does not diverge, to the last bit; without a factor nothing is written"
  )
  func itself() {
    var draws = Draws(seed: 4)
    let logits = draws.normals(333).map { 20 * $0 }
    let found = row(logits, logits, temperature: 0.7, factor: 5)
    #expect(found.divergence == 0 && found.gradient.allSatisfy { $0 == 0 })
    #expect(row(draws.normals(333), logits, temperature: 1, factor: nil).gradient == logits)
  }
}
