/* SPDX-License-Identifier: MPL-2.0
 *
 * Topic names kept once as C strings, so that messages and losses can name
 * their topic for as long as the object lives. Locked by its owner.
 */
#ifndef ZSP_CLIENT_INTERNED_H
#define ZSP_CLIENT_INTERNED_H

#include "common/bytes.h"
#include "common/table.h"

struct zsp_interned {
    struct zsp_table table;
    const char *last; /* most messages have the topic of the one before */
    size_t last_len;
};

void zsp_interned_init(struct zsp_interned *self, uint64_t seed);
void zsp_interned_fini(struct zsp_interned *self);
/* The kept copy; lives as long as `self`. NULL when out of memory. */
const char *zsp_interned_text(struct zsp_interned *self, struct zsp_slice text);

#endif
