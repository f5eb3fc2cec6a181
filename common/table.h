/* SPDX-License-Identifier: MPL-2.0
 *
 * A hash table from byte strings to pointers: open addressing, seeded XXH3, so
 * that nobody can choose colliding keys. The table owns neither keys nor
 * values: a key must live, unchanged, inside its value for as long as it is in
 * the table. Not thread-safe. Iteration order depends on the seed: never let
 * it reach an effect, a file or a reply.
 */
#ifndef ZSP_TABLE_H
#define ZSP_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/compiler.h"

struct zsp_table_slot {
    void *value;      /* NULL = free */
    uint16_t key_at;  /* where in the value the key is; a longer way is our bug */
    uint16_t key_len; /* likewise */
    uint32_t hash;    /* its lower half */
};

/* Zero-initialise all but `seed`. */
struct zsp_table {
    struct zsp_table_slot *slots;
    size_t count;
    size_t capacity; /* 0 or a power of two */
    uint64_t seed;
};

void zsp_table_init(struct zsp_table *self, uint64_t seed);
void zsp_table_fini(struct zsp_table *self);
/* The value, or NULL. */
void *zsp_table_find(const struct zsp_table *self, struct zsp_slice key);
/* Add; the key must not be there yet and `value` not be NULL.
 * Errors: ZSP_ENOMEM (nothing changed) */
ZSP_MUST_CHECK int zsp_table_add(struct zsp_table *self, struct zsp_slice key, void *value);
/* Remove and return the value, NULL if it was not there. */
void *zsp_table_remove(struct zsp_table *self, struct zsp_slice key);
/* Walk: start with *cursor = 0; NULL at the end. No adds or removes meanwhile. */
void *zsp_table_next(const struct zsp_table *self, size_t *cursor);

#endif
