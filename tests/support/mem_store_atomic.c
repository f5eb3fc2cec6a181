/* SPDX-License-Identifier: MPL-2.0
 *
 * Atomic appends of mem_store: a marker in the queue of each log, a record of state that holds the
 * batches, and the logs once that record is synced, or kept over a restart.
 */
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/limits.h"
#include "tests/support/mem_store_priv.h"

struct atomic_batch {
    struct store_batch batch; /* holds a reference on its frame */
    uint64_t topic_id;
    uint32_t partition;
};

struct store_atomic {
    struct store_atomic *next; /* of those that are not put */
    uint64_t tag;
    bool is_ready;
    int broken; /* code; READY: a log has gone */
    uint64_t *offsets;
    struct atomic_batch *batches;
    size_t count;
};

static struct mem_store *mem_of(struct store *base)
{
    return (struct mem_store *)base;
}

static void destroy(struct store_atomic *self)
{
    for (size_t i = 0; i < self->count; i++) {
        zsp_buf_put(&self->batches[i].batch.frame);
    }
    free(self->batches);
    free(self->offsets);
    free(self);
}

static struct mem_log *log_of(const struct mem_store *store, const struct atomic_batch *batch)
{
    return mem_log_find(store, batch->topic_id, batch->partition);
}

/* Its marker among what is queued, SIZE_MAX = none. */
static size_t marker_in(const struct mem_log *log, const struct store_atomic *self)
{
    for (size_t i = 0; i < log->queued; i++) {
        if (log->batches[log->batch_count + i].atomic == self) {
            return log->batch_count + i;
        }
    }
    return SIZE_MAX;
}

static void insert(struct mem_log *log, size_t at, const struct mem_batch *batch)
{
    const size_t used = log->batch_count + log->queued;
    log->batches = mem_grow(log->batches, &log->capacity, used + 1, sizeof *log->batches);
    memmove(log->batches + at + 1, log->batches + at, (used - at) * sizeof *log->batches);
    log->batches[at] = *batch;
}

static void remove_markers(struct mem_store *store, struct store_atomic *self)
{
    for (size_t i = 0; i < self->count; i++) {
        struct mem_log *log = log_of(store, &self->batches[i]);
        const size_t at = log ? marker_in(log, self) : SIZE_MAX;
        if (at != SIZE_MAX) {
            log->queued--;
            memmove(log->batches + at, log->batches + at + 1,
                    (log->batch_count + log->queued - at) * sizeof *log->batches);
        }
    }
}

static void unlist(struct mem_store *store, const struct store_atomic *self)
{
    struct store_atomic **at = &store->atomics;
    while (*at != self) {
        at = &(*at)->next;
    }
    *at = self->next;
}

int mem_atomic_begin(struct store *base, const struct store_append *appends, size_t count,
                     uint64_t tag, struct store_atomic **ret, struct zsp_err *err)
{
    struct mem_store *store = mem_of(base);
    zsp_assert(store->ready);
    if (store->failed) {
        return zsp_err_set(err, ZSP_ESTORAGE_FAILED, "the store failed");
    }
    if (store->refuses && count > 0) {
        return zsp_err_set(err, ZSP_ENO_SPACE, "too little room");
    }
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const struct mem_log *log = appends[i].part->log;
        zsp_assert(log);
        bytes += appends[i].batch->body.len;
        if (log->corrupt.first_offset < log->corrupt.end_offset) {
            return zsp_err_set(err, ZSP_ECORRUPT, "the partition is damaged");
        }
    }
    if (bytes > ZSP_ATOMIC_BYTES_MAX) {
        return zsp_err_set(err, ZSP_ETOO_LARGE, "%llu bytes", (unsigned long long)bytes);
    }
    struct store_atomic *self = mem_alloc(sizeof *self);
    self->tag = tag;
    self->batches = mem_alloc((count + 1) * sizeof *self->batches);
    self->offsets = mem_alloc((count + 1) * sizeof *self->offsets);
    self->count = count;
    for (size_t i = 0; i < count; i++) {
        struct mem_log *log = appends[i].part->log;
        self->batches[i] = (struct atomic_batch){*appends[i].batch, log->topic_id, log->partition};
        (void)zsp_buf_get(self->batches[i].batch.frame);
        if (marker_in(log, self) == SIZE_MAX) {
            const struct mem_batch marker = {.atomic = self};
            insert(log, log->batch_count + log->queued, &marker);
            log->queued++;
        }
    }
    struct store_atomic **last = &store->atomics;
    while (*last) {
        last = &(*last)->next;
    }
    *last = self;
    *ret = self;
    return 0;
}

static bool stands_still(const struct mem_store *store, const struct store_atomic *self)
{
    for (size_t i = 0; i < self->count; i++) {
        const struct mem_log *log = log_of(store, &self->batches[i]);
        if (log->is_placed || log->synced_offset != log->end_offset ||
            log->batches[log->batch_count].atomic != self) {
            return false;
        }
    }
    return true;
}

void mem_atomics_step(struct mem_store *store)
{
    for (struct store_atomic *self = store->atomics; self; self = self->next) {
        if (self->is_ready || !stands_still(store, self)) {
            continue;
        }
        for (size_t i = 0; i < self->count; i++) {
            uint64_t offset = log_of(store, &self->batches[i])->end_offset;
            for (size_t j = 0; j < i; j++) {
                const bool same =
                    log_of(store, &self->batches[j]) == log_of(store, &self->batches[i]);
                offset += same ? self->batches[j].batch.record_count : 0;
            }
            self->offsets[i] = offset;
            self->batches[i].batch.first_offset = offset;
        }
        self->is_ready = true;
        mem_complete(store, STORE_ATOMIC_READY)->tag = self->tag;
    }
}

void mem_atomic_log_fails(struct mem_store *store, struct store_atomic *self, int code)
{
    remove_markers(store, self);
    if (self->is_ready) {
        self->broken = code;
        return;
    }
    struct store_completion *done = mem_complete(store, STORE_ATOMIC_READY);
    done->tag = self->tag;
    (void)zsp_err_set(&done->error, code, "atomic append: %s", zsp_strerror(code));
    unlist(store, self);
    destroy(self);
}

const uint64_t *mem_atomic_offsets(const struct store_atomic *self)
{
    zsp_assert(self->is_ready);
    return self->offsets;
}

void mem_atomic_cancel(struct store *base, struct store_atomic *self)
{
    zsp_assert(self->is_ready);
    remove_markers(mem_of(base), self);
    unlist(mem_of(base), self);
    destroy(self);
}

int mem_atomic_put(struct store *base, struct store_atomic *self, const struct store_entry *entries,
                   size_t count, struct zsp_err *err)
{
    struct mem_store *store = mem_of(base);
    zsp_assert(self->is_ready);
    const int rc = self->broken != 0
                       ? zsp_err_set(err, self->broken, "a partition is gone")
                       : mem_state_put(base, entries, count, STORE_SYNCED_LEVEL, self->tag, err);
    if (rc < 0) {
        mem_atomic_cancel(base, self);
        return rc;
    }
    store->records[store->record_count - 1]->atomic = self;
    remove_markers(store, self);
    unlist(store, self);
    for (size_t i = 0; i < self->count; i++) {
        log_of(store, &self->batches[i])->is_placed = true;
    }
    return 0;
}

void mem_atomic_apply(struct mem_store *store, struct mem_store_record *record, bool tells)
{
    struct store_atomic *self = record->atomic;
    record->atomic = NULL;
    if (tells) {
        mem_complete(store, STORE_ATOMIC_DONE)->tag = self->tag;
    }
    for (size_t i = 0; i < self->count; i++) {
        struct mem_log *log = log_of(store, &self->batches[i]);
        if (!log) {
            continue;
        }
        const struct mem_batch batch = {.batch = self->batches[i].batch};
        (void)zsp_buf_get(batch.batch.frame);
        insert(log, log->batch_count, &batch);
        log->batch_count++;
        log->end_offset += batch.batch.record_count;
        log->is_placed = false;
        if (!tells) {
            log->synced_offset = log->end_offset;
        }
    }
    destroy(self);
    if (tells) {
        mem_logs_sync(store);
    }
}

void mem_atomic_forget(struct mem_store *store, struct mem_store_record *record)
{
    struct store_atomic *self = record->atomic;
    record->atomic = NULL;
    for (size_t i = 0; i < self->count; i++) {
        struct mem_log *log = log_of(store, &self->batches[i]);
        if (log) {
            log->is_placed = false;
        }
    }
    destroy(self);
}

void mem_atomics_restart(struct mem_store *store)
{
    while (store->atomics) {
        struct store_atomic *self = store->atomics;
        store->atomics = self->next;
        remove_markers(store, self);
        destroy(self);
    }
}
