import Glibc

/// The learning rate as a pure function of the step.
///
/// Concretely: with `W` warmup steps, `N` steps in all and `D` steps of decay, step `s` from 0 has
/// `peak · min((s + 1) / W, c(s))`, where `c` is 1 for `constant`; falls along half a cosine from 1
/// after the warmup to the minimum at the last step for `cosine`; and stays 1 and then falls along a
/// straight line over the last D steps to the minimum for `wsd`.
///
/// - Source: cosine: Loshchilov and Hutter (arXiv 1608.03983), equation 5, without restarts; wsd:
///   Hu et al., "MiniCPM" (arXiv 2404.06395), section 4.
package struct LearningRateSchedule: Sendable, Equatable {
  /// The course after the warmup.
  package enum Course: Sendable, Equatable {
    /// The peak.
    case constant
    /// Half a cosine down to the minimum at the last step.
    case cosine
    /// The peak, then a straight line to the minimum over the last steps.
    case wsd(decay: Int)
  }

  /// The course after the warmup.
  package let course: Course
  /// The greatest learning rate.
  package let peak: Double
  /// The last learning rate, as a share of the peak.
  package let minimum: Double
  /// Steps of the linear warmup.
  package let warmup: Int
  /// Steps of the run; later steps keep the minimum.
  package let steps: Int

  package init(_ course: Course, peak: Double, minimum: Double = 0, warmup: Int = 0, steps: Int) {
    precondition(warmup >= 0 && steps >= 0, "\(warmup) of \(steps) steps of warmup")
    precondition((0...1).contains(minimum), "a minimum of \(minimum) of the peak")
    self.course = course
    self.peak = peak
    self.minimum = minimum
    self.warmup = warmup
    self.steps = steps
  }

  /// The schedule that a run file describes.
  ///
  /// - Parameters:
  ///   - section: The run file's section.
  ///   - peak: The learning rate after the warmup.
  ///   - steps: Steps of the run.
  package init(_ section: ScheduleSection, peak: Double, steps: Int) {
    let course: Course =
      switch section.course {
      case .cosine: .cosine
      case .wsd: .wsd(decay: section.decaySteps(of: steps))
      case .constant: .constant
      }
    self.init(
      course, peak: peak, minimum: section.minimum, warmup: section.warmup, steps: steps)
  }

  /// The learning rate of a step, from 0.
  package func rate(at step: Int) -> Double {
    let ramp = warmup > 0 ? min(1, Double(step + 1) / Double(warmup)) : 1
    return peak * min(ramp, level(at: step))
  }

  private func level(at step: Int) -> Double {
    // How much of the fall is still to come after this step: 1 before it, 0 at the last step.
    let left: Double
    switch course {
    case .constant:
      return 1
    case .cosine:
      let share = Double(step + 1 - warmup) / Double(max(1, steps - warmup))
      left = (1 + cos(Double.pi * min(max(share, 0), 1))) / 2
    case .wsd(let decay):
      left = min(max(Double(steps - 1 - step) / Double(max(1, decay)), 0), 1)
    }
    return minimum + (1 - minimum) * left
  }
}
