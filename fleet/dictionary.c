#include "dictionary.h"
#include "buffers.h"

#include <string.h>

/* Texts of SQL are made of names of tables and columns, which stand in this program. */
struct text {
    char sql[1200];
    size_t n;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format,
                                                      ...)
{
    va_list args;
    va_start(args, format);
    t->n += (size_t)vsnprintf(t->sql + t->n, sizeof t->sql - t->n, format, args);
    va_end(args);
    NB_ASSERT(t->n < sizeof t->sql);
}

static sqlite3_stmt *prepare_find(const struct nb_dictionary *d, struct nb_db *db,
                                  struct nb_err *err)
{
    struct text t = {.n = 0};
    add(&t, "SELECT id");
    for (size_t i = 0; d->columns[i]; i++)
        add(&t, ", %s", d->columns[i]);
    add(&t, " FROM %s WHERE name = ?1", d->table);
    return nb_db_prepare(db, t.sql, err);
}

static sqlite3_stmt *prepare_insert(const struct nb_dictionary *d, struct nb_db *db,
                                    struct nb_err *err)
{
    struct text t = {.n = 0};
    add(&t, "INSERT INTO %s(name", d->table);
    for (size_t i = 0; d->columns[i]; i++)
        add(&t, ", %s", d->columns[i]);
    add(&t, ") VALUES (?1");
    for (size_t i = 0; d->columns[i]; i++)
        add(&t, ", ?%zu", i + 2);
    add(&t, ")");
    return nb_db_prepare(db, t.sql, err);
}

static sqlite3_stmt *prepare_complete(const struct nb_dictionary *d, struct nb_db *db,
                                      struct nb_err *err)
{
    struct text t = {.n = 0};
    add(&t, "UPDATE %s SET ", d->table);
    for (size_t i = 0; d->columns[i]; i++)
        add(&t, "%s%s = ifnull(%s, ?%zu)", i ? ", " : "", d->columns[i], d->columns[i],
            i + 2);
    add(&t, " WHERE name = ?1");
    return nb_db_prepare(db, t.sql, err);
}

/* ---- what was asked for ---- */

/* Runs say the same names again and again. A table by the hash of name and facts, which
 * stops taking more when it is half full. */
enum { SLOTS = 1 << 16 };

struct nb_dictionary_seen {
    char *key; /* NULL: free */
    size_t len;
    int64_t id;
};

/* Name and facts, each with its end behind a byte that says whether it is known; 0: they
 * are too long to be kept. */
static size_t key_of(const struct nb_dictionary *d, const char *name,
                     const char *const *facts, char *key, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i == 0 || d->columns[i - 1]; i++) {
        const char *text = i == 0 ? name : facts[i - 1];
        const size_t len = text ? strlen(text) + 1 : 0;
        if (n + 1 + len > room)
            return 0;
        key[n++] = text != NULL;
        memcpy(key + n, text ? text : "", len);
        n += len;
    }
    return n;
}

/* Its place, or the free one that it would take. */
static struct nb_dictionary_seen *slot_of(const struct nb_dictionary *d, const char *key,
                                          size_t len)
{
    size_t i = nb_hash_bytes(0, key, len) % SLOTS;
    while (d->seen[i].key != NULL &&
           (d->seen[i].len != len || memcmp(d->seen[i].key, key, len) != 0))
        i = (i + 1) % SLOTS;
    return &d->seen[i];
}

static void remember(struct nb_dictionary *d, const char *key, size_t len, int64_t id)
{
    struct nb_dictionary_seen *s = slot_of(d, key, len);
    if (s->key != NULL || d->seen_count == SLOTS / 2)
        return;
    *s = (struct nb_dictionary_seen){malloc(len), len, id};
    NB_ASSERT(s->key != NULL && "out of memory");
    memcpy(s->key, key, len);
    d->seen_count++;
}

void nb_dictionary_forget(struct nb_dictionary *d)
{
    for (size_t i = 0; d->seen != NULL && i < SLOTS; i++) {
        free(d->seen[i].key);
        d->seen[i].key = NULL;
    }
    d->seen_count = 0;
}

/* ---- the table ---- */

static void bind_all(const struct nb_dictionary *d, sqlite3_stmt *s, const char *name,
                     const char *const *facts)
{
    nb_db_bind(s, "s", name);
    for (size_t i = 0; d->columns[i]; i++)
        NB_ASSERT(sqlite3_bind_text(s, (int)i + 2, facts[i], -1, SQLITE_STATIC) ==
                  SQLITE_OK);
}

/* Of the row that find stands on. */
static enum nb_status compare(const struct nb_dictionary *d, const char *name,
                              const char *const *facts, bool *lacks, struct nb_err *err)
{
    *lacks = false;
    for (size_t i = 0; d->columns[i]; i++) {
        const char *known = (const char *)sqlite3_column_text(d->find, (int)i + 1);
        if (known == NULL || facts[i] == NULL)
            *lacks = *lacks || facts[i] != NULL;
        else if (i < d->fixed && strcmp(known, facts[i]) != 0)
            return nb_fail(
                err,
                "the %s %.120s has %s %.80s here, and %.80s in runs that are in "
                "the index: one name for two things",
                d->table, name, d->columns[i], facts[i], known);
    }
    return NB_OK;
}

static enum nb_status change(struct nb_dictionary *d, struct nb_db *db, sqlite3_stmt *s,
                             const char *name, const char *const *facts,
                             struct nb_err *err)
{
    bind_all(d, s, name, facts);
    return nb_db_run(db, s, err);
}

static enum nb_status look_up(struct nb_dictionary *d, struct nb_db *db, const char *name,
                              const char *const *facts, int64_t *id, struct nb_err *err)
{
    bool row, lacks = false;
    nb_db_bind(d->find, "s", name);
    enum nb_status status = nb_db_step(db, d->find, &row, err);
    if (status == NB_OK && !row) {
        status = change(d, db, d->insert, name, facts, err);
        *id = sqlite3_last_insert_rowid(db->sql);
    } else if (status == NB_OK) {
        *id = sqlite3_column_int64(d->find, 0);
        status = compare(d, name, facts, &lacks, err);
        sqlite3_reset(d->find);
        if (status == NB_OK && lacks)
            status = change(d, db, d->complete, name, facts, err);
    }
    return status;
}

enum nb_status nb_dictionary_id(struct nb_dictionary *d, struct nb_db *db,
                                const char *name, const char *const *facts, int64_t *id,
                                struct nb_err *err)
{
    char key[1024];
    const size_t len = key_of(d, name, facts, key, sizeof key);
    const struct nb_dictionary_seen *seen = len ? slot_of(d, key, len) : NULL;
    if (seen != NULL && seen->key != NULL) {
        *id = seen->id;
        return NB_OK;
    }
    enum nb_status status = look_up(d, db, name, facts, id, err);
    if (status == NB_OK && len)
        remember(d, key, len, *id);
    return status;
}

enum nb_status nb_dictionary_open(struct nb_dictionary *d, struct nb_db *db,
                                  struct nb_err *err)
{
    d->find = prepare_find(d, db, err);
    d->insert = d->find ? prepare_insert(d, db, err) : NULL;
    d->complete = d->insert ? prepare_complete(d, db, err) : NULL;
    d->seen = calloc(SLOTS, sizeof *d->seen);
    NB_ASSERT(d->seen != NULL && "out of memory");
    return d->complete ? NB_OK : NB_ERROR;
}

void nb_dictionary_close(struct nb_dictionary *d)
{
    sqlite3_finalize(d->find);
    sqlite3_finalize(d->insert);
    sqlite3_finalize(d->complete);
    d->find = d->insert = d->complete = NULL;
    nb_dictionary_forget(d);
    free(d->seen);
    d->seen = NULL;
}
