/* SPDX-License-Identifier: MPL-2.0
 *
 * A reference-counted run of bytes that all layers share: a received frame
 * goes from the socket to the log and out to any number of groups without a
 * copy. The bytes never change while more than one reference exists.
 *
 * Threads: references may be taken and dropped on any thread; the count is the
 * only shared state (acquire/release, in buf.c).
 */
#ifndef ZSP_BUF_H
#define ZSP_BUF_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"

struct zsp_buf {
    const uint8_t *data;               /* the bytes */
    size_t len;                        /* how many */
    void (*free_fn)(struct zsp_buf *); /* called once, by the last put, on its thread */
    atomic_uint refs;
};

/* Allocate a buffer of `len` bytes with one reference; the caller fills
 * zsp_buf_bytes() before it shares it. NULL when out of memory. */
struct zsp_buf *zsp_buf_new(size_t len);
/* A new buffer with a copy of `bytes`. NULL when out of memory. */
struct zsp_buf *zsp_buf_copy(struct zsp_slice bytes);
/* The writable bytes of a buffer made by zsp_buf_new() that nobody shares yet. */
uint8_t *zsp_buf_bytes(struct zsp_buf *self);
/* Prepare a zsp_buf embedded in a larger object: one reference. `free_fn` frees
 * the whole object. */
void zsp_buf_init(struct zsp_buf *self, const void *data, size_t len,
                  void (*free_fn)(struct zsp_buf *));
/* Its bytes, lent; nothing of NULL. */
static inline struct zsp_slice zsp_buf_slice(const struct zsp_buf *self)
{
    return self ? (struct zsp_slice){self->data, self->len} : (struct zsp_slice){NULL, 0};
}
/* One more reference; returns `self`. */
struct zsp_buf *zsp_buf_get(struct zsp_buf *self);
/* Drop a reference and null the pointer; NULL inside is fine. */
void zsp_buf_put(struct zsp_buf **self_p);

#endif
