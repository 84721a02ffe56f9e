/* none.c: a shared object without kernels. */
extern const int nothing_here;
const int nothing_here = 1;
