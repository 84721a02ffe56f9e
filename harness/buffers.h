/* buffers.h: memory for kernels. Mappings have an inaccessible page before and behind; what lies
 * between the mapping's edges and the caller's bytes holds a canary pattern. */
#ifndef NB_BUFFERS_H
#define NB_BUFFERS_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nb_buffer {
    char *map;        /* with its guard pages */
    size_t map_bytes;
    char *data;       /* the caller's bytes */
    size_t bytes;
    const char *name; /* of the tensor, for reasons; NULL: none */
};

/* From now on mappings are those of this file, one behind the other from its beginning, so that processes that
 * map the same buffers work on the same physical pages. path NULL: memory of this process alone again. */
NB_USE_RESULT enum nb_status nb_buffer_share(const char *path, struct nb_err *err);

/* Maps `bytes` at an address that is `offset` modulo 4096, huge pages asked for when `huge`.
 * Not touched, except for the canaries. */
NB_USE_RESULT enum nb_status nb_buffer_map(struct nb_buffer *b, size_t bytes, size_t offset,
                                           bool huge, struct nb_err *err);
/* The same, but the last byte is the last one before the guard page. */
NB_USE_RESULT enum nb_status nb_buffer_map_tail(struct nb_buffer *b, size_t bytes,
                                                struct nb_err *err);
void nb_buffer_free(struct nb_buffer *b);

/* Writes the canaries again, so that a later look finds later damage alone. */
void nb_buffer_repair(struct nb_buffer *b);

/* Bytes of anonymous memory of this process that lie in huge pages now; -1: the kernel does not tell. */
double nb_buffer_huge_bytes(void);

/* Says which tensor lies in it, where damage is told: a string that lives on. */
void nb_buffer_name(struct nb_buffer *b, const char *name);

/* On which side of data, inside the mapping, a byte was overwritten: "before" or "behind"; NULL: on none. */
const char *nb_buffer_damage(const struct nb_buffer *b);
bool nb_buffer_canaries_intact(const struct nb_buffer *b); /* no damage */

/* In which guard page of which live mapping addr lies: for a SIGSEGV handler. */
struct nb_guard {
    const char *side; /* as of damage; NULL: addr is in no guard page */
    const char *name; /* NULL: it has none */
};
struct nb_guard nb_buffer_guard(const void *addr);

/* Zeroed memory that children made by fork share with this process; never NULL. */
void *nb_shared_map(size_t bytes);

/* Fast 64-bit hash of memory, for comparing outputs (not for adversaries). */
uint64_t nb_hash_bytes(uint64_t start, const void *data, size_t bytes);

#endif
