import Tensors

extension Random {
  /// What the corpora draw random numbers for.
  enum CorpusPurpose: UInt64 {
    case mixture = 0xC0_01
    case windowOrder = 0xC0_02
    case windowOffset = 0xC0_03
    case recall = 0xC0_04
    case heldOutRecall = 0xC0_05
    case mixturePhase = 0xC0_06
    case task = 0xC0_07
    case heldOutTask = 0xC0_08
  }

  /// The stream of one purpose and one item (a sample, a block, a file's epoch), below 2^48.
  init(seed: UInt64, _ purpose: CorpusPurpose, item: UInt64) {
    precondition(item < 1 << 48, "item \(item) of random numbers")
    self.init(seed: seed, purpose: purpose.rawValue << 48 | item)
  }
}
