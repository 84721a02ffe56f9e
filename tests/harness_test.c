/* harness_test.c: selection, plan, data and memory of the harness. */
#include "buffers.h"
#include "check.h"
#include "child.h"
#include "codec.h"
#include "cpu.h"
#include "execute.h"
#include "counters.h"
#include "inputs.h"
#include "measure.h"
#include "plan.h"
#include "registry.h"
#include "stats.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A machine of four cores, so that plans do not depend on where the test runs. */
static const struct nb_topology MACHINE = {.cores = 4,
                                           .cpus = 4,
                                           .smt = 1,
                                           .numa_nodes = 1,
                                           .l1d = 32 << 10,
                                           .l2 = 1 << 20,
                                           .l3 = 32 << 20,
                                           .l2_cores = 1,
                                           .l3_cores = 4,
                                           .llc = 32 << 20,
                                           .llcs = 1,
                                           .llc_cores = 4,
                                           .memory = (size_t)8 << 30};

static struct nb_preset selection(const char *const (*keys)[2], size_t n)
{
    struct nb_err err;
    struct nb_preset p = {.name = "test", .settings = nb_settings_default(), .count = 1};
    p.blocks = calloc(1, sizeof *p.blocks);
    assert_int_equal(nb_block_init(&p.blocks[0], "test", &err), NB_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(nb_block_set(&p.blocks[0], (enum nb_key)nb_key_parse(keys[i][0]),
                                      keys[i][1], &err), NB_OK);
    return p;
}

static struct nb_plan plan_of(const char *const (*keys)[2], size_t n)
{
    struct nb_plan plan;
    struct nb_err err = {""};
    struct nb_preset p = selection(keys, n);
    const enum nb_status s = nb_plan_make(&plan, &p, &MACHINE, &err);
    if (s != NB_OK)
        fail_msg("%s", err.text);
    plan.command = strdup("test");
    nb_preset_free(&p);
    return plan;
}

static void hidden_ranges(void **state)
{
    (void)state;
    const char *const keys[][2] = {{"hidden", "64:1024:x2,100:300:+100,64"}};
    struct nb_preset p = selection(keys, 1);
    const size_t want[] = {64, 128, 256, 512, 1024, 100, 200, 300};
    assert_int_equal(p.blocks[0].hidden.n, 8);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(p.blocks[0].hidden.v[i], want[i]);
    nb_preset_free(&p);
}

static void offsets_are_cells(void **state)
{
    (void)state;
    const char *const keys[][2] = {{"offset", "2112,0:128:+64"}, {"hidden", "64"}, {"residency", "L2,DRAM"}};
    const char *const bad[][2] = {{"4096", "0 to 4032"},      {"65", "65 in \"65\" is no multiple of 64"},
                                  {"64:256:x2", "is no range"}, {"0:90:+30", "30 in \"0:90:+30\""},
                                  {"-64", "whole number"},      {"0:64:+0", "whole number"}};
    struct nb_plan plan = plan_of(keys, 3);
    struct nb_err err = {""};
    assert_int_equal(plan.count, 2 * 4);
    const size_t want[] = {2112, 0, 64, 128};
    for (size_t i = 0; i < plan.count; i++)
        assert_int_equal(plan.cells[i].offset, want[i % 4]);
    assert_null(strstr(plan.cells[0].id, "-o")); /* the usual one has no name */
    assert_non_null(strstr(plan.cells[3].id, "-L2-o128"));
    char repro[512];
    nb_cell_repro(&plan.cells[3], &plan.settings, "run", NULL, repro, sizeof repro);
    assert_non_null(strstr(repro, " --offset 128"));
    size_t order[8];
    nb_plan_order(&plan, 3, order);
    nb_plan_free(&plan);
    struct nb_block b;
    assert_int_equal(nb_block_init(&b, "x", &err), NB_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(nb_block_set(&b, NB_KEY_OFFSET, bad[i][0], &err), NB_ERROR);
        if (strstr(err.text, bad[i][1]) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.text, bad[i][1]);
    }
    nb_block_free(&b);
}

/* Twice as many rows, no copy, a name and a command of its own; y lies nowhere, so offsets make no cells. */
static void in_place_is_a_cell(void **state)
{
    (void)state;
    const char *const keys[][2] = {{"in-place", "both"}, {"hidden", "4,64"}, {"offset", "2112,128"}};
    struct nb_plan plan = plan_of(keys, 3);
    struct nb_err err = {""};
    char repro[512];
    assert_int_equal(plan.count, 2 * 2 + 1); /* no cell of 4 in place */
    const struct nb_cell *out = nb_plan_find(&plan, "fwd-none-f32-h64-r1023-t1-L2");
    const struct nb_cell *in = nb_plan_find(&plan, "fwd-none-f32-h64-r2046-t1-L2-ip");
    assert_non_null(out);
    assert_non_null(in);
    assert_true(in->in_place && !out->in_place);
    assert_int_equal(in->bytes, out->bytes);
    assert_int_equal(in->kernel_count + 1, out->kernel_count);
    for (size_t i = 0; i < in->kernel_count; i++)
        assert_true(in->kernels[i]->op != NB_OP_COPY);
    assert_int_equal(plan.dropped_count, 2);
    assert_non_null(strstr(plan.dropped[0].reason, "fewer than 8 elements"));
    nb_cell_repro(in, &plan.settings, "run", NULL, repro, sizeof repro);
    assert_non_null(strstr(repro, " --in-place yes "));
    nb_cell_repro(out, &plan.settings, "run", NULL, repro, sizeof repro);
    assert_null(strstr(repro, "in-place"));
    struct nb_cell c;
    json_t *json = nb_cell_to_json(in, &plan.settings);
    assert_int_equal(nb_cell_from_json(&c, json, &err), NB_OK);
    assert_true(c.in_place);
    nb_cell_free(&c);
    json_object_del(json, "in_place"); /* a plan of old */
    assert_int_equal(nb_cell_from_json(&c, json, &err), NB_OK);
    assert_false(c.in_place);
    nb_cell_free(&c);
    json_decref(json);
    nb_plan_free(&plan);
    struct nb_block b;
    assert_int_equal(nb_block_init(&b, "x", &err), NB_OK);
    assert_int_equal(nb_block_set(&b, NB_KEY_IN_PLACE, "maybe", &err), NB_ERROR);
    assert_non_null(strstr(err.text, "known: yes, no, both"));
    nb_block_free(&b);
}

/* A cell of a plan of old has no offset: it is the usual one. A strange one is refused. */
/* A name, tensors and a command of their own; in place there are none, backward where h is kept. */
static void fusions_are_cells(void **state)
{
    (void)state;
    const char *const keys[][2] = {{"fuse", "none,residual,postnorm"}, {"in-place", "both"}, {"dir", "fwd,bwd"},
                                   {"hidden", "64"}, {"rows", "100"}};
    struct nb_plan plan = plan_of(keys, 5);
    struct nb_err err = {""};
    size_t seen[NB_FUSE_COUNT] = {0};
    for (size_t i = 0; i < plan.count; i++) {
        struct nb_cell *c = &plan.cells[i], back;
        if (c->fuse == NB_FUSE_NONE)
            continue;
        const size_t tensors = c->fuse == NB_FUSE_RESIDUAL ? 4 : 3, page = 4096 * (100 * 64 * 4 / 4096 + 1);
        char repro[512];
        seen[c->fuse]++;
        assert_true(!c->in_place && strstr(c->id, nb_fuse_name(c->fuse)) != NULL);
        assert_int_equal(c->bytes, tensors * 100 * 64 * 4 + (c->dir == NB_BWD ? 5 : 2) * 64 * 4);
        assert_int_equal(nb_cell_second_in(c), page + NB_OFFSET_SECOND);
        assert_int_equal(nb_cell_second_out(c), tensors == 4 ? page + NB_OFFSET_SECOND : 0);
        nb_cell_repro(c, &plan.settings, "run", NULL, repro, sizeof repro);
        assert_non_null(strstr(repro, tensors == 4 ? " --fuse residual " : " --fuse postnorm "));
        json_t *json = nb_cell_to_json(c, &plan.settings);
        assert_int_equal(nb_cell_from_json(&back, json, &err), NB_OK);
        assert_true(back.fuse == c->fuse && back.kernel_count == c->kernel_count);
        json_decref(json);
        nb_cell_free(&back);
    }
    assert_true(seen[NB_FUSE_RESIDUAL] == 2 && seen[NB_FUSE_POSTNORM] == 1);
    nb_plan_free(&plan);
}

/* Where nobody says how to fuse, deepnorm is fused, a cell a depth, and ops beside it keep cells without a sum. */
static void deepnorm_is_fused(void **state)
{
    (void)state;
    const char *const keys[][2] = {{"op", "deepnorm,layernorm"}, {"depth", "6,1000"}, {"hidden", "64"}, {"rows", "10"}};
    const double alphas[] = {1.861210, 6.687403};
    struct nb_plan plan = plan_of(keys, 4);
    size_t plain = 0, deep = 0, both = 0;
    for (size_t i = 0; i < plan.count; i++) {
        const struct nb_cell *c = &plan.cells[i];
        plain += c->fuse == NB_FUSE_NONE && c->k[NB_K_DEPTH] == 0;
        for (size_t k = 0; k < c->kernel_count; k++) {
            const struct nb_problem p = nb_cell_problem(c, c->kernels[k]);
            both += p.op == NB_OP_LAYERNORM && c->fuse == NB_FUSE_POSTNORM;
            if (p.op != NB_OP_DEEPNORM)
                continue;
            deep++;
            assert_true(c->fuse == NB_FUSE_POSTNORM && fabs(p.alpha - alphas[c->k[NB_K_DEPTH] == 1000]) < 1e-6);
            assert_non_null(strstr(c->id, p.k == 6 ? "-l6" : "-l1000"));
        }
    }
    assert_true(plan.count == 3 && plain == 1 && deep >= 14 && both >= 14);
    nb_plan_free(&plan);
}

/* Kernels of a cell by op and fuse. */
static size_t kernels_of(const struct nb_cell *c, uint32_t op, uint32_t fuse)
{
    size_t n = 0;
    for (size_t k = 0; k < c->kernel_count; k++)
        n += c->kernels[k]->op == op && c->kernels[k]->fuse == fuse;
    return n;
}

/* Back through a sum: deepnorm with two gradients, and what goes forward of a sum with its one, each with the ceilings that
 * write as much; what has no such forward pass stands elsewhere. */
static void backward_of_a_sum(void **state)
{
    (void)state;
    const char *const keys[][2] = {{"op", "deepnorm,layernorm,rmsnorm,prmsnorm"}, {"dir", "bwd"}, {"hidden", "64"}, {"rows", "10"}};
    struct nb_plan plan = plan_of(keys, 4);
    assert_int_equal(plan.count, 2);
    for (size_t i = 0; i < plan.count; i++) {
        const struct nb_cell *c = &plan.cells[i];
        const bool sum = c->fuse == NB_FUSE_RESIDUAL;
        assert_true((kernels_of(c, NB_OP_DEEPNORM, NB_FUSE_RESIDUAL) >= 3) == sum);
        assert_true(kernels_of(c, NB_OP_LAYERNORM, NB_FUSE_NONE) >= 3 && kernels_of(c, NB_OP_RMSNORM, NB_FUSE_NONE) >= 3);
        assert_true((kernels_of(c, NB_OP_PRMSNORM, NB_FUSE_NONE) >= 3) == !sum);
        assert_true(kernels_of(c, NB_OP_TRIAD, NB_FUSE_NONE) >= 1 && (kernels_of(c, NB_OP_TRIAD, NB_FUSE_RESIDUAL) >= 1) == sum);
        assert_true(c->pairing_count >= 4); /* rmsnorm over layernorm, here as there */
        for (size_t k = 0; k < c->kernel_count; k++) {
            const struct nb_problem p = nb_cell_problem(c, c->kernels[k]);
            const bool two = c->kernels[k]->fuse == NB_FUSE_RESIDUAL;
            assert_true(p.fuse == c->kernels[k]->fuse && c->kernels[k]->supports(&p) == NULL);
            assert_true(nb_kernel_second_out(c, c->kernels[k]) == (two ? nb_cell_second_out(c) : 0));
        }
    }
    nb_plan_free(&plan);
}

/* One of them alone: no ceiling of what nothing there writes, but that of the cell. */
static void backward_of_a_sum_alone(void **state)
{
    (void)state;
    const char *const deep[][2] = {{"op", "deepnorm"}, {"dir", "bwd"}, {"hidden", "64"}, {"rows", "10"}};
    const char *const plain[][2] = {{"op", "layernorm"}, {"dir", "bwd"}, {"fuse", "residual"}, {"hidden", "64"}, {"rows", "10"}};
    struct nb_plan plan = plan_of(deep, 4);
    assert_true(plan.count == 1 && kernels_of(&plan.cells[0], NB_OP_TRIAD, NB_FUSE_NONE) == 0);
    nb_plan_free(&plan);
    plan = plan_of(plain, 5);
    assert_true(plan.count == 1 && kernels_of(&plan.cells[0], NB_OP_TRIAD, NB_FUSE_NONE) >= 1);
    assert_true(kernels_of(&plan.cells[0], NB_OP_LAYERNORM, NB_FUSE_NONE) >= 3);
    nb_plan_free(&plan);
}

/* What kernels are told is what was asked for, from the plan as it is read back, too; other ops keep the usual one. */
static void momentum_reaches_batchnorm(void **state)
{
    (void)state;
    const char *const keys[][2] = {{"op", "batchnorm,layernorm"}, {"momentum", "0.25"}, {"fuse", "none,residual"}, {"hidden", "64"}};
    struct nb_plan plan = plan_of(keys, 4);
    struct nb_err err;
    size_t seen[2] = {0};
    for (size_t i = 0; i < plan.count; i++) {
        json_t *json = nb_cell_to_json(&plan.cells[i], &plan.settings);
        struct nb_cell back;
        assert_int_equal(nb_cell_from_json(&back, json, &err), NB_OK);
        for (size_t k = 0; k < back.kernel_count; k++) {
            const bool batch = plan.cells[i].fuse == NB_FUSE_NONE;
            assert_true(nb_cell_problem(&plan.cells[i], back.kernels[k]).momentum == (batch ? 0.25 : NB_MOMENTUM));
            assert_true(nb_cell_problem(&back, back.kernels[k]).momentum == (batch ? 0.25 : NB_MOMENTUM));
            seen[batch]++;
        }
        nb_cell_free(&back);
        json_object_set_new(json, "momentum", json_real(1.5));
        assert_int_equal(nb_cell_from_json(&back, json, &err), NB_ERROR);
        json_decref(json);
    }
    assert_true(plan.count == 2 && seen[0] > 0 && seen[1] > 0);
    nb_plan_free(&plan);
}

/* Both directions: h is kept, and dres and dx are two outputs backward. */
static void deepnorm_goes_back(void **state)
{
    (void)state;
    const char *const keys[][2] = {{"op", "deepnorm"}, {"dir", "fwd,bwd"}, {"hidden", "64"}, {"rows", "100"}};
    struct nb_plan plan = plan_of(keys, 4);
    const size_t page = 4096 * (100 * 64 * 4 / 4096 + 1);
    assert_int_equal(plan.count, 2);
    for (size_t i = 0; i < plan.count; i++) {
        const struct nb_cell *c = &plan.cells[i];
        const size_t params = c->dir == NB_BWD ? 5 : 2;
        assert_int_equal(c->fuse, NB_FUSE_RESIDUAL);
        assert_int_equal(c->bytes, 4 * 100 * 64 * 4 + params * 64 * 4);
        assert_int_equal(nb_cell_second_out(c), page + NB_OFFSET_SECOND);
    }
    nb_plan_free(&plan);
}

/* addnorm is the base of what it runs, fused: in every form, and of the same op and ISA. */
static void fusing_is_paired_with_not_fusing(void **state)
{
    (void)state;
    const char *const keys[][2] = {{"fuse", "residual"}, {"hidden", "64"}};
    struct nb_plan plan = plan_of(keys, 2);
    size_t gains = 0;
    for (size_t i = 0; i < plan.cells[0].pairing_count; i++) {
        const struct nb_pairing *p = &plan.cells[0].pairings[i];
        if (p->best || p->base_op != p->test_op)
            continue;
        assert_string_equal(p->base->algo, "addnorm");
        assert_string_equal(p->test->algo, p->test_op == NB_OP_LAYERNORM ? "guarded" : "onepass");
        assert_string_equal(p->base->isa, p->test->isa);
        gains++;
    }
    assert_true(gains >= 2);
    nb_plan_free(&plan);
}

static void offsets_in_plans(void **state)
{
    (void)state;
    const char *const keys[][2] = {{"offset", "192"}, {"hidden", "64"}};
    struct nb_plan plan = plan_of(keys, 2);
    struct nb_cell c;
    struct nb_err err = {""};
    json_t *json = nb_cell_to_json(&plan.cells[0], &plan.settings);
    assert_int_equal(nb_cell_from_json(&c, json, &err), NB_OK);
    assert_int_equal(c.offset, 192);
    nb_cell_free(&c);
    json_object_del(json, "offset");
    assert_int_equal(nb_cell_from_json(&c, json, &err), NB_OK);
    assert_int_equal(c.offset, NB_OFFSET);
    nb_cell_free(&c);
    const int strange[] = {-64, 4096, 100};
    for (size_t i = 0; i < 3; i++) {
        json_object_set_new(json, "offset", json_integer(strange[i]));
        assert_int_equal(nb_cell_from_json(&c, json, &err), NB_ERROR);
        nb_cell_free(&c);
    }
    json_decref(json);
    nb_plan_free(&plan);
}

static size_t extra_references(const struct nb_plan *plan)
{
    size_t n = 0;
    for (size_t k = 0; k < plan->cells[0].kernel_count; k++)
        n += nb_is_extra_reference(plan->cells[0].kernels[k]);
    return n;
}

/* Reference lines in other forms than the plain one take time, and stand where they were named alone. */
static void reference_lines_on_request(void **state)
{
    (void)state;
    const char *const all[][2] = {{"isa", "all"}}, *const op[][2] = {{"op", "affine"}, {"isa", "best"}},
                     *const glob[][2] = {{"kernel", "affine_*_rows4"}};
    const struct nb_isa *best = nb_isa_best(NB_F32);
    struct nb_plan plan = plan_of(all, 1);
    assert_int_equal(extra_references(&plan), 0);
    nb_plan_free(&plan);
    if (strncmp(best->name, "avx", 3) != 0) /* no hand-written ISA: no such kernels */
        return;
    plan = plan_of(op, 2);
    assert_int_equal(extra_references(&plan), 4);
    nb_plan_free(&plan);
    plan = plan_of(glob, 1);
    assert_true(extra_references(&plan) >= 2);
    nb_plan_free(&plan);
}

/* What the report takes from a kernel's name and bound. */
static void streams_and_weakness(void **state)
{
    (void)state;
    static const struct {
        const char *trick;
        bool streams;
    } tricks[] = {{"", false}, {"nt", true}, {"rows4_nt", true}, {"nt_rows2", true},
                  {"mint", false}, {"ntx", false}, {"rows4", false}};
    for (size_t i = 0; i < sizeof tricks / sizeof *tricks; i++) {
        const struct nb_kernel k = {.trick = tricks[i].trick};
        assert_int_equal(nb_kernel_streams(&k), tricks[i].streams);
    }
    for (uint32_t kind = 0; kind < NB_BOUND_KINDS; kind++) {
        const struct nb_kernel ln = {.op = NB_OP_LAYERNORM, .bound = {.kind = kind}};
        const struct nb_kernel rms = {.op = NB_OP_RMSNORM, .bound = {.kind = kind}};
        assert_false(nb_kernel_is_weak(&rms));
        if (kind == NB_BOUND_ONEPASS || kind == NB_BOUND_SHIFTED)
            assert_true(nb_kernel_is_weak(&ln));
        if (kind == NB_BOUND_TWOPASS || kind == NB_BOUND_WELFORD || kind == NB_BOUND_GUARDED ||
            kind == NB_BOUND_EITHER)
            assert_false(nb_kernel_is_weak(&ln));
    }
}

/* As many sizes as a line holds: none is lost behind some inner limit. */
static void long_lines_are_read_whole(void **state)
{
    (void)state;
    char text[1300] = "[a]\r\nhidden = 1000";
    struct nb_preset p;
    struct nb_err err = {""};
    for (int h = 1001; h < 1236; h++)
        snprintf(text + strlen(text), sizeof text - strlen(text), ",%d", h);
    if (nb_preset_parse(&p, "some/where.preset", text, strlen(text), &err) != NB_OK)
        fail_msg("%s", err.text);
    assert_string_equal(p.name, "where");
    assert_int_equal(p.count, 1);
    assert_int_equal(p.blocks[0].hidden.n, 236);
    assert_int_equal(p.blocks[0].hidden.v[235], 1235);
    nb_preset_free(&p);
}

static void residency_bounds_bytes(void **state)
{
    (void)state;
    const char *const keys[][2] = {{"residency", "L1,L2,L3,DRAM"}, {"hidden", "64,1024"},
                                   {"dtype", "f32,bf16"}, {"threads", "1,4"},
                                   {"kernels", "headline"}, {"isa", "scalar"}};
    struct nb_plan plan = plan_of(keys, 6);
    assert_int_equal(plan.count, 4 * 2 * 2 * 2);
    for (size_t i = 0; i < plan.count; i++) {
        const struct nb_cell *c = &plan.cells[i];
        const size_t params = 2 * c->hidden * nb_dtype_bytes(c->param_dtype);
        const size_t per_thread = (c->bytes - params) / c->threads + params;
        assert_true(c->rows >= c->threads);
        if (c->residency == NB_L1)
            assert_true(per_thread <= MACHINE.l1d / 2);
        if (c->residency == NB_L2)
            assert_true(per_thread <= MACHINE.l2 / 2 && per_thread > MACHINE.l1d);
        if (c->residency == NB_L3)
            assert_true(c->bytes <= MACHINE.l3 / 2 + params && per_thread > MACHINE.l2);
    }
    nb_plan_free(&plan);
}

static void too_large_is_dropped_with_reason(void **state)
{
    (void)state;
    const char *const keys[][2] = {{"residency", "L1,L2"}, {"hidden", "16384"}};
    struct nb_plan plan = plan_of(keys, 2);
    assert_int_equal(plan.count, 1);
    assert_int_equal(plan.dropped_count, 1);
    assert_non_null(strstr(plan.dropped[0].reason, "SKIP_SHAPE"));
    nb_plan_free(&plan);
}

static void impossible_memory_is_told_before(void **state)
{
    (void)state;
    const char *const huge[][2] = {{"residency", "cold"}, {"hidden", "268435456"},
                                   {"rows", "4294967296"}, {"dtype", "f64"}};
    struct nb_preset p = selection(huge, 4);
    struct nb_plan plan;
    struct nb_err err = {""};
    assert_int_equal(nb_plan_make(&plan, &p, &MACHINE, &err), NB_ERROR); /* 2^64 bytes are not 0 */
    assert_non_null(strstr(err.text, "more than half of this machine's memory"));
    nb_plan_free(&plan);
    nb_preset_free(&p);
    const char *const wide[][2] = {{"residency", "cold"}, {"hidden", "1024,4194304"},
                                   {"isa", "scalar"}};
    plan = plan_of(wide, 3);
    assert_int_equal(plan.count, 1);
    assert_int_equal(plan.cells[0].hidden, 1024);
    assert_int_equal(plan.dropped_count, 1);
    assert_non_null(strstr(plan.dropped[0].reason, "SKIP_SHAPE: its check with the oracle"));
    nb_plan_free(&plan);
}

/* Names of files need not be UTF-8, JSON must. */
static void any_command_can_be_written(void **state)
{
    (void)state;
    const char *const keys[][2] = {{"isa", "scalar"}};
    struct nb_plan plan = plan_of(keys, 1);
    free(plan.command);
    plan.command = strdup("normbench run --out 'bad\xff'");
    json_t *json = nb_plan_to_json(&plan);
    assert_string_equal(json_string_value(json_object_get(json, "command")),
                        "normbench run --out 'bad?'");
    json_decref(json);
    nb_plan_free(&plan);
}

static double calibrated_ns(const struct nb_cell *c, const struct nb_kernel *kernel)
{
    for (size_t k = 0; k < c->kernel_count; k++)
        if (c->kernels[k] == kernel)
            return 1e4 * (double)(1 + k % 7);
    return 0;
}

static struct nb_plan calibrated_plan(double budget_s)
{
    const char *const keys[][2] = {{"isa", "all"}, {"dtype", "f32,bf16"}, {"hidden", "64,1024"}};
    struct nb_plan plan = plan_of(keys, 3);
    struct nb_err err = {""};
    struct nb_calibration cal = {calloc(plan.count, sizeof(double *)),
                                 calloc(plan.count, sizeof(double))};
    const size_t cells = plan.count;
    plan.settings.budget_s = budget_s;
    for (size_t i = 0; i < cells; i++) {
        cal.setup_ns[i] = 5e6;
        cal.pass_ns[i] = calloc(plan.cells[i].kernel_count, sizeof(double));
        for (size_t k = 0; k < plan.cells[i].kernel_count; k++)
            cal.pass_ns[i][k] = calibrated_ns(&plan.cells[i], plan.cells[i].kernels[k]);
    }
    if (nb_plan_calibrate(&plan, &cal, &err) != NB_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < cells; i++)
        free(cal.pass_ns[i]);
    free(cal.pass_ns);
    free(cal.setup_ns);
    return plan;
}

static size_t times_placed(const struct nb_cell *c, const struct nb_kernel *k)
{
    size_t n = 0;
    for (size_t g = 0; g < c->group_count; g++)
        for (size_t m = 0; m < c->groups[g].count; m++) {
            const struct nb_member *mem = &c->groups[g].members[m];
            n += mem->kernel == k && (mem->role == NB_ROLE_MEMBER || mem->role == NB_ROLE_CEILING);
        }
    return n;
}

static bool together(const struct nb_cell *c, const struct nb_pairing *p, unsigned *base,
                     unsigned *test)
{
    for (size_t g = 0; g < c->group_count; g++) {
        *base = *test = 0;
        for (size_t m = 0; m < c->groups[g].count; m++) {
            const struct nb_member *mem = &c->groups[g].members[m];
            if (mem->role == NB_ROLE_AA)
                continue;
            *base = mem->kernel == p->base ? mem->passes : *base;
            *test = mem->kernel == p->test ? mem->passes : *test;
        }
        if (*base && *test)
            return true;
    }
    return false;
}

static void groups_hold_what_the_method_says(void **state)
{
    (void)state;
    struct nb_plan plan = calibrated_plan(0);
    for (size_t i = 0; i < plan.count; i++) {
        const struct nb_cell *c = &plan.cells[i];
        size_t anchors = 0, counts = 0;
        for (size_t g = 0; g < c->group_count; g++) {
            size_t aa = 0;
            assert_true(c->groups[g].count <= NB_GROUP_MAX && c->groups[g].count % 2 == 0);
            for (size_t m = 0; m < c->groups[g].count; m++) {
                aa += c->groups[g].members[m].role == NB_ROLE_AA;
                anchors += c->groups[g].members[m].role == NB_ROLE_ANCHOR;
                if (c->groups[g].members[m].role != NB_ROLE_COUNT)
                    continue;
                counts++;
                assert_ptr_equal(c->groups[g].members[m].kernel, c->groups[g].members[0].kernel);
                assert_int_equal(c->groups[g].members[m].passes, c->groups[g].members[0].passes / 4);
            }
            assert_true(aa >= 1 && aa <= 2);
        }
        assert_int_equal(anchors, c->group_count);
        assert_int_equal(counts, 1);
        for (size_t k = 0; k < c->kernel_count; k++)
            assert_true(times_placed(c, c->kernels[k]) <= 1);
        for (size_t p = 0; p < c->pairing_count; p++) {
            unsigned a, b;
            if (c->pairings[p].best)
                continue;
            assert_true(together(c, &c->pairings[p], &a, &b));
            const double ratio = calibrated_ns(c, c->pairings[p].base) /
                                 calibrated_ns(c, c->pairings[p].test);
            assert_true(a == b || ratio >= 4 || ratio <= 0.25);
        }
    }
    nb_plan_free(&plan);
}

static void choose(struct nb_cell *c, struct nb_winner layernorm, struct nb_winner rmsnorm)
{
    struct nb_winner winners[NB_OP_COUNT] = {[NB_OP_LAYERNORM] = layernorm, [NB_OP_RMSNORM] = rmsnorm};
    nb_plan_choose(c, winners);
}

static void winners_share_a_group(void **state)
{
    (void)state;
    struct nb_plan plan = calibrated_plan(0);
    struct nb_cell *c = &plan.cells[0];
    const struct nb_kernel *layernorm = NULL, *rmsnorm = NULL;
    unsigned a, b;
    for (size_t k = 0; k < c->kernel_count; k++) {
        if (strstr(c->kernels[k]->name, "layernorm_fwd_naive__f32_scalar"))
            layernorm = c->kernels[k];
        if (strstr(c->kernels[k]->name, "rmsnorm_fwd_scaled__f32_avx2"))
            rmsnorm = c->kernels[k];
    }
    if (layernorm == NULL || rmsnorm == NULL) {
        nb_plan_free(&plan);
        skip();
    }
    const size_t before = c->group_count;
    choose(c, (struct nb_winner){layernorm, 7, 300}, (struct nb_winner){rmsnorm, 9, 250});
    assert_int_equal(c->group_count, before + 1);
    assert_true(c->groups[before].measure_only);
    for (size_t p = 0; p < c->pairing_count; p++)
        if (c->pairings[p].best) {
            assert_true(together(c, &c->pairings[p], &a, &b));
            assert_int_equal(a, 7); /* below a factor 4 counts are equal */
            assert_int_equal(b, 7);
        }
    c->group_count = before;
    choose(c, (struct nb_winner){layernorm, 7, 900}, (struct nb_winner){rmsnorm, 30, 200});
    assert_int_equal(c->groups[before].members[1].passes, 7);
    assert_int_equal(c->groups[before].members[2].passes, 30);
    nb_plan_free(&plan);
}

/* Members of one group are taken as they are only where their counts are equal. */
static void winners_of_one_group_get_equal_passes(void **state)
{
    (void)state;
    struct nb_plan plan = calibrated_plan(0);
    struct nb_cell *c = &plan.cells[0];
    struct nb_group *g = NULL;
    size_t l = 0, r = 0;
    for (size_t i = 0; i < c->group_count && (g == NULL || !l || !r); i++) {
        g = &c->groups[i];
        l = r = 0;
        for (size_t m = 0; m < g->count; m++) {
            const bool member = g->members[m].role == NB_ROLE_MEMBER;
            l = member && g->members[m].kernel->op == NB_OP_LAYERNORM ? m : l;
            r = member && g->members[m].kernel->op == NB_OP_RMSNORM ? m : r;
        }
    }
    assert_true(l > 0 && r > 0);
    const size_t before = c->group_count;
    const struct nb_winner a = {g->members[l].kernel, g->members[l].passes = 40, 300};
    struct nb_winner b = {g->members[r].kernel, g->members[r].passes = 40, 250};
    choose(c, a, b);
    assert_int_equal(c->group_count, before);
    b.passes = g->members[r].passes = 50;
    choose(c, a, b); /* moves the groups: g is no more */
    assert_int_equal(c->group_count, before + 1);
    for (size_t m = 0; m < c->groups[before].count; m++)
        if (c->groups[before].members[m].role == NB_ROLE_MEMBER)
            assert_int_equal(c->groups[before].members[m].passes, 40);
    nb_plan_free(&plan);
}

/* The faster LayerNorm is E[x^2] - mean^2: it wins where such are allowed. */
static void weak_kernels_win_when_allowed(void **state)
{
    (void)state;
    const struct nb_kernel *k[2] = {nb_kernel_find("layernorm_fwd_onepass__f32_scalar"),
                                    nb_kernel_find("layernorm_fwd_guarded__f32_scalar")};
    struct nb_group group = {.members = {{k[0], NB_ROLE_MEMBER, 5}, {k[1], NB_ROLE_MEMBER, 5}},
                             .count = 2};
    const struct nb_cell c = {.groups = &group, .group_count = 1};
    json_t *samples = json_pack("{s[f] s[f]}", k[0]->name, 100.0, k[1]->name, 120.0);
    json_t *hashes = json_pack("{ss ss}", k[0]->name, "a", k[1]->name, "b");
    assert_ptr_equal(nb_plan_fastest(&c, samples, hashes, NB_OP_LAYERNORM, true).kernel, k[0]);
    assert_ptr_equal(nb_plan_fastest(&c, samples, hashes, NB_OP_LAYERNORM, false).kernel, k[1]);
    json_decref(samples);
    json_decref(hashes);
}

/* Three of the four samples of the faster kernel fell into a pre-emption: a median takes the slower one. */
static void winners_are_found_under_disturbance(void **state)
{
    (void)state;
    const struct nb_kernel *k[2] = {nb_kernel_find("layernorm_fwd_naive__f32_scalar"),
                                    nb_kernel_find("layernorm_fwd_twopass__f32_scalar")};
    struct nb_group group = {.members = {{k[0], NB_ROLE_MEMBER, 5}, {k[1], NB_ROLE_MEMBER, 9}},
                             .count = 2};
    const struct nb_cell c = {.groups = &group, .group_count = 1};
    json_t *samples = json_pack("{s[ffff] s[ffff]}", k[0]->name, 200.0, 201.0, 200.0, 203.0,
                                k[1]->name, 4100.0, 101.0, 4000.0, 2100.0);
    json_t *hashes = json_pack("{ss ss}", k[0]->name, "a", k[1]->name, "b");
    struct nb_winner w = nb_plan_fastest(&c, samples, hashes, NB_OP_LAYERNORM, false);
    assert_ptr_equal(w.kernel, k[1]);
    assert_int_equal(w.passes, 9);
    assert_true(w.ns == 101);
    json_object_del(hashes, k[1]->name); /* what failed does not win */
    w = nb_plan_fastest(&c, samples, hashes, NB_OP_LAYERNORM, false);
    assert_ptr_equal(w.kernel, k[0]);
    assert_null(nb_plan_fastest(&c, samples, hashes, NB_OP_RMSNORM, true).kernel);
    json_decref(samples);
    json_decref(hashes);
}

static void budgets_shorten_rounds_then_processes_then_drop(void **state)
{
    (void)state;
    struct nb_plan free_plan = calibrated_plan(0), tight = calibrated_plan(14),
                   tiny = calibrated_plan(6);
    assert_int_equal(free_plan.cells[0].rounds, free_plan.settings.rounds);
    assert_true(tight.cells[0].rounds < free_plan.cells[0].rounds);
    assert_true(tight.cells[0].rounds >= 2);
    for (size_t i = 0; i < tight.count; i++) /* few rounds still rank */
        assert_true(tight.cells[i].screen_rounds >= (tight.cells[i].rounds < 4 ? 3 : 4));
    for (size_t i = 0; i < tiny.count; i++)
        assert_true(tiny.cells[i].screen_rounds >= 3);
    assert_int_equal(tiny.settings.processes, 6);
    assert_true(tiny.count < free_plan.count);
    assert_true(tiny.dropped_count > 0);
    nb_plan_free(&free_plan);
    nb_plan_free(&tight);
    nb_plan_free(&tiny);
}

static void plan_survives_json(void **state)
{
    (void)state;
    struct nb_plan plan = calibrated_plan(0), again;
    struct nb_err err = {""};
    json_t *json = nb_plan_to_json(&plan), *second;
    assert_non_null(json);
    if (nb_plan_from_json(&again, json, &err) != NB_OK)
        fail_msg("%s", err.text);
    second = nb_plan_to_json(&again);
    assert_true(json_equal(json, second));
    nb_plan_free(&again);
    static const char *const edited[] = {"screening", "seed", "processes", "rounds", "offset"};
    for (size_t i = 0; i < sizeof edited / sizeof *edited; i++) {
        json_t *copy = json_copy(json);
        json_object_set_new(copy, edited[i],
                            json_integer(1 + json_integer_value(json_object_get(json, edited[i]))));
        assert_int_equal(nb_plan_from_json(&again, copy, &err), NB_ERROR);
        assert_non_null(strstr(err.text, "changed"));
        json_decref(copy);
        nb_plan_free(&again);
    }
    json_object_set_new(json_array_get(json_object_get(json, "cells"), 0), "rounds",
                        json_integer(99));
    assert_int_equal(nb_plan_from_json(&again, json, &err), NB_ERROR);
    assert_non_null(strstr(err.text, "changed"));
    json_decref(json);
    json_decref(second);
    nb_plan_free(&again);
    nb_plan_free(&plan);
}

static void orders_are_permutations_and_keep_arenas_together(void **state)
{
    (void)state;
    const char *const keys[][2] = {{"dtype", "f32,bf16,f16"}, {"hidden", "64:4096:x2"},
                                   {"residency", "L2,DRAM"}, {"kernels", "headline"}};
    struct nb_plan plan = plan_of(keys, 4);
    size_t order[64], other[64], moved = 0;
    assert_true(plan.count <= 64);
    for (unsigned p = 0; p < 20; p++) {
        uint64_t seen = 0;
        int changes = 0, last = -1;
        nb_plan_order(&plan, p, order);
        for (size_t i = 0; i < plan.count; i++) {
            const struct nb_cell *c = &plan.cells[order[i]];
            seen |= (uint64_t)1 << order[i];
            if (c->residency != NB_DRAM)
                continue;
            changes += last != (int)c->dtype;
            last = (int)c->dtype;
        }
        assert_int_equal(seen, plan.count == 64 ? ~(uint64_t)0 : ((uint64_t)1 << plan.count) - 1);
        assert_int_equal(changes, 3);
        nb_plan_order(&plan, p + 1, other);
        moved += memcmp(order, other, plan.count * sizeof *order) != 0;
    }
    assert_int_equal(moved, 20);
    nb_plan_free(&plan);
}

static void halves_round_trip(void **state)
{
    (void)state;
    const uint32_t dtypes[] = {NB_F16, NB_BF16};
    for (size_t d = 0; d < 2; d++)
        for (uint32_t code = 0; code < 65536; code++) {
            uint16_t in = (uint16_t)code, out;
            double v;
            nb_decode(dtypes[d], &in, &v, 1);
            nb_encode(dtypes[d], &v, &out, 1);
            if (isnan(v))
                nb_decode(dtypes[d], &out, &v, 1), assert_true(isnan(v));
            else
                assert_int_equal(in, out);
        }
}

/* bf16 is the upper half of a float, which gives an independent decoder. */
static void bf16_is_half_a_float(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 65536; code++) {
        const uint32_t bits = code << 16;
        const uint16_t in = (uint16_t)code;
        float f;
        double v;
        memcpy(&f, &bits, 4);
        nb_decode(NB_BF16, &in, &v, 1);
        assert_true(isnan(f) ? isnan(v) : v == f);
    }
}

static void known_halves(void **state)
{
    (void)state;
    const struct {
        double v;
        uint16_t f16, bf16;
    } known[] = {{1, 0x3c00, 0x3f80}, {-2, 0xc000, 0xc000}, {65504, 0x7bff, 0x4780},
                 {65520, 0x7c00, 0x4780}, {0x1p-24, 0x0001, 0x3380}, {0x1p-25, 0x0000, 0x3300},
                 {1 + 0x1p-11, 0x3c00, 0x3f80}, {1 + 3 * 0x1p-11, 0x3c02, 0x3f80},
                 {1 + 0x1p-8, 0x3c04, 0x3f80}, {1 + 3 * 0x1p-8, 0x3c0c, 0x3f82}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint16_t a, b;
        nb_encode(NB_F16, &known[i].v, &a, 1);
        nb_encode(NB_BF16, &known[i].v, &b, 1);
        assert_int_equal(a, known[i].f16);
        assert_int_equal(b, known[i].bf16);
    }
}

static void inputs_are_closed_formulas(void **state)
{
    (void)state;
    double a[300], b[300], sum = 0, squares = 0;
    for (size_t i = 0; i < nb_family_count(); i++) {
        nb_family_row(nb_family_at(i), NB_F32, 1, 5, a, 300);
        nb_family_row(nb_family_at(i), NB_F32, 1, 5, b, 300);
        assert_memory_equal(a, b, sizeof a);
    }
    nb_family_row(nb_family_at(0), NB_F32, 1, 5, a, 300);
    nb_family_row(nb_family_at(0), NB_F32, 2, 5, b, 300);
    assert_true(memcmp(a, b, sizeof a) != 0);
    const float *stream = nb_input_stream(NB_F32, 1, NB_STREAM);
    for (size_t i = 0; i < NB_STREAM; i++) {
        sum += stream[i];
        squares += (double)stream[i] * stream[i];
    }
    assert_true(fabs(sum / NB_STREAM) < 0.005); /* five standard errors of N(0,1) */
    assert_true(fabs(squares / NB_STREAM - 1) < 0.007);
    float part[10];
    nb_input_stream_copy(NB_F32, 1, NB_STREAM - 4, part, 10);
    assert_memory_equal(part, stream + NB_STREAM - 4, 16);
    assert_memory_equal(part + 4, stream, 24);
}

/* What one process has made of the stream the next one reads: of the same seed alone, and the rest it makes. */
static void a_stream_is_kept_for_others(void **state)
{
    enum { N = 20000 };
    float own[N], *again;
    FILE *file = tmpfile();
    const float mark = 77;
    (void)state;
    assert_non_null(file);
    const int fd = fileno(file);
    memcpy(own, nb_input_stream(NB_F32, 31, N), sizeof own);
    nb_input_stream(NB_F32, 32, 1); /* forgets it, as another process would */
    nb_input_stream_keep(fd);
    nb_input_stream(NB_F32, 31, 5000);
    nb_input_stream_keep(-1);
    nb_input_stream(NB_F32, 32, 1);
    assert_int_equal(pwrite(fd, &mark, sizeof mark, 4096 + (off_t)(NB_F32 * NB_STREAM * sizeof(double))), sizeof mark);
    nb_input_stream_keep(fd);
    nb_input_stream(NB_F32, 33, 1); /* another seed takes nothing from it; and keeps its own */
    again = (float *)(uintptr_t)nb_input_stream(NB_F32, 31, N);
    assert_memory_equal(again, own, sizeof own);
    nb_input_stream_keep(-1);
    nb_input_stream(NB_F32, 32, 1);
    assert_int_equal(pwrite(fd, &mark, sizeof mark, 4096 + (off_t)(NB_F32 * NB_STREAM * sizeof(double))), sizeof mark);
    nb_input_stream_keep(fd);
    again = (float *)(uintptr_t)nb_input_stream(NB_F32, 31, N + 9000);
    assert_true(again[0] == mark); /* it is read indeed */
    assert_memory_equal(again + 1, own + 1, sizeof own - sizeof *own);
    nb_input_stream_keep(-1);
    nb_input_stream(NB_F32, 32, 1);
    fclose(file);
}

static void every_family_has_its_turn(void **state)
{
    (void)state;
    for (uint32_t dtype = 0; dtype < NB_DTYPE_COUNT; dtype++)
        for (size_t f = 0; f < nb_family_count(); f++) {
            bool seen = false;
            for (size_t i = 0; i < 24; i++)
                seen = seen || nb_check_family(dtype, i) == nb_family_at(f);
            assert_int_equal(seen, nb_family_has(nb_family_at(f), dtype) &&
                                       (nb_family_at(f)->flags & NB_FAM_CHECK));
        }
}

static void canaries_catch_one_byte(void **state)
{
    (void)state;
    struct nb_err err;
    for (int tail = 0; tail < 2; tail++) {
        struct nb_buffer b;
        assert_int_equal(tail ? nb_buffer_map_tail(&b, 1000, &err)
                              : nb_buffer_map(&b, 1000, NB_OFFSET, false, &err), NB_OK);
        memset(b.data, 1, b.bytes);
        assert_true(nb_buffer_canaries_intact(&b));
        if (!tail)
            assert_int_equal((uintptr_t)b.data % 4096, NB_OFFSET);
        nb_buffer_name(&b, "y");
        b.data[-1] ^= 1;
        assert_false(nb_buffer_canaries_intact(&b));
        assert_string_equal(nb_buffer_damage(&b), "before");
        b.data[-1] ^= 1;
        assert_true(nb_buffer_canaries_intact(&b));
        if (!tail) {
            b.data[b.bytes] ^= 1;
            assert_string_equal(nb_buffer_damage(&b), "behind");
        }
        assert_string_equal(nb_buffer_guard(b.map).side, "before");
        assert_string_equal(nb_buffer_guard(b.map + b.map_bytes - 1).side, "behind");
        assert_string_equal(nb_buffer_guard(b.map).name, "y");
        assert_null(nb_buffer_guard(b.data).side);
        if (tail)
            assert_string_equal(nb_buffer_guard(b.data + b.bytes).side, "behind");
        nb_buffer_free(&b);
    }
}

static void hashes_see_one_bit(void **state)
{
    (void)state;
    char data[67] = {0};
    const uint64_t h = nb_hash_bytes(0, data, sizeof data);
    for (size_t bit = 0; bit < sizeof data * 8; bit++) {
        data[bit / 8] ^= (char)(1 << bit % 8);
        assert_true(nb_hash_bytes(0, data, sizeof data) != h);
        data[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_true(nb_hash_bytes(0, data, sizeof data - 1) != h);
}

/* ---- in place ---- */

/* Passes over their own output; true where every row is ordinary at the end. */
static bool ordinary_after(const struct nb_kernel *k, size_t hidden, unsigned passes, bool usual_params)
{
    enum { ROWS = 5 };
    const size_t es = nb_dtype_bytes(k->dtype);
    struct nb_cell c = {.dtype = k->dtype, .param_dtype = k->dtype, .hidden = hidden, .rows = ROWS,
                        .ldx = hidden, .ldy = hidden, .threads = 1, .in_place = true, .k = {[NB_K_GROUPS] = hidden / 8}};
    char *x = malloc(ROWS * hidden * es), *gamma = malloc(hidden * es), *beta = malloc(hidden * es);
    double *wide = malloc(hidden * sizeof *wide);
    assert_true(x != NULL && gamma != NULL && beta != NULL && wide != NULL);
    (usual_params ? nb_input_gamma(k->dtype, 1, wide, hidden) : nb_input_gamma_in_place(1, wide, hidden));
    nb_encode(k->dtype, wide, gamma, hidden);
    (usual_params ? nb_input_beta(k->dtype, 1, wide, hidden) : nb_input_beta_in_place(wide, hidden));
    nb_encode(k->dtype, wide, beta, hidden);
    nb_input_stream_copy(k->dtype, 1, 0, x, ROWS * hidden);
    const struct nb_args args = {.x = x, .y = x, .gamma = gamma, .beta = beta};
    struct nb_execution e;
    const struct nb_problem p = nb_cell_problem(&c, k);
    const size_t scratch = nb_scratch_bytes(k, &p, 1);
    char *room = scratch > 0 ? aligned_alloc(4096, scratch) : NULL;
    bool ordinary = nb_execution_begin(&e, &c, k, &args, room);
    nb_execute(&e, passes);
    for (size_t r = 0; r < ROWS; r++)
        ordinary = ordinary && nb_input_is_ordinary(k->dtype, x + r * hidden * es, hidden);
    nb_execution_end(&e);
    free(room);
    free(wide);
    free(beta);
    free(gamma);
    free(x);
    return ordinary;
}

/* What the last pass of a sample sees: after more passes than most have, of every kernel that runs here in place. */
static void passes_in_place_wear_nothing_out(void **state)
{
    (void)state;
    const size_t hiddens[] = {8, 64, 100, 769};
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        for (size_t h = 0; h < 4 && nb_kernel_why_not(k) == NULL && k->fuse == NB_FUSE_NONE; h++) {
            const struct nb_cell c = {.dtype = k->dtype, .param_dtype = k->dtype, .hidden = hiddens[h],
                                      .rows = 5, .ldx = hiddens[h], .ldy = hiddens[h], .threads = 1,
                                      .k = {[NB_K_GROUPS] = hiddens[h] / 8}};
            const struct nb_problem p = nb_cell_problem(&c, k);
            if (!nb_op_facts(k->op)->no_in_place && (k->supports == NULL || k->supports(&p) == NULL) &&
                !ordinary_after(k, hiddens[h], 3000, false))
                fail_msg("%s, hidden %zu: its output wears out", k->name, hiddens[h]);
        }
    }
    /* and with the usual gamma it would: that is why */
    assert_false(ordinary_after(nb_kernel_find("rmsnorm_fwd_onepass__f16_scalar"), 769, 300, true));
    assert_false(ordinary_after(nb_kernel_find("rmsnorm_fwd_onepass__f32_scalar"), 769, 3000, true));
    /* tanh halves what it is given, and half of that: it has no cell in place */
    assert_false(ordinary_after(nb_kernel_find("dyt_fwd_expm1__f32_scalar"), 769, 30, false));
}

static void ordinary_is_what_it_says(void **state)
{
    (void)state;
    float row[640];
    const float strange[] = {INFINITY, NAN, 1e30f};
    for (size_t i = 0; i < 640; i++)
        row[i] = i % 2 ? 1.5f : -0.5f;
    assert_true(nb_input_is_ordinary(NB_F32, row, 640));
    for (size_t i = 0; i < 11; i++)
        row[i * 50] = i % 2 ? 0 : 1e-40f;
    assert_true(nb_input_is_ordinary(NB_F32, row, 640));
    row[639] = -1e-40f;
    assert_false(nb_input_is_ordinary(NB_F32, row, 640));
    row[639] = 1;
    for (size_t i = 0; i < 3; i++) {
        row[300] = strange[i];
        assert_false(nb_input_is_ordinary(NB_F32, row, 640));
    }
    for (size_t i = 0; i < 640; i++)
        row[i] = 0x1p-7f;
    assert_false(nb_input_is_ordinary(NB_F32, row, 640));
    const uint16_t half[2] = {0x3c00, 0x0001}; /* 1 and the least subnormal */
    assert_true(nb_input_is_ordinary(NB_F16, half, 2));
}

static void windows_rotate(void **state)
{
    (void)state;
    const struct nb_kernel *copy = nb_kernel_find("copy_fwd_plain__f32_scalar");
    struct nb_cell c = {.dtype = NB_F32, .param_dtype = NB_F32, .hidden = 4, .rows = 2, .ldx = 4,
                        .ldy = 4, .threads = 1};
    float x[3][8], y[3][8] = {{0}};
    struct nb_execution e;
    for (int i = 0; i < 24; i++)
        x[i / 8][i % 8] = (float)i;
    const struct nb_args args = {.x = x, .y = y};
    nb_execution_begin(&e, &c, copy, &args, NULL);
    e.windows = 3;
    e.step = e.step_out = sizeof x[0];
    nb_execute(&e, 2);
    assert_memory_equal(x, y, 2 * sizeof x[0]);
    assert_true(y[2][7] == 0);
    assert_int_equal(e.next_window, 2);
    nb_execute(&e, 1);
    assert_memory_equal(x, y, sizeof x);
    assert_int_equal(e.next_window, 0);
    nb_execution_end(&e);
}

/* ---- measuring, in this process ---- */

/* A kernel that copies and writes down where it was called; two entries share the log. */
enum { LOG = 1 << 21 };
static size_t logged[LOG];
static size_t log_count;
static const char *log_base;
static char *log_x; /* x of the last call */

static void run_probe(const void *state, const struct nb_args *a)
{
    const struct nb_problem *p = state;
    memcpy(a->y, a->x, p->rows * p->ldx * nb_dtype_bytes(p->dtype));
    log_x = (char *)(uintptr_t)a->x;
    if (log_base == NULL || (const char *)a->y < log_base)
        log_base = a->y;
    if (log_count < LOG)
        logged[log_count++] = (size_t)a->y;
}

#define PROBE(n) \
    {.size = sizeof(struct nb_kernel), .op = NB_OP_COPY, .dir = NB_FWD, .fuse = NB_FUSE_NONE, \
     .dtype = NB_F32, .name = "copy_fwd_probe" n "__f32_test", .algo = "probe" n, .isa = "test", \
     .trick = "", .source = "none", .x_reads = 1, .run = run_probe}
static const struct nb_kernel PROBES[] = {PROBE("1"), PROBE("2")};
static const struct nb_kernel *const PROBE_LIST[] = {&PROBES[0], &PROBES[1]};

/* Small caches, so that the arena is small too. */
static const struct nb_topology SMALL = {.cores = 1, .cpus = 1, .smt = 1, .numa_nodes = 1,
                                         .l1d = 4 << 10, .l2 = 64 << 10, .l3 = 1 << 20, .l2_cores = 1,
                                         .l3_cores = 1, .llc = 1 << 20, .llcs = 1, .llc_cores = 1,
                                         .memory = (size_t)1 << 30};

static struct nb_cell probe_cell(size_t rows, size_t hidden, struct nb_group *group)
{
    *group = (struct nb_group){
        .members = {{&PROBES[0], NB_ROLE_MEMBER, 5}, {&PROBES[1], NB_ROLE_MEMBER, 7}}, .count = 2};
    return (struct nb_cell){.id = "probes", .dtype = NB_F32, .param_dtype = NB_F32, .hidden = hidden,
                            .rows = rows, .ldx = hidden, .ldy = hidden, .threads = 1,
                            .residency = NB_COLD, .kernels = (const struct nb_kernel **)PROBE_LIST,
                            .kernel_count = 2, .groups = group, .group_count = 1};
}

static json_t *last_line;

static void keep_line(void *context, json_t *line)
{
    (void)context;
    json_decref(last_line);
    last_line = line;
}

static void at_nothing(void *context, const char *kernel)
{
    (void)context;
    (void)kernel;
}

/* The probes copy: the hash of their output is that of the stream. */
static json_t *probe_hashes(const struct nb_cell *c, uint64_t seed)
{
    char hash[17];
    float *y = malloc(c->rows * c->ldx * sizeof *y);
    assert_non_null(y);
    nb_input_stream_copy(c->dtype, seed, 0, y, c->rows * c->ldx);
    const uint64_t h = nb_output_hash(c, seed, y, NULL);
    free(y);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)h);
    return json_pack("{ss ss}", PROBES[0].name, hash, PROBES[1].name, hash);
}

/* A small window and one larger than the stream's period: windows follow each other through verification,
 * warming, samples and counting, and all of them together are what the method promises. */
static void rotation_meets_no_window_twice(void **state)
{
    (void)state;
    const size_t shapes[][2] = {{1, 4}, {3, 65}, {16, 64}, {100, 1000}, {1100, 1000}};
    nb_counters_init();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct nb_group group;
        struct nb_cell c = probe_cell(shapes[i][0], shapes[i][1], &group);
        struct nb_err err = {""};
        const struct nb_worker_env env = {&SMALL, 1, keep_line, at_nothing, NULL, NULL};
        const struct nb_windows w = nb_measure_windows(&c, &SMALL);
        const size_t bytes = c.rows * c.ldx * 4;
        json_t *hashes = probe_hashes(&c, 1);
        const struct nb_unit unit = {.cell = &c, .rounds = 4, .counters = true, .hashes = hashes};
        assert_true(w.step >= bytes && w.step < bytes + 64);
        assert_true(w.count * w.step >= 2 * SMALL.llc);
        assert_true(w.count * w.step < 2 * SMALL.llc + 2 * w.step);
        log_count = 0;
        log_base = NULL;
        if (nb_measure_unit(&env, &unit, &err) != NB_OK)
            fail_msg("%s", err.text);
        assert_string_equal(json_string_value(json_object_get(last_line, "type")), "done");
        const size_t ends = 2; /* verification by two kernels */
        assert_true(log_count > 2 + ends + 2 * 4 * 6 && log_count < LOG);
        for (size_t k = 3; k < log_count - ends; k++) {
            const size_t from = (logged[k - 1] - (size_t)log_base) / w.step;
            const size_t to = (logged[k] - (size_t)log_base) / w.step;
            assert_int_equal(to, (from + 1) % w.count);
        }
        json_decref(hashes);
    }
    json_decref(last_line);
    last_line = NULL;
}

/* Nobody left to run is an answer, not a crash. */
static void a_unit_without_kernels_ends(void **state)
{
    (void)state;
    struct nb_group group;
    struct nb_cell c = probe_cell(4, 64, &group);
    struct nb_err err = {""};
    const struct nb_worker_env env = {&SMALL, 1, keep_line, at_nothing, NULL, NULL};
    json_t *none = json_object();
    const struct nb_unit unit = {.cell = &c, .rounds = 4, .counters = true, .hashes = none};
    assert_int_equal(nb_measure_unit(&env, &unit, &err), NB_OK);
    assert_string_equal(json_string_value(json_object_get(last_line, "type")), "done");
    json_decref(none);
    json_decref(last_line);
    last_line = NULL;
}

/* Damage that a cell left in the arena unseen costs the next one a unit, and no kernel its verdict. */
static void damage_left_behind_blames_nobody(void **state)
{
    (void)state;
    struct nb_group group;
    struct nb_cell c = probe_cell(100, 1000, &group);
    const struct nb_windows w = nb_measure_windows(&c, &SMALL);
    struct nb_err err = {""};
    const struct nb_worker_env env = {&SMALL, 1, keep_line, at_nothing, NULL, NULL};
    json_t *hashes = probe_hashes(&c, 1);
    const struct nb_unit unit = {.cell = &c, .rounds = 4, .hashes = hashes};
    const char *const ends[] = {"done", "discard", "done"};
    log_count = 0;
    log_base = NULL;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(nb_measure_unit(&env, &unit, &err), NB_OK);
        assert_string_equal(json_string_value(json_object_get(last_line, "type")), ends[i]);
        assert_int_equal(json_array_size(json_object_get(last_line, "mistrusted")), 0);
        if (i == 0) {
            char *x = log_x - (logged[log_count - 1] - (size_t)log_base);
            for (size_t window = 0; window < w.count; window++)
                x[window * w.step] ^= 1;
            x[-1] ^= 1; /* a canary too */
        }
    }
    json_decref(hashes);
    json_decref(last_line);
    last_line = NULL;
}

/* Right on the data it is verified on, which begins at 0 of the stream; it shrinks what lies in other windows. */
static void run_fading(const void *state, const struct nb_args *a)
{
    const struct nb_problem *p = state;
    float first, *y = a->y;
    nb_input_stream_copy(NB_F32, 1, 0, &first, 1);
    for (size_t i = 0; y[0] != first && i < p->rows * p->ldx; i++)
        y[i] *= 0x1p-10f;
}

static void who_wears_its_data_out_is_mistrusted(void **state)
{
    (void)state;
    static const struct nb_kernel fading = {.size = sizeof fading, .op = NB_OP_COPY, .dtype = NB_F32,
                                            .name = "copy_fwd_fading__f32_test", .algo = "fading",
                                            .isa = "test", .trick = "", .source = "none",
                                            .run = run_fading};
    const struct nb_kernel *const kernels[] = {&fading, &PROBES[1]};
    struct nb_group group;
    struct nb_cell c = probe_cell(100, 1000, &group);
    c.kernels = (const struct nb_kernel **)kernels;
    c.in_place = true;
    group.members[0].kernel = &fading;
    struct nb_err err = {""};
    const struct nb_worker_env env = {&SMALL, 1, keep_line, at_nothing, NULL, NULL};
    json_t *hashes = probe_hashes(&c, 1);
    json_object_set(hashes, fading.name, json_object_get(hashes, PROBES[1].name));
    const struct nb_unit unit = {.cell = &c, .rounds = 4, .hashes = hashes};
    assert_int_equal(nb_measure_unit(&env, &unit, &err), NB_OK);
    const json_t *mistrusted = json_object_get(last_line, "mistrusted");
    assert_int_equal(json_array_size(mistrusted), 1);
    assert_string_equal(json_string_value(json_array_get(mistrusted, 0)), fading.name);
    json_decref(hashes);
    json_decref(last_line);
    last_line = NULL;
}

/* All shapes of a dtype share one arena: a mark behind their windows, inside what any of them has room for,
 * would be gone if it were made or filled again. */
static void shapes_share_an_arena(void **state)
{
    (void)state;
    const size_t shapes[][2] = {{1, 4}, {4, 64}, {16, 64}, {3, 65}, {100, 100}, {100, 1000}};
    const size_t behind = (size_t)16 << 20;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct nb_group group;
        struct nb_cell c = probe_cell(shapes[i][0], shapes[i][1], &group);
        struct nb_err err = {""};
        const struct nb_worker_env env = {&SMALL, 1, keep_line, at_nothing, NULL, NULL};
        json_t *hashes = probe_hashes(&c, 1);
        const struct nb_unit unit = {.cell = &c, .rounds = 1, .hashes = hashes};
        log_count = 0;
        log_base = NULL;
        assert_int_equal(nb_measure_unit(&env, &unit, &err), NB_OK);
        float *mark = (float *)(log_x - (logged[log_count - 1] - (size_t)log_base) + behind);
        if (i == 0)
            *mark = 12345;
        assert_true(*mark == 12345);
        json_decref(hashes);
    }
    json_decref(last_line);
    last_line = NULL;
}

static void windows_cover_the_last_level(void **state)
{
    (void)state;
    struct nb_topology two = MACHINE, unknown = MACHINE;
    two.llcs = 2;
    two.llc_cores = 2;
    unknown.l3 = unknown.llc = 0;
    for (size_t rows = 1; rows < 5000000; rows = rows * 3 + 1)
        for (unsigned threads = 1; threads <= 4; threads += 3) {
            const struct nb_cell c = {.rows = rows, .hidden = 33, .ldx = 33, .ldy = 33,
                                      .dtype = NB_BF16, .threads = threads};
            const struct nb_windows a = nb_measure_windows(&c, &MACHINE),
                                    b = nb_measure_windows(&c, &two),
                                    n = nb_measure_windows(&c, &unknown);
            assert_true(a.count * a.step >= (size_t)64 << 20);
            assert_true(b.count * b.step >= (size_t)(threads > 2 ? 128 : 64) << 20);
            assert_true(n.count * n.step >= 2 * NB_LLC_UNKNOWN);
            struct nb_cell in_place = c;
            in_place.in_place = true; /* x alone: twice as much of it */
            const struct nb_windows i = nb_measure_windows(&in_place, &MACHINE);
            assert_true(i.count * i.step >= (size_t)128 << 20);
        }
}

/* LLVM's OpenMP runtime makes such a file. */
static void nothing_is_left_of_a_child(void **state)
{
    (void)state;
    char name[64];
    const pid_t child = fork();
    if (child == 0) {
        snprintf(name, sizeof name, "/__KMP_REGISTERED_LIB_%d_%d", (int)getpid(), (int)getuid());
        _exit(shm_open(name, O_CREAT | O_RDWR, 0600) >= 0 ? 3 : 1);
    }
    const int status = nb_child_wait(child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
    snprintf(name, sizeof name, "/__KMP_REGISTERED_LIB_%d_%d", (int)child, (int)getuid());
    assert_int_equal(shm_open(name, O_RDWR, 0), -1);
}

int main(void)
{
    char bad[32];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hidden_ranges),
        cmocka_unit_test(offsets_are_cells),
        cmocka_unit_test(fusions_are_cells),
        cmocka_unit_test(deepnorm_is_fused),
        cmocka_unit_test(backward_of_a_sum),
        cmocka_unit_test(backward_of_a_sum_alone),
        cmocka_unit_test(momentum_reaches_batchnorm),
        cmocka_unit_test(deepnorm_goes_back),
        cmocka_unit_test(fusing_is_paired_with_not_fusing),
        cmocka_unit_test(offsets_in_plans),
        cmocka_unit_test(in_place_is_a_cell),
        cmocka_unit_test(passes_in_place_wear_nothing_out),
        cmocka_unit_test(ordinary_is_what_it_says),
        cmocka_unit_test(who_wears_its_data_out_is_mistrusted),
        cmocka_unit_test(shapes_share_an_arena),
        cmocka_unit_test(reference_lines_on_request),
        cmocka_unit_test(streams_and_weakness),
        cmocka_unit_test(long_lines_are_read_whole),
        cmocka_unit_test(residency_bounds_bytes),
        cmocka_unit_test(too_large_is_dropped_with_reason),
        cmocka_unit_test(impossible_memory_is_told_before),
        cmocka_unit_test(any_command_can_be_written),
        cmocka_unit_test(groups_hold_what_the_method_says),
        cmocka_unit_test(winners_share_a_group),
        cmocka_unit_test(winners_of_one_group_get_equal_passes),
        cmocka_unit_test(weak_kernels_win_when_allowed),
        cmocka_unit_test(winners_are_found_under_disturbance),
        cmocka_unit_test(budgets_shorten_rounds_then_processes_then_drop),
        cmocka_unit_test(plan_survives_json),
        cmocka_unit_test(orders_are_permutations_and_keep_arenas_together),
        cmocka_unit_test(halves_round_trip),
        cmocka_unit_test(bf16_is_half_a_float),
        cmocka_unit_test(known_halves),
        cmocka_unit_test(inputs_are_closed_formulas),
        cmocka_unit_test(a_stream_is_kept_for_others),
        cmocka_unit_test(every_family_has_its_turn),
        cmocka_unit_test(canaries_catch_one_byte),
        cmocka_unit_test(hashes_see_one_bit),
        cmocka_unit_test(windows_rotate),
        cmocka_unit_test(windows_cover_the_last_level),
        cmocka_unit_test(rotation_meets_no_window_twice),
        cmocka_unit_test(a_unit_without_kernels_ends),
        cmocka_unit_test(damage_left_behind_blames_nobody),
        cmocka_unit_test(nothing_is_left_of_a_child),
    };
    if (nb_cpu_init(bad, sizeof bad) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
