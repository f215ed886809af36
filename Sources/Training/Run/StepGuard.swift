import Checkpoints
import Configuration
import Reporting

/// What a run remembers of its steps to tell one whose update does harm: how many were skipped in a row, and what losses
/// and gradient norms were like.
///
/// Every rank has the same, from numbers that all ranks have.
struct StepGuard: Sendable, Equatable {
  /// Steps in a row whose update was left out, as something was no finite number.
  private(set) var skipped = 0
  /// Steps in a row that stood out.
  private(set) var spikes = 0
  private let action: TrainingSection.SpikeAction
  private let maxSkips: Int
  private var loss: SpikeDetector
  private var norm: SpikeDetector

  /// What goes from one run to the next by a checkpoint.
  struct Memory: Sendable, Equatable {
    var skipped = 0
    var spikes = 0
    /// Losses and gradient norms of the last steps.
    var losses: [Double] = []
    var norms: [Double] = []

    /// As a checkpoint holds it.
    var json: JSONValue {
      [
        "skipped": .integer(skipped), "spikes": .integer(spikes),
        "losses": .array(losses.map(JSONValue.number)),
        "norms": .array(norms.map(JSONValue.number)),
      ]
    }
  }

  init(_ section: TrainingSection, memory: Memory = Memory()) {
    (action, maxSkips) = (section.onSpike, section.maxSkips)
    func detector(_ values: [Double]) -> SpikeDetector {
      SpikeDetector(
        window: section.spikeWindow, threshold: section.spikeThreshold, values: values)
    }
    (loss, norm) = (detector(memory.losses), detector(memory.norms))
    (skipped, spikes) = (memory.skipped, memory.spikes)
  }

  /// What a checkpoint holds of it.
  var memory: Memory {
    Memory(skipped: skipped, spikes: spikes, losses: loss.values, norms: norm.values)
  }

  /// Takes note of a step without finite numbers; gives how many there were in a row.
  mutating func skip() -> Int {
    skipped += 1
    return skipped
  }

  /// Takes note of a step with finite numbers; gives what stands out of it, and what is to be done about it.
  ///
  /// More than `training.max_skips` spikes in a row are a new level: they are trained on.
  ///
  /// - Parameter loss: Nil where nothing was predicted.
  mutating func note(loss value: Double?, norm gradient: Double) -> Spike? {
    skipped = 0
    guard action != .off else { return nil }
    let ofLoss = value.flatMap { value in loss.note(value).map { ("loss", value, $0) } }
    let ofNorm = norm.note(gradient).map { ("grad_norm", gradient, $0) }
    guard let (name, value, found) = ofLoss ?? ofNorm else {
      spikes = 0
      return nil
    }
    spikes += 1
    let taken = spikes > maxSkips ? TrainingSection.SpikeAction.warn : action
    return Spike(
      quantity: name, value: value, median: found.median, score: found.score,
      action: taken.rawValue, inARow: spikes)
  }
}

extension StepGuard.Memory {
  /// Reads what `json` gave; of nil, which earlier releases wrote, that nothing is remembered.
  init(_ json: JSONValue?, in path: String) throws(CheckpointError) {
    self.init()
    guard let json else { return }
    func numbers(_ key: String) -> [Double]? {
      let array = json[key]?.array
      let numbers = array?.compactMap(\.number).filter(\.isFinite)
      return numbers?.count == array?.count ? numbers : nil
    }
    guard let skipped = json["skipped"]?.integer, let spikes = json["spikes"]?.integer,
      let losses = numbers("losses"), let norms = numbers("norms"), (0..<1 << 31).contains(skipped),
      (0..<1 << 31).contains(spikes)
    else {
      throw .damaged(path: path, reason: "its vigilance is not what a run writes")
    }
    (self.skipped, self.spikes, self.losses, self.norms) = (skipped, spikes, losses, norms)
  }
}
