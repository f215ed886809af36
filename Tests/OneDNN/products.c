// Checks products by the shim of oneDNN against sums in double: fp32 and bf16, packed, plain and transposed, of all
// row counts with one packed weight, into fp32, into bf16 and added to what is there; and packing by the program's own
// instructions, bit for bit as the library packs.
#include "../../Sources/CBFloat16/shim.h"
#include "../../Sources/COneDNN/shim.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static float widened(uint16_t half) {
  uint32_t bits = (uint32_t)half << 16;
  float number;
  memcpy(&number, &bits, 4);
  return number;
}

static uint16_t rounded(float number) {
  uint32_t bits;
  memcpy(&bits, &number, 4);
  return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/// Products whose weights the program packs itself.
static int blocked = 0;

static void *room(size_t bytes) { return calloc((bytes + 127) / 64 + 1, 64); }

/// The largest error of a product, in units of what its terms allow; negative where there is no product.
static double check(
    dnnl_engine_t engine, int64_t m, int64_t n, int64_t k, int type, int packs, int transposed, int adds, int result) {
  lasp_dnnl_matrix a = {type, transposed ? 1 : k, transposed ? m : 1};
  lasp_dnnl_matrix b = {packs ? lasp_dnnl_float : type, packs ? 1 : n, packs ? k : 1};
  lasp_dnnl_matrix c = {result, n, 1};
  lasp_dnnl_matrix pattern_a = {type, k, 1}, pattern_c = {lasp_dnnl_float, n, 1};
  lasp_dnnl_product *pattern =
      packs ? lasp_dnnl_create(engine, 256, n, k, pattern_a, b, pattern_c, 0, type, NULL) : NULL;
  lasp_dnnl_product *product = lasp_dnnl_create(engine, m, n, k, a, b, c, adds, -1, pattern);
  if (!product || (packs && !pattern)) return -1;
  size_t size = type == lasp_dnnl_bfloat16 ? 2 : 4;
  float *left = room(4 * m * k), *right = room(4 * k * n), *out = room(4 * m * n);
  char *a_room = room(size * m * k), *b_room = room(4 * k * n), *packed = room(packs ? pattern->packed_bytes : 1);
  void *scratch = room(product->scratch_bytes);
  for (int64_t i = 0; i < m * k; i++) {
    left[i] = widened(rounded((float)(i * 7919 % 2003 - 1001) / 777));
    if (size == 2) ((uint16_t *)a_room)[i] = rounded(left[i]); else ((float *)a_room)[i] = left[i];
  }
  for (int64_t i = 0; i < k * n; i++) {
    right[i] = widened(rounded((float)(i * 104729 % 1999 - 999) / 555));
    if (size == 2 && !packs) ((uint16_t *)b_room)[i] = rounded(right[i]); else ((float *)b_room)[i] = right[i];
  }
  if (adds) for (int64_t i = 0; i < m * n; i++) out[i] = 3;
  if (packs && lasp_dnnl_pack(pattern, b_room, packed)) return -1;
  int columns = packs && lasp_pairs_available() ? lasp_dnnl_block_columns(pattern, k, n) : 0;
  if (columns) {
    char *own = room(pattern->packed_bytes);
    lasp_pairs_pack_blocks((float *)b_room, k, n, 1, columns, (uint32_t *)own);
    int differs = memcmp(own, packed, pattern->packed_bytes);
    free(own);
    if (differs) return 1000;
    blocked++;
  }
  if (lasp_dnnl_execute(product, a_room, packs ? packed : b_room, out, scratch)) return -1;
  double worst = 0;
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = adds ? 3 : 0;
      for (int64_t l = 0; l < k; l++)
        sum += (double)left[transposed ? l * m + i : i * k + l] * right[packs ? j * k + l : l * n + j];
      double found = result == lasp_dnnl_bfloat16 ? widened(((uint16_t *)out)[i * n + j]) : out[i * n + j];
      double allowed = 4e-6 * (k + 2) + (result == lasp_dnnl_bfloat16 ? fabs(sum) / 256 : 0);
      worst = fmax(worst, fabs(found - sum) / allowed);
    }
  lasp_dnnl_destroy(product);
  lasp_dnnl_destroy(pattern);
  free(left), free(right), free(out), free(a_room), free(b_room), free(packed), free(scratch);
  return worst;
}

/// The largest error of some columns of A in `C + Aᵀ B`, in units of what its terms allow; negative where it fails.
static double check_outer(int64_t m, int64_t n, int64_t k) {
  int64_t lda = m + 3, ldb = n + 5;
  float *a = room(4 * lda * k), *b = room(4 * k * ldb), *c = room(4 * m * ldb);
  for (int64_t i = 0; i < lda * k; i++) a[i] = (float)(i * 7919 % 2003 - 1001) / 777;
  for (int64_t i = 0; i < k * ldb; i++) b[i] = (float)(i * 104729 % 1999 - 999) / 555;
  for (int64_t i = 0; i < m * ldb; i++) c[i] = 3;
  double worst = lasp_dnnl_add_outer(lasp_openmp_find(), m, n, k, a + 2, lda, b + 4, ldb, c + 4) ? -1 : 0;
  for (int64_t i = 0; i < m && worst >= 0; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = 3;
      for (int64_t l = 0; l < k; l++) sum += (double)a[l * lda + i + 2] * b[l * ldb + j + 4];
      worst = fmax(worst, fabs(c[i * ldb + j + 4] - sum) / (4e-6 * (k + 2)));
    }
  free(a), free(b), free(c);
  return worst;
}

int main(void) {
  dnnl_engine_t engine;
  if (dnnl_engine_create(&engine, dnnl_cpu, 0)) return puts("no engine"), 1;
  int64_t shapes[][3] = {{1, 64, 48}, {7, 33, 65}, {200, 64, 48}, {333, 130, 70}, {5, 5, 5}, {300, 257, 129}};
  int passed = 0, failed = 0;
  for (int type = 0; type <= lasp_dnnl_has_bfloat16(); type++)
    for (int s = 0; s < 6; s++)
      for (int mode = 0; mode < 4; mode++) {
        int packs = mode < 3, adds = mode == 1 || mode == 3, result = mode == 2 ? type : 0;
        double error = check(engine, shapes[s][0], shapes[s][1], shapes[s][2], type, packs, !packs, adds, result);
        if (error >= 0 && error < 1) { passed++; continue; }
        failed++;
        printf("type %d, shape %d, mode %d: %g\n", type, s, mode, error);
      }
  for (int s = 0; s < 6; s++) {
    double error = check_outer(shapes[s][0], shapes[s][1], shapes[s][2]);
    if (error >= 0 && error < 1) { passed++; continue; }
    failed++;
    printf("outer, shape %d: %g\n", s, error);
  }
  printf("oneDNN %d: %d passed, %d failed, %d packed by own blocks\n", lasp_dnnl_version(), passed, failed, blocked);
  dnnl_engine_destroy(engine);
  return failed != 0;
}
