import COpenBLAS
import Glibc
import Measurement

/// Makes the matrix products use the vector instructions that this program is built for.
///
/// OpenBLAS picks its kernels by the CPU's model when it is loaded, and for a model that it does not know it
/// picks old and slow ones, unless `OPENBLAS_CORETYPE` names others.
package enum CoreType {
  /// Checks that this CPU can run this program, and starts the program again with the kernels it should
  /// have, if OpenBLAS has picked slower ones.
  ///
  /// The first call of `main`: it comes back in the same process, with the same arguments and number, once
  /// everything is right. A choice made by the user in `OPENBLAS_CORETYPE` stands. Under `mpirun` it is
  /// called before MPI starts. On a CPU that lacks instructions the program is built with, it says so and
  /// exits with code 1.
  package static func choose() {
    // Not before the program has begun anew for other kernels.
    defer { FaultPoint.reach("start") }
    // No vector code may run before this check.
    if lasp_cpu_vectors() < buildVectors {
      refuse()
    }
    guard getenv("OPENBLAS_CORETYPE") == nil, getenv(guardVariable) == nil,
      let better = better(than: BLAS.coreName, vectors: buildVectors)
    else { return }
    setenv("OPENBLAS_CORETYPE", better, 1)
    setenv(guardVariable, "1", 1)
    startAgain()
    unsetenv("OPENBLAS_CORETYPE")
  }

  /// Kernels that suit the vectors of this build better than those of `core`, if there are such.
  static func better(than core: String, vectors: Int32) -> String? {
    let wide: Set = ["SkylakeX", "Cooperlake", "SapphireRapids"]
    switch Int(vectors) {
    case lasp_vectors_avx512: return wide.contains(core) ? nil : "SkylakeX"
    case lasp_vectors_avx2:
      return wide.union(["Haswell", "Zen", "Excavator"]).contains(core) ? nil : "Haswell"
    default: return nil
    }
  }

  /// What this module is compiled for.
  ///
  /// A C function would tell what its caller is compiled for, which may be another module once it
  /// is inlined.
  static var buildVectors: Int32 {
    #if LASP_AVX512
      Int32(lasp_vectors_avx512)
    #elseif LASP_AVX2
      Int32(lasp_vectors_avx2)
    #else
      Int32(lasp_vectors_none)
    #endif
  }

  /// Set for the program that was started again, so that this happens once.
  private static let guardVariable = "LASP_CORETYPE_CHOSEN"

  private static func startAgain() {
    execv(RunningProgram.path, CommandLine.unsafeArgv)
    // Works even if the file is gone.
    execv("/proc/self/exe", CommandLine.unsafeArgv)
  }

  @inline(never)
  private static func refuse() -> Never {
    let sentence: StaticString =
      "lasp-train is built for vector instructions that this CPU does not have; build it on this machine, or with LASP_ARCHITECTURE=x86-64-v3 (or x86-64-v2) in the environment\n"
    write(STDERR_FILENO, sentence.utf8Start, sentence.utf8CodeUnitCount)
    exit(1)
  }
}
