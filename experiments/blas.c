#include "blas.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

/* CBLAS as it has been since 1999: enums are ints of these values. */
enum { ROW_MAJOR = 101, AS_IT_IS = 111, TRANSPOSED = 112 };
typedef void cblas_sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                         int ldb, float beta, float *c, int ldc);
typedef void set_threads(int threads);

static cblas_sgemm *sgemm;

static void gemm(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda, const float *b,
                 size_t ldb, float beta, float *c, size_t ldc)
{
    sgemm(ROW_MAJOR, ta ? TRANSPOSED : AS_IT_IS, tb ? TRANSPOSED : AS_IT_IS, (int)m, (int)n, (int)k, alpha, a, (int)lda, b,
          (int)ldb, beta, c, (int)ldc);
}

nb_gemm *nb_openblas(int threads, struct nb_err *err)
{
    char count[16];
    snprintf(count, sizeof count, "%d", threads);
    setenv("OPENBLAS_NUM_THREADS", count, 1); /* read while it is loaded: no thread is started that would then be idle */
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        library = dlopen("libopenblas.so", RTLD_NOW | RTLD_LOCAL);
    sgemm = library != NULL ? (cblas_sgemm *)(uintptr_t)dlsym(library, "cblas_sgemm") : NULL;
    if (sgemm == NULL) {
        nb_fail(err, "OpenBLAS with CBLAS is not there: apt-get install libopenblas-dev");
        return NULL;
    }
    set_threads *set = (set_threads *)(uintptr_t)dlsym(library, "openblas_set_num_threads");
    if (set != NULL)
        set(threads);
    return gemm;
}
