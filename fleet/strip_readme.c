#include "files.h"
#include "machines.h"
#include "markup.h"
#include "strip_files.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 24 };

static void fact(FILE *f, const char *name, const char *value)
{
    fprintf(f, "| %s | ", name);
    nb_md(f, value);
    fputs(" |\n", f);
}

static void put_facts(const struct nb_summary *r, FILE *f)
{
    char text[160];
    nb_machine_facts(r, text, sizeof text);
    fputs("| | |\n|---|---|\n", f);
    fact(f, "CPU", r->cpu);
    fact(f, "cores, caches", text);
    fact(f, "microcode", nb_summary_host(r, "cpu.microcode"));
    fact(f, "hypervisor", nb_summary_host(r, "settings.hypervisor"));
    fact(f, "governor", nb_summary_host(r, "settings.governor"));
    fact(f, "kernel of the system", nb_summary_host(r, "os.kernel"));
    fact(f, "distribution", nb_summary_host(r, "os.distribution"));
    fact(f, "compiler", r->compiler);
    fact(f, "normbench", r->version);
    fact(f, "git revision", r->git);
    fact(f, "kernel sources", nb_summary_host(r, "kernel_sources"));
    fact(f, "preset", r->preset);
    fact(f, "begun", r->begun);
    fact(f, "ended", nb_summary_host(r, "after.time"));
    fputc('\n', f);
}

static void put_verdicts(const struct nb_summary *r, FILE *f)
{
    size_t pass = 0, skipped = 0;
    for (size_t i = 0; i < r->nresults; i++) {
        pass += strcmp(r->results[i].verdict, "PASS") == 0;
        skipped += strncmp(r->results[i].verdict, "SKIP", 4) == 0;
    }
    fprintf(f,
            "Of %zu comparisons %zu passed their check, %zu were skipped, %zu "
            "failed.%s%s\n\n",
            r->nresults, pass, skipped, r->nresults - pass - skipped,
            r->forced
                ? " **The measurement was forced: host.json says in spite of what.**"
                : "",
            r->ended ? "" : " **The run was not finished.**");
}

static bool is_headline(const struct nb_speedup *s)
{
    return strcmp(s->pairing, "best-of-each") == 0 && strcmp(s->dir, "fwd") == 0 &&
           strcmp(s->fuse, "none") == 0 && !s->in_place && !isnan(s->speedup.value);
}

static void put_speedups(const struct nb_summary *r, FILE *f)
{
    size_t n = 0, all = 0;
    fputs("| ops | residency | dtype | threads | hidden | speedup | verdict "
          "|\n|---|---|---|--:|--:|---|---|\n",
          f);
    for (size_t i = 0; i < r->nspeedups; i++) {
        const struct nb_speedup *s = &r->speedups[i];
        all++;
        if (!is_headline(s) || n++ >= LINES_MAX)
            continue;
        fputs("| ", f);
        nb_md(f, s->test_op);
        fputs(" over ", f);
        nb_md(f, s->base_op);
        fputs(" | ", f);
        nb_md(f, s->residency);
        fputs(" | ", f);
        nb_md(f, s->dtype);
        fprintf(f, " | %zu | %zu | %.3f", s->threads, s->hidden, s->speedup.value);
        if (!isnan(s->speedup.lo))
            fprintf(f, " [%.3f, %.3f]", s->speedup.lo, s->speedup.hi);
        fputs(" | ", f);
        nb_md(f, s->verdict);
        fputs(" |\n", f);
    }
    fprintf(f,
            "\n%zu lines of `speedup.csv` in all; everything that was measured: "
            "[report.md](report.md).\n\n",
            all);
}

static void put_readme(const struct nb_summary *r, FILE *f)
{
    fputs("# ", f);
    nb_md(f, r->cpu);
    fputs("\n\n", f);
    put_facts(r, f);
    put_verdicts(r, f);
    fputs("## Speedups, best against best\n\n", f);
    put_speedups(r, f);
    fputs("## Again\n\nThe tables and pictures, from the raw files here: `normbench "
          "report` of this folder. The measurement, elsewhere: "
          "`scripts/submit-machine`, or\n\n    ",
          f);
    nb_plain(f, r->command);
    fputs("\n\nWith another machine: `normbench compare` of both folders. Names of host "
          "and user, and paths of files, were removed by "
          "`normbench strip`.\n",
          f);
}

enum nb_status nb_strip_readme(const char *dir, struct nb_err *err)
{
    struct nb_summary run;
    char *text = NULL;
    size_t length = 0;
    enum nb_status s = nb_summary_load(&run, dir, err);
    if (s != NB_OK)
        return s;
    FILE *f = open_memstream(&text, &length);
    NB_ASSERT(f != NULL && "out of memory");
    put_readme(&run, f);
    NB_ASSERT(fclose(f) == 0 && "out of memory");
    s = nb_file_write(dir, "README.md", text, length, err);
    free(text);
    nb_summary_free(&run);
    return s;
}
