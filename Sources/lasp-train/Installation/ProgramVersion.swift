import COpenBLAS
import MessagePassing
import Reporting
import Tensors
import Training

/// What `--version` tells: the release, the build, and the libraries that it runs with.
enum ProgramVersion {
  static var text: String {
    let blas = String(cString: openblas_get_config()).split(separator: " ").prefix(2)
      .joined(separator: " ")
    return """
      lasp-train \(Release.version), build \(BuildIdentity.short) for \(level)
      \(blas), \(BLAS.coreName) kernels
      oneDNN \(oneDNN)
      \(MPIRelease.library), built with \(MPIRelease.built)
      """
  }

  private static var oneDNN: String {
    OneDNN.version.map {
      "\($0), products of bf16 on this CPU: \(OneDNN.hasBFloat16 ? "yes" : "no")"
    } ?? "not built in"
  }

  /// The CPU that it is built for.
  private static var level: String {
    #if LASP_AVX512
      "x86-64-v4"
    #elseif LASP_AVX2
      "x86-64-v3"
    #else
      "x86-64-v2"
    #endif
  }
}
