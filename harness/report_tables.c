/* results.csv, speedup.csv and gbench.json: columns and definitions in docs/schema.md. */
#include "csv.h"
#include "report_data.h"
#include "stats.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void rep_print_number(FILE *f, double v)
{
    if (isfinite(v))
        fprintf(f, "%.6g", v);
    else
        fputs("null", f);
}

static void number(FILE *f, double v)
{
    fputc(',', f);
    rep_print_number(f, v);
}

static void text(FILE *f, const char *s)
{
    fputc(',', f);
    nb_csv_put_text(f, s);
}

static const char *trick_name(const struct rep_kernel *k)
{
    return k->trick != NULL && k->trick[0] == 0 ? "none" : k->trick;
}

static const char *param_name(const struct rep_cell *c)
{
    return c->param_dtype ? c->param_dtype : c->dtype;
}

static void result_case(FILE *f, const struct rep_cell *c, const struct rep_entry *e)
{
    const struct rep_kernel *k = e->kernel;
    fputc('1', f);
    text(f, k->name);
    text(f, k->op);
    text(f, c->dir);
    text(f, c->fuse);
    text(f, k->algo);
    text(f, k->isa);
    text(f, trick_name(k));
    text(f, k->source);
    text(f, c->dtype);
    text(f, param_name(c));
    fprintf(f, ",%zu", c->stats_out);
    text(f, c->id);
    fprintf(f, ",%zu,%zu,%zu", c->rows, c->hidden, c->threads);
    text(f, c->residency);
    text(f, rep_verdict_name(e->verdict));
}

/* The k of an op in a cell; NAN: it has none. */
static double k_of(const struct rep_cell *c, const char *op)
{
    return op != NULL ? c->k[nb_op_facts((uint32_t)nb_op_parse(op))->k] : NAN;
}

/* What a share of the roof rests on. */
static void result_roofs(FILE *f, const struct rep_cell *c, const struct rep_entry *e)
{
    number(f, e->roof_ratio.lo);
    number(f, e->roof_ratio.hi);
    number(f, e->scale_ratio.value);
    number(f, e->scale_ratio.lo);
    number(f, e->scale_ratio.hi);
    number(f, rep_row_bytes(c, e->kernel));
    number(f, rep_row_bytes_allocated(c, e->kernel));
    fprintf(f, ",%d", e->kernel->streams);
    number(f, e->kernel->flops);
    fprintf(f, ",%zu", c->offset);
    number(f, c->barrier_ns);
    fprintf(f, ",%d", c->in_place);
}

static void result_line(const struct rep_run *run, FILE *f, const struct rep_cell *c, const struct rep_entry *e)
{
    result_case(f, c, e);
    number(f, e->unstable_rows);
    number(f, e->ns_per_row.value);
    number(f, e->ns_per_row.lo);
    number(f, e->ns_per_row.hi);
    number(f, e->gbps);
    text(f, e->roof == SIZE_MAX ? NULL : c->entries[e->roof].kernel->name);
    number(f, e->roof_ratio.value);
    for (int i = 0; i <= REP_LLC_MISSES; i++)
        number(f, e->counts[i]);
    number(f, e->E_max);
    number(f, e->ulp_max);
    number(f, e->normwise);
    number(f, e->prepare_first_ns);
    number(f, e->prepare_ns);
    fprintf(f, ",%zu,%zu", e->ns_per_row.processes, rep_is_timed(e) ? e->rounds : 0);
    result_roofs(f, c, e);
    rep_counter_columns(run, c, e, f);
    number(f, k_of(c, e->kernel->op));
    text(f, e->repro);
    fputc('\n', f);
}

void rep_results_csv(const struct rep_run *run, FILE *f)
{
    fputs(
        "schema,kernel,op,dir,fuse,algo,isa,trick,source,dtype,param_dtype,stats_out,"
        "cell,rows,"
        "hidden,threads,residency,verdict,unstable_rows,ns_per_row,ns_lo,ns_hi,gbps,roof,"
        "roof_ratio,ref_cycles_per_elem,core_cycles_per_elem,instructions_per_elem,"
        "l1d_misses_per_row,l2_misses_per_row,llc_misses_per_row,E_max,ulp_max,normwise,"
        "prepare_first_ns,prepare_ns,processes,rounds,roof_lo,roof_hi,scale_ratio,scale_lo,scale_hi,"
        "bytes_per_row,bytes_per_row_allocate,streams,flops_per_elem,offset,barrier_ns,in_place",
        f);
    rep_counter_header(f);
    fputs(",k,repro\n", f);
    for (size_t i = 0; i < run->ncells; i++)
        for (size_t e = 0; e < run->cells[i].nentries; e++)
            result_line(run, f, &run->cells[i], &run->cells[i].entries[e]);
}

/* The columns before the kernels; rows 0: of two cells that differ in them. */
static void speedup_case(FILE *f, const struct rep_cell *c, const struct rep_pairing *p, const char *dir, size_t rows)
{
    fputc('1', f);
    text(f, p->base_op);
    text(f, p->test_op);
    text(f, dir);
    text(f, c->fuse);
    text(f, c->dtype);
    text(f, param_name(c));
    text(f, p->isa);
    fprintf(f, ",%zu", c->threads);
    text(f, c->residency);
    if (rows > 0)
        fprintf(f, ",%zu", rows);
    else
        text(f, NULL);
    fprintf(f, ",%zu", c->hidden);
    text(f, p->name);
}

/* The columns behind them, but for what reproduces the line. */
static void speedup_ratio(FILE *f, const struct rep_cell *c, const struct rep_pairing *p, const struct rep_estimate *e,
                          const char *verdict, double mde, bool doubtful)
{
    number(f, e->value);
    number(f, e->lo);
    number(f, e->hi);
    number(f, e->confidence);
    fprintf(f, ",%zu", e->processes);
    text(f, verdict);
    fprintf(f, ",%d", c->in_place);
    number(f, mde);
    fprintf(f, ",%d", doubtful);
    number(f, k_of(c, p->base_op));
    number(f, k_of(c, p->test_op));
}

static void speedup_line(FILE *f, const struct rep_cell *c, const struct rep_pairing *p)
{
    speedup_case(f, c, p, c->dir, c->rows);
    text(f, p->base_name);
    text(f, p->test_name);
    speedup_ratio(f, c, p, &p->speedup, p->verdict, p->mde, c->doubtful);
    text(f, c->repro);
    fputc('\n', f);
}

/* Two kernels in one field; null where one is not known. */
static void both_kernels(FILE *f, const char *fwd, const char *bwd)
{
    char *both = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&both, &length);
    NB_ASSERT(memory != NULL && "out of memory");
    fprintf(memory, "%s+%s", fwd ? fwd : "", bwd ? bwd : "");
    NB_ASSERT(fclose(memory) == 0 && "out of memory");
    text(f, fwd != NULL && bwd != NULL ? both : NULL);
    free(both);
}

static void step_kernels(FILE *f, const struct rep_step *s)
{
    const struct rep_pairing *a = s->fwd_pair, *b = s->bwd_pair;
    both_kernels(f, a ? a->base_name : NULL, b ? b->base_name : NULL);
    both_kernels(f, a ? a->test_name : NULL, b ? b->test_name : NULL);
}

/* Neither cell alone reproduces it: the run does. */
static void step_line(const struct rep_run *run, FILE *f, const struct rep_step *s)
{
    const struct rep_cell *c = rep_step_cell(s);
    const bool same_rows = s->fwd != NULL && s->bwd != NULL && s->fwd->rows == s->bwd->rows;
    speedup_case(f, c, s->of, "fwd+bwd", same_rows ? c->rows : 0);
    step_kernels(f, s);
    speedup_ratio(f, c, s->of, &s->speedup, s->verdict, s->mde, rep_step_is_doubtful(s));
    text(f, rep_string(run->plan, "command"));
    fputc('\n', f);
}

void rep_speedup_csv(const struct rep_run *run, FILE *f)
{
    fputs("schema,base_op,test_op,dir,fuse,dtype,param_dtype,isa,threads,residency,rows,"
          "hidden,"
          "pairing,base_kernel,test_kernel,speedup,lo,hi,confidence,processes,verdict,"
          "in_place,mde,doubtful,base_k,test_k,repro\n",
          f);
    for (size_t i = 0; i < run->ncells; i++)
        for (size_t p = 0; p < run->cells[i].npairings; p++)
            speedup_line(f, &run->cells[i], &run->cells[i].pairings[p]);
    for (size_t i = 0; i < run->nsteps; i++)
        step_line(run, f, &run->steps[i]);
}

/* ---- gbench.json ---- */

static void json_text(FILE *f, const char *s)
{
    char *quoted = NULL;
    json_t *value = s ? json_string(s) : json_null();
    if (value != NULL)
        quoted = json_dumps(value, JSON_ENCODE_ANY);
    fputs(quoted ? quoted : "null", f);
    free(quoted);
    json_decref(value);
}

static void gbench_context(const struct rep_run *run, FILE *f)
{
    const char *cpu = rep_cpu(run);
    fputs("{\n  \"context\": {\n    \"date\": ", f);
    json_text(f, rep_string(json_object_get(run->host, "before"), "time"));
    fputs(",\n    \"host_name\": ", f);
    json_text(f, rep_string(run->host, "host"));
    fputs(
        ",\n    \"executable\": \"normbench\",\n    \"library_build_type\": \"release\","
        "\n    \"cpu_model\": ",
        f);
    json_text(f, cpu);
    fputs(",\n    \"normbench_run\": ", f);
    json_text(f, rep_string(run->plan, "id"));
    fputs(
        ",\n    \"normbench_schema\": 1,\n    \"normbench_cpu_time\": "
        "\"not measured: real_time again, because readers of this format want a number\""
        "\n  },\n  \"benchmarks\": [",
        f);
}

static void gbench_name(FILE *f, const struct rep_cell *c, const struct rep_entry *e)
{
    size_t room = strlen(c->id) + strlen(e->kernel->name) + 2;
    char *name = malloc(room);
    NB_ASSERT(name != NULL && "out of memory");
    snprintf(name, room, "%s/%s", e->kernel->name, c->id);
    json_text(f, name);
    free(name);
}

struct gbench_place {
    size_t family, process;
    bool first;
};

/* One process: real_time is its median time of a pass. */
static void gbench_entry(FILE *f, const struct rep_cell *c, const struct rep_entry *e,
                         struct gbench_place at, double *ns, size_t rounds)
{
    double passes = c->groups[e->group].members[e->member].passes;
    double pass_ns = nb_median(ns, rounds);
    fputs(at.first ? "\n    {\"name\": " : ",\n    {\"name\": ", f);
    gbench_name(f, c, e);
    fputs(", \"run_name\": ", f);
    gbench_name(f, c, e);
    fprintf(f,
            ", \"family_index\": %zu, \"per_family_instance_index\": 0, \"run_type\": "
            "\"iteration\", \"repetitions\": %zu, \"repetition_index\": %zu, "
            "\"threads\": %zu, "
            "\"iterations\": %.0f",
            at.family, e->ns_per_row.processes, at.process, c->threads,
            passes * (double)rounds);
    fprintf(f, ", \"real_time\": %.6g, \"cpu_time\": %.6g, \"time_unit\": \"ns\"",
            pass_ns, pass_ns);
    fprintf(f, ", \"items_per_second\": %.6g, \"bytes_per_second\": ",
            (double)c->rows / pass_ns * 1e9);
    rep_print_number(f,
                     e->gbps * 1e9 * (e->ns_per_row.value * (double)c->rows / pass_ns));
    fputc('}', f);
}

void rep_gbench_json(const struct rep_run *run, FILE *f)
{
    struct gbench_place at = {0, 0, true};
    gbench_context(run, f);
    for (size_t i = 0; i < run->ncells; i++) {
        const struct rep_cell *c = &run->cells[i];
        double *ns = malloc(rep_max_rounds(c) * sizeof(*ns));
        NB_ASSERT(ns != NULL && "out of memory");
        for (size_t j = 0; j < c->nentries; j++) {
            const struct rep_entry *e = &c->entries[j];
            for (size_t u = 0; rep_is_timed(e) && u < c->nunits; u++) {
                size_t n = rep_is_measuring(run, &c->units[u])
                               ? rep_process_times(c, e, &c->units[u], ns)
                               : 0;
                at.process = c->units[u].process;
                if (n > 0) {
                    gbench_entry(f, c, e, at, ns, n);
                    at.first = false;
                }
            }
            at.family += rep_is_timed(e);
        }
        free(ns);
    }
    fputs("\n  ]\n}\n", f);
}
