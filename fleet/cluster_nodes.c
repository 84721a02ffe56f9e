#define _GNU_SOURCE /* strverscmp */
#include "cluster_nodes.h"

#include "markup.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum { FIELDS = 8, NAME_MAX_LENGTH = 200 };

bool nb_cluster_name_ok(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    return isalnum((unsigned char)name[0]) && strspn(name, letters) == strlen(name) &&
           strlen(name) <= NAME_MAX_LENGTH;
}

/* ---- a line of sinfo ---- */

/* A state ends in signs of what else is up with the node: '*' it does not answer, '~' it
 * is powered down until it is wanted, '$' it is kept for maintenance, ... */
static int rank_of(const char *state)
{
    static const char *const can_be_had[] = {"idle",      "planned",    "mixed",
                                             "allocated", "completing", "reserved"};
    const size_t length = strcspn(state, "*~#!%$@^-+");
    if (strpbrk(state, "*$!%") != NULL)
        return -1;
    for (size_t i = 0; i < sizeof can_be_had / sizeof *can_be_had; i++)
        if (strlen(can_be_had[i]) == length && strncmp(state, can_be_had[i], length) == 0)
            return (int)(2 * i) +
                   (state[length] != '\0'); /* 1: must be powered up first */
    return -1;
}

static bool read_number(const char *s, unsigned long *value)
{
    char *end;
    errno = 0;
    *value = strtoul(s, &end, 10);
    return isdigit((unsigned char)s[0]) && *end == '\0' && errno == 0;
}

/* Cuts the line into its fields; false: it has not as many. */
static bool cut(char *line, char *field[FIELDS])
{
    for (size_t i = 0; i < FIELDS; i++) {
        char *end = line + strcspn(line, NB_CLUSTER_SEPARATOR);
        if ((*end == '\0') != (i == FIELDS - 1))
            return false;
        *end = '\0';
        field[i] = line;
        line = end + 1;
    }
    return true;
}

static enum nb_status read_node(struct nb_cluster_node *n, char *line, size_t number,
                                struct nb_err *err)
{
    char *f[FIELDS];
    unsigned long *const numbers[] = {&n->cpus, &n->sockets, &n->cores, &n->threads,
                                      &n->memory_mb};
    if (!cut(line, f))
        return nb_fail(
            err, "line %zu of sinfo has not the %d fields it was asked for: \"%.200s\"",
            number, FIELDS, line);
    if (!nb_cluster_name_ok(f[0]))
        return nb_fail(
            err,
            "sinfo names a node \"%.200s\"; a host name has letters, digits, '-', '_' "
            "and '.', and begins with a letter or digit",
            f[0]);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!read_number(f[2 + i], numbers[i]))
            return nb_fail(err,
                           "sinfo says \"%.100s\" of node %s where a number should be",
                           f[2 + i], f[0]);
    n->name = f[0];
    n->state = f[1];
    n->features = strcmp(f[7], "(null)") == 0 ? "" : f[7];
    n->rank = rank_of(n->state);
    return NB_OK;
}

/* ---- types ---- */

static int by_number(unsigned long a, unsigned long b)
{
    return (a > b) - (a < b);
}

static unsigned long gib(const struct nb_cluster_node *n)
{
    return (n->memory_mb + 512) / 1024;
}

static int by_type(const struct nb_cluster_node *a, const struct nb_cluster_node *b)
{
    const int order[] = {strcmp(a->features, b->features),  by_number(a->cpus, b->cpus),
                         by_number(a->sockets, b->sockets), by_number(a->cores, b->cores),
                         by_number(a->threads, b->threads), by_number(gib(a), gib(b))};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (order[i] != 0)
            return order[i];
    return 0;
}

static int by_rank(const void *x, const void *y)
{
    const struct nb_cluster_node *a = x, *b = y;
    const int type = by_type(a, b);
    const int rank = (a->rank > b->rank) - (a->rank < b->rank);
    return type ? type : rank ? rank : strverscmp(a->name, b->name);
}

static int by_name(const void *x, const void *y)
{
    const struct nb_cluster_node *a = x, *b = y;
    return strcmp(a->name, b->name);
}

/* A node that was told twice counts once. */
static void number_types(struct nb_cluster_nodes *c)
{
    size_t kept = 0;
    qsort(c->v, c->n, sizeof *c->v, by_name);
    for (size_t i = 0; i < c->n; i++)
        if (i == 0 || strcmp(c->v[i].name, c->v[kept - 1].name) != 0)
            c->v[kept++] = c->v[i];
    c->n = kept;
    qsort(c->v, c->n, sizeof *c->v, by_rank);
    c->types = 0;
    for (size_t i = 0; i < c->n; i++)
        c->v[i].type = i == 0                                 ? c->types++
                       : by_type(&c->v[i - 1], &c->v[i]) == 0 ? c->v[i - 1].type
                                                              : c->types++;
}

enum nb_status nb_cluster_nodes_parse(struct nb_cluster_nodes *c, const char *text,
                                      struct nb_err *err)
{
    enum nb_status s = NB_OK;
    size_t lines = 1, number = 0;
    for (const char *p = text; *p != '\0'; p++)
        lines += *p == '\n';
    *c =
        (struct nb_cluster_nodes){.text = strdup(text), .v = calloc(lines, sizeof *c->v)};
    NB_ASSERT(c->text != NULL && c->v != NULL && "out of memory");
    for (char *line = c->text, *next; s == NB_OK && line != NULL; line = next) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        number++;
        if (*line != '\0')
            s = read_node(&c->v[c->n++], line, number, err);
    }
    if (s == NB_OK)
        number_types(c);
    else
        nb_cluster_nodes_free(c);
    return s;
}

void nb_cluster_nodes_free(struct nb_cluster_nodes *c)
{
    free(c->text);
    free(c->v);
    *c = (struct nb_cluster_nodes){0};
}

/* ---- which of them ---- */

static bool has_feature(const char *features, const char *word, size_t length)
{
    for (const char *f = features; *f != '\0';) {
        const size_t n = strcspn(f, ",");
        if (n == length && strncmp(f, word, n) == 0)
            return true;
        f += n + (f[n] == ',');
    }
    return false;
}

static bool fulfils(const char *features, const char *constraint, bool any)
{
    for (const char *w = constraint;;) {
        const size_t n = strcspn(w, "&,|");
        if (has_feature(features, w, n) == any)
            return any;
        if (w[n] == '\0')
            return !any;
        w += n + 1;
    }
}

enum nb_status nb_cluster_nodes_keep(struct nb_cluster_nodes *c, const char *constraint,
                                     struct nb_err *err)
{
    const bool any = strchr(constraint, '|') != NULL;
    size_t kept = 0;
    if (constraint[0] == '\0' || strpbrk(constraint, "()[]*! \t") != NULL ||
        (any && strpbrk(constraint, "&,") != NULL))
        return nb_fail(err,
                       "--constraint \"%.200s\": a feature, several that must all be "
                       "there (a&b), or "
                       "several of which one must (a|b)",
                       constraint);
    for (size_t i = 0; i < c->n; i++)
        if (fulfils(c->v[i].features, constraint, any))
            c->v[kept++] = c->v[i];
    c->n = kept;
    number_types(c);
    return NB_OK;
}

size_t nb_cluster_nodes_choose(struct nb_cluster_nodes *c, size_t per_type)
{
    size_t chosen = 0, of_type = 0;
    for (size_t i = 0; i < c->n; i++) {
        struct nb_cluster_node *n = &c->v[i];
        if (i == 0 || n->type != c->v[i - 1].type)
            of_type = 0;
        n->chosen = n->rank >= 0 && (per_type == 0 || of_type < per_type);
        of_type += n->chosen;
        chosen += n->chosen;
    }
    return chosen;
}

void nb_cluster_node_print(FILE *f, const struct nb_cluster_node *n)
{
    fprintf(f, "%lu CPUs (%lu x %lu x %lu), ", n->cpus, n->sockets, n->cores, n->threads);
    if (gib(n) > 0) /* else nobody told Slurm */
        fprintf(f, "%lu GiB, ", gib(n));
    nb_plain(f, n->features[0] != '\0' ? n->features : "no features");
}
