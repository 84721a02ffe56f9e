/* gbench_shim.h: Google Benchmark behind a C interface. It runs registered samples in the order of
 * their registration, one callback each, with manual time, and hands every result to a C function. */
#ifndef NB_GBENCH_SHIM_H
#define NB_GBENCH_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Takes one sample of so many passes; returns its ns. */
typedef uint64_t (*nb_gb_sample)(void *context, unsigned passes);

/* Called once a sample with the time that Google Benchmark accounted to all its passes together. */
typedef void (*nb_gb_result)(void *context, size_t index, double ns);

void nb_gb_clear(void);
void nb_gb_add(const char *name, unsigned passes, nb_gb_sample sample, void *context);
/* Runs everything added since nb_gb_clear; returns the number of samples that ran. */
size_t nb_gb_run(nb_gb_result result, void *context);

#ifdef __cplusplus
}
#endif

#endif
