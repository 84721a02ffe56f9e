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

/* False when a byte outside data, inside the mapping, was overwritten. */
bool nb_buffer_canaries_intact(const struct nb_buffer *b);

/* True when addr lies in a guard page of a live mapping: for a SIGSEGV handler. */
bool nb_buffer_guards(const void *addr);

/* Zeroed memory that children made by fork share with this process; never NULL. */
void *nb_shared_map(size_t bytes);

/* Fast 64-bit hash of memory, for comparing outputs (not for adversaries). */
uint64_t nb_hash_bytes(uint64_t start, const void *data, size_t bytes);

#endif
