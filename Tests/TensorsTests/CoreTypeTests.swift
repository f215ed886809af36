import COpenBLAS
import Glibc
import Testing

@testable import Tensors

@Suite struct CoreTypeTests {
  @Test(
    "Old kernels are replaced by those of the build's vectors, others stay",
    arguments: [
      ("Prescott", lasp_vectors_avx512, "SkylakeX"), ("Haswell", lasp_vectors_avx512, "SkylakeX"),
      ("Zen", lasp_vectors_avx512, "SkylakeX"), ("SkylakeX", lasp_vectors_avx512, nil),
      ("SapphireRapids", lasp_vectors_avx512, nil), ("Prescott", lasp_vectors_avx2, "Haswell"),
      ("Sandybridge", lasp_vectors_avx2, "Haswell"), ("Zen", lasp_vectors_avx2, nil),
      ("SkylakeX", lasp_vectors_avx2, nil), ("Prescott", lasp_vectors_none, nil),
    ] as [(String, Int, String?)])
  func better(core: String, vectors: Int, expected: String?) {
    #expect(CoreType.better(than: core, vectors: Int32(vectors)) == expected)
  }

  @Test("This CPU has the instructions that the tests are built for")
  func builds() { #expect(lasp_cpu_vectors() >= CoreType.buildVectors) }
}
