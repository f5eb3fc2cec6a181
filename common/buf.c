/* SPDX-License-Identifier: MPL-2.0 */
#include "common/buf.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

/* A buffer that brings its own bytes. */
struct owned_buf {
    struct zsp_buf buf;
    uint8_t bytes[];
};

static void owned_free(struct zsp_buf *self)
{
    free(self); /* the buf is the first member */
}

struct zsp_buf *zsp_buf_new(size_t len)
{
    if (len > SIZE_MAX / 2) {
        return NULL;
    }
    struct owned_buf *owned = malloc(sizeof *owned + len);
    if (!owned) {
        return NULL;
    }
    owned->buf.data = owned->bytes;
    owned->buf.len = len;
    owned->buf.free_fn = owned_free;
    atomic_init(&owned->buf.refs, 1);
    return &owned->buf;
}

struct zsp_buf *zsp_buf_copy(struct zsp_slice bytes)
{
    struct zsp_buf *self = zsp_buf_new(bytes.len);
    if (self && bytes.len > 0) {
        memcpy(zsp_buf_bytes(self), bytes.data, bytes.len);
    }
    return self;
}

uint8_t *zsp_buf_bytes(struct zsp_buf *self)
{
    zsp_assert(self->free_fn == owned_free);
    return ((struct owned_buf *)self)->bytes;
}

void zsp_buf_init(struct zsp_buf *self, const void *data, size_t len,
                  void (*free_fn)(struct zsp_buf *))
{
    zsp_assert(free_fn != NULL);
    self->data = data;
    self->len = len;
    self->free_fn = free_fn;
    atomic_init(&self->refs, 1);
}

struct zsp_buf *zsp_buf_get(struct zsp_buf *self)
{
    /* Whoever copies a reference holds one, so the object cannot go. Release: the thread that drops
     * this one may have it from libzmq, whose order ThreadSanitizer does not see. */
    const unsigned before = atomic_fetch_add_explicit(&self->refs, 1, memory_order_release);
    zsp_assert(before > 0);
    return self;
}

void zsp_buf_put(struct zsp_buf **self_p)
{
    struct zsp_buf *self = *self_p;
    if (!self) {
        return;
    }
    *self_p = NULL;
    /* Release orders our last use before the free, acquire orders the free after
     * the last uses of all others. */
    const unsigned before = atomic_fetch_sub_explicit(&self->refs, 1, memory_order_acq_rel);
    zsp_assert(before > 0);
    if (before == 1) {
        self->free_fn(self);
    }
}
