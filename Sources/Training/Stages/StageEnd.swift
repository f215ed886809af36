import Models
import Reporting

/// Why a stage has ended.
enum StageEnd: Equatable, Sendable, CustomStringConvertible {
  /// All of its steps are done.
  case steps(Int)
  /// The mean loss of a window is as low as was asked.
  case reached(Double, until: Double, window: Int)
  /// The mean loss of a window is hardly lower than that of the window before.
  case plateau(Double, before: Double, window: Int)

  var description: String {
    switch self {
    case .steps(let steps): "all of its \(steps) steps are done"
    case .reached(let loss, let until, let window):
      "the mean loss of \(window) steps is \(Format.digits(loss)), not above \(Format.digits(until))"
    case .plateau(let loss, let before, let window):
      "the mean loss of \(window) steps is \(Format.digits(loss)), after \(Format.digits(before))"
    }
  }
}

extension LineariseStage {
  /// Why the losses of its steps so far end it before its last step; nil where they do not.
  ///
  /// Concretely: with `m_w` the mean of the last `window` losses, `m_w ≤ until`, or `m_w > (1 − plateau) · m'_w` with the mean
  /// `m'_w` of the window before.
  ///
  /// - Source: XATL (arXiv 2404.02684), the loss improvement threshold.
  func end(after losses: some BidirectionalCollection<Double>) -> StageEnd? {
    guard losses.count >= window else { return nil }
    let last = losses.suffix(window).reduce(0, +) / Double(window)
    if let until, last <= until { return .reached(last, until: until, window: window) }
    guard let plateau, losses.count >= 2 * window else { return nil }
    let before = losses.dropLast(window).suffix(window).reduce(0, +) / Double(window)
    return last > (1 - plateau) * before
      ? .plateau(last, before: before, window: window) : nil
  }
}
