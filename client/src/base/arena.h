/* SPDX-License-Identifier: MPL-2.0
 *
 * The memory of one result handed to the host: a few chunks freed at once. The
 * first thing allocated is the result itself; its address finds the rest.
 */
#ifndef ZSP_CLIENT_ARENA_H
#define ZSP_CLIENT_ARENA_H

#include <stddef.h>

#include "common/bytes.h"

struct zsp_arena;

/* A new arena whose result is `bytes` of zeros; NULL when out of memory. */
struct zsp_arena *zsp_arena_new(size_t bytes);
/* The result. */
void *zsp_arena_result(struct zsp_arena *self);
/* The arena of a result. */
struct zsp_arena *zsp_arena_of(void *result);
void zsp_arena_destroy(struct zsp_arena **self_p);

/* Zeroed memory for any type, living as long as the arena; NULL when out of memory,
 * which zsp_arena_failed() remembers. count x bytes is checked. */
void *zsp_arena_alloc(struct zsp_arena *self, size_t count, size_t bytes);
/* A NUL-terminated copy; "" when out of memory. */
const char *zsp_arena_text(struct zsp_arena *self, struct zsp_slice text);
int zsp_arena_failed(const struct zsp_arena *self);

#endif
