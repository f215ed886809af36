// OpenBLAS as Swift sees it: its own C interface, and what this CPU can do.
#ifndef LASP_COPENBLAS_SHIM_H
#define LASP_COPENBLAS_SHIM_H
#include <cblas.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

/// What vector instructions there are: none that matter, AVX2 with FMA, or AVX-512 as x86-64-v4 has it.
enum { lasp_vectors_none = 0, lasp_vectors_avx2 = 1, lasp_vectors_avx512 = 2 };

/// What the running CPU and its kernel allow. Plain integer code, so that it runs on any CPU.
static inline int lasp_cpu_vectors(void) {
#ifdef __x86_64__
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return lasp_vectors_none;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vl"))
    return lasp_vectors_avx2;
  return lasp_vectors_avx512;
#else
  return lasp_vectors_none;
#endif
}

/// Vendor, family and model of the running CPU: the vendor's first letters as a number, then each in its bits.
static inline void lasp_cpu_model(unsigned *vendor, unsigned *family, unsigned *model) {
  *vendor = *family = *model = 0;
#ifdef __x86_64__
  unsigned a, b, c, d;
  if (!__get_cpuid(0, &a, vendor, &c, &d) || !__get_cpuid(1, &a, &b, &c, &d)) return;
  *family = (a >> 8 & 15) + (a >> 20 & 255);
  *model = (a >> 4 & 15) | (a >> 12 & 240);
#endif
}
#endif
