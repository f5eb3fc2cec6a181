/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/partition/deferred.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "common/assert.h"

#define BYTES_FIRST 256u /* room for them; many partitions have few */

/* --- The object --------------------------------------------------------------------------- */

static void join(struct deferred *self, struct deferred_list *list)
{
    self->list = list;
    self->next = NULL;
    self->prev = list->last;
    *(list->last ? &list->last->next : &list->first) = self;
    list->last = self;
}

static void leave(struct deferred *self)
{
    *(self->prev ? &self->prev->next : &self->list->first) = self->next;
    *(self->next ? &self->next->prev : &self->list->last) = self->prev;
}

static struct deferred *deferred_new(struct store_part *part, uint64_t pos)
{
    struct deferred *self = calloc(1, sizeof *self);
    if (self) {
        self->part = part;
        self->segment = partition_active(part);
        self->pos = pos;
        join(self, &part->store->deferreds.idle);
        part->deferred = self;
    }
    return self;
}

static void destroy(struct deferred *self)
{
    struct deferreds *all = &self->part->store->deferreds;
    leave(self);
    all->idle_bytes -= self->out ? 0 : self->len;
    self->part->deferred = NULL;
    free(self->bytes);
    free(self->out);
    free(self);
}

static void wake(struct store_part *part)
{
    partition_wake(part);
    reads_wake(part->store);
    id_finds_wake(part->store);
    part_terms_wake(part->store);
}

void deferred_drop(struct store_part *part)
{
    if (part->deferred && !part->deferred->is_out) {
        destroy(part->deferred);
        if (!part->store->closing) {
            wake(part);
        }
    }
}

/* --- Writing ---------------------------------------------------------------------------------- */

static void written(struct log_store *store, struct io *io);

static void submit(struct log_store *store, struct deferred *self)
{
    struct segment *segment = self->segment;
    const uint64_t pos = self->pos - self->out_len;
    zsp_assert(segment->file >= 0); /* what owes a sync is pinned */
    self->iov = (struct iovec){self->out, self->out_len};
    self->io.job = (struct job){.kind = JOB_WRITE,
                                .owner = self,
                                .file = segment->file,
                                .pos = pos,
                                .len = self->out_len,
                                .iov = &self->iov,
                                .iov_count = 1};
    self->io.done_fn = written;
    self->is_out = true;
    self->retry_ms = 0;
    segment_pin(store, segment);
    self->part->busy++;
    space_spend(store, self->pos > segment->file_bytes ? self->pos - segment->file_bytes : 0);
    store_submit(store, &self->io);
}

/* Begin to write what there is. */
static void start(struct log_store *store, struct deferred *self)
{
    if (self->out) {
        return; /* the rest follows */
    }
    store->deferreds.idle_bytes -= self->len;
    leave(self);
    join(self, &store->deferreds.writing);
    self->out = self->bytes;
    self->out_len = self->len;
    self->pos += self->len;
    self->bytes = NULL;
    self->len = 0;
    self->capacity = 0;
    submit(store, self);
}

static void write_failed(struct log_store *store, struct deferred *self, struct zsp_err *err)
{
    if (err->code == ZSP_ENO_SPACE) {
        self->retry_ms = store->now.mono_ms + (int64_t)JOURNAL_RETRY_MS;
        store->deferreds.full = true;
        space_exhausted(store);
        return;
    }
    if (err->code == 0) {
        (void)zsp_err_set(err, ZSP_EIO, "a write ended early");
    }
    (void)zsp_err_wrap(err, "topic %" PRIu64 " partition %" PRIu32, self->part->topic_id,
                       self->part->number);
    store_fail(store, err);
}

static void written(struct log_store *store, struct io *io)
{
    struct deferred *self = (struct deferred *)io;
    struct store_part *part = self->part;
    struct segment *segment = self->segment;
    const bool is_whole = io->job.error.code == 0 && io->job.done == io->job.len;
    self->is_out = false;
    part->busy--;
    if (!is_whole && !store->failed && part->state == PART_OPEN) {
        write_failed(store, self, &io->job.error);
    }
    if (is_whole) {
        const uint64_t end = self->pos;
        segment->file_bytes = end > segment->file_bytes ? end : segment->file_bytes;
        free(self->out);
        self->out = NULL;
        self->out_len = 0;
        store->deferreds.idle_bytes += self->len;
        leave(self);
        join(self, &store->deferreds.idle);
    }
    if (store->failed || part->state == PART_DROPPED || (is_whole && self->len == 0)) {
        destroy(self);
    }
    segment_unpin(store, segment);
    wake(part);
}

bool deferred_flush(struct store_part *part)
{
    struct deferred *self = part->deferred;
    if (self && !part->store->failed) {
        start(part->store, self);
    }
    return self != NULL;
}

uint64_t deferred_written(const struct store_part *part)
{
    const struct deferred *self = part->deferred;
    return self ? self->pos - self->out_len : partition_active(part)->bytes;
}

void deferred_step(struct log_store *store)
{
    struct deferreds *all = &store->deferreds;
    if (!all->full) {
        return;
    }
    all->full = false;
    for (struct deferred *self = all->writing.first; self; self = self->next) {
        if (self->retry_ms != 0 && self->retry_ms <= store->now.mono_ms) {
            submit(store, self);
        }
        all->full = all->full || self->retry_ms != 0;
    }
}

int64_t deferred_deadline_ms(const struct log_store *store)
{
    int64_t due_ms = INT64_MAX;
    const struct deferred *self = store->deferreds.full ? store->deferreds.writing.first : NULL;
    for (; self; self = self->next) {
        due_ms = self->retry_ms != 0 && self->retry_ms < due_ms ? self->retry_ms : due_ms;
    }
    return due_ms;
}

/* --- Putting off --------------------------------------------------------------------------------- */

static bool reserve(struct deferred *self, size_t len)
{
    if (len > self->capacity - self->len) {
        size_t capacity = self->capacity ? 2 * self->capacity : BYTES_FIRST;
        while (capacity < self->len + len) {
            capacity *= 2;
        }
        uint8_t *bytes = realloc(self->bytes, capacity);
        if (!bytes) {
            return false;
        }
        self->bytes = bytes;
        self->capacity = capacity;
    }
    return true;
}

void deferred_add(struct store_part *part, const uint8_t *bytes, size_t len, uint64_t record)
{
    struct log_store *store = part->store;
    const uint64_t pos = partition_active(part)->bytes - len;
    struct deferred *self = part->deferred ? part->deferred : deferred_new(part, pos);
    if (!self || !reserve(self, len)) {
        store_fail_memory(store, "what is to be written");
        return;
    }
    zsp_assert(self->segment == partition_active(part) && self->pos + self->len == pos);
    self->record = self->len == 0 ? record : self->record;
    memcpy(self->bytes + self->len, bytes, len);
    self->len += len;
    store->deferreds.idle_bytes += self->out ? 0 : len;
    if (self->len >= DEFERRED_PART_BYTES) {
        start(store, self);
    }
    while (store->deferreds.idle_bytes > DEFERRED_BYTES) {
        start(store, store->deferreds.idle.first);
    }
}
