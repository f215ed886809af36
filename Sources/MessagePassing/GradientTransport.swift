import Configuration

/// In what form gradients travel between ranks; they are always summed in fp32.
package enum GradientTransport: String, KeyChoice {
  /// As they are.
  case fp32
  /// Rounded to bfloat16, half the bytes.
  case bf16
}
