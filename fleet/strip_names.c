#include "strip_names.h"
#include "err.h"

#include <ctype.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { SHORTEST = 3, ANYWHERE = 5 };

/* ---- the list ---- */

static bool is_in(const char *const *list, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(list[i], text) == 0)
            return true;
    return false;
}

static bool is_nobodys(const char *text)
{
    static const char *const names[] = {
        "root",   "home",      "user",        "users",  "admin",  "guest",
        "nobody", "localhost", "ubuntu",      "debian", "build",  "runner",
        "shared", "public",    "localdomain", "null",   "unknown"};
    return is_in(names, sizeof names / sizeof *names, text);
}

static void add(struct nb_names *w, const char *text, const char *what, bool anywhere)
{
    for (size_t i = 0; i < w->n; i++)
        if (strcasecmp(w->list[i].text, text) == 0)
            return;
    if (w->n == w->room)
        w->list = realloc(w->list, (w->room = w->room ? 2 * w->room : 16) * sizeof *w->list);
    NB_ASSERT(w->list != NULL && "out of memory");
    w->list[w->n++] = (struct nb_name){strdup(text), what, 0, anywhere};
    NB_ASSERT(w->list[w->n - 1].text != NULL && "out of memory");
}

void nb_names_add(struct nb_names *w, const char *text, const char *what)
{
    if (text != NULL && strlen(text) >= SHORTEST && !is_nobodys(text) && !is_in(w->kept, w->nkept, text))
        add(w, text, what, strlen(text) >= ANYWHERE);
}

bool nb_names_ask(struct nb_names *w, const char *text)
{
    if (strlen(text) < SHORTEST)
        return false;
    if (!is_in(w->kept, w->nkept, text))
        add(w, text, "word", true);
    return true;
}

/* host.lab.example: whole, and each part but the last. */
void nb_names_add_host(struct nb_names *w, const char *name)
{
    char part[256];
    nb_names_add(w, name, "host name");
    for (const char *s = name, *dot; s != NULL && (dot = strchr(s, '.')) != NULL;
         s = dot + 1) {
        snprintf(part, sizeof part, "%.*s", (int)(dot - s), s);
        nb_names_add(w, part, s == name ? "host name" : "part of the host name");
    }
}

void nb_names_add_own(struct nb_names *w)
{
    static const char *const users[] = {"USER", "LOGNAME", "SUDO_USER"};
    char host[256] = "";
    const struct passwd *me = getpwuid(getuid());
    if (gethostname(host, sizeof host - 1) == 0)
        nb_names_add_host(w, host);
    for (size_t i = 0; i < sizeof users / sizeof *users; i++)
        nb_names_add(w, getenv(users[i]), "user name");
    nb_names_add(w, getenv("HOSTNAME"), "host name");
    const char *home = getenv("HOME");
    if (home != NULL && strlen(home) >= ANYWHERE && strcmp(home, "/root") != 0)
        nb_names_add(w, home, "home");
    if (me != NULL)
        nb_names_add(w, me->pw_name, "user name");
}

void nb_names_free(struct nb_names *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->list[i].text);
    free(w->list);
    w->list = NULL;
    w->n = w->room = 0;
}

/* ---- finding ---- */

static bool is_wordly(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Whether the word stands at s; before: the character before s, 0 at the begin. */
static bool stands_at(const struct nb_name *word, const char *s, size_t left, char before)
{
    const size_t n = strlen(word->text);
    if (n > left || tolower((unsigned char)*s) != tolower((unsigned char)*word->text) ||
        strncasecmp(s, word->text, n) != 0)
        return false;
    return word->anywhere || (!is_wordly(before) && (n == left || !is_wordly(s[n])));
}

/* The longest that stands there, so that of a whole host name no part is left. */
static struct nb_name *word_at(struct nb_names *w, const char *s, size_t left,
                               char before)
{
    struct nb_name *found = NULL;
    for (size_t i = 0; i < w->n; i++)
        if (stands_at(&w->list[i], s, left, before) &&
            (found == NULL || strlen(w->list[i].text) > strlen(found->text)))
            found = &w->list[i];
    return found;
}

const struct nb_name *nb_names_find(const struct nb_names *w, const char *bytes,
                                    size_t length)
{
    for (size_t i = 0; i < length; i++)
        for (size_t k = 0; k < w->n; k++)
            if (stands_at(&w->list[k], bytes + i, length - i, i ? bytes[i - 1] : '\0'))
                return &w->list[k];
    return NULL;
}

/* ---- paths ---- */

static const char ENDS[] = " \t\r\n\"'`,;:()[]{}<>|&";

/* Ends at a blank or the like; within quotes at the quote; a text that begins with a path is one, to the end of its line. */
static size_t path_length(const char *s, char before)
{
    const char quote[2] = {before, '\0'};
    return strcspn(s, before == '\0' ? "\n" : before == '\'' || before == '"' ? quote : ENDS);
}

/* Of the system: it says nothing of a user. */
static bool is_of_system(const char *path, size_t n)
{
    static const char *const first[] = {"/proc/", "/sys/", "/dev/",   "/usr/",
                                        "/etc/",  "/lib/", "/lib64/", "/bin/"},
                             *const anybodys[] = {"/dev/shm/", "/usr/home/"};
    for (size_t i = 0; i < sizeof anybodys / sizeof *anybodys; i++)
        if (n > strlen(anybodys[i]) && strncmp(path, anybodys[i], strlen(anybodys[i])) == 0)
            return false;
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        if (n > strlen(first[i]) && strncmp(path, first[i], strlen(first[i])) == 0)
            return true;
    return false;
}

/* Whether a path may begin behind what ends at s: a blank and the like, -I and its kin of compilers, // but that of http://. */
static bool is_open(const char *text, const char *s)
{
    static const char opens[] = " \t\n\r\"'`=:,;()[]{}|&<>@";
    if (s == text || strchr(opens, s[-1]) != NULL)
        return true;
    const char first = s - text > 1 ? s[-2] : ' ';
    return (strchr("ILB", s[-1]) != NULL && first == '-') || (s[-1] == '/' && first != ':' && (first == '/' || strchr(opens, first) != NULL));
}

/* Length of an absolute path that is to go; 0: none begins here. </text> is a tag and no path. */
static size_t path_at(const char *text, const char *s)
{
    if (s[0] != '/' || !(is_wordly(s[1]) || s[1] == '.' || s[1] == '-') || !is_open(text, s))
        return 0;
    const char before = s > text ? s[-1] : '\0';
    const size_t n = path_length(s, before);
    const bool is_tag = before == '<' && memchr(s + 1, '/', n - 1) == NULL;
    return is_of_system(s, n) || is_tag ? 0 : n;
}

/* /home/NAME/... */
static void learn_user(struct nb_names *w, const char *path, size_t n)
{
    static const char *const homes[] = {"/home/", "/Users/", "/export/home/", "/usr/home/"};
    char name[64];
    for (size_t i = 0; i < sizeof homes / sizeof *homes; i++) {
        const size_t before = strlen(homes[i]);
        if (n <= before || strncmp(path, homes[i], before) != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(n - before < 63 ? n - before : 63),
                 path + before);
        name[strcspn(name, "/")] = '\0';
        nb_names_add(w, name, "user name");
    }
}

/* How far a word of a shell goes whose beginning may stand in an open quote, 0: in none. It ends before the quote that closes that one. */
static size_t shell_word(const char *s, char open)
{
    size_t n = 0;
    for (char quote = open; s[n] != '\0' && s[n] != '\n'; n++) {
        if (quote != '\0' && s[n] == quote) {
            if (open != '\0' && (s[n + 1] == '\0' || strchr(" \t\n`\"'", s[n + 1]) != NULL))
                break;
            quote = '\0';
        } else if (quote == '\0' && strchr(" \t`", s[n]) != NULL)
            break;
        else if (quote == '\0' && (s[n] == '\'' || s[n] == '"'))
            quote = s[n];
        else if (quote == '\0' && s[n] == '\\' && s[n + 1] != '\0')
            n++;
    }
    return n;
}

/* Behind --out and its like, at the blank or the = : how far the file's name goes, with
 * that character. */
static size_t file_of_option(const char *text, const char *s)
{
    static const char *const options[] = {"--out", "--plugin", "--tune", "--resume"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        const size_t n = strlen(options[i]);
        if ((*s != ' ' && *s != '=') || (size_t)(s - text) < n ||
            strncmp(s - n, options[i], n) != 0)
            continue;
        const char *begin = s - n;
        const char open = begin > text && *s == '=' && (begin[-1] == '\'' || begin[-1] == '"') ? begin[-1] : '\0';
        const size_t word = shell_word(s + 1, open);
        return word > 0 && strncmp(s + 1, "PATH", word) != 0 ? 1 + word : 0;
    }
    return 0;
}

/* ---- cleaning ---- */

/* Writes what stands in the place of what begins at s, and answers how long that is; 0:
 * it stays. */
static size_t replace(struct nb_names *w, const char *text, const char *s, FILE *f)
{
    size_t n = file_of_option(text, s);
    if (n > 0) {
        learn_user(w, s + 1 + (s[1] == '\'' || s[1] == '"'), n - 1);
        fprintf(f, "%cPATH", *s);
        w->paths++;
        return n;
    }
    n = path_at(text, s);
    if (n > 0) {
        learn_user(w, s, n);
        fputs("PATH", f);
        w->paths++;
        return n;
    }
    struct nb_name *word = word_at(w, s, strlen(s), s > text ? s[-1] : '\0');
    if (word == NULL)
        return 0;
    fprintf(f, "removed%d", (int)(word - w->list) + 1);
    word->count++;
    return strlen(word->text);
}

char *nb_names_clean(struct nb_names *w, const char *text)
{
    char *clean = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&clean, &length);
    NB_ASSERT(f != NULL && "out of memory");
    for (const char *s = text; *s;) {
        const size_t n = replace(w, text, s, f);
        if (n == 0)
            fputc(*s, f);
        s += n ? n : 1;
    }
    NB_ASSERT(fclose(f) == 0 && "out of memory");
    return clean;
}
