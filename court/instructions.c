/* instructions.c: what LayerNorm executes more than RMSNorm, at the same algorithm: counted by `normbench count` under callgrind, in a
 * process of its own (it counts without AVX-512, which callgrind does not know). Exact: no time enters it. Reads are left out:
 * callgrind counts a vector operand in memory of a fused multiply-add once an element, so that their number says how a loop is written. */
#include "speed.h"

#include "child.h"
#include "counts.h"

#include <math.h>
#include <string.h>
#include <sys/wait.h>

static const struct nb_parameter PARAMETERS[] = {
    {.name = "dtype", .value = "f32,bf16", .says = "of x and y", .kind = NB_CHOICES, .choices = "f32 f64 f16 bf16"},
    {.name = "hidden", .value = "1024,4096", .says = "elements of a row", .kind = NB_NUMBERS, .least = 1, .most = 65536, .whole = true},
};

/* What is compared with what: as a framework without fusion does it, as the formulas are written, and with sums in one scan each. */
static const struct {
    const char *class, *layernorm, *rmsnorm;
} CLASSES[] = {{"unfused", "unfused", "unfused"}, {"naive", "naive", "naive"}, {"onepass", "onepass", "onepass"},
               {"twopass", "twopass", "onepass"}};

static enum nb_status count(const struct nb_trial *t, const char *file, struct nb_err *err)
{
    char kernels[] = "layernorm_fwd_*,rmsnorm_fwd_*";
    const char *argv[] = {"/proc/self/exe", "count", "--op", "layernorm,rmsnorm", "--kernel", kernels, "--algo",
                          "unfused,naive,onepass,twopass", "--isa", "best", "--dtype", nb_trial_text(t, "dtype"), "--hidden",
                          nb_trial_text(t, "hidden"), "--quiet", "--out", file, NULL};
    int status = 0;
    const enum nb_status s = nb_child_run((char *const *)(uintptr_t)argv, NULL, 0, &status, err);
    if (s != NB_OK)
        return s;
    if (nb_trial_stopped(t) || (WIFEXITED(status) && WEXITSTATUS(status) == 130))
        return NB_INTERRUPTED;
    if (WIFSIGNALED(status))
        return nb_fail(err, "normbench count was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return WEXITSTATUS(status) == 0 ? NB_OK
                                    : nb_fail(err, "normbench count failed with exit code %d; try: normbench count --op "
                                                   "layernorm,rmsnorm (it needs valgrind: apt-get install valgrind)",
                                              WEXITSTATUS(status));
}

/* The counts of a kernel without a trick in a cell; false: not counted. */
static bool counts_of(const json_t *counts, const char *op, const char *algo, const char *dtype, size_t hidden, struct nb_counts *c)
{
    size_t i;
    const json_t *row;
    char start[80];
    snprintf(start, sizeof start, "%s_fwd_%s__%s_", op, algo, dtype);
    json_array_foreach(json_object_get(counts, "counts"), i, row)
    {
        const char *kernel = json_string_value(json_object_get(row, "kernel"));
        const char *isa = json_string_value(json_object_get(row, "isa"));
        if (kernel != NULL && isa != NULL && strncmp(kernel, start, strlen(start)) == 0 &&
            strcmp(kernel + strlen(start), isa) == 0 &&
            (size_t)json_integer_value(json_object_get(row, "hidden")) == hidden)
            return nb_counts_get(row, c);
    }
    return false;
}

static double more_instructions(const struct nb_counts *a, const struct nb_counts *b)
{
    return (double)a->of[NB_SIM_INSTRUCTIONS] / (double)b->of[NB_SIM_INSTRUCTIONS];
}

static void one_cell(const json_t *counts, const char *dtype, size_t hidden, struct nb_observations *o)
{
    for (size_t i = 0; i < sizeof CLASSES / sizeof *CLASSES; i++) {
        struct nb_counts ln, rms;
        char where[120];
        snprintf(where, sizeof where, "class=%s dtype=%s hidden=%zu", CLASSES[i].class, dtype, hidden);
        if (!counts_of(counts, "layernorm", CLASSES[i].layernorm, dtype, hidden, &ln) ||
            !counts_of(counts, "rmsnorm", CLASSES[i].rmsnorm, dtype, hidden, &rms)) {
            nb_observe_missing(o, "instruction_ratio", "", "one of the two was not counted", false, "%s", where);
            continue;
        }
        nb_observe(o, "instruction_ratio", "", more_instructions(&ln, &rms), "%s", where);
    }
}

static enum nb_status instructions(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    static const char *const dtypes[] = {"f32", "f64", "f16", "bf16"};
    double hidden[NB_NUMBERS_MAX];
    const size_t sizes = nb_trial_numbers(t, "hidden", hidden);
    char file[NB_PATH];
    json_t *counts = NULL;
    NB_ASSERT(t->dir != NULL);
    nb_file_path(file, t->dir, "counts", ".json");
    enum nb_status s = count(t, file, err);
    if (s == NB_OK)
        s = nb_counts_load(file, &counts, err);
    for (size_t d = 0; s == NB_OK && d < sizeof dtypes / sizeof *dtypes; d++)
        for (size_t h = 0; nb_trial_has(t, "dtype", dtypes[d]) && h < sizes; h++)
            one_cell(counts, dtypes[d], (size_t)hidden[h], o);
    json_decref(counts);
    return s;
}

const struct nb_experiment nb_experiment_instructions = {
    "instructions", "instructions of LayerNorm over those of RMSNorm at the same algorithm, counted under callgrind",
    "instruction_ratio", "", PARAMETERS, sizeof PARAMETERS / sizeof *PARAMETERS, false, {10, 10, 10}, instructions};
