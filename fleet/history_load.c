#include "history.h"

#include <math.h>
#include <string.h>

enum { ROWS_MOST = 4000000 };

static char *copy_of(sqlite3_stmt *s, int column)
{
    const unsigned char *text = sqlite3_column_text(s, column);
    char *copy = strdup(text ? (const char *)text : "");
    NB_ASSERT(copy != NULL && "out of memory");
    return copy;
}

/* Room for one element more behind n. */
static void *grow(void *array, size_t n, size_t size)
{
    if (n != 0 && (n & (n - 1)) != 0)
        return array;
    array = realloc(array, (n ? 2 * n : 1) * size);
    NB_ASSERT(array != NULL && "out of memory");
    return array;
}

/* ---- runs ---- */

static const char RUNS[] =
    "SELECT run.id, run.name, begun, git, dense_rank() OVER (ORDER BY machine, compiler, "
    "flags) - 1, machine, cpu, "
    "compiler, flags FROM run JOIN machine ON machine.id = machine "
    "WHERE begun IS NOT NULL AND (?1 OR NOT forced) AND (?2 IS NULL OR cpu GLOB ?2) "
    "ORDER BY begun, run.name";

static void take_run(struct nb_history *h, sqlite3_stmt *s)
{
    const size_t site = (size_t)sqlite3_column_int64(s, 4);
    while (h->nsites <= site) {
        h->sites = grow(h->sites, h->nsites, sizeof *h->sites);
        h->sites[h->nsites++] = (struct nb_history_site){.runs = 0};
    }
    struct nb_history_site *at = &h->sites[site];
    if (at->runs == 0)
        *at = (struct nb_history_site){.machine = sqlite3_column_int64(s, 5),
                                       .cpu = copy_of(s, 6),
                                       .compiler = copy_of(s, 7),
                                       .flags = copy_of(s, 8)};
    h->runs = grow(h->runs, h->nruns, sizeof *h->runs);
    h->runs[h->nruns++] = (struct nb_history_run){sqlite3_column_int64(s, 0),
                                                  copy_of(s, 1),
                                                  copy_of(s, 2),
                                                  copy_of(s, 3),
                                                  site,
                                                  at->runs++};
}

static enum nb_status load_runs(struct nb_history *h, struct nb_db *db,
                                struct nb_err *err)
{
    bool row = false;
    sqlite3_stmt *s = nb_db_prepare(db, RUNS, err);
    if (s == NULL)
        return NB_ERROR;
    nb_db_bind(s, "is", (int64_t)h->query.forced, h->query.cpu);
    enum nb_status status = nb_db_step(db, s, &row, err);
    while (status == NB_OK && row) {
        take_run(h, s);
        status = nb_db_step(db, s, &row, err);
    }
    sqlite3_finalize(s);
    return status;
}

static enum nb_status count(struct nb_db *db, const char *sql, size_t *n,
                            struct nb_err *err)
{
    bool row = false;
    sqlite3_stmt *s = nb_db_prepare(db, sql, err);
    enum nb_status status = s ? nb_db_step(db, s, &row, err) : NB_ERROR;
    *n = row ? (size_t)sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return status;
}

/* ---- names ---- */

static enum nb_status load_names(struct nb_db *db, sqlite3_stmt *s,
                                 struct nb_names *names, struct nb_err *err)
{
    bool row = false;
    enum nb_status status = nb_db_step(db, s, &row, err);
    while (status == NB_OK && row) {
        names->v = grow(names->v, names->n, sizeof *names->v);
        names->v[names->n++] =
            (struct nb_name){sqlite3_column_int64(s, 0), copy_of(s, 1)};
        status = nb_db_step(db, s, &row, err);
    }
    sqlite3_finalize(s);
    return status;
}

static enum nb_status load_kernels(struct nb_db *db, const char *option, const char *glob,
                                   struct nb_names *names, struct nb_err *err)
{
    size_t all = 0;
    sqlite3_stmt *s = nb_db_prepare(
        db,
        "SELECT id, name FROM kernel WHERE op IS NOT NULL AND name GLOB ?1 ORDER BY id",
        err);
    if (s == NULL)
        return NB_ERROR;
    nb_db_bind(s, "s", glob);
    enum nb_status status = load_names(db, s, names, err);
    if (status == NB_OK && names->n == 0)
        status = count(db, "SELECT count(*) FROM kernel WHERE op IS NOT NULL", &all, err);
    if (status == NB_OK && names->n == 0)
        return nb_fail(
            err,
            "--%s: none of the %zu kernels in %.300s is called \"%.200s\"; `normbench "
            "db sql \"SELECT name FROM kernel\"` lists them, and * stands for any text",
            option, all, db->path, glob);
    return status;
}

static const char CELLS[] = "SELECT id, name FROM cell WHERE (?1 IS NULL OR name GLOB "
                            "?1) AND (?2 IS NULL OR instr(',' || ?2 || ',', ',' || dtype "
                            "|| ',')) AND (?3 IS NULL OR instr(',' || ?3 || ',', ',' || "
                            "residency || ',')) AND (?4 IS NULL OR instr(',' || ?4 || "
                            "',', ',' || hidden || ',')) AND (?5 IS NULL OR instr(',' || "
                            "?5 || ',', ',' || threads || ',')) ORDER BY id";

static enum nb_status load_cells(struct nb_history *h, struct nb_db *db,
                                 struct nb_err *err)
{
    const struct nb_history_query *q = &h->query;
    sqlite3_stmt *s = nb_db_prepare(db, CELLS, err);
    if (s == NULL)
        return NB_ERROR;
    nb_db_bind(s, "sssss", q->cell, q->dtype, q->residency, q->hidden, q->threads);
    enum nb_status status = load_names(db, s, &h->cells, err);
    if (status == NB_OK && h->cells.n == 0)
        return nb_fail(err,
                       "no cell in %.300s fits; `normbench db sql \"SELECT name FROM "
                       "cell\"` lists them",
                       db->path);
    return status;
}

/* ---- words of options ---- */

static enum nb_status check_word(struct nb_db *db, const char *column, const char *word,
                                 struct nb_err *err)
{
    char sql[200];
    bool row = false;
    snprintf(sql, sizeof sql,
             "SELECT sum(%s = ?1) > 0, group_concat(DISTINCT %s) FROM cell", column,
             column);
    sqlite3_stmt *s = nb_db_prepare(db, sql, err);
    if (s == NULL)
        return NB_ERROR;
    nb_db_bind(s, "s", word);
    enum nb_status status = nb_db_step(db, s, &row, err);
    if (status == NB_OK && row && sqlite3_column_int(s, 0) == 0)
        status = nb_fail(
            err, "--%s: the index has no \"%.60s\"; it has: %.400s", column, word,
            sqlite3_column_text(s, 1) ? (const char *)sqlite3_column_text(s, 1) : "none");
    sqlite3_finalize(s);
    return status;
}

static enum nb_status check_words(const struct nb_history *h, struct nb_db *db,
                                  struct nb_err *err)
{
    const struct nb_history_query *q = &h->query;
    const char *const options[][2] = {{"dtype", q->dtype},
                                      {"residency", q->residency},
                                      {"hidden", q->hidden},
                                      {"threads", q->threads}};
    char word[64];
    for (size_t i = 0; i < 4; i++)
        for (const char *p = options[i][1] ? options[i][1] : ""; *p;
             p += strspn(p, ",")) {
            snprintf(word, sizeof word, "%.*s", (int)strcspn(p, ","), p);
            if (check_word(db, options[i][0], word, err) != NB_OK)
                return NB_ERROR;
            p += strcspn(p, ",");
        }
    return NB_OK;
}

enum nb_status nb_history_load(struct nb_history *h, struct nb_db *db, struct nb_err *err)
{
    enum nb_status s = check_words(h, db, err);
    if (s == NB_OK)
        s = load_kernels(db, "kernel", h->query.kernel, &h->kernels, err);
    if (s == NB_OK && h->query.reference != NULL)
        s = load_kernels(db, "reference", h->query.reference, &h->references, err);
    if (s == NB_OK)
        s = load_cells(h, db, err);
    if (s == NB_OK)
        s = load_runs(h, db, err);
    if (s == NB_OK)
        s = count(db, "SELECT count(*) FROM run WHERE begun IS NULL", &h->undated, err);
    if (s == NB_OK && !h->query.forced)
        s = count(db, "SELECT count(*) FROM run WHERE forced AND begun IS NOT NULL",
                  &h->forced, err);
    if (s == NB_OK && h->nruns == 0)
        s = nb_fail(
            err, "%.300s has no run that fits%s; `normbench db list` shows its runs",
            db->path, h->forced ? " (some were forced: --forced takes them)" : "");
    return s;
}

/* ---- results ---- */

static struct nb_measured measured(sqlite3_stmt *s, int column)
{
    double v[3];
    for (int i = 0; i < 3; i++)
        v[i] = sqlite3_column_type(s, column + i) == SQLITE_NULL
                   ? NAN
                   : sqlite3_column_double(s, column + i);
    return (struct nb_measured){v[0], v[1], v[2]};
}

/* Place of a number in names, which are in the order of their numbers; n: it is none of
 * them. */
static size_t place_of(const struct nb_names *names, int64_t id)
{
    size_t from = 0, to = names->n;
    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        if (names->v[middle].id < id)
            from = middle + 1;
        else
            to = middle;
    }
    return from < names->n && names->v[from].id == id ? from : names->n;
}

static const char RESULTS[] = "SELECT cell, verdict, processes, of_roof, of_roof_lo, "
                              "of_roof_hi, of_scale, of_scale_lo, of_scale_hi "
                              "FROM result WHERE run = ?1 AND kernel = ?2";

static enum nb_status take_row(const struct nb_history *h, sqlite3_stmt *s, size_t kernel,
                               size_t run, struct nb_history_rows *rows,
                               struct nb_err *err)
{
    const size_t cell = place_of(&h->cells, sqlite3_column_int64(s, 0));
    const unsigned char *verdict = sqlite3_column_text(s, 1);
    if (cell == h->cells.n)
        return NB_OK;
    if (rows->n == ROWS_MOST)
        return nb_fail(
            err,
            "more than %d results fit; narrow them by --kernel, --cell, --dtype, ...",
            ROWS_MOST);
    rows->v = grow(rows->v, rows->n, sizeof *rows->v);
    struct nb_history_row *r = &rows->v[rows->n++];
    *r = (struct nb_history_row){kernel,
                                 cell,
                                 h->runs[run].site,
                                 run,
                                 (size_t)sqlite3_column_int64(s, 2),
                                 measured(s, 3),
                                 measured(s, 6),
                                 ""};
    snprintf(r->verdict, sizeof r->verdict, "%s", verdict ? (const char *)verdict : "");
    return NB_OK;
}

static enum nb_status take_rows(const struct nb_history *h, struct nb_db *db,
                                sqlite3_stmt *s, int64_t kernel, size_t k, size_t run,
                                struct nb_history_rows *rows, struct nb_err *err)
{
    bool row = false;
    nb_db_bind(s, "ii", h->runs[run].id, kernel);
    enum nb_status status = nb_db_step(db, s, &row, err);
    while (status == NB_OK && row) {
        status = take_row(h, s, k, run, rows, err);
        if (status == NB_OK)
            status = nb_db_step(db, s, &row, err);
    }
    return status;
}

static int by_series(const void *a, const void *b)
{
    const struct nb_history_row *x = a, *y = b;
    if (x->kernel != y->kernel)
        return x->kernel < y->kernel ? -1 : 1;
    if (x->cell != y->cell)
        return x->cell < y->cell ? -1 : 1;
    if (x->site != y->site)
        return x->site < y->site ? -1 : 1;
    return x->run < y->run ? -1 : x->run > y->run;
}

enum nb_status nb_history_rows(const struct nb_history *h, struct nb_db *db,
                               const struct nb_names *kernels,
                               struct nb_history_rows *rows, struct nb_err *err)
{
    sqlite3_stmt *s = nb_db_prepare(db, RESULTS, err);
    enum nb_status status = s ? NB_OK : NB_ERROR;
    for (size_t k = 0; k < kernels->n; k++)
        for (size_t r = 0; status == NB_OK && r < h->nruns; r++)
            status = take_rows(h, db, s, kernels->v[k].id, k, r, rows, err);
    sqlite3_finalize(s);
    if (rows->n > 0)
        qsort(rows->v, rows->n, sizeof *rows->v, by_series);
    return status;
}
