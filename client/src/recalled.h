/* SPDX-License-Identifier: MPL-2.0
 *
 * What the broker takes back of a parcel. In a group that keeps an order a message that is given back
 * takes along what was handed out behind it: in its partition (ordered), or of its key (keyed). The
 * places where that happened are kept with the parcel, each as an offset from which on
 * everything behind it, of the same partition or key, is recalled.
 */
#ifndef ZSP_CLIENT_RECALLED_H
#define ZSP_CLIENT_RECALLED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"

struct zsp_recalled;

struct zsp_place {
    const char *topic; /* interned: compared as a pointer */
    uint32_t partition;
    uint64_t offset;
    struct zsp_slice key; /* data NULL: whatever key */
};

/* A message at this place was given back. *self_p NULL is an empty one, made with `seed`.
 * Errors: ZSP_ENOMEM (nothing changed) */
int zsp_recalled_add(struct zsp_recalled **self_p, const struct zsp_place *place, uint64_t seed);
/* Does the place lie behind one that was given back? Nothing does of NULL. */
bool zsp_recalled_has(const struct zsp_recalled *self, const struct zsp_place *place);
/* Null the pointer; NULL is fine. */
void zsp_recalled_destroy(struct zsp_recalled **self_p);

#endif
