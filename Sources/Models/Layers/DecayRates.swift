import Foundation
import Kernels
import Tensors

extension ModelBuilder {
  /// `A_log`, the logarithm of each head's rate of decay, and `dt_bias`, the bias of its step or of each channel's.
  ///
  /// Rates begin evenly between 0 and 16, steps between 0.001 and 0.1, evenly by logarithm.
  mutating func decayRates(
    at place: MixerPlace, heads: Int, channels: Int = 1
  ) -> (rate: Parameter, bias: Parameter) {
    let rate = parameter(
      place.name + "A_log", [heads], role: .bias, initialization: .drawn { log(16 * (1 - $1)) })
    let bias = parameter(
      place.name + "dt_bias", [heads * channels], role: .bias,
      initialization: .drawn { SoftplusGate.initialBias($1) })
    return (rate, bias)
  }
}
