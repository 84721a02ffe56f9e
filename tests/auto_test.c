/* auto: what it chooses, that its output is the chosen variant's bit for bit, what a call costs, and the file of
 * choices: read, refused, made from a run whose true times are known. */
#include "auto.h"

#include "codec.h"
#include "cpu.h"
#include "execute.h"
#include "inputs.h"
#include "registry.h"
#include "report.h"
#include "report_data.h"
#include "select.h"
#include "synthetic_run.h"
#include "tune.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"

static const struct nb_auto_caches USUAL = {32 << 10, 1 << 20, 32 << 20, 1, 2};

static struct nb_problem problem(const struct nb_kernel *k, size_t rows, size_t hidden)
{
    return (struct nb_problem){.size = sizeof(struct nb_problem),
                               .op = k->op,
                               .stats_out = 1,
                               .dtype = k->dtype,
                               .param_dtype = k->dtype,
                               .rows = rows,
                               .hidden = hidden,
                               .ldx = hidden,
                               .ldy = hidden,
                               .eps = 1e-5};
}

/* Calls look(k) for each auto that runs here; at least two. */
static void each_auto(void (*look)(const struct nb_kernel *k))
{
    size_t count = 0;
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        if (strcmp(k->algo, "auto") != 0 || nb_kernel_why_not(k) != NULL)
            continue;
        look(k);
        count++;
    }
    assert_true(count >= 2);
}

/* ---- choices ---- */

static double constant(const struct nb_kernel *k, double n)
{
    return k->bound.c1 * n / k->bound.lanes + log2(k->bound.lanes) + k->bound.c0;
}

/* One that auto's own bound covers: kind and c for every n; the same of lambda. */
static void expect_covered(const struct nb_kernel *self, const struct nb_kernel *k)
{
    assert_false(nb_kernel_is_weak(k));
    assert_true(k->bound.kind == self->bound.kind ||
                (self->bound.kind == NB_BOUND_EITHER &&
                 (k->bound.kind == NB_BOUND_TWOPASS || k->bound.kind == NB_BOUND_GUARDED)));
    for (double n = 1; n < 1e7; n *= 1.7)
        assert_true(constant(k, n) <= constant(self, n) * (1 + 1e-12));
    assert_true(self->bound.lambda == 0 || self->bound.lambda >= k->bound.lambda);
    assert_true(!k->flushes || self->flushes);
}

static void expect_choice(const struct nb_kernel *self, enum nb_auto_level level, size_t hidden, size_t rows)
{
    const struct nb_problem p = problem(self, rows, hidden);
    const char *why = NULL;
    const struct nb_kernel *k = nb_auto_choose(self->isa, &p, level, rows, &why);
    if (k == NULL || why == NULL)
        fail_msg("%s: nothing for hidden %zu, rows %zu", self->name, hidden, rows);
    assert_true(k->op == self->op && k->dtype == self->dtype && strcmp(k->isa, self->isa) == 0);
    assert_null(nb_auto_why_not(self, k));
    assert_null(k->supports(&p));
    expect_covered(self, k);
}

static void edges_of(const struct nb_kernel *k)
{
    static const size_t hiddens[] = {1, 63, 64, 128, 129, 512, 513, 4095, 4096, 8192, 8193, 1 << 28, SIZE_MAX / 64};
    static const size_t rows[] = {1, 2, 3, 4, 5, 8, 9, 1 << 20, SIZE_MAX / 64};
    for (int level = 0; level < NB_AUTO_LEVELS; level++)
        for (size_t h = 0; h < sizeof hiddens / sizeof *hiddens; h++)
            for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
                expect_choice(k, (enum nb_auto_level)level, hiddens[h], rows[r]);
}

static void every_problem_has_a_variant_that_the_bound_covers(void **state)
{
    (void)state;
    each_auto(edges_of);
}

static void the_rules_are_as_written(void **state)
{
    static const struct {
        const char *isa, *self;
        enum nb_auto_level level;
        size_t hidden, rows;
        const char *runs;
    } expected[] = {
        {"avx512", "rmsnorm_fwd_auto__f32_avx512", NB_AUTO_L2, 4096, 1, "rmsnorm_fwd_onepass__f32_avx512_pipe"},
        {"avx512", "rmsnorm_fwd_auto__f32_avx512", NB_AUTO_L1, 64, 2, "rmsnorm_fwd_onepass__f32_avx512_rows4"},
        {"avx512", "rmsnorm_fwd_auto__f64_avx512", NB_AUTO_L1, 32, 2, "rmsnorm_fwd_onepass__f64_avx512_pipe"},
        {"avx512", "rmsnorm_fwd_auto__f32_avx512", NB_AUTO_L2, 2049, 2, "rmsnorm_fwd_onepass__f32_avx512_pipe"},
        {"avx512", "rmsnorm_fwd_auto__f32_avx512", NB_AUTO_L2, 2049, 3, "rmsnorm_fwd_onepass__f32_avx512"},
        {"avx512", "rmsnorm_fwd_auto__f32_avx512", NB_AUTO_L2, 2048, 3, "rmsnorm_fwd_onepass__f32_avx512_pipe"},
        {"avx512", "rmsnorm_fwd_auto__f64_avx512", NB_AUTO_L2, 1025, 3, "rmsnorm_fwd_onepass__f64_avx512"},
        {"avx512", "rmsnorm_fwd_auto__f32_avx512", NB_AUTO_L2, 192, 4, "rmsnorm_fwd_onepass__f32_avx512_rows4"},
        {"avx512", "rmsnorm_fwd_auto__f32_avx512", NB_AUTO_L2, 193, 4, "rmsnorm_fwd_onepass__f32_avx512_pipe"},
        {"avx512", "rmsnorm_fwd_auto__f32_avx512", NB_AUTO_L1, 193, 4, "rmsnorm_fwd_onepass__f32_avx512_rows8"},
        {"avx2", "rmsnorm_fwd_auto__f32_avx2", NB_AUTO_L2, 64, 4, "rmsnorm_fwd_onepass__f32_avx2_pipe"},
        {"avx512", "rmsnorm_fwd_auto__f32_avx512", NB_AUTO_DRAM, 128, 4, "rmsnorm_fwd_onepass__f32_avx512_nt"},
        {"avx512", "rmsnorm_fwd_auto__f32_avx512", NB_AUTO_DRAM, 96, 4, "rmsnorm_fwd_onepass__f32_avx512_rows4_nt"},
        {"avx512", "layernorm_fwd_auto__f16_avx512", NB_AUTO_DRAM, 200, 4, "layernorm_fwd_twopass__f16_avx512_rows4_nt"},
        {"avx512", "layernorm_fwd_auto__f16_avx512", NB_AUTO_DRAM, 201, 4, "layernorm_fwd_guarded__f16_avx512_nt"},
        {"avx512", "rmsnorm_fwd_auto__f32_avx512", NB_AUTO_L2, 8191, 4, "rmsnorm_fwd_onepass__f32_avx512"},
        {"avx512", "rmsnorm_fwd_auto__f32_avx512", NB_AUTO_L2, 8192, 4, "rmsnorm_fwd_onepass__f32_avx512_rows8"},
        {"avx512", "rmsnorm_fwd_auto__f32_avx512", NB_AUTO_L3, 8193, 4, "rmsnorm_fwd_onepass__f32_avx512_pipe"},
        {"avx512", "layernorm_fwd_auto__f32_avx512", NB_AUTO_L1, 448, 4, "layernorm_fwd_twopass__f32_avx512_rows4"},
        {"avx512", "layernorm_fwd_auto__f32_avx512", NB_AUTO_L1, 512, 8, "layernorm_fwd_twopass__f32_avx512_rows4"},
        {"avx512", "layernorm_fwd_auto__f32_avx512", NB_AUTO_L1, 512, 9, "layernorm_fwd_guarded__f32_avx512_pipe"},
        {"avx512", "layernorm_fwd_auto__f32_avx512", NB_AUTO_L2, 289, 4, "layernorm_fwd_guarded__f32_avx512_pipe"},
        {"avx512", "layernorm_fwd_auto__f32_avx512", NB_AUTO_L2, 2560, 4, "layernorm_fwd_guarded__f32_avx512_pipe"},
        {"avx512", "layernorm_fwd_auto__f32_avx512", NB_AUTO_L2, 2561, 4, "layernorm_fwd_guarded__f32_avx512"},
        {"avx2", "layernorm_fwd_auto__f32_avx2", NB_AUTO_L2, 2561, 4, "layernorm_fwd_guarded__f32_avx2_pipe"},
        {"avx512", "layernorm_fwd_auto__f32_avx512", NB_AUTO_L2, 3584, 4, "layernorm_fwd_guarded__f32_avx512_rows8"},
        {"avx512", "layernorm_fwd_auto__f64_avx512", NB_AUTO_L2, 1792, 4, "layernorm_fwd_guarded__f64_avx512_rows8"},
        {"avx512", "layernorm_fwd_auto__f32_avx512", NB_AUTO_L1, 768, 1, "layernorm_fwd_twopass__f32_avx512"},
        {"avx2", "layernorm_fwd_auto__f32_avx2", NB_AUTO_L1, 768, 1, "layernorm_fwd_guarded__f32_avx2_pipe"},
        {"avx2", "layernorm_fwd_auto__f16_avx2", NB_AUTO_L2, 385, 8, "layernorm_fwd_guarded__f16_avx2_rows8"},
        {"avx2", "layernorm_fwd_auto__bf16_avx2", NB_AUTO_L2, 64, 8, "layernorm_fwd_guarded__bf16_avx2_rows8"},
        {"avx512bf16", "layernorm_fwd_auto__bf16_avx512bf16", NB_AUTO_L2, 91, 4,
         "layernorm_fwd_guarded__bf16_avx512bf16_dot"},
        {"avx512", "layernorm_fwd_auto__bf16_avx512", NB_AUTO_L2, 64, 4, "layernorm_fwd_twopass__bf16_avx512_rows4"},
        {"scalar", "layernorm_fwd_auto__f32_scalar", NB_AUTO_DRAM, 64, 9, "layernorm_fwd_guarded__f32_scalar"},
        {"scalar", "layernorm_fwd_auto__f32_scalar", NB_AUTO_L1, 64, 1, "layernorm_fwd_guarded__f32_scalar"},
        {"scalar", "layernorm_fwd_auto__f32_scalar", NB_AUTO_L1, 64, 2, "layernorm_fwd_guarded__f32_scalar"},
        {"scalar", "rmsnorm_fwd_auto__f16_scalar", NB_AUTO_L2, 64, 9, "rmsnorm_fwd_onepass__f16_scalar"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const struct nb_kernel *self = nb_kernel_find(expected[i].self);
        if (self == NULL || nb_kernel_why_not(self) != NULL)
            continue;
        const struct nb_problem p = problem(self, expected[i].rows, expected[i].hidden);
        const struct nb_kernel *k =
            nb_auto_choose(expected[i].isa, &p, expected[i].level, expected[i].rows, NULL);
        assert_string_equal(k->name, expected[i].runs);
    }
}

static void what_auto_may_not_run(void **state)
{
    (void)state;
    static const char *const refused[] = {"layernorm_fwd_onepass__f32_scalar", "layernorm_fwd_onepass_shifted__f32_scalar",
                                          "layernorm_fwd_welford__f32_scalar", "layernorm_fwd_unfused__f32_scalar",
                                          "layernorm_fwd_guarded__f64_scalar", "rmsnorm_fwd_onepass__f32_scalar",
                                          "layernorm_fwd_auto__f32_scalar", "layernorm_fwd_f64acc__f32_scalar"};
    const struct nb_kernel *self = nb_kernel_find("layernorm_fwd_auto__f32_scalar");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (nb_auto_why_not(self, nb_kernel_find(refused[i])) == NULL)
            fail_msg("auto may run %s", refused[i]);
    assert_null(nb_auto_why_not(self, nb_kernel_find("layernorm_fwd_twopass__f32_scalar")));
}

static void sizes_decide_the_level(void **state)
{
    (void)state;
    const struct nb_kernel *k = nb_kernel_find("layernorm_fwd_auto__f32_scalar");
    /* x, y, gamma, beta of 1024 f32 each: 16 KiB and 8 KiB a row more */
    const struct {
        size_t rows;
        uint32_t parts;
        enum nb_auto_level level;
    } at[] = {{1, 1, NB_AUTO_L1},    {3, 1, NB_AUTO_L1},    {4, 1, NB_AUTO_L2},    {127, 1, NB_AUTO_L2},
              {128, 1, NB_AUTO_L3},  {254, 2, NB_AUTO_L2},  {255, 2, NB_AUTO_L3},  {511, 1, NB_AUTO_L3},
              {512, 1, NB_AUTO_DRAM}, {SIZE_MAX / 8, 1, NB_AUTO_DRAM}};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        const struct nb_problem p = problem(k, at[i].rows, 1024);
        assert_int_equal(nb_auto_level_of(&p, at[i].parts), at[i].level);
    }
    nb_auto_caches(&(struct nb_auto_caches){32 << 10, 1 << 20, 0, 1, 1}); /* no L3: memory behind L2 */
    const struct nb_problem p = problem(k, 128, 1024);
    assert_int_equal(nb_auto_level_of(&p, 1), NB_AUTO_DRAM);
    nb_auto_caches(&USUAL);
    assert_int_equal(nb_auto_rows_of(&p, 3), 43);
}

/* ---- calls ---- */

enum { HIDDEN_MAX_HERE = 1000, ROWS = 13 };
static char x[ROWS * HIDDEN_MAX_HERE * 8], scale[HIDDEN_MAX_HERE * 8], beta[HIDDEN_MAX_HERE * 8];
static char out[2][ROWS * HIDDEN_MAX_HERE * 8 + 2 * ROWS * 8];

static void call(const struct nb_kernel *k, const struct nb_problem *p, uint32_t parts, char *to)
{
    struct nb_args a = {.size = sizeof a, .parts = parts, .x = x, .y = to, .gamma = scale, .beta = beta,
                        .mean = to + sizeof x, .rstd = to + sizeof x + ROWS * 8};
    void *own = k->prepare != NULL ? k->prepare(p, &a) : NULL;
    assert_true(k->prepare == NULL || own != NULL);
    memset(to, 0x55, sizeof out[0]);
    for (a.part = 0; a.part < parts; a.part++)
        k->run(own != NULL ? own : p, &a);
    if (own != NULL)
        k->finish(own);
}

static void bits_of(const struct nb_kernel *self)
{
    static const size_t hiddens[] = {1, 17, 64, 100, 128, 129, 513, HIDDEN_MAX_HERE};
    nb_input_stream(self->dtype, 1, NB_STREAM);
    nb_input_stream_copy(self->dtype, 1, 0, x, ROWS * HIDDEN_MAX_HERE);
    nb_input_stream_copy(self->dtype, 1, 5, scale, HIDDEN_MAX_HERE);
    nb_input_stream_copy(self->dtype, 1, 9, beta, HIDDEN_MAX_HERE);
    for (size_t h = 0; h < sizeof hiddens / sizeof *hiddens; h++)
        for (size_t rows = 1; rows <= ROWS; rows += 3)
            for (uint32_t parts = 1; parts <= 3; parts += 2) {
                const struct nb_problem p = problem(self, rows, hiddens[h]);
                const struct nb_kernel *k = nb_auto_choose(self->isa, &p, nb_auto_level_of(&p, parts),
                                                           nb_auto_rows_of(&p, parts), NULL);
                call(self, &p, parts, out[0]);
                call(k, &p, parts, out[1]);
                if (memcmp(out[0], out[1], sizeof out[0]) != 0)
                    fail_msg("%s is not %s, hidden %zu, rows %zu", self->name, k->name, hiddens[h], rows);
            }
}

static void output_is_the_variant_s(void **state)
{
    (void)state;
    each_auto(bits_of);
}

static void a_pinned_variant_runs_wherever_it_can(void **state)
{
    (void)state;
    const struct nb_kernel *self = nb_kernel_find("layernorm_fwd_auto__f32_scalar"),
                           *pinned = nb_kernel_find("layernorm_fwd_twopass__f32_scalar");
    const struct nb_problem p = problem(self, 2, 33);
    const struct nb_args a = {.size = sizeof a, .parts = 1};
    nb_auto_pin(pinned);
    struct nb_auto_state *s = self->prepare(&p, &a);
    assert_true(s->run == pinned->run);
    self->finish(s);
    nb_auto_pin(NULL);
    s = self->prepare(&p, &a);
    assert_true(s->run == nb_kernel_find("layernorm_fwd_guarded__f32_scalar")->run);
    self->finish(s);
}

static void refusals_of(const struct nb_kernel *self)
{
    struct nb_problem bad[6];
    for (size_t i = 0; i < 6; i++)
        bad[i] = problem(self, 4, 100);
    bad[0].hidden = 0;
    bad[1].ldx = 99;
    bad[2].dir = NB_BWD;
    bad[3].eps_mode = 2;
    bad[4].order = 2;
    bad[5].param_dtype = self->dtype == NB_F64 ? NB_BF16 : NB_F64;
    for (size_t i = 0; i < 6; i++)
        assert_non_null(self->supports(&bad[i]));
    bad[0] = problem(self, 4, 100);
    assert_null(self->supports(&bad[0]));
}

static void it_refuses_what_its_variants_refuse(void **state)
{
    (void)state;
    each_auto(refusals_of);
}

static void states_are_given_back(void **state)
{
    (void)state;
    const struct nb_kernel *self = nb_kernel_find("rmsnorm_fwd_auto__f32_scalar");
    const struct nb_problem p = problem(self, 2, 33);
    const struct nb_args a = {.size = sizeof a, .parts = 1};
    void *states[NB_AUTO_STATES];
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < NB_AUTO_STATES; i++)
            assert_non_null(states[i] = self->prepare(&p, &a));
        assert_null(self->prepare(&p, &a));
        for (int i = 0; i < NB_AUTO_STATES; i++)
            self->finish(states[i]);
    }
}

/* ns of a call with one row, the least of many batches */
static double one_row_ns(void (*run)(const void *, const struct nb_args *), const void *state,
                         const struct nb_args *a)
{
    enum { BATCHES = 300, CALLS = 200 };
    double best = INFINITY;
    for (int b = 0; b < BATCHES; b++) {
        const uint64_t start = nb_now_ns();
        for (int i = 0; i < CALLS; i++)
            run(state, a);
        best = fmin(best, (double)(nb_now_ns() - start) / CALLS);
    }
    return best;
}

/* Told, and held to what no disturbance of a test machine explains: a lookup in each call. */
static void a_call_costs_a_jump(void **state)
{
    (void)state;
    const struct nb_isa *best = nb_isa_best(NB_F32);
    char name[64];
    snprintf(name, sizeof name, "rmsnorm_fwd_auto__f32_%s", best->name);
    const struct nb_kernel *self = nb_kernel_find(name);
    const struct nb_problem p = problem(self, 1, 768);
    const struct nb_args a = {.size = sizeof a, .parts = 1, .x = x, .y = out[0], .gamma = scale};
    const struct nb_kernel *k = nb_auto_choose(self->isa, &p, nb_auto_level_of(&p, 1), 1, NULL);
    nb_input_stream(NB_F32, 1, NB_STREAM);
    nb_input_stream_copy(NB_F32, 1, 0, x, ROWS * HIDDEN_MAX_HERE);
    nb_input_stream_copy(NB_F32, 1, 5, scale, HIDDEN_MAX_HERE);
    void *own = self->prepare(&p, &a);
    const double direct = one_row_ns(k->run, &p, &a), through = one_row_ns(self->run, own, &a);
    self->finish(own);
    print_message("one row, hidden 768: %s %.1f ns, through auto %.1f ns\n", k->name, direct, through);
    assert_true(through < 2 * direct + 30);
}

/* ---- the file ---- */

#define HEAD "normbench-tune 1\n# a comment\ncpu Maker family 1 model 2 stepping 3\ncaches l1d 1 l2 2 l3 3\n"
#define LINE(from, to, kernel) "rmsnorm f32 L2 " from " " to " 4 any rmsnorm_fwd_" kernel " 1.000 1.000\n"
#define SCALAR "onepass__f32_scalar"

static enum nb_status parse(struct nb_tune *t, const char *text, struct nb_err *err)
{
    return nb_tune_parse(t, "some.tune", text, strlen(text), err);
}

static void a_file_is_read_as_it_was_written(void **state)
{
    (void)state;
    static const char text[] = HEAD "isas scalar\nmade today\n" LINE("64", "100", SCALAR) LINE("101", "4096", "naive__f32_scalar")
        "layernorm f16 DRAM 1 99 1 3 layernorm_fwd_guarded__f16_scalar 0.970 1.250\nend 3\n";
    struct nb_tune t, again;
    struct nb_err err = {""};
    char *written = NULL;
    size_t len = 0;
    if (parse(&t, text, &err) != NB_OK)
        fail_msg("%s", err.text);
    assert_int_equal(t.count, 3);
    assert_string_equal(t.cpu, "Maker family 1 model 2 stepping 3");
    assert_string_equal(t.choices[1].kernel->name, "rmsnorm_fwd_naive__f32_scalar");
    assert_true(t.choices[1].hidden_from == 101 && t.choices[1].hidden_to == 4096);
    assert_true(t.choices[2].rows_to == 3 && t.choices[2].level == NB_AUTO_DRAM && t.scores[2].gain == 1.25);
    FILE *f = open_memstream(&written, &len);
    nb_tune_print(&t, f);
    fclose(f);
    if (nb_tune_parse(&again, "again", written, len, &err) != NB_OK)
        fail_msg("%s", err.text);
    assert_int_equal(again.count, t.count);
    for (size_t i = 0; i < t.count; i++) {
        assert_true(again.choices[i].kernel == t.choices[i].kernel && again.choices[i].level == t.choices[i].level);
        assert_true(again.choices[i].hidden_from == t.choices[i].hidden_from);
        assert_true(again.choices[i].rows_to == t.choices[i].rows_to);
    }
    free(written);
    nb_tune_free(&t);
    nb_tune_free(&again);
}

static void bad_files_are_refused_by_line(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "some.tune:1: ends without its \"end\" line"},
        {"normbench-tune 2\n", "some.tune:1: no tune file"},
        {"\x7f" "ELF\x01", "some.tune:1: a byte that is no printable ASCII"},
        {HEAD LINE("64", "100", SCALAR), "some.tune:6: ends without its \"end\" line"},
        {HEAD LINE("64", "100", SCALAR) "end 2\n", "some.tune:6: the end tells of 2 choices, 1 stand"},
        {HEAD "end 0\n" LINE("64", "100", SCALAR), "some.tune:6: a line behind the end"},
        {"normbench-tune 1\nend 0\n", "some.tune:2: no \"cpu\" line"},
        {"normbench-tune 1\ncpu a\nend 0\n", "some.tune:3: no \"caches\" line"},
        {HEAD LINE("64", "100", "magic__f32_scalar") "end 1\n", "some.tune:5: this program has no kernel"},
        {HEAD LINE("64", "100", "onepass__f64_scalar") "end 1\n", "some.tune:5: rmsnorm_fwd_onepass__f64_scalar is no kernel for"},
        {HEAD LINE("64", "100", "welford__f32_scalar") "end 1\n", "some.tune:5: auto cannot run"},
        {HEAD LINE("64", "100", "unfused__f32_scalar") "end 1\n", "needs scratch"},
        {HEAD LINE("64", "100", "auto__f32_scalar") "end 1\n", "it is auto itself"},
        {HEAD LINE("64", "100", "onepass__f32_autovec_avx2") "end 1\n", "some.tune:5:"},
        {HEAD "layernorm f32 L2 64 100 4 any layernorm_fwd_onepass__f32_scalar 1 1\nend 1\n", "is a weak LayerNorm"},
        {HEAD LINE("64", "100", SCALAR) LINE("100", "200", SCALAR) "end 2\n", "some.tune:6: overlaps the choice"},
        {HEAD LINE("64", "100", SCALAR) LINE("102", "200", SCALAR) "end 2\n", "some.tune:6: hidden begins at 102"},
        {HEAD LINE("64", "100", SCALAR) LINE("32", "63", SCALAR) "end 2\n", "some.tune:6: hidden begins at 32"},
        {HEAD LINE("64", "63", SCALAR) "end 1\n", "some.tune:5: hidden_to"},
        {HEAD LINE("0", "63", SCALAR) "end 1\n", "some.tune:5: hidden_from"},
        {HEAD LINE("-1", "63", SCALAR) "end 1\n", "some.tune:5: hidden_from"},
        {HEAD LINE("1", "99999999999999999999", SCALAR) "end 1\n", "some.tune:5: hidden_to"},
        {HEAD LINE("1", "999999999999999999999999999999", SCALAR) "end 1\n", "some.tune:5:"},
        {HEAD "rmsnorm f32 L9 1 2 4 any rmsnorm_fwd_" SCALAR " 1 1\nend 1\n", "unknown residency \"L9\""},
        {HEAD "rmsnorm f32 L2 1 2 4 any rmsnorm_fwd_" SCALAR " nan 1\nend 1\n", "share: \"nan\" is no ratio"},
        {HEAD "rmsnorm f32 L2 1 2 4 any rmsnorm_fwd_" SCALAR " 1 1e99\nend 1\n", "gain: \"1e99\" is no ratio"},
        {HEAD "rmsnorm f32 L2 1 2 4 any rmsnorm_fwd_" SCALAR " 1\nend 1\n", "is not of the form OP DTYPE"},
        {HEAD "rmsnorm f32 L2 1 2 4 any rmsnorm_fwd_" SCALAR " 1 1 1\nend 1\n", "is not of the form OP DTYPE"},
        {HEAD "rmsnorm f32 L2 1 2 9 3 rmsnorm_fwd_" SCALAR " 1 1\nend 1\n", "some.tune:5: rows_to"},
#if defined(__x86_64__)
        {HEAD "rmsnorm f32 L2 64 513 4 any rmsnorm_fwd_onepass__f32_avx512_rows4 1 1\nend 1\n",
         "some.tune:5: rmsnorm_fwd_onepass__f32_avx512_rows4 does not support hidden 513"},
        {HEAD LINE("64", "100", "onepass__f32_autovec_avx2") "end 1\n", "its ISA has no auto"},
#endif
    };
    struct nb_tune t;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct nb_err err = {""};
        assert_int_equal(parse(&t, bad[i].text, &err), NB_ERROR);
        if (strstr(err.text, bad[i].says) == NULL)
            fail_msg("case %zu says \"%s\", not \"%s\"", i, err.text, bad[i].says);
        assert_null(t.choices);
    }
}

/* Every prefix of a good file is refused, unless only the last newline is gone. */
static void cut_files_are_refused(void **state)
{
    (void)state;
    static const char text[] = HEAD LINE("64", "100", SCALAR) LINE("101", "4096", SCALAR) "end 2\n";
    struct nb_tune t;
    struct nb_err err;
    for (size_t n = 0; n + 2 < sizeof text; n++)
        assert_int_equal(nb_tune_parse(&t, "cut", text, n, &err), NB_ERROR);
}

static void choices_are_used_where_they_fit(void **state)
{
    (void)state;
    struct nb_tune t;
    struct nb_err err;
    const struct nb_kernel *self = nb_kernel_find("rmsnorm_fwd_auto__f32_scalar");
    assert_int_equal(parse(&t, HEAD LINE("64", "100", "naive__f32_scalar") "end 1\n", &err), NB_OK);
    nb_auto_use(t.choices, t.count);
    const struct {
        size_t hidden, rows;
        enum nb_auto_level level;
        const char *runs;
    } at[] = {{64, 4, NB_AUTO_L2, "naive"},   {100, 1 << 20, NB_AUTO_L2, "naive"}, {63, 4, NB_AUTO_L2, "onepass"},
              {101, 4, NB_AUTO_L2, "onepass"}, {64, 3, NB_AUTO_L2, "onepass"},      {64, 4, NB_AUTO_L3, "onepass"}};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        const struct nb_problem p = problem(self, at[i].rows, at[i].hidden);
        assert_string_equal(nb_auto_choose("scalar", &p, at[i].level, at[i].rows, NULL)->algo, at[i].runs);
        assert_string_equal(nb_auto_default("scalar", &p, at[i].level, at[i].rows, NULL)->algo, "onepass");
    }
    nb_auto_use(NULL, 0);
    nb_tune_free(&t);
}

/* ---- from a run ---- */

static const size_t one[] = {1, 0};

static const char *write_run(const size_t *hiddens)
{
    const char *dir = new_folder();
    const struct synthetic_run run = {.residencies = "L2", .dtypes = "f32", .hiddens = hiddens, .threads = one,
                                      .processes = 8, .screening = 2, .rounds = 4, .noise = 0.001};
    synthetic_write(dir, &run);
    return dir;
}

/* In all raw files: a for b and b for a. */
static void swap_names(const char *dir, const char *a, const char *b)
{
    static const char *const files[] = {"plan.json", "checks.jsonl"};
    char command[1024];
    for (size_t i = 0; i < 2; i++) {
        snprintf(command, sizeof command, "sed -i 's/\"%s\"/\"@\"/g; s/\"%s\"/\"%s\"/g; s/\"@\"/\"%s\"/g' '%s/%s'", a, b,
                 a, b, dir, files[i]);
        assert_int_equal(system(command), 0);
    }
}

static const char PLAIN[] = "rmsnorm_fwd_onepass__f32_avx512", ROWS4[] = "rmsnorm_fwd_onepass__f32_avx512_rows4";

/* The choice of avx512 for RMSNorm in a derived table; NULL: none. */
static const struct nb_auto_choice *derived(const char *dir, struct nb_tune *t, size_t *index)
{
    struct nb_err err;
    FILE *none = fopen("/dev/null", "w");
    assert_non_null(none);
    if (nb_tune_derive(dir, t, none, &err) != NB_OK)
        fail_msg("%s", err.text);
    fclose(none);
    for (size_t i = 0; i < t->count; i++)
        if (t->choices[i].kernel->op == NB_OP_RMSNORM && strcmp(t->choices[i].kernel->isa, "avx512") == 0) {
            *index = i;
            return &t->choices[i];
        }
    return NULL;
}

/* The default where it is the fastest; another where that is faster for certain. */
static void a_run_gives_its_table(void **state)
{
    (void)state;
    static const size_t hiddens[] = {64, 128, 0};
    struct nb_tune t;
    size_t i = 0;
    const struct nb_kernel *rows4 = nb_kernel_find(ROWS4);
    if (rows4 == NULL || nb_kernel_why_not(rows4) != NULL)
        skip();
    const char *dir = write_run(hiddens);
    const struct nb_auto_choice *c = derived(dir, &t, &i);
    assert_non_null(c);
    assert_string_equal(c->kernel->name, ROWS4);
    assert_true(c->level == NB_AUTO_L2 && c->hidden_from == 64 && c->hidden_to == 128); /* merged */
    assert_true(c->rows_from == NB_TUNE_MANY && c->rows_to == SIZE_MAX && t.scores[i].gain == 1);
    nb_tune_free(&t);
    swap_names(dir, PLAIN, ROWS4);
    c = derived(dir, &t, &i);
    assert_non_null(c);
    assert_string_equal(c->kernel->name, PLAIN);
    assert_true(t.scores[i].gain > 1.01 && t.scores[i].gain < 1.25 && t.scores[i].share == 1);
    nb_tune_free(&t);
}

/* Times that differ by less than the noise are no reason to leave the default. */
static void a_tie_is_no_reason(void **state)
{
    (void)state;
    static const size_t hiddens[] = {64, 0};
    struct nb_tune t;
    size_t i = 0;
    const struct nb_kernel *rows4 = nb_kernel_find(ROWS4);
    if (rows4 == NULL || nb_kernel_why_not(rows4) != NULL)
        skip();
    const char *dir = new_folder();
    const struct synthetic_run run = {.residencies = "L2", .dtypes = "f32", .hiddens = hiddens, .threads = one,
                                      .processes = 8, .screening = 2, .rounds = 4, .noise = 1.0};
    synthetic_write(dir, &run);
    swap_names(dir, PLAIN, ROWS4);
    const struct nb_auto_choice *c = derived(dir, &t, &i);
    assert_non_null(c);
    assert_string_equal(c->kernel->name, ROWS4);
    nb_tune_free(&t);
}

static void call_auto(const char *dir, const char *kernel)
{
    char path[256];
    snprintf(path, sizeof path, "%s/plan.json", dir);
    json_t *plan = json_load_file(path, 0, NULL);
    json_t *k = json_object_get(json_object_get(plan, "kernels"), kernel);
    assert_non_null(k);
    json_object_set_new(k, "algo", json_string("auto"));
    assert_int_equal(json_dump_file(plan, path, 0), 0);
    json_decref(plan);
}

/* The report's line, from a run in which one kernel is said to be auto. */
static void the_report_tells_the_share(void **state)
{
    (void)state;
    (void)has_gnuplot;
    static const size_t hiddens[] = {1024, 0};
    static char text[1 << 16];
    struct nb_err err;
    double best = 0, ours = 0;
    const char *dir = write_run(hiddens);
    call_auto(dir, "rmsnorm_fwd_onepass__f32_avx2");
    for (size_t i = 0; i < synthetic_kernel_count; i++) {
        const struct synthetic_kernel *k = &synthetic_kernels[i];
        const double ns = synthetic_pass_ns(k, "f32", "L2", 1024, synthetic_rows(1024), 1);
        if (strcmp(k->op, "rmsnorm") == 0 && strcmp(k->trick, "rows4") == 0)
            best = ns;
        if (strcmp(k->op, "rmsnorm") == 0 && strcmp(k->isa, "avx2") == 0)
            ours = ns;
    }
    FILE *f = fmemopen(text, sizeof text, "w");
    char *path = strdup(getenv("PATH"));
    setenv("PATH", "/nonexistent", 1); /* no pictures: quicker */
    if (nb_report(dir, f, &err) != NB_OK)
        fail_msg("%s", err.text);
    fclose(f);
    setenv("PATH", path, 1);
    free(path);
    const char *line = strstr(text, "auto    ");
    assert_non_null(line);
    assert_true(fabs(strtod(line + 8, NULL) - best / ours) < 0.01);
    assert_true(strstr(text, "; 0 of 1 within 3 %") != NULL);
    char *md = slurp(dir, "report.md", NULL);
    assert_non_null(strstr(md, "## auto"));
    assert_non_null(strstr(md, "rmsnorm_fwd_onepass__f32_avx512_rows4"));
    free(md);
}

static int begin(void **state)
{
    nb_auto_caches(&USUAL);
    return nb_cpu_init(NULL, 0) != 0 || set_up(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_problem_has_a_variant_that_the_bound_covers),
        cmocka_unit_test(the_rules_are_as_written),
        cmocka_unit_test(what_auto_may_not_run),
        cmocka_unit_test(sizes_decide_the_level),
        cmocka_unit_test(output_is_the_variant_s),
        cmocka_unit_test(a_pinned_variant_runs_wherever_it_can),
        cmocka_unit_test(it_refuses_what_its_variants_refuse),
        cmocka_unit_test(states_are_given_back),
        cmocka_unit_test(a_call_costs_a_jump),
        cmocka_unit_test(a_file_is_read_as_it_was_written),
        cmocka_unit_test(bad_files_are_refused_by_line),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(choices_are_used_where_they_fit),
        cmocka_unit_test(a_run_gives_its_table),
        cmocka_unit_test(a_tie_is_no_reason),
        cmocka_unit_test(the_report_tells_the_share),
    };
    return cmocka_run_group_tests_name("auto", tests, begin, tear_down);
}
