/* select.h: the one selection language of the CLI and of preset files.
 *
 * A selection is a set of key = value lines (or --key value options), whose keys stand in selection.def. A preset file is a
 * list of such blocks with a head of run settings. Options given beside a preset replace that key in every block. */
#ifndef NB_SELECT_H
#define NB_SELECT_H

#include "err.h"
#include "nb_kernel.h"
#include "registry.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nb_residency { NB_L1, NB_L2, NB_L3, NB_DRAM, NB_COLD, NB_RESIDENCY_COUNT };
const char *nb_residency_name(enum nb_residency r);
int nb_residency_parse(const char *word); /* -1: unknown */

enum nb_kernel_set {
    NB_SET_ALL,      /* every kernel that the other keys let through */
    NB_SET_PAIRINGS, /* those that take part in a pairing, and the ceilings */
    NB_SET_CONTENDERS, /* those that may be the fastest of their op: two-pass and guarded LayerNorm, one-pass
                        * RMSNorm with all tricks, auto; the ceilings */
    NB_SET_HEADLINE  /* two-pass LayerNorm, one-pass RMSNorm without tricks, and the ceilings */
};

struct nb_list { /* of numbers; kept in the order given, without repetition */
    size_t *v;
    size_t n;
};
struct nb_words {
    char **v;
    size_t n;
};

enum nb_key {
#define NB_SELECT(KEY, name, arg, help) NB_KEY_##KEY,
#include "selection.def"
    NB_KEY_COUNT
};
const char *nb_key_name(enum nb_key key);
int nb_key_parse(const char *word);
const char *nb_key_default(enum nb_key key); /* of a block that says nothing; NULL: no word stands for that */

/* Names of the ops, or of the norms and what stands in their place alone. */
const char *nb_known_ops(bool norms);

struct nb_block {
    char name[40];
    unsigned given;            /* bit per key */
    struct nb_list op, dtype, residency;
    struct nb_list param_dtype; /* 0: as x; 1: f32 */
    struct nb_list hidden, rows, threads; /* rows 0: from the residency; threads 0: all cores */
    struct nb_list offset;                /* bytes from x to y, modulo 4096 */
    struct nb_list in_place;              /* 1: y is x */
    struct nb_list dir, fuse;
    struct nb_list k[NB_K_COUNT];         /* of ops that have one; a share in millionths of a row */
    struct nb_words algo, isa, kernel;    /* isa may hold "all" and "best"; kernel holds globs */
    enum nb_kernel_set kernels;
    double momentum; /* of batchnorm's running statistics */
    bool stats;
    bool references; /* also reference lines that nobody named: a check leaves nothing out */
};

/* A speedup that is asked for: of test over base, two norms. */
struct nb_versus {
    uint32_t test, base;
};
enum { NB_VERSUS_MAX = 32 };

struct nb_settings {
    uint64_t seed;
    double budget_s;  /* 0: none */
    double sample_ms;
    unsigned processes, screening, rounds; /* rounds: at most so many a process */
    bool processes_given;
    bool allow_weak; /* numerically weak kernels may win best-of-each */
    struct nb_versus versus[NB_VERSUS_MAX];
    size_t versus_count;
};

struct nb_preset {
    char name[64];
    char title[256];
    struct nb_settings settings;
    char bars_file[64]; /* beside the preset; "": none */
    json_t *bars;       /* what stands in it (bars.h); NULL: none, or a preset that was parsed only */
    struct nb_block *blocks;
    size_t count;
};

/* A share from 0 to 1, as it is typed; NB_MOMENTUM where nobody says. */
#define NB_MOMENTUM 0.1
NB_USE_RESULT enum nb_status nb_momentum_parse(const char *text, double *momentum, struct nb_err *err);

/* A block with the default of every key. */
NB_USE_RESULT enum nb_status nb_block_init(struct nb_block *b, const char *name,
                                           struct nb_err *err);
NB_USE_RESULT enum nb_status nb_block_set(struct nb_block *b, enum nb_key key, const char *value,
                                          struct nb_err *err);
void nb_block_free(struct nb_block *b);

/* name_or_path: a word is looked up in the presets folder, anything with a slash or a dot is a file. */
NB_USE_RESULT enum nb_status nb_preset_load(struct nb_preset *p, const char *name_or_path,
                                            struct nb_err *err);
/* The text of a preset; path is for its name and for messages. After an error there is nothing to free. */
NB_USE_RESULT enum nb_status nb_preset_parse(struct nb_preset *p, const char *path, const char *text,
                                             size_t len, struct nb_err *err);
NB_USE_RESULT enum nb_status nb_preset_set_all(struct nb_preset *p, enum nb_key key,
                                               const char *value, struct nb_err *err);
void nb_preset_free(struct nb_preset *p);
/* y lies at x + NB_OFFSET modulo 4096 unless offset says otherwise: far from the 4 KiB aliasing trap. */
#define NB_OFFSET 2112

/* k of a problem, from one value a kind (0: the default): of a share so many elements, rounded up to a whole one, never
 * 0; 0 where the op has none. */
size_t nb_k_of(uint32_t op, size_t hidden, const size_t values[NB_K_COUNT]);
void nb_k_text(enum nb_op_k kind, size_t value, char *text, size_t len); /* as the option takes it */
NB_USE_RESULT enum nb_status nb_k_parse(enum nb_op_k kind, const char *text, size_t *value, struct nb_err *err);

const char *nb_presets_dir(void);
struct nb_settings nb_settings_default(void);

/* Numbers of the command line and of presets: whole, in range, or an error that names the key. */
NB_USE_RESULT enum nb_status nb_parse_size(const char *key, const char *text, size_t min, size_t max,
                                           size_t *value, struct nb_err *err);
/* "60s", "5m", "1h" or plain seconds. */
NB_USE_RESULT enum nb_status nb_parse_seconds(const char *key, const char *text, double *seconds,
                                              struct nb_err *err);

/* "rmsnorm:layernorm,prmsnorm:layernorm": the test before its base. */
NB_USE_RESULT enum nb_status nb_versus_parse(struct nb_settings *s, const char *text, struct nb_err *err);

/* The ceiling that all groups of a cell share: the plain scale, of two inputs the plain triad. */
bool nb_is_anchor(const struct nb_kernel *k);

/* Which algorithm of a norm that subtracts its mean is compared with which of one that does not as "the same". */
struct nb_pair {
    const char *centred, *plain, *pointwise; /* "": has none of the kind */
};
#define NB_PAIR_COUNT 11
extern const struct nb_pair nb_pairs[NB_PAIR_COUNT];
const char *nb_pair_algo(const struct nb_pair *p, uint32_t op); /* the one of that op */

bool nb_is_ceiling(const struct nb_kernel *k); /* copy, scale, affine, triad */

/* An affine in another form than its plain one. Every cell has the plain ones; these take time and stand
 * only where op or kernel name them. */
bool nb_is_extra_reference(const struct nb_kernel *k);

/* Does its declared bound fail to hold for conditioning k1 up to 1e5? Such a LayerNorm is fast because it
 * is not accurate: no bar counts it. */
bool nb_kernel_is_weak(const struct nb_kernel *k);

/* Of best-of-each: no weak one unless allowed; not auto, which is one of the others. */
bool nb_kernel_may_win(const struct nb_kernel *k, bool allow_weak);

/* Does it store y non-temporally? Then no line of y is fetched before it is written. nt is a word of such
 * a kernel's trick. */
bool nb_kernel_streams(const struct nb_kernel *k);

/* Does the kernel pass op, algo, isa, kernel globs and kernels of the block? */
bool nb_block_takes(const struct nb_block *b, const struct nb_kernel *k);
bool nb_block_takes_isa(const struct nb_block *b, const struct nb_kernel *k);

#endif
