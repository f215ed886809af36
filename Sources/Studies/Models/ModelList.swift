import Configuration
import Models
import Observation
import Reporting
import Training

/// `lasp-train models`: the mixers that a run file can name, and the keys of one.
package enum ModelList {
  /// Prints every mixer: what carries it, its paper, and its size with a run file's widths.
  package static func all(_ configuration: RunConfiguration) throws {
    let model = configuration.model
    let vocabulary = model.vocabulary > 0 ? model.vocabulary : 256
    print(
      "Mixers with dimension \(model.dimension), depth \(model.depth), "
        + "\(Format.number(model.heads, of: "head")), vocabulary \(Format.grouped(vocabulary)):\n")
    let rows = try ModelSection.mixers.map { mixer in
      let card = Architectures.card(of: mixer)
      let sizes = try self.sizes(of: mixer, like: model, vocabulary: vocabulary)
      let more = card.papers.count > 1 ? " +\(card.papers.count - 1)" : ""
      return [
        mixer, card.recurrence, sizes.parameters, sizes.state, (card.papers.first ?? "") + more,
      ]
    }
    let table = TextTable(
      ["mixer", "recurrence", "parameters", "state of a layer", "arXiv"], rows, left: [0, 1, 3, 4],
      shortening: 1, dropping: [3])
    for line in table.lines(width: TerminalOutput.standard().tableWidth - 2) { print("  \(line)") }
    print(
      """

      A state is counted in numbers a sequence; of softmax attention it grows by each token that is seen.
      `lasp-train models NAME` prints a mixer's keys, and all its papers. model.layers mixes several.
      """)
  }

  /// Prints a mixer's name, paper, size and keys.
  ///
  /// - Throws: `UnknownMixer`, if there is none of that name.
  package static func one(_ mixer: String, _ configuration: RunConfiguration) throws {
    let card = Architectures.card(of: mixer)
    let papers = card.papers.map { "arXiv \($0)" }.joined(separator: ", ")
    print("\(card.title) (\(papers)): \(card.recurrence)\n")
    let keys = Architectures.keys(of: mixer)
    print(
      configuration.resolved { section, key in
        section == "model" ? keys.own.contains(key) : section == keys.section
      }, terminator: "")
  }

  /// Parameters, and the state of a layer; `–` where the widths do not suit the mixer.
  private static func sizes(
    of mixer: String, like section: ModelSection, vocabulary: Int
  ) throws -> (parameters: String, state: String) {
    var own = ModelSection()
    own.mixer = mixer
    (own.dimension, own.depth, own.heads) = (section.dimension, section.depth, section.heads)
    own.glu = section.glu
    guard own.problems.isEmpty else { return ("–", "–") }
    let model = LanguageModel(Architectures.make(own, vocabulary: vocabulary))
    return (Format.count(model.table.count), try StateSize(of: model).text)
  }
}
