/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/publish/producer_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/engine/state.h"
#include "common/assert.h"

/* What a batch header read at start counts towards the next image: its size is not known then, and
 * many short runs of the broker must not add up to a long scan. */
#define REPLAYED_BATCH_BYTES 4096u

static void write_key(uint8_t *key, uint64_t producer_id, uint64_t topic_id, uint32_t partition)
{
    zsp_put_u64(key, producer_id);
    zsp_put_u64(key + 8, topic_id);
    zsp_put_u32(key + 16, partition);
}

struct producer_log *producer_log_find(const struct engine *engine, const struct producer *producer,
                                       const struct partition *partition)
{
    uint8_t key[PRODUCER_LOG_KEY_BYTES];
    write_key(key, producer->id, partition->topic->id, partition->index);
    return zsp_table_find(&engine->producer_log_keys, (struct zsp_slice){key, sizeof key});
}

/* --- lists -------------------------------------------------------------------- */

static bool comes_after(const struct producer_log *a, const struct producer_log *b)
{
    const uint64_t topic_a = a->partition->topic->id;
    const uint64_t topic_b = b->partition->topic->id;
    return topic_a != topic_b ? topic_a > topic_b : a->partition->index > b->partition->index;
}

static void link_log(struct producer_log *self)
{
    struct partition *const partition = self->partition;
    self->prev = partition->log_last;
    *(self->prev ? &self->prev->next : &partition->log_first) = self;
    partition->log_last = self;

    struct producer *const producer = self->producer;
    struct producer_log *before = producer->log_last;
    while (before && comes_after(before, self)) {
        before = before->peer_prev;
    }
    self->peer_prev = before;
    self->peer_next = before ? before->peer_next : producer->log_first;
    *(before ? &before->peer_next : &producer->log_first) = self;
    *(self->peer_next ? &self->peer_next->peer_prev : &producer->log_last) = self;
}

static void unlink_dirty(struct producer_log *self)
{
    struct producer_log **at = &self->partition->dirty_first;
    while (*at && *at != self) {
        at = &(*at)->dirty_next;
    }
    if (*at) {
        *at = self->dirty_next;
    }
    self->is_dirty = false;
}

static void unlink_log(struct producer_log *self)
{
    struct partition *const partition = self->partition;
    *(self->prev ? &self->prev->next : &partition->log_first) = self->next;
    *(self->next ? &self->next->prev : &partition->log_last) = self->prev;
    struct producer *const producer = self->producer;
    *(self->peer_prev ? &self->peer_prev->peer_next : &producer->log_first) = self->peer_next;
    *(self->peer_next ? &self->peer_next->peer_prev : &producer->log_last) = self->peer_prev;
    if (self->is_dirty) {
        unlink_dirty(self);
    }
}

struct producer_log *producer_log_open(struct engine *engine, struct producer *producer,
                                       struct partition *partition)
{
    struct producer_log *self = producer_log_find(engine, producer, partition);
    if (self) {
        return self;
    }
    self = pool_get(&engine->producer_logs);
    if (!self) {
        return NULL;
    }
    self->producer = producer;
    self->partition = partition;
    write_key(self->key, producer->id, partition->topic->id, partition->index);
    const struct zsp_slice key = {self->key, sizeof self->key};
    if (zsp_table_add(&engine->producer_log_keys, key, self)) {
        pool_put(&engine->producer_logs, self);
        return NULL;
    }
    link_log(self);
    return self;
}

void producer_log_close(struct engine *engine, struct producer_log *self)
{
    const struct zsp_slice key = {self->key, sizeof self->key};
    (void)zsp_table_remove(&engine->producer_log_keys, key);
    unlink_log(self);
    free(self->window);
    pool_put(&engine->producer_logs, self);
}

void producer_log_partition_gone(struct engine *engine, struct partition *partition)
{
    const uint64_t topic_id = partition->topic->id;
    while (partition->log_first) {
        struct producer_log *const log = partition->log_first;
        const struct state_key key =
            state_key_producer('Q', topic_id, partition->index, log->producer->id);
        state_put_gone(engine, state_key_slice(&key));
        producer_log_close(engine, log);
    }
    const struct state_key key = state_key_partition('R', topic_id, partition->index);
    state_put_gone(engine, state_key_slice(&key));
}

void producer_log_free_all(struct engine *engine)
{
    size_t cursor = 0;
    struct producer_log *log = NULL;
    while ((log = zsp_table_next(&engine->producer_log_keys, &cursor))) {
        free(log->window);
    }
    zsp_table_fini(&engine->producer_log_keys);
}

/* --- sequences ------------------------------------------------------------------- */

int producer_log_check(const struct producer_log *self, uint64_t sequence, uint32_t count,
                       bool *ret_is_old, struct zsp_err *err)
{
    const uint64_t last = self ? self->given_last : 0;
    if (sequence == last + 1) {
        *ret_is_old = false;
        return 0;
    }
    if (sequence <= last && count <= last - sequence + 1) {
        *ret_is_old = true;
        return 0;
    }
    char wanted[64];
    char got[64];
    (void)snprintf(wanted, sizeof wanted, "%" PRIu64, last + 1);
    (void)snprintf(got, sizeof got, "%" PRIu64 ", %" PRIu32 " messages", sequence, count);
    zsp_err_set(err, ZSP_ESEQUENCE_GAP,
                "the last sequence was %" PRIu64 ", the batch begins with %s", last, got);
    zsp_err_detail(err, NULL, wanted, got);
    return ZSP_ESEQUENCE_GAP;
}

void producer_log_given(struct producer_log *self, uint64_t sequence, uint32_t count)
{
    zsp_assert(sequence == self->given_last + 1);
    self->given_last += count;
}

const struct producer_batch *producer_log_batch(const struct producer_log *self, uint32_t index)
{
    zsp_assert(index < self->window_count);
    return &self->window[(self->window_first + index) % self->window_capacity];
}

/* Double the ring; its oldest batch comes first afterwards. */
static int grow_window(struct producer_log *self)
{
    uint32_t capacity = self->window_capacity > 0 ? self->window_capacity * 2 : 4;
    capacity = capacity < ZSP_PRODUCER_WINDOW ? capacity : ZSP_PRODUCER_WINDOW;
    struct producer_batch *const window = calloc(capacity, sizeof *window);
    if (!window) {
        return ZSP_ENOMEM;
    }
    for (uint32_t i = 0; i < self->window_count; i++) {
        window[i] = *producer_log_batch(self, i);
    }
    free(self->window);
    self->window = window;
    self->window_capacity = capacity;
    self->window_first = 0;
    return 0;
}

static int add_to_window(struct producer_log *self, const struct producer_batch *batch)
{
    if (self->window_count == self->window_capacity &&
        self->window_capacity < ZSP_PRODUCER_WINDOW && grow_window(self)) {
        /* What is remembered must not have a hole in it. */
        self->window_count = 0;
        return ZSP_ENOMEM;
    }
    if (self->window_count == self->window_capacity) {
        self->window_first = (self->window_first + 1) % self->window_capacity;
        self->window_count--;
    }
    self->window[(self->window_first + self->window_count) % self->window_capacity] = *batch;
    self->window_count++;
    return 0;
}

int producer_log_written(struct producer_log *self, const struct producer_batch *batch)
{
    struct partition *const partition = self->partition;
    self->written_last = batch->sequence + batch->count - 1;
    if (!self->is_dirty) {
        self->is_dirty = true;
        self->dirty_next = partition->dirty_first;
        partition->dirty_first = self;
    }
    return add_to_window(self, batch);
}

void producer_log_failed(struct producer_log *self)
{
    self->given_last = self->written_last;
}

bool producer_log_locate(const struct producer_log *self, uint64_t sequence, uint32_t count,
                         uint64_t *ret_first, uint64_t *ret_end)
{
    uint64_t first = 0;
    uint64_t found = 0; /* records located so far, without a hole */
    for (uint32_t i = 0; i < self->window_count && found < count; i++) {
        const struct producer_batch *const batch = producer_log_batch(self, i);
        const uint64_t wanted = sequence + found;
        if (batch->is_inexact || wanted < batch->sequence ||
            wanted - batch->sequence >= batch->count) {
            continue;
        }
        const uint64_t skipped = wanted - batch->sequence;
        const uint64_t offset = batch->offset + skipped;
        if (found > 0 && offset != first + found) {
            break;
        }
        first = found == 0 ? offset : first;
        found += batch->count - skipped;
    }
    if (found >= count) {
        *ret_first = first;
        *ret_end = first + count;
        return true;
    }
    *ret_end = self->partition->start_offset;
    if (self->window_count > 0) {
        const struct producer_batch *const newest =
            producer_log_batch(self, self->window_count - 1);
        *ret_end = newest->end_offset;
    }
    return false;
}

uint64_t producer_log_synced_last(const struct producer_log *self)
{
    for (uint32_t i = self->window_count; i-- > 0;) {
        const struct producer_batch *const batch = producer_log_batch(self, i);
        if (batch->end_offset <= self->partition->synced_offset) {
            const uint64_t last = batch->sequence + batch->count - 1;
            return last > self->restored_last ? last : self->restored_last;
        }
    }
    if (self->window_count == 0) {
        return self->written_last;
    }
    const uint64_t last = producer_log_batch(self, 0)->sequence - 1;
    return last > self->restored_last ? last : self->restored_last;
}

int producer_log_replay(struct engine *engine, struct partition *partition,
                        const struct store_batch *batch, struct zsp_err *err)
{
    partition->image_bytes += REPLAYED_BATCH_BYTES;
    struct producer *const producer =
        batch->producer_id > 0 ? producer_by_id(engine, batch->producer_id) : NULL;
    if (!producer || batch->sequence == 0) {
        return 0;
    }
    struct producer_log *const self = producer_log_open(engine, producer, partition);
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    producer->last_used_ms = engine->clock.broker_ms;
    if (batch->sequence <= self->written_last) {
        return 0; /* the image has it */
    }
    const struct producer_batch found = {
        .sequence = batch->sequence,
        .offset = batch->first_offset,
        .count = batch->record_count,
        /* What was old of the batch may have been anywhere in it. */
        .is_inexact = batch->sequence != self->written_last + 1,
        .end_offset = batch->first_offset + batch->record_count,
    };
    const int rc = producer_log_written(self, &found);
    self->given_last = self->written_last;
    return rc != 0 ? zsp_err_set(err, rc, "out of memory") : 0;
}
