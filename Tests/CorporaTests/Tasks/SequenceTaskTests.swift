import Configuration
import Foundation
import Testing

@testable import Corpora

/// A sequence as a task gave it.
struct Written {
  let inputs, targets, origins: [Int]
  let documentStarts: [Int]

  /// The row of a batch that holds whole sequences.
  init(_ batch: TokenBatch, row: Int) {
    let length = batch.positions.count
    func part(_ values: [Int32]) -> [Int] {
      values[row * length..<(row + 1) * length].map { Int($0) }
    }
    (inputs, targets, origins) = (part(batch.inputs), part(batch.targets), part(batch.origins))
    documentStarts = batch.documentStarts[row]
  }

  /// Positions at which something is asked.
  var asked: [Int] { targets.indices.filter { targets[$0] >= 0 } }

  /// Where documents begin and end.
  var documents: [Range<Int>] {
    let starts = documentStarts.isEmpty ? [0] : documentStarts
    return zip(starts, starts.dropFirst() + [inputs.count]).map { $0..<$1 }
  }
}

/// The sequences of the task that keys of `data` describe.
func taskCorpus(
  _ overrides: String..., length: Int = 64, batch: Int = 16, seed: UInt64 = 1
) throws -> any TaskCorpus {
  try section(overrides).makeTask(length: length, batch: batch, seed: seed)
}

/// The `data` section with some keys set.
func section(_ overrides: [String]) throws -> DataSection {
  var document = ConfigurationDocument(schemas: DataSection.schemas)
  document.apply(overrides.map { Override("data.\($0)") })
  let section = document.section(DataSection.self)
  try document.check()
  return section
}

extension TaskCorpus {
  /// The sequences of some steps.
  func sequences(steps: Int) throws -> [Written] {
    try (0..<steps).flatMap { step in
      let whole = try whole(step)
      return (0..<batch).map { Written(whole, row: $0) }
    }
  }
}

@Suite("The answers of generated tasks, worked out from what stands in the sequence")
struct TaskAnswerTests {
  @Test("mqar asks once for each key, and the answer follows the key's only other place")
  func recall() throws {
    let task = try taskCorpus("task=mqar", "mqar.pairs=5", "mqar.keys=9", "mqar.values=7")
    #expect(task.vocabulary == 17 && task.chance == 1 / 7)
    for sequence in try task.sequences(steps: 20) {
      let tokens = sequence.inputs
      #expect(sequence.asked.count == 5)
      #expect(Set(sequence.asked.map { tokens[$0] }) == Set((0..<5).map { tokens[2 * $0] }))
      for position in sequence.asked {
        #expect(position >= 10 && position % 2 == 0)
        let key = try #require(tokens.firstIndex(of: tokens[position]))
        #expect(key < 10 && tokens[position] < 9)
        #expect(sequence.targets[position] == tokens[key + 1])
        #expect((9..<16).contains(tokens[key + 1]))
        #expect(sequence.origins[position] == key)
      }
      let rest = Set(10..<64).subtracting(sequence.asked)
      #expect(rest.allSatisfy { tokens[$0] == 16 && sequence.origins[$0] == -1 })
    }
  }

  @Test("Sequences of mqar have as many pairs as are asked for, each number about as often")
  func fewest() throws {
    let task = try taskCorpus("task=mqar", "mqar.pairs=5", "mqar.fewest=3", length: 24)
    var counts = [Int](repeating: 0, count: 6)
    for sequence in try task.sequences(steps: 40) {
      let pairs = sequence.asked.count
      counts[pairs] += 1
      #expect(sequence.inputs[..<(2 * pairs)].allSatisfy { $0 < 128 })
      for position in sequence.asked {
        let key = try #require(sequence.inputs.firstIndex(of: sequence.inputs[position]))
        #expect(key < 2 * pairs && sequence.targets[position] == sequence.inputs[key + 1])
      }
    }
    #expect(counts[..<3] == [0, 0, 0] && counts[3...].allSatisfy { $0 > 160 })
  }

  @Test("Queries of mqar follow soon with a small power, and lie anywhere with a power of 1")
  func spread() throws {
    func mean(_ power: String) throws -> Double {
      let task = try taskCorpus("task=mqar", "mqar.pairs=4", "mqar.power=\(power)", length: 256)
      let places = try task.sequences(steps: 40).flatMap(\.asked)
      return Double(places.reduce(0, +)) / Double(places.count)
    }
    // Evenly over 8, 10, …, 254.
    #expect(abs(try mean("1") - 131) < 6)
    #expect(try mean("0.01") < 60)
  }

  @Test("copy asks at the end for the tokens among the filler, in their order")
  func copy() throws {
    let task = try taskCorpus("task=copy", "copy.tokens=6", "copy.values=5")
    #expect(task.vocabulary == 7 && task.chance == 0.2)
    for sequence in try task.sequences(steps: 20) {
      let places = (0..<58).filter { sequence.inputs[$0] != 5 }
      #expect(places.count == 6)
      #expect(sequence.asked == Array(58..<64))
      #expect(sequence.inputs[58...].allSatisfy { $0 == 6 })
      #expect(sequence.targets[58...].map { $0 } == places.map { sequence.inputs[$0] })
      #expect(sequence.origins[58...].map { $0 } == places)
    }
  }

  @Test("parity asks everywhere for the sum of the document's tokens modulo 2", arguments: [0, 9])
  func parity(longest: Int) throws {
    let task = try taskCorpus("task=parity", "parity.longest=\(longest)")
    #expect(task.vocabulary == 2 && task.chance == 0.5)
    for sequence in try task.sequences(steps: 10) {
      for document in sequence.documents {
        for position in document {
          let sum = sequence.inputs[document.lowerBound...position].reduce(0, +)
          #expect(sequence.targets[position] == sum % 2)
          #expect(sequence.origins[position] == document.lowerBound)
        }
      }
    }
  }

  @Test("s5 asks where five things are", arguments: ["all", "swaps"], [0, 12])
  func permutations(moves: String, longest: Int) throws {
    let task = try taskCorpus("task=s5", "s5.moves=\(moves)", "s5.longest=\(longest)")
    #expect(task.vocabulary == 120)
    #expect(task.chance == (moves == "all" ? 1.0 / 120 : 1.0 / 60))
    // The number of a permutation in lexicographic order, by counting what is smaller on its right.
    func number(_ order: [Int]) -> Int {
      order.indices.reduce(0) { sum, place in
        let smaller = order[place...].count { $0 < order[place] }
        return sum * (order.count - place) + smaller
      }
    }
    func things(_ number: Int) -> [Int] {
      var (left, rest, order) = (Array(0..<5), number, [Int]())
      for factorial in [24, 6, 2, 1, 1] {
        order.append(left.remove(at: rest / factorial))
        rest %= factorial
      }
      return order
    }
    for sequence in try task.sequences(steps: 4) {
      for document in sequence.documents {
        var places = Array(0..<5)
        for position in document {
          let move = things(sequence.inputs[position])
          #expect(number(move) == sequence.inputs[position])
          if moves == "swaps" { #expect(zip(move, 0..<5).count { $0 != $1 } == 2) }
          places = places.map { move[$0] }
          #expect(sequence.targets[position] == number(places))
        }
      }
    }
  }

  @Test("modular asks at every number for the result from left to right", arguments: [0, 15])
  func modular(longest: Int) throws {
    let task = try taskCorpus("task=modular", "modular.modulus=6", "modular.longest=\(longest)")
    #expect(task.vocabulary == 9 && task.chance == 1 / 6)
    for sequence in try task.sequences(steps: 10) {
      for document in sequence.documents {
        var result = sequence.inputs[document.lowerBound]
        #expect(sequence.targets[document.lowerBound] == result)
        for place in stride(from: document.lowerBound + 1, to: document.upperBound, by: 2) {
          #expect(sequence.targets[place] == -1 && (6..<9).contains(sequence.inputs[place]))
          guard place + 1 < document.upperBound else { break }
          let number = sequence.inputs[place + 1]
          switch sequence.inputs[place] {
          case 6: result += number
          case 7: result -= number
          default:
            #expect([1, 5].contains(number))
            result *= number
          }
          result = ((result % 6) + 6) % 6
          #expect(sequence.targets[place + 1] == result)
        }
      }
    }
    let sums = try task.whole(0)
    #expect(Set(sums.inputs).count == 9)
    let plus = try taskCorpus("task=modular", "modular.operators=[plus]").whole(0)
    #expect(Set(plus.inputs) == [0, 1, 2, 3, 4, 5])
  }

  @Test("needle asks at the end for the value of one pair", arguments: [1, 4])
  func needle(pairs: Int) throws {
    let task = try taskCorpus(
      "task=needle", "needle.pairs=\(pairs)", "needle.fillers=3", "needle.keys=5",
      "needle.values=4", length: 20)
    #expect(task.vocabulary == 12 && task.chance == 0.25)
    var places = [Int](repeating: 0, count: 20)
    for sequence in try task.sequences(steps: 100) {
      let tokens = sequence.inputs
      #expect(sequence.asked == [19])
      let keys = tokens.indices.dropLast().filter { (3..<8).contains(tokens[$0]) }
      #expect(keys.count == pairs && Set(keys.map { tokens[$0] }).count == pairs)
      #expect(keys.allSatisfy { tokens[$0 + 1] >= 8 })
      #expect(tokens.count { $0 >= 8 } == pairs)
      let key = try #require(keys.first { tokens[$0] == tokens[19] })
      #expect(sequence.targets[19] == tokens[key + 1] && sequence.origins[19] == key)
      places[key] += 1
    }
    // A pair begins anywhere but at the last two places.
    #expect(places[..<18].allSatisfy { $0 > 1600 / 18 / 3 } && places[18...] == [0, 0])
  }

  @Test("needle hides its pair in text")
  func needleInText() throws {
    let folder = try DataFolder()
    let text = (0..<200).map { UInt8($0) }
    let path = try folder.write("text.txt", text)
    let task = try taskCorpus("task=needle", "needle.path=\(path)", length: 40)
    #expect(task.vocabulary == 256 + 32)
    for sequence in try task.sequences(steps: 5) {
      let key = sequence.origins[39]
      #expect(sequence.inputs[key] == sequence.inputs[39] && sequence.inputs[39] >= 256)
      #expect(sequence.targets[39] == sequence.inputs[key + 1])
      let rest = (0..<39).filter { $0 != key && $0 != key + 1 }
      // The text counts up.
      #expect(Set(rest.map { sequence.inputs[$0] - $0 }).count == 1)
    }
  }

  @Test("Documents have the lengths that are asked for, all about as often")
  func documents() throws {
    let task = try taskCorpus("task=parity", "parity.shortest=2", "parity.longest=5", length: 100)
    var counts: [Int: Int] = [:]
    for sequence in try task.sequences(steps: 10) {
      #expect(sequence.documentStarts.first == 0)
      for document in sequence.documents.dropLast() { counts[document.count, default: 0] += 1 }
      #expect(sequence.documents.allSatisfy { $0.count <= 5 })
    }
    #expect(Set(counts.keys) == [2, 3, 4, 5])
    let mean = counts.values.reduce(0, +) / 4
    #expect(counts.values.allSatisfy { abs($0 - mean) < mean / 4 })
  }
}
