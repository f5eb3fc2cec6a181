/* SPDX-License-Identifier: MPL-2.0
 *
 * From the fingerprint of a message id to a number of 32 bits: open addressing, 12 bytes a slot,
 * since there may be a million of them. A fingerprint may have several numbers, the ID_SAME_MAX
 * highest that it was given: others that have the same id, or, hardly ever, the same fingerprint.
 */
#ifndef ZSP_STORE_ID_TABLE_H
#define ZSP_STORE_ID_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/compiler.h"

#define ID_SAME_MAX 4u /* numbers of one fingerprint: who repeats an id for ever costs no more */

/* Zero-initialise. */
struct id_table {
    uint64_t *prints; /* 0 = free */
    uint32_t *values; /* of the same slots */
    uint32_t count;
    uint32_t capacity; /* 0 or a power of two */
};

/* The fingerprint of an id: its XXH3-64; never 0. */
uint64_t id_fingerprint(struct zsp_slice id);

/* What is there already is not added again. Errors: ZSP_ENOMEM  nothing changed */
ZSP_MUST_CHECK int id_table_add(struct id_table *self, uint64_t print, uint32_t value);
/* The numbers of `print`, highest first; returns how many. */
size_t id_table_find(const struct id_table *self, uint64_t print, uint32_t out[ID_SAME_MAX]);
bool id_table_has(const struct id_table *self, uint64_t print);
/* Take away one number of `print` that is `value`, if there is one. */
void id_table_remove(struct id_table *self, uint64_t print, uint32_t value);
size_t id_table_bytes(const struct id_table *self);
void id_table_fini(struct id_table *self);

#endif
