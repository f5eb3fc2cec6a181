/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/mem_store.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "tests/support/mem_store_priv.h"

#define SEGMENT_BATCHES 4

void *mem_alloc(size_t size)
{
    void *memory = calloc(1, size);
    zsp_assert(memory);
    return memory;
}

void *mem_grow(void *items, size_t *capacity, size_t count, size_t size)
{
    if (count <= *capacity) {
        return items;
    }
    size_t grown = *capacity > 0 ? 2 * *capacity : 16;
    while (grown < count) {
        grown *= 2;
    }
    void *memory = realloc(items, grown * size);
    zsp_assert(memory);
    *capacity = grown;
    return memory;
}

static struct mem_store *mem_of(struct store *base)
{
    return (struct mem_store *)base;
}

static const struct mem_store *mem_of_const(const struct store *base)
{
    return (const struct mem_store *)base;
}

struct store_completion *mem_complete(struct mem_store *self, enum store_completion_kind kind)
{
    self->completions =
        mem_grow(self->completions, &self->completion_capacity,
                 self->completion_first + self->completion_count + 1, sizeof *self->completions);
    struct store_completion *completion =
        &self->completions[self->completion_first + self->completion_count++];
    memset(completion, 0, sizeof *completion);
    completion->kind = kind;
    return completion;
}

void mem_complete_failed(struct store_completion *completion)
{
    (void)zsp_err_set(&completion->error, ZSP_ESTORAGE_FAILED, "the store failed");
    completion->error.maybe = true;
}

struct mem_log *mem_log_find(const struct mem_store *self, uint64_t topic_id, uint32_t partition)
{
    for (size_t i = 0; i < self->log_count; i++) {
        if (self->logs[i]->topic_id == topic_id && self->logs[i]->partition == partition) {
            return self->logs[i];
        }
    }
    return NULL;
}

struct store_part *mem_part_new(struct mem_store *self, struct mem_log *log, void *owner)
{
    struct store_part *part = mem_alloc(sizeof *part);
    part->log = log;
    part->owner = owner;
    part->next = self->parts;
    self->parts = part;
    log->part = part;
    return part;
}

/* --- Start-up and topics ------------------------------------------------------------ */

static int mem_start(struct store *base, const struct store_hooks *hooks, struct instant now,
                     struct zsp_err *err)
{
    (void)now;
    struct mem_store *self = mem_of(base);
    zsp_assert(!self->started);
    self->started = true;
    self->hooks = *hooks;
    return mem_state_replay(self, hooks, err);
}

static int tell_batches(const struct mem_store *self, const struct store_part *part,
                        uint64_t replay_from, struct zsp_err *err)
{
    const struct mem_log *log = part->log;
    for (size_t i = 0; i < log->batch_count; i++) {
        struct store_batch header = log->batches[i].batch;
        if (header.first_offset < replay_from) {
            continue;
        }
        header.frame = NULL;
        header.body = (struct zsp_slice){0};
        const int rc = self->hooks.batch_fn(self->hooks.arg, part->owner, &header, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int mem_part_open(struct store *base, const struct store_topic *topic, uint32_t partition,
                         void *owner, uint64_t replay_from, uint64_t hint, struct store_part **ret,
                         struct zsp_err *err)
{
    (void)hint;
    struct mem_store *self = mem_of(base);
    zsp_assert(self->started);
    zsp_assert(!self->ready);
    struct mem_log *log = mem_log_find(self, topic->id, partition);
    if (!log) {
        return zsp_err_set(err, ZSP_ENOT_FOUND, "topic %llu partition %u has no log",
                           (unsigned long long)topic->id, partition);
    }
    zsp_assert(!log->part);
    struct store_part *part = mem_part_new(self, log, owner);
    const int rc = tell_batches(self, part, replay_from, err);
    if (rc != 0) {
        return rc;
    }
    *ret = part;
    return 0;
}

static int mem_ready(struct store *base, struct zsp_err *err)
{
    (void)err;
    struct mem_store *self = mem_of(base);
    zsp_assert(self->started);
    self->ready = true;
    return 0;
}

static struct mem_topic_call *add_topic_call(struct mem_store *self,
                                             const struct store_topic *topic, uint64_t tag)
{
    self->topic_calls = mem_grow(self->topic_calls, &self->topic_call_capacity,
                                 self->topic_call_count + 1, sizeof *self->topic_calls);
    struct mem_topic_call *call = &self->topic_calls[self->topic_call_count++];
    memset(call, 0, sizeof *call);
    call->topic_id = topic->id;
    call->partition_count = topic->partition_count;
    call->tag = tag;
    return call;
}

static struct mem_log *add_log(struct mem_store *self, uint64_t topic_id, uint32_t partition)
{
    struct mem_log *const log = mem_alloc(sizeof *log);
    log->topic_id = topic_id;
    log->partition = partition;
    self->logs =
        mem_grow(self->logs, &self->log_capacity, self->log_count + 1, sizeof(struct mem_log *));
    self->logs[self->log_count++] = log;
    return log;
}

static int mem_topic_create(struct store *base, const struct store_topic *topic, uint32_t first,
                            void *const *owners, struct store_part **ret_parts, uint64_t tag,
                            struct zsp_err *err)
{
    struct mem_store *self = mem_of(base);
    zsp_assert(self->ready);
    if (self->failed) {
        return zsp_err_set(err, ZSP_ESTORAGE_FAILED, "the store failed");
    }
    for (uint32_t i = first; i < topic->partition_count; i++) {
        struct mem_log *log = mem_log_find(self, topic->id, i);
        if (log) { /* a crash came before anybody was told of it */
            zsp_assert(!log->part && log->end_offset == 0);
        } else {
            log = add_log(self, topic->id, i);
        }
        ret_parts[i - first] = mem_part_new(self, log, owners[i - first]);
    }
    add_topic_call(self, topic, tag);
    return 0;
}

static void drop_log(struct mem_store *self, struct mem_log *log)
{
    mem_log_fail_queued(self, log, ZSP_ENOT_FOUND, false);
    if (log->part) {
        log->part->log = NULL;
    }
    size_t index = 0;
    while (self->logs[index] != log) {
        index++;
    }
    self->log_count--;
    memmove(self->logs + index, self->logs + index + 1,
            (self->log_count - index) * sizeof(struct mem_log *));
    mem_log_destroy(log);
}

static int mem_topic_drop(struct store *base, const struct store_topic *topic,
                          struct store_part *const *parts, uint64_t tag, struct zsp_err *err)
{
    struct mem_store *self = mem_of(base);
    zsp_assert(self->ready);
    if (self->failed) {
        return zsp_err_set(err, ZSP_ESTORAGE_FAILED, "the store failed");
    }
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        zsp_assert(parts[i]->log);
        drop_log(self, parts[i]->log);
    }
    add_topic_call(self, topic, tag)->drop = true;
    return 0;
}

static int mem_topic_end(struct store *base, uint64_t topic_id, const struct store_entry *entry,
                         uint64_t tag, struct zsp_err *err)
{
    (void)topic_id; /* after a restart nobody asks for its logs */
    return mem_state_put(base, entry, 1, STORE_SYNCED_LEVEL, tag, err);
}

static void topic_calls_run(struct mem_store *self)
{
    for (size_t i = 0; i < self->topic_call_count; i++) {
        const struct mem_topic_call *call = &self->topic_calls[i];
        for (uint32_t p = 0; p < call->partition_count && !call->drop; p++) {
            struct mem_log *log = mem_log_find(self, call->topic_id, p);
            if (log) {
                log->durable = true;
            }
        }
        mem_complete(self, call->drop ? STORE_TOPIC_DROPPED : STORE_TOPIC_CREATED)->tag = call->tag;
    }
    self->topic_call_count = 0;
}

/* --- Driving ------------------------------------------------------------------------- */

void mem_store_fail(struct mem_store *self)
{
    if (self->failed) {
        return;
    }
    self->failed = true;
    for (size_t i = 0; i < self->log_count; i++) {
        mem_log_fail_queued(self, self->logs[i], ZSP_ESTORAGE_FAILED, true);
    }
    mem_state_fail(self);
    for (size_t i = 0; i < self->topic_call_count; i++) {
        const struct mem_topic_call *call = &self->topic_calls[i];
        struct store_completion *done =
            mem_complete(self, call->drop ? STORE_TOPIC_DROPPED : STORE_TOPIC_CREATED);
        done->tag = call->tag;
        mem_complete_failed(done);
    }
    self->topic_call_count = 0;
    mem_complete_failed(mem_complete(self, STORE_FAILED));
}

void mem_store_release(struct mem_store *self, unsigned works)
{
    if ((works & MEM_TOPICS) != 0) {
        topic_calls_run(self);
    }
    if ((works & MEM_WRITES) != 0 && !self->failed) {
        mem_logs_write(self);
        mem_state_write(self);
    }
    if ((works & MEM_SYNCS) != 0 && !self->failed) {
        if (self->fail_sync) {
            self->fail_sync = false;
            mem_store_fail(self);
        } else {
            mem_logs_sync(self);
            mem_state_sync(self);
            self->stats.commit_cycles++;
        }
    }
    if (!self->failed) {
        mem_atomics_step(self);
    }
    if ((works & MEM_READS) != 0) {
        mem_calls_run(self);
    }
}

static void mem_flush(struct store *base, struct instant now)
{
    (void)now;
    struct mem_store *self = mem_of(base);
    zsp_assert(self->ready);
    mem_store_release(self, MEM_ALL & ~self->held);
}

static bool mem_next_completion(struct store *base, struct store_completion *ret)
{
    struct mem_store *self = mem_of(base);
    if (self->completion_count == 0) {
        self->completion_first = 0;
        return false;
    }
    *ret = self->completions[self->completion_first++];
    self->completion_count--;
    return true;
}

static int64_t mem_deadline_ms(const struct store *base)
{
    (void)base;
    return INT64_MAX;
}

static void mem_stats(const struct store *base, struct store_stats *ret)
{
    *ret = mem_of_const(base)->stats;
}

static bool mem_busy(const struct store *base)
{
    const struct mem_store *self = mem_of_const(base);
    if (self->completion_count > 0) {
        return true;
    }
    if (self->failed) {
        return false;
    }
    for (size_t i = 0; i < self->log_count; i++) {
        if (self->logs[i]->queued > 0 ||
            self->logs[i]->synced_offset != self->logs[i]->end_offset) {
            return true;
        }
    }
    for (size_t i = 0; i < self->record_count; i++) {
        if (!self->records[i]->synced) {
            return true;
        }
    }
    return self->call_count > 0 || self->topic_call_count > 0 || self->atomics;
}

static void mem_set_broker_time(struct store *base, int64_t broker_ms)
{
    mem_of(base)->broker_ms = broker_ms;
}

static int64_t mem_broker_time(const struct store *base)
{
    return mem_of_const(base)->broker_ms;
}

static void drop_completions(struct mem_store *self)
{
    struct store_completion completion;
    while (mem_next_completion(&self->base, &completion)) {
        store_completion_release(&completion);
    }
}

static void drop_parts(struct mem_store *self)
{
    while (self->parts) {
        struct store_part *part = self->parts;
        self->parts = part->next;
        free(part);
    }
}

static void mem_destroy(struct store *base)
{
    struct mem_store *self = mem_of(base);
    drop_completions(self);
    mem_atomics_restart(self);
    drop_parts(self);
    mem_state_fini(self);
    for (size_t i = 0; i < self->log_count; i++) {
        mem_log_destroy(self->logs[i]);
    }
    free(self->logs);
    mem_calls_drop(self);
    free(self->calls);
    free(self->topic_calls);
    free(self->completions);
    free(self);
}

static const struct store_ops mem_ops = {
    .capabilities = STORE_DENSE | STORE_ATOMIC | STORE_IDS,
    .start = mem_start,
    .part_open = mem_part_open,
    .ready = mem_ready,
    .topic_create = mem_topic_create,
    .topic_end = mem_topic_end,
    .topic_drop = mem_topic_drop,
    .append = mem_append,
    .read = mem_read,
    .find_time = mem_find_time,
    .index_ids = mem_index_ids,
    .find_ids = mem_find_ids,
    .read_terms = mem_read_terms,
    .retain_reach = mem_retain_reach,
    .retain = mem_retain,
    .part_info = mem_part_info,
    .place = mem_place,
    .state_put = mem_state_put,
    .set_broker_time = mem_set_broker_time,
    .broker_time = mem_broker_time,
    .atomic_begin = mem_atomic_begin,
    .atomic_offsets = mem_atomic_offsets,
    .atomic_put = mem_atomic_put,
    .atomic_cancel = mem_atomic_cancel,
    .flush = mem_flush,
    .next_completion = mem_next_completion,
    .deadline_ms = mem_deadline_ms,
    .stats = mem_stats,
    .busy = mem_busy,
    .destroy = mem_destroy,
};

/* --- The test's side ------------------------------------------------------------------ */

struct mem_store *mem_store_new(void)
{
    struct mem_store *self = mem_alloc(sizeof *self);
    self->base.ops = &mem_ops;
    self->segment_batches = SEGMENT_BATCHES;
    return self;
}

struct store *mem_store_base(struct mem_store *self)
{
    return &self->base;
}

void mem_store_hold(struct mem_store *self, unsigned works)
{
    self->held = works;
}

void mem_store_write_all(struct mem_store *self)
{
    mem_store_release(self, MEM_WRITES);
}

void mem_store_sync_all(struct mem_store *self)
{
    mem_store_release(self, MEM_SYNCS);
}

void mem_store_read_all(struct mem_store *self)
{
    mem_store_release(self, MEM_READS);
}

void mem_store_fail_next_append(struct mem_store *self, int code, bool maybe)
{
    self->fail_append = true;
    self->fail_append_code = code;
    self->fail_append_maybe = maybe;
}

void mem_store_fail_next_state(struct mem_store *self, int code)
{
    self->fail_state_code = code;
}

void mem_store_fail_next_sync(struct mem_store *self)
{
    self->fail_sync = true;
}

void mem_store_refuse_appends(struct mem_store *self, bool refuses)
{
    if (self->refuses == refuses) {
        return;
    }
    self->refuses = refuses;
    mem_complete(self, STORE_SPACE)->refuses = refuses;
}

void mem_store_damage(struct mem_store *self, uint64_t topic_id, uint32_t partition,
                      struct store_range range)
{
    struct mem_log *log = mem_log_find(self, topic_id, partition);
    zsp_assert(log);
    log->corrupt = range;
}

void mem_store_fail_reads(struct mem_store *self, uint64_t topic_id, uint32_t partition, int code)
{
    struct mem_log *log = mem_log_find(self, topic_id, partition);
    zsp_assert(log);
    log->read_error = code;
}

void mem_store_want_image(struct mem_store *self, struct zsp_slice key)
{
    struct store_completion *wanted = mem_complete(self, STORE_IMAGE_WANTED);
    wanted->key_buf = zsp_buf_copy(key);
    zsp_assert(wanted->key_buf);
    wanted->key = (struct zsp_slice){.data = wanted->key_buf->data, .len = wanted->key_buf->len};
}

void mem_store_restart(struct mem_store *self, enum mem_store_keep keep)
{
    drop_completions(self);
    mem_atomics_restart(self);
    mem_calls_drop(self);
    self->topic_call_count = 0;
    for (size_t i = self->log_count; i-- > 0;) {
        struct mem_log *log = self->logs[i];
        mem_log_fail_queued(self, log, ZSP_ESTORAGE_FAILED, true);
        if (!log->durable && keep == MEM_KEEP_SYNCED) {
            drop_log(self, log);
            continue;
        }
        log->part = NULL;
        if (keep == MEM_KEEP_SYNCED) {
            mem_log_cut(log, log->synced_offset);
        }
        log->synced_offset = log->end_offset;
    }
    drop_completions(self);
    drop_parts(self);
    mem_state_restart(self, keep);
    self->started = false;
    self->ready = false;
    self->failed = false;
    self->refuses = false;
    self->held = 0;
    self->fail_append = false;
    self->fail_sync = false;
    self->fail_state_code = 0;
}

size_t mem_store_record_count(const struct mem_store *self)
{
    return self->record_count;
}

const struct mem_store_record *mem_store_record(const struct mem_store *self, size_t index)
{
    zsp_assert(index < self->record_count);
    return self->records[index];
}

void mem_store_segment_batches(struct mem_store *self, uint32_t batches)
{
    zsp_assert(batches > 0);
    self->segment_batches = batches;
}
