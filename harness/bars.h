/* bars.h: bars for what the best kernels reach, data beside a preset.
 *
 * A bars file is a list of classes of CPU, each with the facts of host.json that make a machine a member
 * and with its bars, for the best kernel of an op whose bound holds for k1 up to 1e5, on one thread, out of
 * place: a speed over that of `scale` in the same rounds unless a measure says otherwise.
 *   [zen4]                            a class
 *   title = AMD family 25 Zen 4
 *   vendor = AuthenticAMD             cpu.vendor, cpu.family and cpu.model_number must all match
 *   family = 25
 *   model = 16-31,96-127
 *   hidden = 64,128,768               columns of the lines that follow
 *   rmsnorm f32 L2 = .85,.86,-        OP DTYPE RESIDENCY [MEASURE] [rows N] [kernel GLOB]; - where there is no bar
 * MEASURE is one of
 *   ns           ns a call over all rows, at most; asks for rows
 *   tail         speed an element over that at the next multiple of 64, another cell
 *   avx2/avx512  speed of the best kernel of an ISA over that of the best of another
 * rows N: the cell of so many rows, else that with most. kernel GLOB: only kernels of such a name.
 * In JSON, as plan.json holds it: [{"class","vendor","family","models":[[16,31],...],
 * "bars":[{"op","dtype","residency","measure","isa","over","rows","kernel","hidden","bar"},...]},...], with
 * measure one of scale, ns, tail, isa; isa and over only with isa, rows and kernel only where given. */
#ifndef NB_BARS_H
#define NB_BARS_H

#include "err.h"

#include <jansson.h>
#include <stddef.h>

/* path is for messages. After an error there is nothing to free. */
NB_USE_RESULT enum nb_status nb_bars_parse(const char *path, const char *text, size_t len,
                                           json_t **bars, struct nb_err *err);
NB_USE_RESULT enum nb_status nb_bars_load(const char *path, json_t **bars, struct nb_err *err);

#endif
