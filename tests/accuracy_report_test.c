/* The report of `normbench accuracy` as a function of accuracy.csv: tables against lines
 * whose truth is known, pictures, broken and hostile files, same bytes. */
#include "accuracy_report.h"
#include "csv.h"
#include "markup.h"
#include "synthetic_accuracy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- folders and files ---- */

#include "scratch.h"

static void put_bytes(const char *dir, const char *name, const char *bytes, size_t n)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void put_file(const char *dir, const char *name, const char *text)
{
    put_bytes(dir, name, text, strlen(text));
}

static size_t size_of(const char *dir, const char *name)
{
    size_t n = 0;
    free(slurp(dir, name, &n));
    return n;
}

static void holds(const char *dir, const char *name, const char *word, bool wanted)
{
    char *text = slurp(dir, name, NULL);
    assert_non_null(text);
    if ((strstr(text, word) != NULL) != wanted)
        fail_msg("%s %s \"%s\"", name, wanted ? "lacks" : "holds", word);
    free(text);
}

static void same_file(const char *a, const char *b, const char *name)
{
    size_t n, m;
    char *x = slurp(a, name, &n), *y = slurp(b, name, &m);
    assert_non_null(x);
    assert_non_null(y);
    if (n != m || memcmp(x, y, n) != 0)
        fail_msg("%s differs", name);
    free(x);
    free(y);
}

/* ---- calls ---- */

static void report(const char *dir, const char *run_dir)
{
    struct nb_err err = {""};
    if (nb_accuracy_report(dir, run_dir, true, &err) != NB_OK)
        fail_msg("%s", err.text);
}

static void must_fail(const char *dir, const char *word)
{
    struct nb_err err = {""};
    assert_int_equal(nb_accuracy_report(dir, NULL, true, &err), NB_ERROR);
    if (strstr(err.text, word) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, word);
}

/* What a call prints, without drawing (gnuplot would only take time). */
static char *terminal_text(const char *dir, const char *run_dir, bool quiet)
{
    char name[] = "stdout.txt", path[512];
    struct nb_err err = {""};
    char *before = strdup(getenv("PATH"));
    snprintf(path, sizeof(path), "%s/%s", root, name);
    fflush(stdout);
    int old = dup(1);
    assert_non_null(freopen(path, "w", stdout));
    setenv("PATH", "/nonexistent", 1);
    enum nb_status status = nb_accuracy_report(dir, run_dir, quiet, &err);
    setenv("PATH", before, 1);
    free(before);
    fflush(stdout);
    dup2(old, 1);
    close(old);
    if (status != NB_OK)
        fail_msg("%s", err.text);
    return slurp(root, name, NULL);
}

static void text_holds(const char *text, const char *word, bool wanted)
{
    if ((strstr(text, word) != NULL) != wanted)
        fail_msg("%s \"%s\":\n%s", wanted ? "no" : "there is", word, text);
}

/* ---- lines whose truth is known ---- */

static const char header[] =
    "schema,kernel,op,algo,isa,trick,dtype,family,class,hidden,rows,verdict,inside,"
    "unstable,overflow,nonfinite,k1,k2,E_max,E_p99,E_any,bound,likely,share,share_likely,"
    "ulp_max,normwise,rms_error,mean_error,rstd_error,ulp_hist,repro\n";

static const char hist[] = "90|9|1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0";

struct truth {
    const char *isa, *family, *class, *verdict, *unstable, *overflow, *k2, *E, *share,
        *share_likely, *ulp, *normwise;
};

static void add_line(char *text, size_t room, const char *op, const char *algo,
                     const struct truth *t)
{
    size_t n = strlen(text);
    snprintf(text + n, room - n,
             "1,%s_fwd_%s__f32_%s,%s,%s,%s,none,f32,%s,%s,1024,8,%s,8,%s,%s,0,1,%s,%s,"
             "null,%s,12,6,%s,%s,%s,%s,null,null,null,%s,again %s\n",
             op, algo, t->isa, op, algo, t->isa, t->family, t->class, t->verdict,
             t->unstable, t->overflow, t->k2, t->E, t->E, t->share, t->share_likely,
             t->ulp, t->normwise, hist, t->family);
}

static const struct truth truths[] = {
    {"scalar", "normal", "random", "PASS", "0", "0", "1", "2.5", "0.2", "0.4", "3",
     "1e-7"},
    {"avx2", "normal", "random", "PASS", "0", "0", "1", "1.5", "0.1", "0.5", "4", "1e-7"},
    {"avx2", "spike", "attack", "PASS", "1", "2", "1", "9", "0.75", "1.5", "99", "1e-6"},
    {"scalar", "sweep-1e0.5", "sweep", "PASS", "0", "0", "3.3", "3", "0.2", "0.4", "5",
     "1e-6"},
    {"scalar", "sweep-1e3.5", "sweep", "UNTESTED", "8", "0", "3163", "null", "null",
     "null", "null", "0.11"},
    {"scalar", "sweep-1e4", "sweep", "UNTESTED", "8", "0", "10000", "null", "null",
     "null", "null", "inf"},
    {"avx2", "sweep-1e4", "sweep", "PASS", "0", "0", "10000", "3", "0.2", "0.4", "5",
     "0.09"},
};

static const char *known_folder(void)
{
    static char text[1 << 14];
    const char *dir = new_folder();
    strcpy(text, header);
    for (size_t i = 0; i < sizeof(truths) / sizeof(*truths); i++)
        add_line(text, sizeof(text), "layernorm", "onepass", &truths[i]);
    put_file(dir, "accuracy.csv", text);
    return dir;
}

static void test_known_numbers(void **state)
{
    (void)state;
    const char *dir = known_folder();
    char *text = terminal_text(dir, NULL, false);
    text_holds(
        text,
        "layernorm onepass         f32    2       2.5    50%        4         9    "
        "75%  breaks at k=3e3       3     1     0\n",
        true);
    text_holds(text, "2 kernels, 5 families, 7 cases: PASS 5, UNTESTED (hazard) 2\n",
               true);
    text_holds(text, "FAILED", false);
    free(text);
    holds(dir, "accuracy.md",
          "| layernorm | onepass | f32 | 2 | 2.5 | scalar, normal, 1024 | 50% | 4 | 9 | "
          "avx2, spike, 1024 | 75% | breaks at k=3e3 | 3 | 1 | 0 |\n",
          true);
    holds(dir, "accuracy.md", "| layernorm | onepass | avx2 | none | stable to 1e4 | no",
          true);
    holds(dir, "accuracy.md", "## Failures\n\nNone.\n", true);
    holds(dir, "plots/conditioning-f32.gp", "array KX[1] = [3163]\n", true);
    holds(dir, "plots/conditioning-f32.gp", "'breaks at 3e3'", true);
    holds(dir, "plots/conditioning-f32.dat", "10000 NaN 1\n", true);
    holds(dir, "plots/ulp-f32.dat", "0 0.9\n1 0.9\n1 0.09\n2 0.09\n2 0.01\n3 0.01\n3 0\n",
          true);
    holds(dir, "plots/heatmap-f32.dat", " 1 U\n", true);
}

/* The strongest ISA stands for an algorithm wherever its line is; what skips everywhere
 * does not. An error that is infinite where the norm is not breaks too. */
static void test_strongest(void **state)
{
    (void)state;
    static const char *const isas[] = {"avx512bf16", "avx512", "avx2", "autovec_avx512",
                                       "unheard"};
    static char text[1 << 14];
    const char *dir = new_folder();
    strcpy(text, header);
    for (int i = 0; i < 5; i++) {
        struct truth t = truths[3];
        t.isa = isas[i];
        t.verdict = i ? "FAIL_NONFINITE" : "SKIP_ISA";
        t.E = "inf";
        add_line(text, sizeof(text), "layernorm", "twopass", &t);
    }
    put_file(dir, "accuracy.csv", text);
    char *out = terminal_text(dir, NULL, false);
    text_holds(out, "layernorm twopass         f32    4 ", true);
    text_holds(out, "breaks at k=3 ", true);
    text_holds(out, "FAIL_NONFINITE 4, skipped 1\n", true);
    free(out);
    holds(dir, "plots/conditioning-f32.gp", "'the strongest ISA (avx512)'", true);
    holds(dir, "plots/conditioning-f32.dat", "3.3 NaN 1\n", true);
    holds(dir, "plots/heatmap-f32.gp", "['twopass avx512']", true);
}

static void test_failures(void **state)
{
    (void)state;
    static const char *const verdicts[] = {
        "FAIL_VALUE", "FAIL_NONFINITE", "FAIL_NONDETERMINISTIC", "CRASHED", "TIMED_OUT"};
    static char text[1 << 15];
    const char *dir = new_folder();
    char family[25][16];
    strcpy(text, header);
    for (int i = 0; i < 25; i++) {
        struct truth t = truths[0];
        snprintf(family[i], sizeof(family[i]), "family%d", i);
        t.family = family[i];
        t.verdict = verdicts[i % 5];
        add_line(text, sizeof(text), "layernorm", "onepass", &t);
    }
    put_file(dir, "accuracy.csv", text);
    char *out = terminal_text(dir, NULL, false);
    text_holds(out, "\n25 FAILED\n", true);
    text_holds(out, "\n    again family19\n  5 more: accuracy.csv\n", true);
    text_holds(out, "again family20", false);
    text_holds(out,
               "FAIL_VALUE 5, FAIL_NONFINITE 5, other fails 5, CRASHED 5, TIMED_OUT 5\n",
               true);
    free(out);
    holds(dir, "accuracy.md", "`again family24` |\n", true);
    holds(dir, "plots/heatmap-f32.dat", " 2 F\n", true);
}

/* ---- all files ---- */

static const struct synthetic_accuracy few = {
    .dtypes = "f32 bf16", .hiddens = "64 1024", .few = true};
static const char *const kinds[] = {"heatmap", "conditioning", "pareto", "ulp"};
static const char *const ends[] = {"gp", "dat", "svg", "png"};

static void test_files(void **state)
{
    (void)state;
    char name[64];
    const char *dir = new_folder();
    synthetic_accuracy_write(dir, &few);
    synthetic_times_write(dir, "f32 bf16");
    report(dir, dir);
    assert_true(size_of(dir, "accuracy.md") > 1000);
    for (int k = 0; k < 4; k++)
        for (int d = 0; d < 2; d++)
            for (int e = 0; e < (has_gnuplot() ? 4 : 2); e++) {
                snprintf(name, sizeof(name), "plots/%s-%s.%s", kinds[k],
                         d ? "bf16" : "f32", ends[e]);
                if (size_of(dir, name) < 50)
                    fail_msg("%s is missing or empty", name);
            }
    assert_int_equal(size_of(dir, "plots/heatmap-f64.gp"), 0);
    holds(dir, "accuracy.md", "[pareto-bf16](plots/pareto-bf16.svg)", true);
    holds(dir, "accuracy.md", "not drawn", false);
}

/* Same input, same bytes; and a script with its data is all that gnuplot needs. */
static void test_redraw(void **state)
{
    (void)state;
    char command[512], name[64];
    const char *a = new_folder(), *b = new_folder();
    synthetic_accuracy_write(a, &few);
    synthetic_accuracy_write(b, &few);
    synthetic_times_write(b, "f32 bf16");
    report(a, b);
    report(b, b);
    report(b, b); /* once more, over its own files */
    same_file(a, b, "accuracy.md");
    for (int k = 0; k < 4; k++)
        for (int e = 0; e < (has_gnuplot() ? 4 : 2); e++) {
            snprintf(name, sizeof(name), "plots/%s-f32.%s", kinds[k], ends[e]);
            same_file(a, b, name);
        }
    for (int k = 0; k < 4 && has_gnuplot(); k++) {
        snprintf(command, sizeof(command),
                 "cd '%s/plots' && mkdir -p again && cp %s-f32.gp %s-f32.dat again && cd "
                 "again && gnuplot %s-f32.gp && cmp %s-f32.svg ../%s-f32.svg && cmp "
                 "%s-f32.png ../%s-f32.png",
                 a, kinds[k], kinds[k], kinds[k], kinds[k], kinds[k], kinds[k], kinds[k]);
        assert_int_equal(system(command), 0);
    }
}

/* A full laboratory: the table fits a terminal, the map is divided. */
static void test_full_size(void **state)
{
    (void)state;
    const char *dir = new_folder();
    struct synthetic_accuracy full = {.dtypes = "f32 f64 f16 bf16",
                                      .hiddens = "1024",
                                      .fails = "layernorm_fwd_welford__f32_avx512"};
    synthetic_accuracy_write(dir, &full);
    char *text = terminal_text(dir, NULL, false);
    char *tail = strstr(text, "FAILED");
    assert_non_null(tail);
    for (char *line = text, *end; line < tail; line = end + 1) {
        end = strchr(line, '\n');
        if (end - line > 120)
            fail_msg("%.*s", (int)(end - line), line);
    }
    free(text);
    holds(dir, "plots/heatmap-f32.gp", "NM = 2\n", true);
    holds(dir, "plots/conditioning-f32.gp", "'the strongest ISA (avx512)'", true);
    holds(dir, "plots/conditioning-bf16.gp", "'the strongest ISA (avx512bf16)'", true);
}

/* ---- times ---- */

static void expect_no_pareto(const char *dir, const char *run_dir, const char *reason)
{
    char *text = terminal_text(dir, run_dir, false);
    text_holds(text, "pareto not drawn for f32, bf16: ", true);
    text_holds(text, reason, true);
    free(text);
    assert_int_equal(size_of(dir, "plots/pareto-f32.gp"), 0);
    assert_true(size_of(dir, "plots/ulp-f32.gp") > 0);
    holds(dir, "accuracy.md", "- pareto not drawn for f32, bf16: ", true);
}

static void test_times(void **state)
{
    (void)state;
    const char *dir = new_folder(), *run = new_folder();
    synthetic_accuracy_write(dir, &few);
    synthetic_times_write(run, "f32 bf16");
    free(terminal_text(dir, run, true));
    assert_true(size_of(dir, "plots/pareto-f32.gp") > 0);
    expect_no_pareto(dir, NULL, "no run was named");
    expect_no_pareto(dir, "/nonexistent", "/nonexistent/results.csv: No such file");
    synthetic_times_write(run, "f64");
    expect_no_pareto(dir, run, "has no time of these kernels in L2 on one thread");
    put_file(run, "results.csv", "kernel,dir\nx,y\n");
    expect_no_pareto(dir, run, "results.csv:1: the header has no column fuse");
    synthetic_times_write(run, "f32");
    char *text = terminal_text(dir, run, false);
    text_holds(text, "pareto not drawn for bf16: the run has no time of theirs", true);
    free(text);
}

/* Cell and hidden nearest to 1024, one front an op. */
static void test_pareto_numbers(void **state)
{
    (void)state;
    const char *dir = known_folder();
    put_file(dir, "results.csv",
             "kernel,dir,fuse,dtype,stats_out,cell,hidden,threads,residency,ns_per_row\n"
             "layernorm_fwd_onepass__f32_avx2,fwd,none,f32,0,far,16,1,L2,1\n"
             "layernorm_fwd_onepass__f32_avx2,fwd,none,f32,0,near,2048,1,L2,1024\n"
             "layernorm_fwd_onepass__f32_avx2,fwd,none,f32,0,dram,2048,1,DRAM,5\n"
             "layernorm_fwd_onepass__f32_scalar,fwd,none,f32,0,near,2048,1,L2,4096\n"
             "layernorm_fwd_onepass__f32_scalar,fwd,none,f32,0,other,2048,1,L2,1\n"
             "layernorm_fwd_twopass__f32_scalar,fwd,none,f32,0,near,2048,1,L2,null\n");
    free(terminal_text(dir, dir, true));
    holds(dir, "plots/pareto-f32.dat", "0.5 1.5 2\n2 2.5 2\n\n\n0.5 1.5\n\n\n", true);
    holds(dir, "plots/pareto-f32.gp", "'1  onepass avx2: 0.5 ns, E 1.5'", true);
    holds(dir, "plots/pareto-f32.gp", "hidden 2048, data in L2, 1 thread", true);
    holds(dir, "plots/pareto-f32.gp", "easy random data of hidden 1024", true);
}

/* ---- broken files ---- */

static void test_no_file(void **state)
{
    (void)state;
    const char *dir = new_folder();
    must_fail(dir, "/accuracy.csv: No such file");
    put_file(dir, "accuracy.csv", "");
    must_fail(dir, "accuracy.csv is empty");
    put_file(dir, "accuracy.csv", header);
    must_fail(dir, "holds no result");
    put_bytes(dir, "accuracy.csv", header, 40);
    must_fail(dir, "accuracy.csv:1: the header line is cut off");
    put_file(dir, "accuracy.csv", "schema,kernel,op\n1,a,b\n");
    must_fail(dir, "accuracy.csv:1: the header has no column algo");
    put_bytes(dir, "accuracy.csv", "a\nb\0c\n", 6);
    must_fail(dir, "accuracy.csv:2: a zero byte");
    assert_int_equal(size_of(dir, "accuracy.md"), 0);
}

/* Replaces what stands at line 3. */
static void broken(const char *from, const char *to, const char *word)
{
    char wanted[160];
    const char *dir = known_folder();
    char *text = slurp(dir, "accuracy.csv", NULL), *line = text;
    for (int i = 0; i < 2; i++)
        line = strchr(line, '\n') + 1;
    char *at = strstr(line, from), *out = malloc(strlen(text) + 200);
    assert_non_null(at);
    assert_non_null(out);
    sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    put_file(dir, "accuracy.csv", out);
    snprintf(wanted, sizeof(wanted), "accuracy.csv:3: %s", word);
    must_fail(dir, wanted);
    free(text);
    free(out);
}

static void test_broken_lines(void **state)
{
    (void)state;
    broken("random,", "", "31 fields where the header names 32");
    broken("random,", "random,random,", "33 fields where the header names 32");
    broken("random,", "rand\"om,", "a quote is out of place or not closed");
    broken("random,", "\"random,", "a quote is out of place or not closed");
    broken("random,", "weather,", "class \"weather\" is none of random");
    broken(",PASS,", ",pass,", "unknown verdict \"pass\"");
    broken("1,layer", "2,layer", "schema 2, this program reads up to 1");
    broken("1,layer", "x,layer", "schema is \"x\"");
    broken(",f32,", ",../f32,", "dtype \"../f32\" is none of");
    broken("1024,", "0,", "hidden is \"0\"");
    broken("1024,", "10.5,", "hidden is \"10.5\"");
    broken(",1.5,null", ",1.5x,null", "E_max is \"1.5x\"");
    broken(",1.5,null", ",nan,null", "E_max is \"nan\"");
    broken(",1.5,null", ",,null", "E_max is \"\"");
    broken("90|9|", "99|", "ulp_hist");
    broken("90|9|", "90|-9|", "ulp_hist");
    broken("90|9|", "90|9|9|", "ulp_hist");
    broken("avx2,layernorm,onepass", "scalar,layernorm,twopass", "layernorm_fwd_onepass");
    broken("PASS", "a\x1b[31m\xff", "unknown verdict \"a [31m?\"");
}

static void test_cut_off(void **state)
{
    (void)state;
    size_t n;
    const char *dir = known_folder();
    char *text = slurp(dir, "accuracy.csv", &n), *out;
    put_bytes(dir, "accuracy.csv", text, n - 1);
    free(text);
    out = terminal_text(dir, NULL, false);
    text_holds(out, "6 cases", true);
    text_holds(out, "the last line of accuracy.csv is cut off and was not read", true);
    free(out);
    holds(dir, "accuracy.md", "accuracy.csv is cut off and was not read", true);
}

/* ---- hostile strings ---- */

static const char hostile[] = "=`touch pwned` $(touch pwned) 'q' \"d\", <b>&|x| @m %s %d "
                              "\\\n# \x1b[31m \xff\xc2\x9b";

static void no_trace(const char *dir)
{
    assert_int_equal(access("pwned", F_OK), -1);
    char path[256];
    snprintf(path, sizeof(path), "%s/plots/pwned", dir);
    assert_int_equal(access(path, F_OK), -1);
}

/* Replaces a word and the comma behind it by the hostile string. */
static void poison(const char *dir, const char *word)
{
    char *text = slurp(dir, "accuracy.csv", NULL), *from = text, *at, *out = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&out, &length);
    assert_non_null(f);
    while ((at = strstr(from, word)) != NULL) {
        fwrite(from, 1, (size_t)(at - from), f);
        nb_csv_put_text(f, hostile);
        fputc(',', f);
        from = at + strlen(word);
    }
    fputs(from, f);
    fclose(f);
    put_file(dir, "accuracy.csv", out);
    free(text);
    free(out);
}

/* Blanks the code spans of a page, in which nothing is markup. */
static void blank_code(char *text)
{
    bool code = false;
    for (char *s = text; *s; s++) {
        if (!code && *s == '\\' && s[1] != 0) {
            s++;
            continue;
        }
        if (*s == '`')
            code = !code;
        else if (code && *s != '\n')
            *s = ' ';
    }
    assert_false(code);
}

static void check_pages(const char *dir)
{
    char *page = slurp(dir, "accuracy.md", NULL);
    assert_non_null(page);
    blank_code(page);
    text_holds(page, "<b>", false);
    free(page);
    holds(dir, "accuracy.md", "\n# ", false);
    holds(dir, "accuracy.md", "\x1b", false);
    holds(dir, "accuracy.md", "\xff", false);
    holds(dir, "accuracy.md", "\xc2\x9b", false);
    holds(dir, "accuracy.md", "&lt;b&gt;&amp;\\|x\\|", true);
    char *text = terminal_text(dir, NULL, false);
    text_holds(text, "\x1b", false);
    text_holds(text, "\xff", false);
    text_holds(text, "\xc2\x9b", false);
    free(text);
    no_trace(dir);
}

static void test_hostile(void **state)
{
    (void)state;
    const char *dir = known_folder();
    poison(dir, "normal,"); /* a family */
    poison(dir, "none,");   /* a trick */
    report(dir, NULL);
    check_pages(dir);
    if (!has_gnuplot())
        skip();
    report(dir, NULL);
    assert_true(size_of(dir, "plots/heatmap-f32.png") > 0);
    holds(dir, "plots/heatmap-f32.svg", "`touch pwned`", true);
    holds(dir, "plots/heatmap-f32.svg", "<b>", false);
}

/* In every column that may hold any text; the line fails, so that it is listed. */
static void test_hostile_columns(void **state)
{
    (void)state;
    const char *dir = new_folder();
    FILE *f;
    char path[256];
    snprintf(path, sizeof(path), "%s/accuracy.csv", dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(header, f);
    for (int i = 0; i < 3; i++) {
        fputc('1', f);
        for (int c = 0; c < 5; c++) { /* kernel, op, algo, isa, trick */
            fputc(',', f);
            nb_csv_put_text(f, c == 1 ? (i ? "layernorm" : "rmsnorm") : hostile + i);
        }
        fputs(",f32,", f);
        nb_csv_put_text(f, hostile);
        fprintf(f, ",random,1024,8,FAIL_VALUE,8,0,0,0,1,1,2,1,2,3,4,5,6,7,8,9,1,1,%s,",
                hist);
        nb_csv_put_text(f, hostile);
        fputc('\n', f);
    }
    assert_int_equal(fclose(f), 0);
    report(dir, NULL);
    check_pages(dir);
    if (!has_gnuplot())
        skip();
    report(dir, NULL);
    assert_true(size_of(dir, "plots/heatmap-f32.png") > 0);
    assert_true(size_of(dir, "plots/ulp-f32.png") > 0);
    no_trace(dir);
}

/* ---- gnuplot missing ---- */

static void test_without_gnuplot(void **state)
{
    (void)state;
    const char *dir = known_folder();
    report(dir, NULL);
    char *text = terminal_text(dir, NULL, false);
    text_holds(text, "gnuplot is not installed", true);
    free(text);
    assert_true(size_of(dir, "plots/ulp-f32.gp") > 0);
    assert_int_equal(size_of(dir, "plots/ulp-f32.svg") > 0, has_gnuplot());
}

static void test_quiet(void **state)
{
    (void)state;
    char *text = terminal_text(known_folder(), NULL, true);
    assert_string_equal(text, "");
    free(text);
}

/* ---- CSV and markup ---- */

static void test_csv(void **state)
{
    (void)state;
    const char *dir = new_folder();
    char path[256];
    struct nb_csv c;
    struct nb_err err = {""};
    bool more;
    size_t b;
    snprintf(path, sizeof(path), "%s/x.csv", dir);
    put_file(dir, "x.csv", "a,b\r\n\"x \"\"y\"\"\nz\",\"\"\r\n1,2\n\"3\",\"4\"\n5\n");
    assert_int_equal(nb_csv_open(&c, path, &err), NB_OK);
    assert_int_equal(nb_csv_column(&c, "b", &b, &err), NB_OK);
    assert_int_equal(b, 1);
    assert_int_equal(nb_csv_next(&c, &more, &err), NB_OK);
    assert_string_equal(c.cell[0], "x \"y\"\nz");
    assert_string_equal(c.cell[1], "");
    assert_int_equal(c.line, 2);
    assert_int_equal(nb_csv_next(&c, &more, &err), NB_OK);
    assert_string_equal(c.cell[1], "2");
    assert_int_equal(c.line, 4);
    assert_int_equal(nb_csv_next(&c, &more, &err), NB_OK);
    assert_string_equal(c.cell[1], "4");
    assert_int_equal(nb_csv_next(&c, &more, &err), NB_ERROR);
    assert_non_null(strstr(err.text, "x.csv:6: 1 fields where the header names 2"));
    nb_csv_close(&c);
}

static void test_csv_numbers(void **state)
{
    (void)state;
    double v;
    assert_true(nb_csv_number("null", &v) && isnan(v));
    assert_true(nb_csv_number("inf", &v) && isinf(v) && v > 0);
    assert_true(nb_csv_number("-1.5e-3", &v) && v == -1.5e-3);
    assert_false(nb_csv_number("", &v));
    assert_false(nb_csv_number("1 ", &v));
    assert_false(nb_csv_number("nan", &v));
}

static void test_markup(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length;
    FILE *f = open_memstream(&text, &length);
    assert_non_null(f);
    nb_plain(
        f, "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80|\xc3|\xed\xa0\x80|\xc0\xaf|\xf5|\t|");
    nb_plain_padded(f, "\xc3\xa4z", 4);
    nb_plain_padded(f, "abcdef", 3);
    fclose(f);
    assert_string_equal(text, "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80|?|???|??|?| |"
                              "\xc3\xa4z  abc");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_numbers),   cmocka_unit_test(test_strongest),
        cmocka_unit_test(test_failures),        cmocka_unit_test(test_files),
        cmocka_unit_test(test_redraw),          cmocka_unit_test(test_full_size),
        cmocka_unit_test(test_times),           cmocka_unit_test(test_pareto_numbers),
        cmocka_unit_test(test_no_file),         cmocka_unit_test(test_broken_lines),
        cmocka_unit_test(test_cut_off),         cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_hostile_columns), cmocka_unit_test(test_without_gnuplot),
        cmocka_unit_test(test_quiet),           cmocka_unit_test(test_csv),
        cmocka_unit_test(test_csv_numbers),     cmocka_unit_test(test_markup),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
