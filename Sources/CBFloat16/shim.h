// Small products of bf16 pairs by the instructions that multiply them, where the CPU has them (AVX512-BF16, AMX).
#ifndef LASP_CBFLOAT16_SHIM_H
#define LASP_CBFLOAT16_SHIM_H
#include <stddef.h>
#include <stdint.h>
#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/// Whether this CPU multiplies pairs of bf16.
static inline int lasp_pairs_available(void) {
#ifdef __x86_64__
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16");
#else
  return 0;
#endif
}

/// Whether this CPU multiplies tiles of pairs (AMX), and the system lets this process use them: it is asked here.
static inline int lasp_tiles_request(void) {
#if defined(__x86_64__) && defined(__linux__)
  unsigned a, b, c, d, low, high;
  if (!lasp_pairs_available() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
  // AMX-BF16 and AMX-TILE; then whether the system keeps the tiles' registers.
  if (!(d >> 22 & 1) || !(d >> 24 & 1)) return 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low >> 17 & 3) != 3) return 0;
  // ARCH_REQ_XCOMP_PERM for the tiles' data.
  return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
  return 0;
#endif
}

/// What becomes of a product.
enum { lasp_pairs_replace = 0, lasp_pairs_add = 1, lasp_pairs_scale = 2 };

#ifdef __x86_64__
#define LASP_PAIRS __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

/// R rows of V registers of C. `row` and `pair` are the steps of A, in pairs.
LASP_PAIRS static inline __attribute__((always_inline)) void lasp_pairs_tile(
    const int R, const int V, const uint32_t *a, ptrdiff_t row, ptrdiff_t pair, const uint32_t *b,
    ptrdiff_t ldb, float *c, ptrdiff_t ldc, ptrdiff_t pairs, __mmask16 last, int store,
    const float *factors) {
  __m512 sum[8][4];
#pragma clang loop unroll(full)
  for (int r = 0; r < R; r++) {
#pragma clang loop unroll(full)
    for (int v = 0; v < V; v++) sum[r][v] = _mm512_setzero_ps();
  }
  for (ptrdiff_t i = 0; i < pairs; i++) {
    __m512i right[4];
#pragma clang loop unroll(full)
    for (int v = 0; v < V; v++) right[v] = _mm512_loadu_si512(b + i * ldb + 16 * v);
#pragma clang loop unroll(full)
    for (int r = 0; r < R; r++) {
      __m512i left = _mm512_set1_epi32((int)a[r * row + i * pair]);
#pragma clang loop unroll(full)
      for (int v = 0; v < V; v++)
        sum[r][v] = _mm512_dpbf16_ps(sum[r][v], (__m512bh)left, (__m512bh)right[v]);
    }
  }
#pragma clang loop unroll(full)
  for (int r = 0; r < R; r++) {
#pragma clang loop unroll(full)
    for (int v = 0; v < V; v++) {
      float *place = c + r * ldc + 16 * v;
      __mmask16 mask = v == V - 1 ? last : (__mmask16)0xFFFF;
      __m512 value = sum[r][v];
      if (store == lasp_pairs_add)
        value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, place));
      else if (store == lasp_pairs_scale)
        value = _mm512_fmadd_ps(
            _mm512_set1_ps(factors[r]), _mm512_maskz_loadu_ps(mask, place), value);
      _mm512_mask_storeu_ps(place, mask, value);
    }
  }
}

/// V registers of all rows of C.
LASP_PAIRS static inline __attribute__((always_inline)) void lasp_pairs_panel(
    const int V, const uint32_t *a, ptrdiff_t row, ptrdiff_t pair, const uint32_t *b, ptrdiff_t ldb,
    float *c, ptrdiff_t ldc, ptrdiff_t rows, ptrdiff_t pairs, __mmask16 last, int store,
    const float *factors) {
  ptrdiff_t r = 0;
  for (; r + 6 <= rows; r += 6)
    lasp_pairs_tile(
        6, V, a + r * row, row, pair, b, ldb, c + r * ldc, ldc, pairs, last, store, factors + r);
  for (; r + 4 <= rows; r += 4)
    lasp_pairs_tile(
        4, V, a + r * row, row, pair, b, ldb, c + r * ldc, ldc, pairs, last, store, factors + r);
  for (; r + 2 <= rows; r += 2)
    lasp_pairs_tile(
        2, V, a + r * row, row, pair, b, ldb, c + r * ldc, ldc, pairs, last, store, factors + r);
  if (r < rows)
    lasp_pairs_tile(
        1, V, a + r * row, row, pair, b, ldb, c + r * ldc, ldc, pairs, last, store, factors + r);
}

/// Rounds `[rows, columns]` to pairs of neighbours in a row, `[rows, (columns + 1) / 2]`; an odd last stands beside 0.
LASP_PAIRS static inline void lasp_pairs_pack_rows(
    const float *x, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t columns, uint32_t *pairs) {
  ptrdiff_t width = (columns + 1) / 2;
  for (ptrdiff_t r = 0; r < rows; r++) {
    const float *row = x + r * ld;
    uint32_t *target = pairs + r * width;
    for (ptrdiff_t j = 0; j < columns; j += 32) {
      ptrdiff_t left = columns - j;
      if (left >= 32) {
        __m512bh both =
            _mm512_cvtne2ps_pbh(_mm512_loadu_ps(row + j + 16), _mm512_loadu_ps(row + j));
        _mm512_storeu_si512(target + j / 2, (__m512i)both);
      } else {
        __mmask16 low = (__mmask16)(left >= 16 ? 0xFFFF : (1 << left) - 1);
        __mmask16 high = (__mmask16)(left > 16 ? (1 << (left - 16)) - 1 : 0);
        __m512bh both = _mm512_cvtne2ps_pbh(
            _mm512_maskz_loadu_ps(high, row + j + 16), _mm512_maskz_loadu_ps(low, row + j));
        _mm512_mask_storeu_epi32(
            target + j / 2, (__mmask16)((1 << (left + 1) / 2) - 1), (__m512i)both);
      }
    }
  }
}

/// Rounds `[rows, columns]` to pairs of neighbours in a column, `[(rows + 1) / 2, ld]`; an odd last row stands beside 0.
///
/// Whole registers of pairs are written.
LASP_PAIRS static inline void lasp_pairs_pack_columns(
    const float *x, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t columns, uint32_t *pairs,
    ptrdiff_t pairs_ld) {
  // Number i of the first row, then number i of the second.
  const __m512i order = _mm512_set_epi16(
      31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19,
      3, 18, 2, 17, 1, 16, 0);
  for (ptrdiff_t r = 0; r < rows; r += 2) {
    const float *row = x + r * ld;
    uint32_t *target = pairs + r / 2 * pairs_ld;
    for (ptrdiff_t j = 0; j < columns; j += 16) {
      ptrdiff_t left = columns - j;
      __mmask16 mask = (__mmask16)(left >= 16 ? 0xFFFF : (1 << left) - 1);
      __m512 first = _mm512_maskz_loadu_ps(mask, row + j);
      __m512 second =
          r + 1 < rows ? _mm512_maskz_loadu_ps(mask, row + ld + j) : _mm512_setzero_ps();
      __m512i both = (__m512i)_mm512_cvtne2ps_pbh(second, first);
      _mm512_storeu_si512(target + j, _mm512_permutexvar_epi16(order, both));
    }
  }
}

/// `C ← A B`, `C + A B` or `f ⊙ C + A B`, by a CPU that multiplies pairs.
///
/// A has `rows` rows of pairs along the inner index, `row` and `pair` apart; B has a row for each pair, of which whole
/// registers are read; sums are fp32.
LASP_PAIRS static inline void lasp_pairs_multiply(
    const uint32_t *a, ptrdiff_t row, ptrdiff_t pair, const uint32_t *b, ptrdiff_t ldb, float *c,
    ptrdiff_t ldc, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t pairs, int store,
    const float *factors) {
  for (ptrdiff_t j = 0; j < columns;) {
    ptrdiff_t left = columns - j;
    __mmask16 last = (__mmask16)(left % 16 == 0 || left > 64 ? 0xFFFF : (1 << left % 16) - 1);
    if (left > 48) {
      lasp_pairs_panel(4, a, row, pair, b + j, ldb, c + j, ldc, rows, pairs, last, store, factors);
      j += 64;
    } else if (left > 32) {
      lasp_pairs_panel(3, a, row, pair, b + j, ldb, c + j, ldc, rows, pairs, last, store, factors);
      j += 48;
    } else if (left > 16) {
      lasp_pairs_panel(2, a, row, pair, b + j, ldb, c + j, ldc, rows, pairs, last, store, factors);
      j += 32;
    } else {
      lasp_pairs_panel(1, a, row, pair, b + j, ldb, c + j, ldc, rows, pairs, last, store, factors);
      j += 16;
    }
  }
}
/// How much `lasp_pairs_add_outer` interleaves at a time, and the bytes that takes: what is read again and again stays in
/// the second cache.
enum {
  lasp_outer_tokens = 256,
  lasp_outer_rows = 1536,
  lasp_outer_columns = 2048,
  lasp_outer_row_panel = 48,
  lasp_outer_column_panel = 64,
  lasp_outer_bytes = 2 * lasp_outer_tokens * (lasp_outer_rows + lasp_outer_columns)
};

/// Columns of bf16 rows as pairs of neighbours in a column, in panels of `width` columns, a multiple of 16: panel after
/// panel `[(rows + 1) / 2, width]`; an odd last row stands beside 0.
LASP_PAIRS static inline __attribute__((always_inline)) void lasp_pairs_interleave(
    const uint16_t *x, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t columns, const ptrdiff_t width,
    uint32_t *panels) {
  // Number i of the first row, then number i of the second.
  const __m512i order = _mm512_set_epi16(
      31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19,
      3, 18, 2, 17, 1, 16, 0);
  const ptrdiff_t pairs = (rows + 1) / 2;
  for (ptrdiff_t r = 0; r < rows; r += 2) {
    const uint16_t *row = x + r * ld;
    for (ptrdiff_t first = 0; first < columns; first += width) {
      uint32_t *target = panels + first * pairs + r / 2 * width;
      for (ptrdiff_t j = 0; j < width && first + j < columns; j += 16) {
        ptrdiff_t left = columns - first - j;
        __mmask16 mask = (__mmask16)(left >= 16 ? 0xFFFF : (1 << left) - 1);
        __m256i one = _mm256_maskz_loadu_epi16(mask, row + first + j);
        __m256i two = r + 1 < rows ? _mm256_maskz_loadu_epi16(mask, row + ld + first + j)
                                   : _mm256_setzero_si256();
        __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(one), two, 1);
        _mm512_storeu_si512(target + j, _mm512_permutexvar_epi16(order, both));
      }
    }
  }
}

/// `C ← C + Aᵀ B` of bf16 rows, A `[tokens, rows]`, B `[tokens, columns]`, by a CPU that multiplies pairs; sums are fp32.
///
/// Each number of C is a sum of 256 tokens at a time in their order, whatever rows and columns are asked for with it.
/// `scratch` is `lasp_outer_bytes`, aligned to 64.
LASP_PAIRS static inline void lasp_pairs_add_outer(
    const uint16_t *a, ptrdiff_t lda, const uint16_t *b, ptrdiff_t ldb, float *c, ptrdiff_t ldc,
    ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t tokens, uint32_t *scratch) {
  uint32_t *left = scratch, *right = scratch + lasp_outer_rows * lasp_outer_tokens / 2;
  for (ptrdiff_t t = 0; t < tokens; t += lasp_outer_tokens) {
    ptrdiff_t count = tokens - t < lasp_outer_tokens ? tokens - t : lasp_outer_tokens;
    ptrdiff_t pairs = (count + 1) / 2;
    for (ptrdiff_t first = 0; first < columns; first += lasp_outer_columns) {
      ptrdiff_t wide = columns - first < lasp_outer_columns ? columns - first : lasp_outer_columns;
      lasp_pairs_interleave(
          b + t * ldb + first, ldb, count, wide, lasp_outer_column_panel, right);
      for (ptrdiff_t top = 0; top < rows; top += lasp_outer_rows) {
        ptrdiff_t high = rows - top < lasp_outer_rows ? rows - top : lasp_outer_rows;
        lasp_pairs_interleave(a + t * lda + top, lda, count, high, lasp_outer_row_panel, left);
        for (ptrdiff_t j = 0; j < wide; j += lasp_outer_column_panel) {
          ptrdiff_t across =
              wide - j < lasp_outer_column_panel ? wide - j : lasp_outer_column_panel;
          for (ptrdiff_t i = 0; i < high; i += lasp_outer_row_panel) {
            ptrdiff_t down = high - i < lasp_outer_row_panel ? high - i : lasp_outer_row_panel;
            float *place = c + (top + i) * ldc + first + j;
            // They are read when the sums are there.
            for (ptrdiff_t r = 0; r < down; r++)
              for (ptrdiff_t x = 0; x < across; x += 16)
                _mm_prefetch((const char *)(place + r * ldc + x), _MM_HINT_T1);
            lasp_pairs_multiply(
                left + i * pairs, 1, lasp_outer_row_panel, right + j * pairs,
                lasp_outer_column_panel, place, ldc, down, across, pairs, lasp_pairs_add, place);
          }
        }
      }
    }
  }
}

/// Transposes 16 rows of 16 pairs.
LASP_PAIRS static inline __attribute__((always_inline)) void lasp_pairs_transpose(__m512i *x) {
  __m512i y[16];
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i += 2) {
    y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
  }
  // Number i of each quarter: of rows 4 i … 4 i + 3, column i mod 4 of the quarter.
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i += 4) {
    x[i] = _mm512_unpacklo_epi64(y[i], y[i + 2]);
    x[i + 1] = _mm512_unpackhi_epi64(y[i], y[i + 2]);
    x[i + 2] = _mm512_unpacklo_epi64(y[i + 1], y[i + 3]);
    x[i + 3] = _mm512_unpackhi_epi64(y[i + 1], y[i + 3]);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 4; i++) {
    __m512i a = _mm512_shuffle_i32x4(x[i], x[i + 4], 0x88);
    __m512i b = _mm512_shuffle_i32x4(x[i], x[i + 4], 0xDD);
    __m512i c = _mm512_shuffle_i32x4(x[i + 8], x[i + 12], 0x88);
    __m512i d = _mm512_shuffle_i32x4(x[i + 8], x[i + 12], 0xDD);
    y[i] = _mm512_shuffle_i32x4(a, c, 0x88);
    y[i + 8] = _mm512_shuffle_i32x4(a, c, 0xDD);
    y[i + 4] = _mm512_shuffle_i32x4(b, d, 0x88);
    y[i + 12] = _mm512_shuffle_i32x4(b, d, 0xDD);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i++) x[i] = y[i];
}

/// Rounds B `[k, n]` to blocks of 16 pairs of rows by `width` columns, a multiple of 16: `[n / width, k / 32, 16, width]`
/// pairs, with zeros up to whole blocks.
///
/// `transposed` says that B is read from memory that holds its transpose, `[n, k]`.
LASP_PAIRS static inline void lasp_pairs_pack_blocks(
    const float *b, ptrdiff_t k, ptrdiff_t n, int transposed, ptrdiff_t width, uint32_t *blocks) {
  const __m512i order = _mm512_set_epi16(
      31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19,
      3, 18, 2, 17, 1, 16, 0);
  for (ptrdiff_t column = 0; column < n; column += width) {
    for (ptrdiff_t row = 0; row < k; row += 32, blocks += 16 * width) {
      for (ptrdiff_t j = 0; j < width; j += 16) {
        ptrdiff_t left = n - column - j;
        if (transposed) {
          ptrdiff_t inner = k - row;
          __mmask16 low = (__mmask16)(inner >= 16 ? 0xFFFF : (1 << inner) - 1);
          __mmask16 high =
              (__mmask16)(inner >= 32 ? 0xFFFF : inner > 16 ? (1 << (inner - 16)) - 1 : 0);
          __m512i x[16];
#pragma clang loop unroll(full)
          for (int i = 0; i < 16; i++) {
            const float *source = b + (column + j + (i < left ? i : 0)) * k + row;
            __mmask16 there = (__mmask16)(i < left ? 0xFFFF : 0);
            x[i] = (__m512i)_mm512_cvtne2ps_pbh(
                _mm512_maskz_loadu_ps(high & there, source + 16),
                _mm512_maskz_loadu_ps(low & there, source));
          }
          lasp_pairs_transpose(x);
#pragma clang loop unroll(full)
          for (int i = 0; i < 16; i++) _mm512_storeu_si512(blocks + i * width + j, x[i]);
          continue;
        }
        __mmask16 mask = (__mmask16)(left >= 16 ? 0xFFFF : left > 0 ? (1 << left) - 1 : 0);
        for (ptrdiff_t i = 0; i < 16; i++) {
          const float *source = b + (row + 2 * i) * n + column + j;
          __m512 first = row + 2 * i < k ? _mm512_maskz_loadu_ps(mask, source) : _mm512_setzero_ps();
          __m512 second =
              row + 2 * i + 1 < k ? _mm512_maskz_loadu_ps(mask, source + n) : _mm512_setzero_ps();
          __m512i both = (__m512i)_mm512_cvtne2ps_pbh(second, first);
          _mm512_storeu_si512(blocks + i * width + j, _mm512_permutexvar_epi16(order, both));
        }
      }
    }
  }
}

#define LASP_TILES \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16,amx-tile,amx-bf16")))

/// A tile's sums to their place in C.
LASP_TILES static inline __attribute__((always_inline)) void lasp_tiles_scale(
    const float *sums, float *c, ptrdiff_t ldc, const float *factors) {
  for (int r = 0; r < 16; r++)
    _mm512_storeu_ps(
        c + r * ldc, _mm512_fmadd_ps(
                         _mm512_set1_ps(factors[r]), _mm512_loadu_ps(c + r * ldc),
                         _mm512_load_ps(sums + 16 * r)));
}

/// The same as `lasp_pairs_multiply` for whole tiles: rows, columns and pairs are multiples of 16, and A's pairs neighbours.
///
/// How the registers were divided before is how they are divided after.
LASP_TILES static inline void lasp_tiles_multiply(
    const uint32_t *a, ptrdiff_t row, const uint32_t *b, ptrdiff_t ldb, float *c, ptrdiff_t ldc,
    ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t pairs, int store, const float *factors) {
  __attribute__((aligned(64))) uint8_t before[64], own[64] = {1};
  __attribute__((aligned(64))) float sums[256];
  for (int i = 0; i < 8; i++) own[16 + 2 * i] = 64, own[48 + i] = 16;
  _tile_storeconfig(before);
  _tile_loadconfig(own);
  const ptrdiff_t step = 4 * row, right = 4 * ldb, out = 4 * ldc;
  for (ptrdiff_t r = 0; r < rows; r += 32) {
    const int two = r + 32 <= rows;
    for (ptrdiff_t j = 0; j < columns; j += 32) {
      const int wide = j + 32 <= columns;
      float *place = c + r * ldc + j, *below = place + 16 * ldc;
      if (store == lasp_pairs_add) {
        _tile_loadd(0, place, out);
        if (wide) _tile_loadd(1, place + 16, out);
        if (two) _tile_loadd(2, below, out);
        if (two && wide) _tile_loadd(3, below + 16, out);
      } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
      }
      for (ptrdiff_t i = 0; i < pairs; i += 16) {
        _tile_loadd(4, a + r * row + i, step);
        _tile_loadd(6, b + i * ldb + j, right);
        _tile_dpbf16ps(0, 4, 6);
        if (two) {
          _tile_loadd(5, a + (r + 16) * row + i, step);
          _tile_dpbf16ps(2, 5, 6);
        }
        if (wide) {
          _tile_loadd(7, b + i * ldb + j + 16, right);
          _tile_dpbf16ps(1, 4, 7);
          if (two) _tile_dpbf16ps(3, 5, 7);
        }
      }
      if (store != lasp_pairs_scale) {
        _tile_stored(0, place, out);
        if (wide) _tile_stored(1, place + 16, out);
        if (two) _tile_stored(2, below, out);
        if (two && wide) _tile_stored(3, below + 16, out);
        continue;
      }
      _tile_stored(0, sums, 64);
      lasp_tiles_scale(sums, place, ldc, factors + r);
      if (wide) {
        _tile_stored(1, sums, 64);
        lasp_tiles_scale(sums, place + 16, ldc, factors + r);
      }
      if (two) {
        _tile_stored(2, sums, 64);
        lasp_tiles_scale(sums, below, ldc, factors + r + 16);
      }
      if (two && wide) {
        _tile_stored(3, sums, 64);
        lasp_tiles_scale(sums, below + 16, ldc, factors + r + 16);
      }
    }
  }
  _tile_loadconfig(before);
}
#else
static inline void lasp_pairs_multiply(
    const uint32_t *a, ptrdiff_t row, ptrdiff_t pair, const uint32_t *b, ptrdiff_t ldb, float *c,
    ptrdiff_t ldc, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t pairs, int store,
    const float *factors) {}
enum { lasp_outer_bytes = 0 };
static inline void lasp_pairs_pack_blocks(
    const float *b, ptrdiff_t k, ptrdiff_t n, int transposed, ptrdiff_t width, uint32_t *blocks) {}
static inline void lasp_pairs_add_outer(
    const uint16_t *a, ptrdiff_t lda, const uint16_t *b, ptrdiff_t ldb, float *c, ptrdiff_t ldc,
    ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t tokens, uint32_t *scratch) {}
static inline void lasp_tiles_multiply(
    const uint32_t *a, ptrdiff_t row, const uint32_t *b, ptrdiff_t ldb, float *c, ptrdiff_t ldc,
    ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t pairs, int store, const float *factors) {}
static inline void lasp_pairs_pack_rows(
    const float *x, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t columns, uint32_t *pairs) {}
static inline void lasp_pairs_pack_columns(
    const float *x, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t columns, uint32_t *pairs,
    ptrdiff_t pairs_ld) {}
#endif
#endif
