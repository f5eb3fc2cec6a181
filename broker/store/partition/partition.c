/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/partition/partition.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "common/assert.h"

/* --- Life -------------------------------------------------------------------------- */

struct store_part *partition_new(struct log_store *store, uint64_t topic_id, uint32_t number,
                                 const char *path, void *owner)
{
    const size_t path_room = strlen(path) + 1;
    struct store_part *self = calloc(1, offsetof(struct store_part, path) + path_room);
    if (!self) {
        return NULL;
    }
    memcpy(self->path, path, path_room);
    self->store = store;
    self->state = PART_CREATING;
    self->topic_id = topic_id;
    self->number = number;
    self->owner = owner;
    self->max_timestamp_ms = INT64_MIN;
    self->mark.max_timestamp_ms = INT64_MIN;
    self->segments = &self->only;
    self->segment_capacity = 1;
    self->prev = store->parts_last;
    if (store->parts_last) {
        store->parts_last->next = self;
    } else {
        store->parts_first = self;
    }
    store->parts_last = self;
    return self;
}

void partition_abandon(struct store_part *self)
{
    for (size_t i = 0; i < self->segment_count; i++) {
        self->segments[i]->pins = 0;
        self->segments[i]->loading = false;
    }
    if (self->roll.next) {
        self->roll.next->pins = 0;
        self->roll.next->loading = false;
    }
}

static void free_segments(struct store_part *self)
{
    if (self->segments != &self->only) {
        free(self->segments);
    }
}

void partition_destroy(struct store_part **self_p)
{
    struct store_part *self = *self_p;
    if (!self) {
        return;
    }
    struct log_store *store = self->store;
    if (self->prev) {
        self->prev->next = self->next;
    } else {
        store->parts_first = self->next;
    }
    if (self->next) {
        self->next->prev = self->prev;
    } else {
        store->parts_last = self->prev;
    }
    deferred_drop(self);
    tail_drop(&store->tail, &self->tail);
    read_cache_drop(&store->read_cache, &self->read_cache);
    if (self->roll.next) {
        segment_retire(store, self->roll.next);
    }
    for (size_t i = 0; i < self->segment_count; i++) {
        segment_retire(store, self->segments[i]);
    }
    free_segments(self);
    free(self->damages);
    free(self->compacted);
    free(self->retain_next);
    free(self->terms_place);
    free(self);
    *self_p = NULL;
}

void partition_describe(const struct store_part *self, char out[64])
{
    (void)snprintf(out, 64, "topic %" PRIu64 " partition %" PRIu32, self->topic_id, self->number);
}

int partition_add_segment(struct store_part *self, struct segment *segment)
{
    if (self->segment_count == self->segment_capacity) {
        const uint32_t capacity = self->segment_capacity * 2;
        struct segment **segments = calloc(capacity, sizeof(struct segment *));
        if (!segments) {
            return ZSP_ENOMEM;
        }
        for (size_t i = 0; i < self->segment_count; i++) {
            segments[i] = self->segments[i];
        }
        free_segments(self);
        self->segments = segments;
        self->segment_capacity = capacity;
    }
    self->segments[self->segment_count++] = segment;
    return 0;
}

uint64_t partition_segment_bytes(const struct store_part *self)
{
    const uint64_t bytes = self->store->options.segment_bytes;
    return self->segment_bytes_max != 0 && self->segment_bytes_max < bytes ? self->segment_bytes_max
                                                                           : bytes;
}

struct segment *partition_active(const struct store_part *self)
{
    return self->segment_count > 0 ? self->segments[self->segment_count - 1] : NULL;
}

struct segment *partition_find_segment(const struct store_part *self, struct segment_file file)
{
    for (size_t i = self->segment_count; i > 0; i--) {
        struct segment *segment = self->segments[i - 1];
        if (segment->number == file.number && segment->generation == file.generation) {
            return segment;
        }
    }
    return NULL;
}

struct segment *partition_segment(const struct store_part *self, uint64_t offset)
{
    size_t first = 0;
    size_t end = self->segment_count;
    while (first < end) { /* the first that ends above `offset` */
        const size_t middle = first + (end - first) / 2;
        if (self->segments[middle]->end_offset <= offset) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    if (first == self->segment_count || self->segments[first]->base_offset > offset) {
        return NULL;
    }
    return self->segments[first];
}

void partition_opened(struct store_part *self)
{
    zsp_assert(self->state == PART_CREATING);
    self->state = PART_OPEN;
    id_finds_wake(self->store);
    partition_wake(self);
}

void partition_drop(struct store_part *self)
{
    zsp_assert(self->state != PART_DROPPED);
    self->state = PART_DROPPED;
    id_finds_wake(self->store);
    struct zsp_err err = {0};
    (void)zsp_err_set(&err, ZSP_ENOT_FOUND, "the topic was deleted");
    partition_fail_queue(self, &err);
    for (size_t i = 0; i < self->segment_count; i++) {
        redo_paid(self->store, self->segments[i]);
    }
    deferred_drop(self);
    tail_drop(&self->store->tail, &self->tail);
    read_cache_drop(&self->store->read_cache, &self->read_cache);
}

bool partition_idle(const struct store_part *self)
{
    return self->busy == 0 && self->reads == 0 && !self->dirty && !self->unsynced && !self->write &&
           !self->trimming;
}

/* --- Queue ------------------------------------------------------------------------- */

static struct append *append_new(struct log_store *store)
{
    struct append *append = store->append_pool;
    if (append) {
        store->append_pool = append->next;
    } else {
        append = malloc(sizeof *append);
    }
    return append;
}

/* Give the append back; its frame has gone. */
void append_release(struct log_store *store, struct append *append)
{
    append->next = store->append_pool;
    store->append_pool = append;
}

void partition_wake(struct store_part *self)
{
    struct log_store *store = self->store;
    if (self->dirty || self->state == PART_DROPPED) {
        return;
    }
    self->dirty = true;
    self->dirty_next = NULL;
    if (store->dirty_last) {
        store->dirty_last->dirty_next = self;
    } else {
        store->dirty_first = self;
    }
    store->dirty_last = self;
}

static void enqueue(struct store_part *self, struct append *append)
{
    append->next = NULL;
    if (self->queue_last) {
        self->queue_last->next = append;
    } else {
        self->queue_first = append;
    }
    self->queue_last = append;
    self->store->stats.waiting_bytes += append->bytes;
    partition_wake(self);
}

int partition_append(struct store_part *self, const struct store_batch *batch, uint64_t tag,
                     struct zsp_err *err)
{
    struct log_store *store = self->store;
    zsp_assert(self->state != PART_DROPPED);
    zsp_assert(batch->record_count > 0 && batch->body.len > 0);
    if (batch->body.len > ZSP_FRAME_MAX) {
        return zsp_err_set(err, ZSP_ETOO_LARGE, "batch of %zu bytes, at most %u", batch->body.len,
                           ZSP_FRAME_MAX);
    }
    if (self->refuses) {
        return zsp_err_set(err, ZSP_ECORRUPT,
                           "topic %" PRIu64 " partition %" PRIu32 ": damaged, takes no messages",
                           self->topic_id, self->number);
    }
    struct append *append = append_new(store);
    if (!append) {
        return zsp_err_set(err, ZSP_ENOMEM, "queue a batch");
    }
    append->batch = *batch;
    (void)zsp_buf_get(append->batch.frame);
    append->tag = tag;
    append->bytes = batch_bytes(batch->body.len);
    append->atomic = NULL;
    enqueue(self, append);
    return 0;
}

struct append *partition_add_marker(struct store_part *self, struct atomic_part *atomic,
                                    uint64_t bytes)
{
    struct append *append = append_new(self->store);
    if (append) {
        append->batch.frame = NULL;
        append->tag = 0;
        append->bytes = bytes;
        append->atomic = atomic;
        enqueue(self, append);
    }
    return append;
}

void partition_remove_marker(struct store_part *self, struct append *marker)
{
    struct append *before = NULL;
    for (struct append *at = self->queue_first; at != marker; at = at->next) {
        before = at;
    }
    *(before ? &before->next : &self->queue_first) = marker->next;
    if (self->queue_last == marker) {
        self->queue_last = before;
    }
    self->store->stats.waiting_bytes -= marker->bytes;
    append_release(self->store, marker);
}

void append_fail(struct store_part *self, struct append *append, const struct zsp_err *err)
{
    const struct completion completion = {
        .kind = STORE_APPENDED, .tag = append->tag, .owner = self->owner};
    store_complete(self->store, &completion, err);
    zsp_buf_put(&append->batch.frame);
    append_release(self->store, append);
}

void partition_fail_queue(struct store_part *self, const struct zsp_err *err)
{
    struct append *append = self->queue_first;
    self->queue_first = NULL;
    self->queue_last = NULL;
    while (append) {
        struct append *next = append->next;
        self->store->stats.waiting_bytes -= append->bytes;
        if (append->atomic) {
            struct atomic_part *atomic = append->atomic;
            append_release(self->store, append);
            atomic_queue_fails(atomic, err);
        } else {
            append_fail(self, append, err);
        }
        append = next;
    }
}

/* --- Marks and damage ------------------------------------------------------------------ */

struct mark partition_written(const struct store_part *self)
{
    const struct segment *active = partition_active(self);
    zsp_assert(active); /* something was written to it */
    return (struct mark){active->number, active->bytes, self->end_offset, self->max_timestamp_ms,
                         self->epoch};
}

uint64_t partition_bytes_to(const struct store_part *self, const struct mark *mark)
{
    return mark->pos - (self->mark.segment == mark->segment ? self->mark.pos : 0);
}

void partition_synced(struct store_part *self, const struct mark *mark)
{
    struct log_store *store = self->store;
    const struct segment *active = partition_active(self);
    zsp_assert(active);
    zsp_assert(mark->segment == active->number);
    const uint64_t bytes = partition_bytes_to(self, mark);
    zsp_assert(bytes <= store->stats.unsynced_bytes);
    store->stats.unsynced_bytes -= bytes;
    self->mark = *mark;
    if (self->state == PART_OPEN) {
        const struct completion completion = {
            .kind = STORE_SYNCED, .owner = self->owner, .offset = mark->offset};
        store_complete(store, &completion, NULL);
        reads_wake(store);
    }
    partition_wake(self);
}

void partition_add_damage(struct store_part *self, const struct damage *damage)
{
    self->refuses = true;
    size_t at = self->damage_count;
    while (at > 0 && self->damages[at - 1].range.first_offset >= damage->range.first_offset) {
        at--;
    }
    if (at < self->damage_count &&
        self->damages[at].range.first_offset == damage->range.first_offset) {
        return; /* known */
    }
    struct damage *damages =
        realloc(self->damages, (self->damage_count + 1) * sizeof *self->damages);
    if (!damages) {
        return; /* found again by the next read of it */
    }
    self->damages = damages;
    memmove(damages + at + 1, damages + at, (self->damage_count - at) * sizeof *damages);
    damages[at] = *damage;
    self->damage_count++;
    zsp_diag(self->store->options.diag, ZSP_ERROR,
             "topic %" PRIu64 " partition %" PRIu32 ": damaged, offsets %" PRIu64 " to %" PRIu64
             " cannot be read; it takes no messages until it is repaired",
             self->topic_id, self->number, damage->range.first_offset, damage->range.end_offset);
}

const struct damage *partition_damage(const struct store_part *self, uint64_t offset)
{
    for (size_t i = 0; i < self->damage_count; i++) {
        if (self->damages[i].range.end_offset > offset) {
            return &self->damages[i];
        }
    }
    return NULL;
}
