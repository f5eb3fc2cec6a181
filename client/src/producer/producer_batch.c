/* SPDX-License-Identifier: MPL-2.0 */
#include <stdlib.h>

#include "client/src/producer/producer_priv.h"

/* The last reference is gone; on any thread. */
static void batch_free(struct zsp_buf *buf)
{
    struct zsp_batch *self = (struct zsp_batch *)(void *)buf; /* its first member */
    zsp_buf_put(&self->packed);
    zsp_writer_fini(&self->bytes);
    zsp_writer_fini(&self->args);
    free(self->runs);
    free(self->doom);
    free(self);
}

struct zsp_batch *zsp_batch_new(struct zspool_producer *producer, size_t bytes, size_t runs)
{
    struct zsp_batch *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    /* Without memory for all of it they begin small. */
    (void)zsp_write_room(&self->bytes, bytes);
    zsp_writer_reset(&self->bytes);
    self->runs = malloc(runs * sizeof *self->runs);
    self->run_capacity = self->runs ? runs : 0;
    zsp_buf_init(&self->buf, NULL, 0, batch_free);
    self->producer = producer;
    self->born_ms = zsp_now_ms();
    TAILQ_INSERT_TAIL(&producer->all, self, all_link);
    return self;
}

void zsp_batch_drop(struct zsp_batch *self)
{
    struct zspool_producer *producer = self->producer;
    if (producer->packing == self) {
        producer->packing = NULL;
        producer->port.work_fn = NULL;
    }
    TAILQ_REMOVE(&producer->all, self, all_link);
    producer->bytes -= self->bytes.len;
    struct zsp_buf *buf = &self->buf;
    zsp_buf_put(&buf);
}

int zsp_batch_add_ticket(struct zsp_batch *self, uint64_t ticket)
{
    if (self->run_count > 0) {
        struct zsp_ticket_run *run = &self->runs[self->run_count - 1];
        if (run->first + run->count == ticket) {
            run->count++;
            return 0;
        }
    }
    if (self->run_count == self->run_capacity) {
        const size_t capacity = self->run_capacity == 0 ? 4 : self->run_capacity * 2;
        struct zsp_ticket_run *runs = realloc(self->runs, capacity * sizeof *runs);
        if (!runs) {
            return ZSP_ENOMEM;
        }
        self->runs = runs;
        self->run_capacity = capacity;
    }
    self->runs[self->run_count++] = (struct zsp_ticket_run){ticket, 1};
    return 0;
}

bool zsp_batch_has_ticket(const struct zsp_batch *self, uint64_t ticket, uint64_t *ret_index)
{
    uint64_t index = 0;
    for (size_t i = 0; i < self->run_count; i++) {
        const struct zsp_ticket_run *run = &self->runs[i];
        if (ticket >= run->first && ticket - run->first < run->count) {
            *ret_index = index + (ticket - run->first);
            return true;
        }
        index += run->count;
    }
    return false;
}
