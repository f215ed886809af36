// oneDNN as Swift sees it: matrix products of one shape, over the interfaces of versions 2 and 3.
#ifndef LASP_CONEDNN_SHIM_H
#define LASP_CONEDNN_SHIM_H
#include <dlfcn.h>
#include <dnnl.h>
#include <stdint.h>
#include <stdlib.h>

// Version 2 keeps descriptions of memory by value, version 3 behind pointers.
#if DNNL_VERSION_MAJOR >= 3
#define LASP_MD(md) (md)
typedef const_dnnl_memory_desc_t lasp_const_md;
static inline void lasp_md_destroy(dnnl_memory_desc_t md) {
  if (md) dnnl_memory_desc_destroy(md);
}
static inline size_t lasp_md_size(lasp_const_md md) { return dnnl_memory_desc_get_size(md); }
#else
#define LASP_MD(md) (&(md))
typedef const dnnl_memory_desc_t *lasp_const_md;
static inline void lasp_md_destroy(dnnl_memory_desc_t md) { (void)md; }
static inline size_t lasp_md_size(lasp_const_md md) { return dnnl_memory_desc_get_size(md); }
#endif

/// What numbers an operand has.
enum { lasp_dnnl_float = 0, lasp_dnnl_bfloat16 = 1 };

/// A matrix of operands: element (i, j) lies at `i * row + j * column` numbers from the first.
typedef struct {
  int type;
  int64_t row, column;
} lasp_dnnl_matrix;

/// The version that runs, such as 20603 for 2.6.3; it may be newer than the one that was compiled against.
static inline int lasp_dnnl_version(void) {
  const dnnl_version_t *v = dnnl_version();
  return v->major * 10000 + v->minor * 100 + v->patch;
}

/// Whether the library multiplies bf16 by instructions of this CPU.
static inline int lasp_dnnl_has_bfloat16(void) {
  const unsigned wanted = (unsigned)dnnl_cpu_isa_avx512_core_bf16;
  return ((unsigned)dnnl_get_effective_cpu_isa() & wanted) == wanted;
}

/// OpenMP's number of threads of the calling thread. Looked up by name: the library may be built on something else.
typedef struct {
  int (*get)(void);
  void (*set)(int);
} lasp_openmp;

static inline lasp_openmp lasp_openmp_find(void) {
  lasp_openmp found = {
      (int (*)(void))dlsym(RTLD_DEFAULT, "omp_get_max_threads"),
      (void (*)(int))dlsym(RTLD_DEFAULT, "omp_set_num_threads")};
  if (!found.get || !found.set) found.get = NULL, found.set = NULL;
  return found;
}

/// Whether what the library computes can be kept on the thread that calls it.
static inline int lasp_dnnl_stays_on_thread(void) {
#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_SEQ
  return 1;
#elif DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
  return lasp_openmp_find().set != NULL;
#else
  return 0;
#endif
}

/// Makes the library work on the calling thread alone until `lasp_dnnl_leave` gets what this gives.
///
/// The number is the calling thread's own and is put back: other libraries on OpenMP keep theirs.
static inline int lasp_dnnl_enter(lasp_openmp openmp) {
  if (!openmp.get) return 1;
  int before = openmp.get();
  if (before != 1) openmp.set(1);
  return before;
}

static inline void lasp_dnnl_leave(lasp_openmp openmp, int before) {
  if (before != 1) openmp.set(before);
}

/// The product of one shape: `C ← A B (+ C)`, A `[m, k]`, B `[k, n]`, C `[m, n]`; sums are fp32.
typedef struct {
  dnnl_primitive_desc_t description;
  dnnl_primitive_t primitive;
  dnnl_primitive_t packing;
  dnnl_memory_t a, b, c, scratch, unpacked;
  dnnl_stream_t stream;
  size_t packed_bytes, scratch_bytes;
  lasp_openmp openmp;
} lasp_dnnl_product;

static inline int lasp_md_strided(
    dnnl_memory_desc_t *md, int64_t rows, int64_t columns, lasp_dnnl_matrix matrix) {
  dnnl_dims_t dims = {rows, columns}, strides = {matrix.row, matrix.column};
  dnnl_data_type_t type = matrix.type == lasp_dnnl_bfloat16 ? dnnl_bf16 : dnnl_f32;
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_create_with_strides(md, 2, dims, type, strides);
#else
  return dnnl_memory_desc_init_by_strides(md, 2, dims, type, strides);
#endif
}

static inline int lasp_md_any(dnnl_memory_desc_t *md, int64_t rows, int64_t columns, int type) {
  dnnl_dims_t dims = {rows, columns};
  dnnl_data_type_t t = type == lasp_dnnl_bfloat16 ? dnnl_bf16 : dnnl_f32;
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_create_with_tag(md, 2, dims, t, dnnl_format_tag_any);
#else
  return dnnl_memory_desc_init_by_tag(md, 2, dims, t, dnnl_format_tag_any);
#endif
}

static inline int lasp_dnnl_describe(
    dnnl_primitive_desc_t *description, dnnl_engine_t engine, lasp_const_md a, lasp_const_md b,
    lasp_const_md c, int adds) {
  dnnl_primitive_attr_t attributes = NULL;
  dnnl_post_ops_t sum = NULL;
  int status = dnnl_primitive_attr_create(&attributes);
  if (status) return status;
  status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
  if (!status && adds) {
    status = dnnl_post_ops_create(&sum);
#if DNNL_VERSION_MAJOR >= 3
    if (!status) status = dnnl_post_ops_append_sum(sum, 1, 0, dnnl_f32);
#else
    if (!status) status = dnnl_post_ops_append_sum(sum, 1);
#endif
    if (!status) status = dnnl_primitive_attr_set_post_ops(attributes, sum);
  }
#if DNNL_VERSION_MAJOR >= 3
  if (!status)
    status = dnnl_matmul_primitive_desc_create(description, engine, a, b, NULL, c, attributes);
#else
  dnnl_matmul_desc_t operation;
  if (!status) status = dnnl_matmul_desc_init(&operation, a, b, NULL, c);
  if (!status)
    status = dnnl_primitive_desc_create(description, &operation, attributes, engine, NULL);
#endif
  if (sum) dnnl_post_ops_destroy(sum);
  dnnl_primitive_attr_destroy(attributes);
  return status;
}

static inline void lasp_dnnl_destroy(lasp_dnnl_product *product) {
  if (!product) return;
  dnnl_memory_t memories[] = {
      product->a, product->b, product->c, product->scratch, product->unpacked};
  for (int i = 0; i < 5; i++)
    if (memories[i]) dnnl_memory_destroy(memories[i]);
  if (product->packing) dnnl_primitive_destroy(product->packing);
  if (product->primitive) dnnl_primitive_destroy(product->primitive);
  if (product->description) dnnl_primitive_desc_destroy(product->description);
  if (product->stream) dnnl_stream_destroy(product->stream);
  free(product);
}

/// Makes the product of one shape, or gives NULL where the library has none.
///
/// With `pattern`, B is as that product packs it; else, where `packed` is a type of numbers and not -1, as this
/// product packs it from `b`; else as `b` says.
static inline lasp_dnnl_product *lasp_dnnl_create(
    dnnl_engine_t engine, int64_t m, int64_t n, int64_t k, lasp_dnnl_matrix a, lasp_dnnl_matrix b,
    lasp_dnnl_matrix c, int adds, int packed, const lasp_dnnl_product *pattern) {
  lasp_dnnl_product *product = (lasp_dnnl_product *)calloc(1, sizeof(lasp_dnnl_product));
  if (!product) return NULL;
  product->openmp = lasp_openmp_find();
  int before = lasp_dnnl_enter(product->openmp), packs = packed >= 0 && !pattern;
  dnnl_memory_desc_t amd = {0}, bmd = {0}, cmd = {0}, any = {0};
  int status = lasp_md_strided(&amd, m, k, a);
  if (!status) status = lasp_md_strided(&bmd, k, n, b);
  if (!status) status = lasp_md_strided(&cmd, m, n, c);
  if (!status && packs) status = lasp_md_any(&any, k, n, packed);
  lasp_const_md chosen = packs ? LASP_MD(any) : LASP_MD(bmd);
  if (pattern) chosen = dnnl_primitive_desc_query_md(pattern->description, dnnl_query_weights_md, 0);
  if (!status)
    status = lasp_dnnl_describe(
        &product->description, engine, LASP_MD(amd), chosen, LASP_MD(cmd), adds);
  if (!status) status = dnnl_primitive_create(&product->primitive, product->description);
  if (!status) status = dnnl_stream_create(&product->stream, engine, dnnl_stream_default_flags);
  if (!status) {
    lasp_const_md weights =
        dnnl_primitive_desc_query_md(product->description, dnnl_query_weights_md, 0);
    lasp_const_md scratch =
        dnnl_primitive_desc_query_md(product->description, dnnl_query_scratchpad_md, 0);
    product->packed_bytes = lasp_md_size(weights);
    product->scratch_bytes = scratch ? lasp_md_size(scratch) : 0;
    status = dnnl_memory_create(&product->a, LASP_MD(amd), engine, DNNL_MEMORY_NONE);
    if (!status) status = dnnl_memory_create(&product->b, weights, engine, DNNL_MEMORY_NONE);
    if (!status) status = dnnl_memory_create(&product->c, LASP_MD(cmd), engine, DNNL_MEMORY_NONE);
    if (!status && product->scratch_bytes)
      status = dnnl_memory_create(&product->scratch, scratch, engine, DNNL_MEMORY_NONE);
    if (!status && packs) {
      dnnl_primitive_desc_t reorder = NULL;
      status = dnnl_memory_create(&product->unpacked, LASP_MD(bmd), engine, DNNL_MEMORY_NONE);
      if (!status)
        status = dnnl_reorder_primitive_desc_create(
            &reorder, LASP_MD(bmd), engine, weights, engine, NULL);
      if (!status) status = dnnl_primitive_create(&product->packing, reorder);
      if (reorder) dnnl_primitive_desc_destroy(reorder);
    }
  }
  lasp_md_destroy(amd);
  lasp_md_destroy(bmd);
  lasp_md_destroy(cmd);
  if (packs) lasp_md_destroy(any);
  lasp_dnnl_leave(product->openmp, before);
  if (status) {
    lasp_dnnl_destroy(product);
    return NULL;
  }
  return product;
}

/// Columns of a block, where the product packs B `[k, n]` into blocks of 16 pairs of rows by so many columns,
/// `[n / columns, k / 32, 16, columns, 2]`; 0 where it packs it otherwise.
static inline int lasp_dnnl_block_columns(const lasp_dnnl_product *product, int64_t k, int64_t n) {
  lasp_const_md md =
      dnnl_primitive_desc_query_md(product->description, dnnl_query_weights_md, 0);
  if (!md) return 0;
#if DNNL_VERSION_MAJOR >= 3
  dnnl_format_kind_t kind = dnnl_format_kind_undef;
  dnnl_data_type_t type = dnnl_data_type_undef;
  int depth = 0;
  const dnnl_dims_t *sizes = NULL, *dimensions = NULL, *strides = NULL;
  if (dnnl_memory_desc_query(md, dnnl_query_format_kind, &kind) || kind != dnnl_blocked ||
      dnnl_memory_desc_query(md, dnnl_query_data_type, &type) ||
      dnnl_memory_desc_query(md, dnnl_query_inner_nblks_s32, &depth) || depth != 3 ||
      dnnl_memory_desc_query(md, dnnl_query_inner_blks, &sizes) ||
      dnnl_memory_desc_query(md, dnnl_query_inner_idxs, &dimensions) ||
      dnnl_memory_desc_query(md, dnnl_query_strides, &strides))
    return 0;
  const int64_t *blocks = *sizes, *of = *dimensions, *step = *strides;
#else
  if (md->format_kind != dnnl_blocked || md->format_desc.blocking.inner_nblks != 3) return 0;
  dnnl_data_type_t type = md->data_type;
  const int64_t *blocks = md->format_desc.blocking.inner_blks;
  const int64_t *of = md->format_desc.blocking.inner_idxs;
  const int64_t *step = md->format_desc.blocking.strides;
#endif
  const int64_t columns = blocks[1], down = (k + 31) / 32;
  const int64_t across = columns > 0 ? (n + columns - 1) / columns : 0;
  const int fits = type == dnnl_bf16 && blocks[0] == 16 && blocks[2] == 2 && columns > 0 &&
                   columns % 16 == 0 && of[0] == 0 && of[1] == 1 && of[2] == 0 &&
                   (down == 1 || step[0] == 32 * columns) &&
                   (across == 1 || step[1] == 32 * columns * down) &&
                   product->packed_bytes == (size_t)(across * down * columns * 64);
  return fits ? (int)columns : 0;
}

/// Packs B.
static inline int lasp_dnnl_pack(lasp_dnnl_product *product, const void *b, void *packed) {
  int before = lasp_dnnl_enter(product->openmp);
  dnnl_memory_set_data_handle(product->unpacked, (void *)b);
  dnnl_memory_set_data_handle(product->b, packed);
  dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_FROM, product->unpacked}, {DNNL_ARG_TO, product->b}};
  int status = dnnl_primitive_execute(product->packing, product->stream, 2, arguments);
  if (!status) status = dnnl_stream_wait(product->stream);
  lasp_dnnl_leave(product->openmp, before);
  return status;
}

/// Computes the product on the calling thread.
static inline int lasp_dnnl_execute(
    lasp_dnnl_product *product, const void *a, const void *b, void *c, void *scratch) {
  int before = lasp_dnnl_enter(product->openmp);
  dnnl_memory_set_data_handle(product->a, (void *)a);
  dnnl_memory_set_data_handle(product->b, (void *)b);
  dnnl_memory_set_data_handle(product->c, c);
  int count = 3;
  dnnl_exec_arg_t arguments[4] = {
      {DNNL_ARG_SRC, product->a}, {DNNL_ARG_WEIGHTS, product->b}, {DNNL_ARG_DST, product->c}};
  if (product->scratch) {
    dnnl_memory_set_data_handle(product->scratch, scratch);
    dnnl_exec_arg_t last = {DNNL_ARG_SCRATCHPAD, product->scratch};
    arguments[count++] = last;
  }
  int status = dnnl_primitive_execute(product->primitive, product->stream, count, arguments);
  if (!status) status = dnnl_stream_wait(product->stream);
  lasp_dnnl_leave(product->openmp, before);
  return status;
}

/// `C ← C + Aᵀ B` in fp32 on the calling thread, A `[k, m]` with rows `lda` numbers apart, B `[k, n]` and C `[m, n]` with rows
/// `ldb` apart.
///
/// The library's product for any shape: on some CPUs it rearranges A faster than that of one shape does.
static inline int lasp_dnnl_add_outer(
    lasp_openmp openmp, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
    int64_t ldb, float *c) {
  int before = lasp_dnnl_enter(openmp);
  int status = dnnl_sgemm('T', 'N', m, n, k, 1, a, lda, b, ldb, 1, c, ldb);
  lasp_dnnl_leave(openmp, before);
  return status;
}
#endif
