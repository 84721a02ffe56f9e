#include "import.h"
#include "buffers.h"
#include "entries.h"
#include "summary.h"
#include "sysread.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A run is whole by its savepoint; a transaction, which costs a wait for the disk, holds
 * those of so long a time. */
static const double TRANSACTION_S = 1;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- statements ---- */

static const struct {
    size_t at;
    const char *sql;
} STATEMENTS[] = {
    {offsetof(struct nb_import, find_name),
     "SELECT id, content, folder, name FROM run WHERE name = ?1"},
    {offsetof(struct nb_import, find_content),
     "SELECT id, content, folder, name FROM run WHERE content = ?1"},
    {offsetof(struct nb_import, insert),
     "INSERT INTO run(name, content, folder, machine, begun, git, version, compiler, "
     "flags, microcode, os, preset, "
     "kernel_sources, ended, forced, imported) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, "
     "?9, ?10, ?11, ?12, ?13, ?14, ?15, "
     "strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))"},
    {offsetof(struct nb_import, move), "UPDATE run SET folder = ?2 WHERE id = ?1"},
    {offsetof(struct nb_import, result),
     "INSERT INTO result(run, kernel, cell, verdict, processes, ns, ns_lo, ns_hi, roof, "
     "of_roof, of_roof_lo, of_roof_hi, "
     "of_scale, of_scale_lo, of_scale_hi, cycles) "
     "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"},
    {offsetof(struct nb_import, speedup),
     "INSERT INTO speedup(run, line, pairing, base, test, verdict, processes, speedup, "
     "lo, hi, confidence, doubtful) "
     "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"},
};
enum { STATEMENT_COUNT = sizeof STATEMENTS / sizeof *STATEMENTS };

static sqlite3_stmt **statement(struct nb_import *im, size_t i)
{
    return (sqlite3_stmt **)((char *)im + STATEMENTS[i].at);
}

static void close_statements(struct nb_import *im)
{
    struct nb_dictionary *const each[] = {&im->machine, &im->kernel, &im->cell,
                                          &im->pairing};
    for (size_t i = 0; i < 4; i++)
        nb_dictionary_close(each[i]);
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        sqlite3_finalize(*statement(im, i));
        *statement(im, i) = NULL;
    }
}

static enum nb_status begin_transaction(struct nb_import *im, struct nb_err *err)
{
    enum nb_status status = nb_db_exec(im->db, "BEGIN IMMEDIATE", err);
    im->within = status == NB_OK;
    im->committed_s = now();
    return status;
}

static enum nb_status commit(struct nb_import *im, struct nb_err *err)
{
    enum nb_status status = nb_db_exec(im->db, "COMMIT", err);
    if (status != NB_OK)
        (void)sqlite3_exec(im->db->sql, "ROLLBACK", NULL, NULL, NULL);
    im->within = false;
    return status;
}

enum nb_status nb_import_begin(struct nb_import *im, struct nb_db *db, bool replace,
                               struct nb_err *err)
{
    *im = (struct nb_import){.db = db, .replace = replace};
    nb_entries_describe(im);
    struct nb_dictionary *const each[] = {&im->machine, &im->kernel, &im->cell,
                                          &im->pairing};
    enum nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < 4; i++)
        status = nb_dictionary_open(each[i], db, err);
    for (size_t i = 0; status == NB_OK && i < STATEMENT_COUNT; i++) {
        *statement(im, i) = nb_db_prepare(db, STATEMENTS[i].sql, err);
        status = *statement(im, i) ? NB_OK : NB_ERROR;
    }
    if (status == NB_OK)
        status = begin_transaction(im, err);
    if (status != NB_OK)
        close_statements(im);
    return status;
}

enum nb_status nb_import_end(struct nb_import *im, struct nb_err *err)
{
    enum nb_status status = im->within ? commit(im, err) : NB_OK;
    close_statements(im);
    return status;
}

/* ---- what is known of a run ---- */

enum { HASH = 16, HASHED = 4, CONTENT = HASH * HASHED + 1 };

/* False: a file cannot be read; the loader says which and why. */
static bool content_of(const char *dir, char content[CONTENT])
{
    static const char *const files[HASHED] = {"host.json", "plan.json", "results.csv",
                                              "speedup.csv"};
    char path[NB_PATH];
    bool all = true;
    for (size_t i = 0; all && i < HASHED; i++) {
        nb_file_path(path, dir, files[i], "");
        all = nb_file_hash(path, content + HASH * i) == 0;
    }
    return all;
}

/* A run by its plan, its host and when it began there: the id of plan.json is that of the
 * plan alone, which equal nodes of a cluster share, and two commits of a history. */
static void run_name(const struct nb_summary *s, char name[NB_RUN_NAME])
{
    const char *const facts[] = {s->host_name, s->begun};
    uint64_t hash = 0;
    for (size_t i = 0; i < 2; i++)
        hash = facts[i] != NULL ? nb_hash_bytes(hash, facts[i], strlen(facts[i]) + 1)
                                : nb_hash_bytes(hash, "\xFF", 1);
    snprintf(name, NB_RUN_NAME, "%.80s-%012llx", s->id, (unsigned long long)hash >> 16);
}

/* What the index has of a run. */
struct known {
    int64_t run; /* 0: nothing */
    char content[CONTENT], folder[NB_PATH], name[NB_RUN_NAME];
};

static enum nb_status look_up(struct nb_import *im, sqlite3_stmt *find, const char *text,
                              struct known *k, struct nb_err *err)
{
    bool row;
    *k = (struct known){.run = 0};
    nb_db_bind(find, "s", text);
    enum nb_status status = nb_db_step(im->db, find, &row, err);
    if (status != NB_OK || !row)
        return status;
    k->run = sqlite3_column_int64(find, 0);
    snprintf(k->content, sizeof k->content, "%s", sqlite3_column_text(find, 1));
    snprintf(k->folder, sizeof k->folder, "%s", sqlite3_column_text(find, 2));
    snprintf(k->name, sizeof k->name, "%s", sqlite3_column_text(find, 3));
    sqlite3_reset(find);
    return NB_OK;
}

/* Its content is the same as here. */
static enum nb_status same_again(struct nb_import *im, const char *folder,
                                 const struct known *k, struct nb_imported *what,
                                 struct nb_err *err)
{
    char there[CONTENT];
    snprintf(what->other, sizeof what->other, "%s", k->folder);
    what->outcome = NB_IMPORT_KNOWN;
    if (strcmp(k->folder, folder) == 0)
        return NB_OK;
    what->outcome = NB_IMPORT_COPY;
    if (content_of(k->folder, there) && strcmp(there, k->content) == 0)
        return NB_OK;
    what->outcome = NB_IMPORT_MOVED;
    nb_db_bind(im->move, "is", k->run, folder);
    return nb_db_run(im->db, im->move, err);
}

static enum nb_status other_content(const char *folder, const struct known *k,
                                    const char *name, struct nb_err *err)
{
    if (strcmp(k->folder, folder) == 0)
        return nb_fail(
            err,
            "%.400s: run %.100s has changed since it was imported; with --replace "
            "it is taken anew",
            folder, name);
    return nb_fail(err,
                   "%.300s: run %.100s was imported with other content from %.300s; with "
                   "--replace this one takes its place",
                   folder, name, k->folder);
}

/* ---- a run ---- */

static enum nb_status forget(struct nb_import *im, int64_t run, struct nb_err *err)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "DELETE FROM result WHERE run = %lld; DELETE FROM speedup WHERE run = %lld; "
             "DELETE FROM run WHERE id = %lld",
             (long long)run, (long long)run, (long long)run);
    return nb_db_exec(im->db, sql, err);
}

static enum nb_status write_run(struct nb_import *im, const struct nb_summary *s,
                                const char *folder, const char *content,
                                struct nb_err *err)
{
    char flags[HASH + 1], name[NB_RUN_NAME];
    int64_t machine = 0;
    run_name(s, name);
    enum nb_status status = nb_entries_machine(im, s, &machine, err);
    if (status != NB_OK)
        return status;
    const bool has_flags = nb_entries_flags(s, flags);
    nb_db_bind(im->insert, "sssisssssssssii", name, content, folder, machine, s->begun,
               s->git, s->version, s->compiler, has_flags ? flags : NULL,
               nb_summary_host(s, "cpu.microcode"), nb_summary_host(s, "os.kernel"),
               s->preset, nb_summary_host(s, "kernel_sources"), (int64_t)s->ended,
               (int64_t)s->forced);
    return nb_db_run(im->db, im->insert, err);
}

static enum nb_status write_all(struct nb_import *im, const struct nb_summary *s,
                                const char *folder, const char *content, int64_t replaces,
                                struct nb_err *err)
{
    enum nb_status status = replaces ? forget(im, replaces, err) : NB_OK;
    if (status == NB_OK)
        status = write_run(im, s, folder, content, err);
    const int64_t run = sqlite3_last_insert_rowid(im->db->sql);
    if (status == NB_OK)
        status = nb_entries_results(im, s, run, err);
    return status == NB_OK ? nb_entries_speedups(im, s, run, err) : status;
}

/* Which folder an error is about, where it does not say so itself. */
static enum nb_status name_folder(const struct nb_import *im, const char *folder,
                                  struct nb_err *err)
{
    struct nb_err inner = *err;
    if (im->db->failed)
        return NB_ERROR;
    return nb_fail(err, "%.400s: %.600s", folder, inner.text);
}

static enum nb_status save(struct nb_import *im, const struct nb_summary *s,
                           const char *folder, const char *content, int64_t replaces,
                           struct nb_err *err)
{
    enum nb_status status = nb_db_exec(im->db, "SAVEPOINT run", err);
    if (status != NB_OK)
        return status;
    status = nb_entries_check(s, err);
    if (status == NB_OK)
        status = write_all(im, s, folder, content, replaces, err);
    if (status != NB_OK) {
        (void)sqlite3_exec(im->db->sql, "ROLLBACK TO run; RELEASE run", NULL, NULL, NULL);
        struct nb_dictionary *const each[] = {&im->machine, &im->kernel, &im->cell,
                                              &im->pairing};
        for (size_t i = 0; i < 4; i++)
            nb_dictionary_forget(each[i]);
        return name_folder(im, folder, err);
    }
    return nb_db_exec(im->db, "RELEASE run", err);
}

static enum nb_status take(struct nb_import *im, const struct nb_summary *s,
                           const char *folder, const char *content,
                           struct nb_imported *what, struct nb_err *err)
{
    struct known k;
    run_name(s, what->name);
    enum nb_status status = look_up(im, im->find_name, what->name, &k, err);
    if (status != NB_OK)
        return status;
    if (k.run != 0 && !im->replace)
        return other_content(folder, &k, what->name, err);
    what->outcome = k.run != 0 ? NB_IMPORT_REPLACED : NB_IMPORT_NEW;
    what->results = s->nresults;
    what->speedups = s->nspeedups;
    return save(im, s, folder, content, k.run, err);
}

/* A transaction to write into, which is not too old. */
static enum nb_status ready(struct nb_import *im, struct nb_err *err)
{
    enum nb_status status = NB_OK;
    if (im->within && now() - im->committed_s > TRANSACTION_S)
        status = commit(im, err);
    return status == NB_OK && !im->within ? begin_transaction(im, err) : status;
}

static enum nb_status load_and_take(struct nb_import *im, const char *folder,
                                    const char *content, struct nb_imported *what,
                                    struct nb_err *err)
{
    struct nb_summary s;
    enum nb_status status = nb_summary_load(&s, folder, err);
    if (status != NB_OK)
        return status;
    status = content != NULL ? take(im, &s, folder, content, what, err)
                             : nb_fail(err, "%.400s: its files cannot be read", folder);
    nb_summary_free(&s);
    return status;
}

enum nb_status nb_import_run(struct nb_import *im, const char *dir,
                             struct nb_imported *what, struct nb_err *err)
{
    char content[CONTENT], folder[PATH_MAX];
    struct known k = {.run = 0};
    *what = (struct nb_imported){.outcome = NB_IMPORT_NEW};
    if (realpath(dir, folder) == NULL)
        return nb_fail(err, "%.400s: %s", dir, strerror(errno));
    const bool readable = content_of(folder, content);
    enum nb_status status = ready(im, err);
    if (status == NB_OK && readable)
        status = look_up(im, im->find_content, content, &k, err);
    if (status != NB_OK)
        return status;
    if (k.run == 0)
        return load_and_take(im, folder, readable ? content : NULL, what, err);
    snprintf(what->name, sizeof what->name, "%s", k.name);
    return same_again(im, folder, &k, what, err);
}
