/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/container.h"
#include "common/err.h"

#define CHUNK_BYTES 4000u /* most results fit one */

struct chunk {
    struct chunk *next;
    size_t used, capacity;
    max_align_t bytes[];
};

struct zsp_arena {
    struct chunk *chunks;
    int failed;
    max_align_t result[]; /* right behind the arena, so that it is found from it */
};

static size_t round_up(size_t bytes)
{
    const size_t unit = sizeof(max_align_t);
    return (bytes + unit - 1) / unit * unit;
}

struct zsp_arena *zsp_arena_new(size_t bytes)
{
    return calloc(1, sizeof(struct zsp_arena) + round_up(bytes));
}

void *zsp_arena_result(struct zsp_arena *self)
{
    return self->result;
}

struct zsp_arena *zsp_arena_of(void *result)
{
    return CONTAINER_OF(result, struct zsp_arena, result);
}

void zsp_arena_destroy(struct zsp_arena **self_p)
{
    struct zsp_arena *self = *self_p;
    if (!self) {
        return;
    }
    *self_p = NULL;
    while (self->chunks) {
        struct chunk *next = self->chunks->next;
        free(self->chunks);
        self->chunks = next;
    }
    free(self);
}

static struct chunk *chunk_new(struct zsp_arena *self, size_t bytes)
{
    const size_t capacity = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
    struct chunk *chunk = calloc(1, sizeof *chunk + capacity);
    if (chunk) {
        chunk->capacity = capacity;
        chunk->next = self->chunks;
        self->chunks = chunk;
    }
    return chunk;
}

void *zsp_arena_alloc(struct zsp_arena *self, size_t count, size_t bytes)
{
    if (bytes > 0 && count > SIZE_MAX / 2 / bytes) {
        self->failed = ZSP_ENOMEM;
        return NULL;
    }
    const size_t wanted = round_up(count * bytes);
    struct chunk *chunk = self->chunks;
    if (!chunk || wanted > chunk->capacity - chunk->used) {
        chunk = chunk_new(self, wanted);
    }
    if (!chunk) {
        self->failed = ZSP_ENOMEM;
        return NULL;
    }
    void *room = (char *)chunk->bytes + chunk->used;
    chunk->used += wanted;
    return room;
}

const char *zsp_arena_text(struct zsp_arena *self, struct zsp_slice text)
{
    char *copy = zsp_arena_alloc(self, text.len + 1, 1);
    if (!copy) {
        return "";
    }
    if (text.len > 0) {
        memcpy(copy, text.data, text.len);
    }
    return copy;
}

int zsp_arena_failed(const struct zsp_arena *self)
{
    return self->failed;
}
