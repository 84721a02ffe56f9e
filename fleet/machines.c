#define _GNU_SOURCE /* asprintf */

#include "machines.h"
#include "host.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

size_t nb_machine_size(const struct nb_summary *run, const char *object, const char *key)
{
    const json_t *v = json_object_get(json_object_get(run->host, object), key);
    return json_is_integer(v) && json_integer_value(v) > 0 ? (size_t)json_integer_value(v)
                                                           : 0;
}

static void put_bytes(FILE *f, const char *name, size_t bytes)
{
    const bool mega = bytes >= 1 << 20;
    if (bytes > 0)
        fprintf(f, ", %s %.4g %s", name, (double)bytes / (mega ? 1 << 20 : 1 << 10),
                mega ? "MiB" : "KiB");
}

void nb_machine_facts(const struct nb_summary *run, char *text, size_t len)
{
    const size_t cores = nb_machine_size(run, "topology", "cores");
    FILE *f = fmemopen(text, len, "w");
    NB_ASSERT(f != NULL);
    if (cores > 0)
        fprintf(f, "%zu core%s", cores, cores > 1 ? "s" : "");
    else
        fputs("cores not known", f);
    put_bytes(f, "L1d", nb_machine_size(run, "caches", "l1d"));
    put_bytes(f, "L2", nb_machine_size(run, "caches", "l2"));
    put_bytes(f, "L3", nb_machine_size(run, "caches", "l3"));
    fclose(f);
    text[len - 1] = '\0';
}

/* Only letters and digits stay; what is in parentheses goes. */
void nb_machine_slug(const struct nb_summary *run, char *text, size_t len)
{
    size_t n = 0;
    bool inside = false;
    for (const char *s = run->cpu ? run->cpu : "unknown-cpu"; *s && n + 2 < len && n < 60;
         s++) {
        inside = *s == '(' || (inside && *s != ')');
        const bool plain = !inside && *s != ')' && (unsigned char)*s < 0x80 &&
                           isalnum((unsigned char)*s);
        if (plain)
            text[n++] = (char)tolower((unsigned char)*s);
        else if (!inside && n > 0 && text[n - 1] != '-')
            text[n++] = '-';
    }
    while (n > 0 && text[n - 1] == '-')
        n--;
    text[n] = '\0';
    if (n == 0)
        snprintf(text, len, "unknown-cpu");
}

/* ---- names ---- */

static const char *base_name(const char *dir)
{
    const char *slash = strrchr(dir, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : dir;
}

static const char *plain_name(const struct nb_summary *run, const char *names)
{
    const char *cpu = run->cpu ? run->cpu : "unknown CPU";
    if (strcmp(names, "folder") == 0)
        return base_name(run->dir);
    return strcmp(names, "host") == 0 && run->host_name != NULL ? run->host_name : cpu;
}

/* A run and a text that it has; NULL before all texts. */
struct keyed {
    const char *key;
    size_t run;
};

static bool same_text(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* Equal ones as they were given. */
static int by_key(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    int order = (x->key != NULL) - (y->key != NULL);
    if (x->key != NULL && y->key != NULL)
        order = strcmp(x->key, y->key);
    return order != 0 ? order : (x->run > y->run) - (x->run < y->run);
}

/* Behind those of the group that begins at first: runs of one key. */
static size_t group_end(const struct keyed *v, size_t n, size_t first)
{
    size_t end = first + 1;
    while (end < n && same_text(v[end].key, v[first].key))
        end++;
    return end;
}

static void number_group(struct nb_machine *m, const struct keyed *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const int written = n > 1 ? asprintf(&m[v[i].run].name, "%s #%zu", v[i].key, i + 1) : asprintf(&m[v[i].run].name, "%s", v[i].key);
        NB_ASSERT(written >= 0 && "out of memory");
    }
}

static void find_hosts(struct nb_machine *m, const struct keyed *v, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t k = 0; k < i && m[v[i].run].same_host == NULL; k++)
            if (nb_host_differs(m[v[k].run].run->host, m[v[i].run].run->host) == NULL)
                m[v[i].run].same_host = &m[v[k].run];
}

static void each_group(struct nb_machine *m, struct keyed *v, size_t n,
                       void (*use)(struct nb_machine *m, const struct keyed *v, size_t n))
{
    qsort(v, n, sizeof *v, by_key);
    for (size_t i = 0, end; i < n; i = end) {
        end = group_end(v, n, i);
        use(m, v + i, end - i);
    }
}

static void name_all(struct nb_machine *m, size_t n, const char *names)
{
    struct keyed *v = calloc(n + 1, sizeof *v);
    NB_ASSERT(v != NULL && "out of memory");
    for (size_t i = 0; i < n; i++)
        v[i] = (struct keyed){plain_name(m[i].run, names), i};
    each_group(m, v, n, number_group);
    for (size_t i = 0; i < n; i++)
        v[i] = (struct keyed){json_string_value(json_object_get(m[i].run->host, "host")), i}; /* what nb_host_differs asks first */
    each_group(m, v, n, find_hosts);
    free(v);
}

/* ---- marks ---- */

static void mark(struct nb_machine *m, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void mark(struct nb_machine *m, const char *format, ...)
{
    va_list args;
    NB_ASSERT(m->nmarks < NB_MARKS);
    va_start(args, format);
    NB_ASSERT(vasprintf(&m->marks[m->nmarks++], format, args) >= 0);
    va_end(args);
}

/* Flags of units that both have. */
static void mark_flags(struct nb_machine *m, const json_t *ours, const json_t *first)
{
    const char *unit;
    json_t *flags;
    if (!json_is_object(ours) || !json_is_object(first)) {
        mark(m, "compile flags not known");
        return;
    }
    json_object_foreach((json_t *)ours, unit,
                        flags) if (json_object_get(first, unit) != NULL &&
                                   !json_equal(flags, json_object_get(first, unit)))
    {
        mark(m, "other compile flags (unit %.40s)", unit);
        return;
    }
}

static void mark_sources(struct nb_machine *m, const struct nb_summary *first)
{
    const char *ours = nb_summary_host(m->run, "kernel_sources"),
               *theirs = nb_summary_host(first, "kernel_sources");
    if (ours == NULL || theirs == NULL)
        mark(m, "kernel sources not known");
    else if (strcmp(ours, theirs) != 0)
        mark(m, "other kernel sources");
}

static void mark_other(struct nb_machine *m, const struct nb_summary *first,
                       const char *key, const char *says)
{
    const json_t *ours = json_object_get(m->run->plan, key),
                 *theirs = json_object_get(first->plan, key);
    if (ours != theirs && !json_equal(ours, theirs)) /* both may be absent */
        mark(m, "%s", says);
}

static void mark_against(struct nb_machine *m, const struct nb_summary *first)
{
    const struct nb_summary *run = m->run;
    if (!same_text(run->compiler, first->compiler))
        mark(m, "other compiler");
    mark_flags(m, json_object_get(run->host, "units"),
               json_object_get(first->host, "units"));
    mark_sources(m, first);
    mark_other(m, first, "seed", "other data (seed)");
    mark_other(m, first, "allow_weak", "other rule of who may win best-of-each");
    mark_other(m, first, "sample_ms", "other length of samples");
    mark_other(m, first, "plugins", "other plugins");
    mark_other(m, first, "tune", "other tune file");
    /* equal nodes of a cluster begin one plan in the same second */
    const bool elsewhere = run->host_name != NULL && first->host_name != NULL &&
                           !same_text(run->host_name, first->host_name);
    if (!elsewhere && same_text(run->id, first->id) &&
        same_text(run->begun, first->begun) &&
        same_text(nb_summary_host(run, "binary"), nb_summary_host(first, "binary")))
        mark(m, "a copy of the first run");
}

static void mark_alone(struct nb_machine *m)
{
    if (!m->run->ended)
        mark(m, "not finished");
    if (m->run->forced)
        mark(m, "forced: measured in spite of a refusal");
}

enum nb_status nb_machines_make(struct nb_machine *m, const struct nb_summary *runs,
                                size_t n, const char *names, struct nb_err *err)
{
    memset(m, 0, n * sizeof *m);
    if (strcmp(names, "cpu") != 0 && strcmp(names, "host") != 0 &&
        strcmp(names, "folder") != 0)
        return nb_fail(err, "--names: \"%.40s\" is none of cpu, host, folder", names);
    for (size_t i = 0; i < n; i++)
        m[i].run = &runs[i];
    name_all(m, n, names);
    for (size_t i = 0; i < n; i++) {
        mark_alone(&m[i]);
        if (i > 0)
            mark_against(&m[i], &runs[0]);
    }
    return NB_OK;
}

void nb_machines_free(struct nb_machine *m, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < m[i].nmarks; k++)
            free(m[i].marks[k]);
        free(m[i].name);
    }
}
