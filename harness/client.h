/* client.h: the orchestrator's end of a worker process. */
#ifndef NB_CLIENT_H
#define NB_CLIENT_H

#include "err.h"
#include "worker.h"

#include <jansson.h>
#include <signal.h>
#include <stddef.h>
#include <sys/types.h>

struct nb_client {
    pid_t pid; /* 0: none runs */
    int in, out;
    char *buffer;
    size_t used, room;
    struct nb_status_page *page;
    int page_fd;
    int death; /* the signal that ended it; 0: none did */
};

enum nb_heard {
    NB_HEARD_LINE,
    NB_HEARD_DEATH,  /* the worker ended or was killed; how is in `how` */
    NB_HEARD_SILENCE,/* no line and no new kernel for timeout_s: it was killed by us */
    NB_HEARD_INTERRUPT
};

NB_USE_RESULT enum nb_status nb_client_start(struct nb_client *c, uint64_t seed,
                                             struct nb_err *err);

/* A worker of another build. path: of the program; NULL: this very one. words: what follows `--worker FD`
 * (foreign.h). protocol: what it is greeted with, NB_PROTOCOL or an older one that it is known to speak. */
struct nb_program {
    const char *path;
    char **words;
    size_t word_count;
    int protocol;
    int naps; /* its idle threads sleep at once: others are measured meanwhile */
    char *const *launcher; /* words of another program that runs this one, NULL behind the last; NULL: none */
};
NB_USE_RESULT enum nb_status nb_client_start_program(struct nb_client *c, const struct nb_program *program,
                                                     uint64_t seed, struct nb_err *err);
NB_USE_RESULT enum nb_status nb_client_send(struct nb_client *c, const json_t *line,
                                            struct nb_err *err);

/* The same, the worker being run by another program: launcher is its words, NULL behind the last. */
NB_USE_RESULT enum nb_status nb_client_start_under(struct nb_client *c, char *const *launcher, uint64_t seed,
                                                   struct nb_err *err);

/* Waits for the next line. interrupted: set by a signal handler. how: room for a sentence. */
enum nb_heard nb_client_hear(struct nb_client *c, double timeout_s,
                             const volatile sig_atomic_t *interrupted, json_t **line, char *how,
                             size_t how_len);

/* Gives this process back the CPUs that it was started with: an orchestrator binds itself to one. */
void nb_client_unbind(void);

/* Ends the worker: politely when it is idle, by force otherwise. */
void nb_client_stop(struct nb_client *c, int by_force);

#endif
