#define _GNU_SOURCE /* versionsort */
#include "claims.h"

#include "datadir.h"
#include "markup.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX = 64 << 10, LINE_MAX_LEN = 2000, ENTRIES_MAX = 64, TITLE_MAX = 60, ID_MAX = 15, CLAIMS_MAX = 1000 };

static char *copy(const char *text)
{
    char *c = strdup(text);
    NB_ASSERT(c != NULL);
    return c;
}

/* ---- tests ---- */

enum nb_status nb_value_copy(const struct nb_parameter *p, const char *text, char **value, struct nb_err *err)
{
    size_t n = 0;
    enum nb_status s = nb_parameter_check(p, text, err);
    if (s != NB_OK)
        return s;
    char *to = copy(text);
    for (const char *from = text; p->kind != NB_TEXT && *from != '\0'; from++) {
        const bool beside = *from == ' ' && (n == 0 || to[n - 1] == ',' || from[strspn(from, " ")] == ',' ||
                                             from[strspn(from, " ")] == '\0');
        if (!beside)
            to[n++] = *from;
    }
    if (p->kind != NB_TEXT)
        to[n] = '\0';
    free(*value);
    *value = to;
    return NB_OK;
}

struct nb_test nb_test_of(const struct nb_experiment *e, const char *name)
{
    struct nb_test t = {.name = copy(name), .experiment = e, .where_text = copy(""), .holds_text = copy("")};
    t.values = calloc(e->parameter_count + 1, sizeof *t.values);
    NB_ASSERT(t.values != NULL);
    for (size_t i = 0; i < e->parameter_count; i++)
        t.values[i] = copy(e->parameters[i].value);
    return t;
}

void nb_test_free(struct nb_test *t)
{
    for (size_t i = 0; t->values != NULL && i < t->experiment->parameter_count; i++)
        free(t->values[i]);
    free(t->values);
    free(t->name);
    free(t->where_text);
    free(t->holds_text);
    *t = (struct nb_test){.name = NULL};
}

/* ---- sections: [claim], [test NAME], [untestable] ---- */

struct entry {
    char *key, *value; /* into the text */
    unsigned line;
};

struct parser {
    const char *path;
    struct nb_claim *claim;
    struct nb_err *err;
    char section[16], name[40]; /* "" before the first */
    unsigned section_line;
    struct entry v[ENTRIES_MAX]; /* of this section */
    size_t n;
};

static enum nb_status fail_at(const struct parser *p, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static enum nb_status fail_at(const struct parser *p, unsigned line, const char *format, ...)
{
    char text[900];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return nb_fail(p->err, "%s:%u: %s", p->path, line, text);
}

static struct entry *find(struct parser *p, const char *key)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->v[i].key, key) == 0)
            return &p->v[i];
    return NULL;
}

static enum nb_status required(struct parser *p, const char *key, struct entry **e)
{
    *e = find(p, key);
    return *e != NULL ? NB_OK : fail_at(p, p->section_line, "[%s%s%s] lacks \"%s = ...\"", p->section, p->name[0] != '\0' ? " " : "",
                                        p->name, key);
}

static enum nb_status only_these(const struct parser *p, const char *known)
{
    for (size_t i = 0; i < p->n; i++)
        if (!nb_words_have(known, p->v[i].key))
            return fail_at(p, p->v[i].line, "unknown key \"%s\"; known in [%s]: %s", p->v[i].key, p->section, known);
    return NB_OK;
}

/* Characters of a text; -1: it is not UTF-8. */
static long characters(const char *s)
{
    char c[4];
    long n = 0;
    while (*s != '\0') {
        const char *from = s;
        nb_next_char(&s, c);
        if (c[0] == '?' && *from != '?')
            return -1;
        n++;
    }
    return n;
}

static enum nb_status check_id(const struct parser *p, const struct entry *e)
{
    const char *slash = strrchr(p->path, '/'), *file = slash != NULL ? slash + 1 : p->path;
    const size_t n = strlen(e->value);
    if (n > ID_MAX || strspn(e->value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") != n)
        return fail_at(p, e->line, "id: \"%s\" is no id: letters, digits and -, at most %d", e->value, ID_MAX);
    if (strncmp(file, e->value, n) != 0 || strcmp(file + n, ".claim") != 0)
        return fail_at(p, e->line, "id: \"%s\" is not the name of this file; it has to be %s.claim", e->value, e->value);
    return NB_OK;
}

static enum nb_status read_against(struct parser *p, const struct entry *e)
{
    struct nb_claim *c = p->claim;
    for (char *rest = e->value, *word; (word = strsep(&rest, ",")) != NULL;) {
        word += strspn(word, " ");
        word[strcspn(word, " ")] = '\0';
        if (word[0] == '\0' || c->against_count == NB_AGAINST_MAX)
            return fail_at(p, e->line, "against: one to %d ids with a comma between two", NB_AGAINST_MAX);
        if (strcmp(word, c->id) == 0)
            return fail_at(p, e->line, "against: %s cannot contradict itself", word);
        c->against[c->against_count++] = copy(word);
    }
    return NB_OK;
}

static enum nb_status end_claim(struct parser *p)
{
    struct nb_claim *c = p->claim;
    struct entry *id = NULL, *against = find(p, "against"), *refuted = find(p, "refuted_by"), *e;
    const struct {
        const char *key;
        char **to;
    } texts[] = {{"id", &c->id}, {"title", &c->title}, {"statement", &c->statement}, {"source", &c->source}, {"why", &c->why}};
    enum nb_status s = only_these(p, "id title statement source refuted_by why against");
    if (s == NB_OK)
        s = required(p, "id", &id);
    if (s == NB_OK)
        s = check_id(p, id);
    for (size_t i = 0; s == NB_OK && i < sizeof texts / sizeof *texts; i++)
        if ((s = required(p, texts[i].key, &e)) == NB_OK)
            *texts[i].to = copy(e->value);
    if (s == NB_OK && characters(c->title) > TITLE_MAX)
        s = fail_at(p, find(p, "title")->line, "title: longer than %d characters (%ld)", TITLE_MAX, characters(c->title));
    if (s == NB_OK && refuted != NULL)
        c->refuted_by = copy(refuted->value);
    return s == NB_OK && against != NULL ? read_against(p, against) : s;
}

static enum nb_status end_untestable(struct parser *p)
{
    struct entry *e;
    enum nb_status s = only_these(p, "reason");
    if (s == NB_OK)
        s = required(p, "reason", &e);
    if (s == NB_OK)
        p->claim->untestable = copy(e->value);
    return s;
}

/* ---- [test NAME] ---- */

static void list_experiments(char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < nb_court_experiments() && n < len; i++)
        n += (size_t)snprintf(text + n, len - n, "%s%s", i > 0 ? " " : "", nb_court_experiment(i)->name);
}

static void list_parameters(const struct nb_experiment *e, char *text, size_t len)
{
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < e->parameter_count && n < len; i++)
        n += (size_t)snprintf(text + n, len - n, "%s%s", i > 0 ? " " : "", e->parameters[i].name);
}

static enum nb_status set_parameter(struct parser *p, struct nb_test *t, const struct entry *e)
{
    struct nb_err inner;
    char known[600];
    for (size_t i = 0; i < t->experiment->parameter_count; i++)
        if (strcmp(t->experiment->parameters[i].name, e->key) == 0)
            return nb_value_copy(&t->experiment->parameters[i], e->value, &t->values[i], &inner) == NB_OK
                       ? NB_OK
                       : fail_at(p, e->line, "%s", inner.text);
    list_parameters(t->experiment, known, sizeof known);
    return fail_at(p, e->line, "unknown key \"%s\"; known in [test]: experiment quantity where holds, and of %s: %s", e->key,
                   t->experiment->name, known);
}

static enum nb_status set_parameters(struct parser *p, struct nb_test *t)
{
    enum nb_status s = NB_OK;
    for (size_t i = 0; s == NB_OK && i < p->n; i++)
        if (!nb_words_have("experiment quantity where holds", p->v[i].key))
            s = set_parameter(p, t, &p->v[i]);
    return s;
}

static enum nb_status set_quantity(struct parser *p, struct nb_test *t)
{
    struct entry *e;
    enum nb_status s = required(p, "quantity", &e);
    if (s != NB_OK)
        return s;
    if (strlen(e->value) >= sizeof t->quantity || !nb_words_have(t->experiment->quantities, e->value))
        return fail_at(p, e->line, "quantity: %s observes no \"%s\"; it observes: %s", t->experiment->name, e->value,
                       t->experiment->quantities);
    strcpy(t->quantity, e->value);
    return NB_OK;
}

static enum nb_status set_region(struct parser *p, struct nb_test *t)
{
    struct nb_err inner;
    struct entry *holds, *where = find(p, "where");
    enum nb_status s = required(p, "holds", &holds);
    if (s != NB_OK)
        return s;
    if (nb_region_parse(holds->value, &t->holds, &inner) != NB_OK)
        return fail_at(p, holds->line, "holds: %s", inner.text);
    if (where != NULL && nb_terms_parse(where->value, &t->where, &inner) != NB_OK)
        return fail_at(p, where->line, "where: %s", inner.text);
    free(t->holds_text);
    t->holds_text = copy(holds->value);
    free(t->where_text);
    t->where_text = copy(where != NULL ? where->value : "");
    return NB_OK;
}

static enum nb_status end_test(struct parser *p)
{
    struct nb_claim *c = p->claim;
    struct entry *e;
    char known[600];
    enum nb_status s = required(p, "experiment", &e);
    if (s != NB_OK)
        return s;
    const struct nb_experiment *experiment = nb_court_find(e->value);
    list_experiments(known, sizeof known);
    if (experiment == NULL)
        return fail_at(p, e->line, "experiment: there is no \"%s\"; known: %s", e->value, known);
    c->tests = realloc(c->tests, (c->test_count + 1) * sizeof *c->tests);
    NB_ASSERT(c->tests != NULL);
    struct nb_test *t = &c->tests[c->test_count++];
    *t = nb_test_of(experiment, p->name);
    s = set_parameters(p, t);
    if (s == NB_OK)
        s = set_quantity(p, t);
    return s == NB_OK ? set_region(p, t) : s;
}

static enum nb_status end_section(struct parser *p)
{
    const enum nb_status s = p->section[0] == '\0'               ? NB_OK
                             : strcmp(p->section, "claim") == 0 ? end_claim(p)
                             : strcmp(p->section, "test") == 0  ? end_test(p)
                                                                : end_untestable(p);
    p->n = 0;
    return s;
}

/* ---- lines ---- */

static enum nb_status begin_section(struct parser *p, char *line, unsigned number)
{
    static const char right[] = "sections are [claim], then [test NAME] once or more, or [untestable]";
    const struct nb_claim *c = p->claim;
    char section[16] = "", name[40] = "";
    int end = 0;
    const bool first = p->section[0] == '\0';
    enum nb_status s = end_section(p);
    if (s != NB_OK)
        return s;
    const bool named = sscanf(line, "[test %39[A-Za-z0-9_-]] %n", name, &end) == 1 && end > 0 && line[end] == '\0';
    if (!named && (sscanf(line, "[%15[a-z]] %n", section, &end) != 1 || end == 0 || line[end] != '\0' ||
                   (strcmp(section, "claim") != 0 && strcmp(section, "untestable") != 0)))
        return fail_at(p, number, "\"%.60s\" is no section; %s (a name: letters, digits, - and _)", line, right);
    strcpy(p->section, named ? "test" : section);
    snprintf(p->name, sizeof p->name, "%s", named ? name : "");
    p->section_line = number;
    const bool claim = strcmp(p->section, "claim") == 0;
    if (first != claim)
        return fail_at(p, number, first ? "the file has to begin with [claim]; %s" : "a second [claim]; %s", right);
    for (size_t i = 0; named && i < c->test_count; i++)
        if (strcmp(c->tests[i].name, name) == 0)
            return fail_at(p, number, "a second [test %s]; tests of a claim have names of their own", name);
    if (c->untestable != NULL || (!named && c->test_count > 0))
        return fail_at(p, number, "a claim has tests or is untestable, not both, and is untestable once");
    return NB_OK;
}

static void trim(char *text)
{
    for (size_t n = strlen(text); n > 0 && strchr(" \t\r", text[n - 1]) != NULL; n--)
        text[n - 1] = '\0';
}

static enum nb_status read_entry(struct parser *p, char *line, unsigned number)
{
    char *equals = strchr(line, '=');
    if (equals == NULL || equals == line)
        return fail_at(p, number, "\"%.60s\" is not of the form key = value, [section] or # comment", line);
    if (p->section[0] == '\0')
        return fail_at(p, number, "\"%.60s\" stands before the first section; the file has to begin with [claim]", line);
    *equals = '\0';
    trim(line);
    char *value = equals + 1 + strspn(equals + 1, " \t");
    if (find(p, line) != NULL)
        return fail_at(p, number, "%s: given twice in [%s], first in line %u", line, p->section, find(p, line)->line);
    if (value[0] == '\0')
        return fail_at(p, number, "%s: nothing stands behind the =", line);
    if (p->n == ENTRIES_MAX)
        return fail_at(p, number, "more than %d keys in [%s]", ENTRIES_MAX, p->section);
    p->v[p->n++] = (struct entry){line, value, number};
    return NB_OK;
}

/* Of a character that has no place in a line of text its number, else -1: control characters but a tab and a CR before the newline, and
 * those that turn the direction of writing, with which a line would show another text than it has. */
static long control_in(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const unsigned char *c = (const unsigned char *)line + i;
        const size_t left = n - i;
        if ((*c < ' ' && *c != '\t' && !(*c == '\r' && left == 1)) || *c == 0x7f)
            return *c;
        if (left > 1 && c[0] == 0xC2 && c[1] >= 0x80 && c[1] < 0xA0)
            return c[1];
        if (left > 2 && nb_is_bidi(line + i))
            return ((c[0] & 0x0F) << 12) | ((c[1] & 0x3F) << 6) | (c[2] & 0x3F);
    }
    return -1;
}

static enum nb_status read_line(struct parser *p, char *line, size_t n, unsigned number)
{
    const long control = control_in(line, n);
    if (n > LINE_MAX_LEN)
        return fail_at(p, number, "line longer than %d characters", LINE_MAX_LEN);
    if (control >= 0)
        return fail_at(p, number, control < 0x80 ? "control byte 0x%02lx; a claim is plain text" : "control character U+%04lX; a claim is plain text",
                       (unsigned long)control);
    line[n] = '\0';
    if (characters(line) < 0)
        return fail_at(p, number, "not UTF-8");
    line += strspn(line, " \t");
    trim(line);
    return *line == '\0' || *line == '#' ? NB_OK
           : *line == '['                ? begin_section(p, line, number)
                                         : read_entry(p, line, number);
}

/* Writes into text, which ends with a 0 at text[len]. */
static enum nb_status read_lines(struct parser *p, char *text, size_t len)
{
    char *const end = text + len;
    enum nb_status s = NB_OK;
    unsigned number = 1;
    for (; s == NB_OK && text < end; number++) {
        char *newline = memchr(text, '\n', (size_t)(end - text));
        const size_t n = (size_t)((newline != NULL ? newline : end) - text);
        s = read_line(p, text, n, number);
        text += newline != NULL ? n + 1 : n;
    }
    if (s == NB_OK)
        s = end_section(p);
    if (s == NB_OK && p->claim->id == NULL)
        s = fail_at(p, number, "no [claim]; the file has to begin with it");
    if (s == NB_OK && p->claim->test_count == 0 && p->claim->untestable == NULL)
        s = fail_at(p, number, "neither [test NAME] nor [untestable]; a claim needs one of them");
    if (s == NB_OK && p->claim->test_count > 0 && p->claim->refuted_by == NULL)
        s = fail_at(p, number, "[claim] lacks \"refuted_by = ...\"; what is tested has to say what would refute it");
    return s;
}

enum nb_status nb_claim_parse(struct nb_claim *c, const char *path, const char *text, size_t len, struct nb_err *err)
{
    struct parser p = {.path = path, .claim = c, .err = err};
    *c = (struct nb_claim){.path = NULL};
    if (len > FILE_MAX)
        return nb_fail(err, "%s:1: larger than %d bytes; a claim is a short text", path, FILE_MAX);
    char *own = malloc(len + 1);
    NB_ASSERT(own != NULL);
    memcpy(own, text, len);
    own[len] = '\0';
    c->path = copy(path);
    enum nb_status s = read_lines(&p, own, len);
    free(own);
    if (s != NB_OK)
        nb_claim_free(c);
    return s;
}

void nb_claim_free(struct nb_claim *c)
{
    char *const texts[] = {c->path, c->id, c->title, c->statement, c->source, c->refuted_by, c->why, c->untestable};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    for (size_t i = 0; i < c->against_count; i++)
        free(c->against[i]);
    for (size_t i = 0; i < c->test_count; i++)
        nb_test_free(&c->tests[i]);
    free(c->tests);
    *c = (struct nb_claim){.path = NULL};
}

/* ---- the folder ---- */

const char *nb_claims_dir(void)
{
    static char path[4096];
    return nb_data_dir("NB_CLAIMS_DIR", "claims", NB_CLAIMS_DIR, path, sizeof path);
}

static enum nb_status load_file(struct nb_claim *c, const char *path, struct nb_err *err)
{
    struct stat is;
    *c = (struct nb_claim){.path = NULL};
    if (stat(path, &is) == 0 && !S_ISREG(is.st_mode))
        return nb_fail(err, "%s: is no regular file", path);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return nb_fail(err, "%s: %s", path, strerror(errno));
    char *text = malloc(FILE_MAX + 1);
    NB_ASSERT(text != NULL);
    const size_t len = fread(text, 1, FILE_MAX + 1, f);
    enum nb_status s = ferror(f) ? nb_fail(err, "%s: %s", path, strerror(errno)) : nb_claim_parse(c, path, text, len, err);
    free(text);
    fclose(f);
    return s;
}

static int is_claim(const struct dirent *e)
{
    const size_t n = strlen(e->d_name), end = strlen(".claim");
    return n > end && e->d_name[0] != '.' && strcmp(e->d_name + n - end, ".claim") == 0;
}

const struct nb_claim *nb_claims_find(const struct nb_claims *claims, const char *id)
{
    for (size_t i = 0; i < claims->n; i++)
        if (strcmp(claims->v[i].id, id) == 0)
            return &claims->v[i];
    return NULL;
}

static enum nb_status check_against(const struct nb_claims *claims, struct nb_err *err)
{
    for (size_t i = 0; i < claims->n; i++)
        for (size_t a = 0; a < claims->v[i].against_count; a++)
            if (nb_claims_find(claims, claims->v[i].against[a]) == NULL)
                return nb_fail(err, "%s: against: there is no claim %s in this folder", claims->v[i].path, claims->v[i].against[a]);
    return NB_OK;
}

static enum nb_status load_all(struct nb_claims *claims, const char *dir, struct dirent **files, int n, struct nb_err *err)
{
    char path[4400];
    enum nb_status s = NB_OK;
    claims->v = calloc((size_t)n + 1, sizeof *claims->v);
    NB_ASSERT(claims->v != NULL);
    for (int i = 0; s == NB_OK && i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]->d_name);
        s = load_file(&claims->v[claims->n], path, err);
        claims->n += s == NB_OK;
    }
    return s == NB_OK ? check_against(claims, err) : s;
}

enum nb_status nb_claims_load(struct nb_claims *claims, const char *dir, struct nb_err *err)
{
    struct dirent **files;
    *claims = (struct nb_claims){.n = 0};
    const int n = scandir(dir, &files, is_claim, versionsort);
    if (n < 0)
        return nb_fail(err, "cannot read the folder of claims %s: %s; --registry names another", dir, strerror(errno));
    enum nb_status s = n == 0          ? nb_fail(err, "no *.claim in %s; --registry names another folder", dir)
                       : n > CLAIMS_MAX ? nb_fail(err, "more than %d claims in %s", CLAIMS_MAX, dir)
                                        : load_all(claims, dir, files, n, err);
    for (int i = 0; i < n; i++)
        free(files[i]);
    free(files);
    if (s != NB_OK)
        nb_claims_free(claims);
    return s;
}

void nb_claims_free(struct nb_claims *claims)
{
    for (size_t i = 0; i < claims->n; i++)
        nb_claim_free(&claims->v[i]);
    free(claims->v);
    *claims = (struct nb_claims){.n = 0};
}
