/* SPDX-License-Identifier: MPL-2.0
 *
 * Completions that the engine has taken from the store and not worked off yet:
 * reads, which may be much work, and what must not overtake them. First in,
 * first out.
 */
#ifndef ZSP_ENGINE_SET_ASIDE_H
#define ZSP_ENGINE_SET_ASIDE_H

#include <stdbool.h>
#include <stddef.h>

#include "broker/store/store.h"
#include "common/compiler.h"

/* A ring; zero-initialise. It holds at most what the store holds for all requests at work. */
struct set_aside {
    struct store_completion *items;
    size_t first, count;
    size_t capacity; /* 0 or a power of two */
};

/* Releases what is still there. */
void set_aside_fini(struct set_aside *self);
/* Takes the completion: on success *completion is empty. Errors: ZSP_ENOMEM (nothing changed) */
ZSP_MUST_CHECK int set_aside_add(struct set_aside *self, struct store_completion *completion);
/* The oldest, which is the caller's then; false when there is none. */
bool set_aside_next(struct set_aside *self, struct store_completion *ret);

#endif
