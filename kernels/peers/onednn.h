/* onednn.h: LayerNorm (from 3.8 on also RMSNorm) of oneDNN, forward and backward. */
#ifndef NB_ONEDNN_H
#define NB_ONEDNN_H

#include "nb_kernel.h"

extern const struct nb_kernel_table nb_onednn_table;

/* Of the library that was loaded, which need not be that of the headers. */
const char *nb_onednn_version(void);

#endif
