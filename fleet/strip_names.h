/* strip_names.h: words that say whose machine it was, and texts without them. */
#ifndef NB_STRIP_NAMES_H
#define NB_STRIP_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* A word of five letters or more, or one that was asked for, is found anywhere in a text, a
 * shorter one where it stands alone; capitals are no difference. */
struct nb_name {
    char *text;
    const char *what; /* "host name", "user name", ... */
    size_t count;     /* how often it was replaced */
    bool anywhere;
};
enum { NB_NAMES = 64 }; /* that may be kept */
struct nb_names {
    struct nb_name *list;
    size_t n, room;
    const char *kept[NB_NAMES]; /* never removed: asked for */
    size_t nkept;
    size_t paths; /* how many were replaced */
};

/* Nothing happens for a word that is kept, known, shorter than three letters, or nobody's
 * own ("root", "localhost", ...). */
void nb_names_add(struct nb_names *w, const char *text, const char *what);
/* Whatever word it is. False: it has less than three letters, and would be found everywhere. */
bool nb_names_ask(struct nb_names *w, const char *text);
/* The whole name of a host, and its parts. */
void nb_names_add_host(struct nb_names *w, const char *name);
/* Of this process: host name, user, home. */
void nb_names_add_own(struct nb_names *w);
void nb_names_free(struct nb_names *w);

/* The text without them, to be freed: "removed1" for the first word, "PATH" for the
 * absolute path of a file that is none of the system's, and for what stands behind --out,
 * --plugin, --tune and --resume. Learns user names from paths of homes. */
char *nb_names_clean(struct nb_names *w, const char *text);

/* A word that stands in these bytes; NULL: none. */
const struct nb_name *nb_names_find(const struct nb_names *w, const char *bytes,
                                    size_t length);

#endif
