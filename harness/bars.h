/* bars.h: bars for what the best kernels reach, data beside a preset.
 *
 * A bars file is a list of classes of CPU, each with the facts of host.json that make a machine a member
 * and with its bars: a speed over that of `scale` in the same rounds, for the best kernel of an op whose
 * bound holds for k1 up to 1e5, on one thread.
 *   [zen4]                            a class
 *   title = AMD family 25 Zen 4
 *   vendor = AuthenticAMD             cpu.vendor, cpu.family and cpu.model_number must all match
 *   family = 25
 *   model = 16-31,96-127
 *   hidden = 64,128,768               columns of the lines that follow
 *   rmsnorm f32 L2 = .85,.86,-        OP DTYPE RESIDENCY; - where there is no bar
 * In JSON, as plan.json holds it: [{"class","vendor","family","models":[[16,31],...],
 * "bars":[{"op","dtype","residency","hidden","bar"},...]},...]. */
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
