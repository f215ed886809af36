import Files

/// A companion file with a byte for each token: 1 where the token is to be predicted, else 0.
package struct LossMask: Sendable {
  private let file: OpenFile

  /// Opens a companion file; its bytes are checked when they are read.
  ///
  /// - Parameters:
  ///   - path: The companion file.
  ///   - tokens: The file of tokens that it belongs to.
  /// - Throws: `CorpusError` when it is missing, or is not as long as there are tokens.
  package init(path: String, of tokens: TokenFile) throws(CorpusError) {
    file = try dataFiles { () throws(FileError) in try OpenFile(path: path) }
    guard file.count == tokens.count else {
      throw .maskLength(
        path: path, bytes: file.count, file: tokens.path, tokens: tokens.count)
    }
  }

  /// Takes out the targets that are not to be predicted.
  ///
  /// - Parameters:
  ///   - targets: The targets from a token on; those that are −1 already are not looked at.
  ///   - first: The token that the first of them is.
  /// - Throws: `CorpusError.maskValue` where a byte is neither 0 nor 1.
  func apply(
    to targets: UnsafeMutablePointer<Int32>, count: Int, from first: Int
  ) throws(CorpusError) {
    let end = min(first + count, file.count)
    guard first < end else { return }
    let mask = try dataFiles { () throws(FileError) in try file.read(first..<end) }
    for i in mask.indices where targets[i] >= 0 {
      guard mask[i] <= 1 else {
        throw .maskValue(path: file.path, position: first + i, value: mask[i])
      }
      if mask[i] == 0 { targets[i] = -1 }
    }
  }
}
