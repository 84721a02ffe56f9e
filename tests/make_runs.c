/* make_runs.c: folders of runs as `normbench run` leaves them, without their samples, for
 * tests of what looks at many runs. The same words give the same bytes.
 *
 *   make_runs OUT [runs=10] [cells=4] [kernels=3] [machines=1] [processes=8] [seed=1]
 *             [noise=0.01] [step=RUN:FACTOR]
 *
 * Run k is OUT/run-00000k, of machine k modulo machines, begun k hours after the first,
 * of a commit of its own. noise: standard deviation of the logarithm of a ratio. step:
 * from run RUN on rmsnorm_fwd_onepass__*_avx512 has FACTOR times its speed in the cells
 * in L2. */
#include "err.h"
#include "stats.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct options {
    size_t runs, cells, kernels, machines, processes, seed, step_at;
    double noise, step_factor;
};

/* In the order in which `kernels` takes them. speed: over that of scale. */
static const struct kernel {
    const char *op, *algo, *isa;
    double speed;
} KERNELS[] = {
    {"rmsnorm", "onepass", "avx512", 0.90}, {"layernorm", "onepass", "avx512", 0.75},
    {"layernorm", "naive", "scalar", 0.12}, {"copy", "plain", "avx512", 1.05},
    {"scale", "plain", "avx512", 1.00},     {"layernorm", "twopass", "avx512", 0.70},
    {"rmsnorm", "naive", "scalar", 0.20},   {"rmsnorm", "onepass", "scalar", 0.24},
};
enum {
    RMSNORM = 0,
    LAYERNORM = 1,
    COPY = 3,
    KERNEL_COUNT = sizeof KERNELS / sizeof *KERNELS
};

struct cell {
    const char *residency, *dtype;
    size_t hidden, rows;
    char id[80];
};

struct run {
    const struct options *o;
    size_t k;
    unsigned long long state;
    char dir[4096], id[20], git[16], begun[40];
};

/* ---- random numbers ---- */

static double uniform(unsigned long long *state)
{
    return ((double)(nb_random(state) >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(unsigned long long *state)
{
    return nb_normal_quantile(uniform(state));
}

/* ---- what is where ---- */

static struct cell cell_of(size_t i)
{
    static const char *const residencies[] = {"L2", "L1", "L3", "DRAM"};
    struct cell c = {residencies[i % 4], i / 4 % 2 ? "bf16" : "f32", 64 * (1 + i / 8), 0,
                     ""};
    c.rows = 65536 / c.hidden + 1;
    snprintf(c.id, sizeof c.id, "fwd-none-%s-h%zu-r%zu-t1-%s", c.dtype, c.hidden, c.rows,
             c.residency);
    return c;
}

static void name_of(const struct kernel *k, const struct cell *c, char name[96])
{
    snprintf(name, 96, "%s_fwd_%s__%s_%s", k->op, k->algo, c->dtype, k->isa);
}

static FILE *create(const struct run *r, const char *name)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", r->dir, name);
    FILE *f = fopen(path, "w");
    NB_ASSERT(f != NULL);
    return f;
}

static void done(FILE *f)
{
    NB_ASSERT(fclose(f) == 0);
}

/* ---- host.json, plan.json ---- */

static void write_host(const struct run *r)
{
    const size_t m = r->k % r->o->machines;
    FILE *f = create(r, "host.json");
    fprintf(f,
            "{\n \"schema\": 1,\n \"host\": \"node%05zu\",\n \"cpu\": {\"model\": "
            "\"Synthetic CPU %zu @ 2.%zuGHz\", \"vendor\": "
            "\"GenuineIntel\", \"family\": \"6\", \"model_number\": \"%zu\", "
            "\"stepping\": \"1\", \"microcode\": \"0x1\"},\n"
            " \"caches\": {\"l1d\": 49152, \"l2\": 2097152, \"l3\": 503316480, "
            "\"l2_cores\": 1, \"l3_cores\": 2},\n"
            " \"topology\": {\"cores\": 2, \"cpus\": 2, \"smt\": 1, \"numa_nodes\": 1, "
            "\"cpuset\": \"0-1\"},\n"
            " \"memory\": 25276502016,\n \"os\": {\"kernel\": \"6.1.0\", "
            "\"distribution\": \"Debian GNU/Linux 12\"},\n"
            " \"settings\": {\"governor\": null, \"hypervisor\": null},\n \"compiler\": "
            "\"gcc 12.2.0\",\n \"version\": \"0.1.0\",\n"
            " \"git\": \"%s\",\n \"units\": {\"scalar\": \"-O2 -O3\", \"avx512\": \"-O2 "
            "-O3 -mavx512f\"},\n"
            " \"binary\": \"588c5e1f798e69b5\",\n \"unknown\": {},\n \"before\": "
            "{\"time\": \"%s\", \"load\": [0.1, 0.1, 0.1]},\n"
            " \"after\": {\"time\": \"%s\", \"load\": [0.1, 0.1, 0.1]}\n}\n",
            m, m % 7, m % 7, 100 + m % 7, r->git, r->begun, r->begun);
    done(f);
}

static void write_members(FILE *f, const struct run *r, const struct cell *c)
{
    char name[96];
    fputs("   \"kernels\": [", f);
    for (size_t i = 0; i < r->o->kernels; i++) {
        name_of(&KERNELS[i], c, name);
        fprintf(f, "%s\n    \"%s\"", i ? "," : "", name);
    }
    fputs("\n   ],\n   \"groups\": [\n    {\n     \"members\": [", f);
    for (size_t i = 0; i < r->o->kernels; i++) {
        name_of(&KERNELS[i], c, name);
        fprintf(f,
                "%s\n      {\n       \"kernel\": \"%s\",\n       \"role\": \"member\",\n "
                "      \"passes\": %zu\n      }",
                i ? "," : "", name, 400 + 17 * i);
    }
    fputs("\n     ],\n     \"stage\": \"all\"\n    }\n   ],\n", f);
}

static void write_cell(FILE *f, const struct run *r, const struct cell *c)
{
    char base[96], test[96];
    name_of(&KERNELS[LAYERNORM], c, base);
    name_of(&KERNELS[RMSNORM], c, test);
    fprintf(f,
            "  {\n   \"id\": \"%s\",\n   \"dir\": \"fwd\",\n   \"fuse\": \"none\",\n   "
            "\"dtype\": \"%s\",\n   \"param_dtype\": \"%s\",\n"
            "   \"stats_out\": 0,\n   \"hidden\": %zu,\n   \"rows\": %zu,\n   "
            "\"threads\": 1,\n   \"residency\": \"%s\",\n"
            "   \"ldx\": %zu,\n   \"ldy\": %zu,\n   \"offset\": 2112,\n   \"in_place\": "
            "false,\n   \"k\": {},\n   \"rounds\": 12,\n"
            "   \"repro\": \"normbench run --dtype %s --hidden %zu --residency %s --seed "
            "1\",\n",
            c->id, c->dtype, c->dtype, c->hidden, c->rows, c->residency, c->hidden,
            c->hidden, c->dtype, c->hidden, c->residency);
    write_members(f, r, c);
    fprintf(f,
            "   \"pairings\": [\n    {\n     \"pairing\": \"best-of-each\",\n     "
            "\"base_op\": \"layernorm\",\n     \"test_op\": \"rmsnorm\",\n"
            "     \"isa\": \"any\",\n     \"base\": \"%s\",\n     \"test\": \"%s\"\n    "
            "}\n   ]\n  }",
            base, test);
}

static void write_plan(const struct run *r)
{
    FILE *f = create(r, "plan.json");
    fprintf(f,
            "{\n \"schema\": 1,\n \"id\": \"%s\",\n \"digest\": 1,\n \"seed\": 1,\n "
            "\"screening\": 2,\n \"processes\": %zu,\n"
            " \"preset\": \"synthetic\",\n \"command\": \"normbench run --preset "
            "synthetic\",\n \"state\": \"screened\",\n"
            " \"kernels\": {},\n \"dropped\": [],\n \"cells\": [\n",
            r->id, r->o->processes);
    for (size_t i = 0; i < r->o->cells; i++) {
        const struct cell c = cell_of(i);
        fputs(i ? ",\n" : "", f);
        write_cell(f, r, &c);
    }
    fputs("\n ]\n}\n", f);
    done(f);
}

/* ---- results.csv, speedup.csv ---- */

/* One ratio with its interval, null where the processes are too few for one. */
static void put_ratio(FILE *f, const struct run *r, double v, const char *before)
{
    const double half = 1.5 * r->o->noise;
    if (r->o->processes < 6)
        fprintf(f, "%s%.6g,null,null", before, v);
    else
        fprintf(f, "%s%.6g,%.6g,%.6g", before, v, v * exp(-half), v * exp(half));
}

/* Speed over that of scale in this run. */
static double speed_of(struct run *r, size_t kernel, const struct cell *c)
{
    const bool slowed =
        kernel == RMSNORM && r->k >= r->o->step_at && strcmp(c->residency, "L2") == 0;
    const double machine =
        1 + 0.02 * (double)(r->k % r->o->machines % 7) * (kernel == LAYERNORM);
    return KERNELS[kernel].speed * machine * (slowed ? r->o->step_factor : 1) *
           exp(r->o->noise * normal(&r->state));
}

static const char RESULTS[] =
    "schema,kernel,op,dir,fuse,algo,isa,trick,source,dtype,param_dtype,stats_out,cell,"
    "rows,hidden,threads,residency,verdict,"
    "unstable_rows,ns_per_row,ns_lo,ns_hi,gbps,roof,roof_ratio,ref_cycles_per_elem,core_"
    "cycles_per_elem,instructions_per_elem,"
    "l1d_misses_per_row,l2_misses_per_row,llc_misses_per_row,E_max,ulp_max,normwise,"
    "prepare_first_ns,prepare_ns,processes,rounds,"
    "roof_lo,roof_hi,scale_ratio,scale_lo,scale_hi,bytes_per_row,bytes_per_row_allocate,"
    "streams,flops_per_elem,offset,barrier_ns,"
    "in_place,dtlb_misses_per_row,branch_misses_per_row,loads_per_elem,ipc,bytes_per_"
    "cycle,dram_bytes_per_row,dram_over_model,"
    "dram_over_model_allocate,counters,counters_missing,k,repro\n";

static void write_result(FILE *f, struct run *r, const struct cell *c, size_t kernel,
                         double speed, double drift)
{
    const struct kernel *k = &KERNELS[kernel];
    const double ns = (double)c->hidden / 40 * drift / speed, half = 1.5 * r->o->noise;
    char name[96], roof[96];
    name_of(k, c, name);
    name_of(&KERNELS[COPY], c, roof);
    fprintf(f, "1,%s,%s,fwd,none,%s,%s,none,textbook,%s,%s,0,%s,%zu,%zu,1,%s,PASS,0",
            name, k->op, k->algo, k->isa, c->dtype, c->dtype, c->id, c->rows, c->hidden,
            c->residency);
    put_ratio(f, r, ns, ",");
    fprintf(f,
            ",%.6g,%s,%.6g,%.6g,null,null,null,null,null,0.9951,0.500028,4.9e-08,null,"
            "null,%zu,96",
            (double)c->hidden * 8 / ns, roof, speed / KERNELS[COPY].speed,
            ns / (double)c->hidden * 2.6, r->o->processes);
    if (r->o->processes < 6)
        fputs(",null,null", f);
    else
        fprintf(f, ",%.6g,%.6g", speed / KERNELS[COPY].speed * exp(-half),
                speed / KERNELS[COPY].speed * exp(half));
    put_ratio(f, r, speed, ",");
    fprintf(f,
            ",%zu,%zu,0,8,2112,0,0,null,null,null,null,null,null,null,null,null,"
            "cycles|instructions|l1d_misses|l2_misses|llc_misses|dtlb_misses|branch_"
            "misses|loads,null,"
            "normbench check --kernel '%s' --dtype %s --hidden %zu --rows %zu --threads "
            "1 --residency %s --seed 1\n",
            c->hidden * 8, c->hidden * 12, name, c->dtype, c->hidden, c->rows,
            c->residency);
}

static const char SPEEDUPS[] =
    "schema,base_op,test_op,dir,fuse,dtype,param_dtype,isa,threads,residency,rows,hidden,"
    "pairing,base_kernel,test_kernel,speedup,"
    "lo,hi,confidence,processes,verdict,in_place,mde,doubtful,base_k,test_k,repro\n";

static void write_speedup(FILE *f, struct run *r, const struct cell *c, double speedup)
{
    char base[96], test[96];
    name_of(&KERNELS[LAYERNORM], c, base);
    name_of(&KERNELS[RMSNORM], c, test);
    fprintf(f, "1,layernorm,rmsnorm,fwd,none,%s,%s,any,1,%s,%zu,%zu,best-of-each,%s,%s",
            c->dtype, c->dtype, c->residency, c->rows, c->hidden, base, test);
    put_ratio(f, r, speedup, ",");
    const char *verdict = r->o->processes < 6                     ? "too-few-processes"
                          : speedup * exp(-1.5 * r->o->noise) > 1 ? "faster"
                          : speedup * exp(1.5 * r->o->noise) < 1  ? "slower"
                                                                  : "unresolved";
    fprintf(f,
            ",%s,%zu,%s,0,0.02,0,null,null,normbench run --dtype %s --hidden %zu --rows "
            "%zu --threads 1 --residency %s --seed 1\n",
            r->o->processes < 6 ? "null" : "0.992188", r->o->processes, verdict, c->dtype,
            c->hidden, c->rows, c->residency);
}

static void write_tables(struct run *r)
{
    FILE *results = create(r, "results.csv"), *speedups = create(r, "speedup.csv");
    const double drift =
        exp(0.3 * normal(&r->state)); /* times change from run to run, ratios do not */
    fputs(RESULTS, results);
    fputs(SPEEDUPS, speedups);
    for (size_t i = 0; i < r->o->cells; i++) {
        const struct cell c = cell_of(i);
        double speed[KERNEL_COUNT];
        for (size_t k = 0; k < r->o->kernels; k++) {
            speed[k] = speed_of(r, k, &c);
            write_result(results, r, &c, k, speed[k], drift);
        }
        if (r->o->kernels > LAYERNORM)
            write_speedup(speedups, r, &c, speed[RMSNORM] / speed[LAYERNORM]);
    }
    done(results);
    done(speedups);
}

/* ---- all of them ---- */

static void write_run(const struct options *o, const char *out, size_t k)
{
    struct run r = {.o = o, .k = k, .state = o->seed * 1000003 + k};
    const time_t begun = 1735689600 + 3600 * (time_t)k; /* from 2025-01-01 on */
    struct tm utc;
    snprintf(r.dir, sizeof r.dir, "%s/run-%06zu", out, k);
    snprintf(r.id, sizeof r.id, "%016llx", nb_random(&r.state));
    snprintf(r.git, sizeof r.git, "%012llx", nb_random(&r.state) >> 16);
    strftime(r.begun, sizeof r.begun, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&begun, &utc));
    NB_ASSERT(mkdir(r.dir, 0777) == 0);
    write_host(&r);
    write_plan(&r);
    write_tables(&r);
}

static bool take(struct options *o, const char *word)
{
    const struct {
        const char *key;
        size_t *to;
    } counts[] = {{"runs=", &o->runs},           {"cells=", &o->cells},
                  {"kernels=", &o->kernels},     {"machines=", &o->machines},
                  {"processes=", &o->processes}, {"seed=", &o->seed}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (strncmp(word, counts[i].key, strlen(counts[i].key)) == 0)
            return sscanf(word + strlen(counts[i].key), "%zu", counts[i].to) == 1;
    return sscanf(word, "noise=%lf", &o->noise) == 1 ||
           sscanf(word, "step=%zu:%lf", &o->step_at, &o->step_factor) == 2;
}

int main(int argc, char **argv)
{
    struct options o = {10, 4, 3, 1, 8, 1, SIZE_MAX, 0.01, 1};
    for (int i = 2; i < argc; i++)
        if (!take(&o, argv[i]))
            return fprintf(stderr, "make_runs: %s?\n", argv[i]), 1;
    if (argc < 2 || o.kernels > KERNEL_COUNT || o.machines == 0)
        return fprintf(stderr,
                       "usage: make_runs OUT [runs=N] [cells=N] [kernels=1..%d] ...\n",
                       KERNEL_COUNT),
               1;
    NB_ASSERT(mkdir(argv[1], 0777) == 0);
    for (size_t k = 0; k < o.runs; k++)
        write_run(&o, argv[1], k);
    return 0;
}
