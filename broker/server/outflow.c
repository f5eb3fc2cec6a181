/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/outflow.h"

#include <stdatomic.h>
#include <stdlib.h>

/* The order of memory: `bytes` is relaxed. It is compared with limits and orders
 * nothing; the owner's thread alone adds, so that what it reads is never less than
 * what is really out, at worst a little more. `refs` is released by every drop and
 * acquired by the last, so that whoever frees comes after all others. */
struct outflow {
    struct outflow *all; /* holds a reference; NULL = none */
    atomic_uint_least64_t bytes;
    atomic_uint refs;
};

static void take(struct outflow *self)
{
    (void)atomic_fetch_add_explicit(&self->refs, 1, memory_order_relaxed);
}

struct outflow *outflow_new(struct outflow *all)
{
    struct outflow *const self = calloc(1, sizeof *self);
    if (self) {
        atomic_init(&self->bytes, 0);
        atomic_init(&self->refs, 1);
        self->all = all;
        if (all) {
            take(all);
        }
    }
    return self;
}

static void put(struct outflow *self)
{
    while (self && atomic_fetch_sub_explicit(&self->refs, 1, memory_order_acq_rel) == 1) {
        struct outflow *const all = self->all;
        free(self);
        self = all;
    }
}

void outflow_destroy(struct outflow **self_p)
{
    put(*self_p);
    *self_p = NULL;
}

void outflow_add(struct outflow *self, uint64_t bytes)
{
    take(self);
    for (struct outflow *count = self; count; count = count->all) {
        (void)atomic_fetch_add_explicit(&count->bytes, bytes, memory_order_relaxed);
    }
}

void outflow_remove(struct outflow *self, uint64_t bytes)
{
    for (struct outflow *count = self; count; count = count->all) {
        (void)atomic_fetch_sub_explicit(&count->bytes, bytes, memory_order_relaxed);
    }
    put(self);
}

uint64_t outflow_bytes(const struct outflow *self)
{
    return atomic_load_explicit(&self->bytes, memory_order_relaxed);
}
