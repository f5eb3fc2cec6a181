/* SPDX-License-Identifier: MPL-2.0
 *
 * The segmented log behind the store interface: opening, the table of functions,
 * and the driving of jobs. What happens to a batch is told in partition.h, to a
 * record of state in journal.h.
 */
#include "broker/store/log_store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_start.h"
#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "broker/store/recover/recover.h"
#include "broker/store/retain.h"
#include "broker/store/rewrite/compact.h"
#include "broker/store/rewrite/island.h"
#include "broker/store/topic_log.h"
#include "common/assert.h"

/* --- Jobs --------------------------------------------------------------------------------- */

void store_submit(struct log_store *self, struct io *io)
{
    struct job *job = &io->job;
    job->next = NULL;
    if (self->jobs_last) {
        self->jobs_last->next = job;
    } else {
        self->jobs_first = job;
    }
    self->jobs_last = job;
}

/* Put what is left of the list behind those that have to wait. */
static void keep_dirty(struct log_store *self, struct store_part *rest, struct store_part *last)
{
    if (rest) {
        *(self->dirty_last ? &self->dirty_last->dirty_next : &self->dirty_first) = rest;
        self->dirty_last = last;
    }
}

/* Are more partitions to be written than one by one would do? */
static bool many_write(const struct log_store *self)
{
    uint32_t left = self->options.sync_files_max;
    for (const struct store_part *part = self->dirty_first; part; part = part->dirty_next) {
        if (part->queue_first && left-- == 0) {
            return true;
        }
    }
    return false;
}

/* Start the partitions' writes; who has to wait stays on the list. When no more files may be
 * open, those behind wait for their turn, and are not even looked at. */
static void write_dirty(struct log_store *self)
{
    struct store_part *part = self->dirty_first;
    struct store_part *const last = self->dirty_last;
    self->many_write = many_write(self);
    self->dirty_first = NULL;
    self->dirty_last = NULL;
    bool more = true;
    while (part && more) {
        struct store_part *next = part->dirty_next;
        part->dirty = false;
        part->dirty_next = NULL;
        more = partition_write(part);
        if (part->queue_first && !self->failed) {
            partition_wake(part);
        }
        part = next;
    }
    keep_dirty(self, part, last);
}

static void look_at_writers(struct log_store *self)
{
    open_files_asking(self, FILES_WRITERS);
    write_dirty(self);
    deferred_step(self);
    atomics_step(self);
}

static void look_at_readers(struct log_store *self)
{
    open_files_asking(self, FILES_READERS);
    reads_step(self);
    id_finds_step(self);
    part_terms_step(self);
}

/* Make the jobs that can be made now. */
static void step(struct log_store *self)
{
    if (self->failed) {
        return;
    }
    if (open_files_whose_turn(self) == FILES_READERS) {
        look_at_readers(self);
    }
    look_at_writers(self);
    if (self->failed) {
        return;
    }
    look_at_readers(self);
    open_files_settle(self);
    if (self->ready) {
        carry_step(self);
        topic_log_step(self);
        space_step(self);
        redo_step(self);
        rewritings_step(self, &self->compactions);
        rewritings_step(self, &self->islands);
    }
    journal_flush(self);
}

struct job *log_store_next_job(struct log_store *self)
{
    if (!self->jobs_first) {
        step(self); /* what came back may have made room for more */
    }
    if (!self->jobs_first && self->writes_live == 0) {
        commit_start(self); /* nothing else to do: commit what is written */
    }
    if (!self->jobs_first) {
        journal_flush(self); /* what the cycle put there */
    }
    if (self->failed) {
        commit_fail(self);
    }
    struct job *job = self->jobs_first;
    if (job) {
        self->jobs_first = job->next;
        self->jobs_last = self->jobs_first ? self->jobs_last : NULL;
        job->next = NULL;
        self->jobs_out++;
    }
    return job;
}

bool log_store_awaits_sync(const struct log_store *self)
{
    return self->journal.synced_waits.count > 0;
}

void log_store_job_done(struct log_store *self, struct job *job)
{
    zsp_assert(self->jobs_out > 0);
    self->jobs_out--;
    struct io *io = (struct io *)job;
    io->done_fn(self, io);
}

void store_run_inline(struct log_store *self)
{
    struct job *job;
    while ((job = log_store_next_job(self))) {
        job_run(job, self->fs);
        log_store_job_done(self, job);
    }
}

/* --- Completions and failure ---------------------------------------------------------------- */

void store_complete(struct log_store *self, const struct completion *completion,
                    const struct zsp_err *err)
{
    if (completions_add(&self->completions, completion, err) < 0) {
        /* Nobody can be told; the next call of the host meets a failed store. */
        for (uint32_t i = 0; i < completion->batch_count; i++) {
            zsp_buf_put(&completion->batches[i].frame);
        }
        free(completion->batches);
        free(completion->hits);
        free(completion->terms);
        if (completion->key) {
            struct zsp_buf *key = completion->key;
            zsp_buf_put(&key);
        }
        store_fail_memory(self, "a completion");
    }
}

void store_fail(struct log_store *self, const struct zsp_err *err)
{
    if (self->failed) {
        return;
    }
    self->failed = true;
    self->failure = *err;
    self->failure.code = ZSP_ESTORAGE_FAILED;
    self->failure.maybe = true;
    zsp_diag(self->options.diag, ZSP_ERROR, "the storage failed, nothing is confirmed any more: %s",
             err->msg);
    for (struct store_part *part = self->parts_first; part; part = part->next) {
        partition_fail_queue(part, &self->failure);
    }
    journal_fail(self);
    atomics_fail(self);
    reads_fail(self);
    id_finds_fail(self);
    part_terms_fail(self);
    const struct completion completion = {.kind = STORE_FAILED};
    store_complete(self, &completion, &self->failure);
}

void store_fail_memory(struct log_store *self, const char *what)
{
    struct zsp_err err = {0};
    (void)zsp_err_set(&err, ZSP_ENOMEM, "no memory for %s", what);
    store_fail(self, &err);
}

int store_check(const struct log_store *self, struct zsp_err *err)
{
    if (!self->failed) {
        return 0;
    }
    return zsp_err_set(err, ZSP_ESTORAGE_FAILED, "the storage failed: %.200s", self->failure.msg);
}

/* --- The interface ------------------------------------------------------------------------------ */

static struct log_store *self_of(struct store *base)
{
    return (struct log_store *)base; /* the base is its first member */
}

static const struct log_store *const_self_of(const struct store *base)
{
    return (const struct log_store *)base;
}

static int op_start(struct store *base, const struct store_hooks *hooks, struct instant now,
                    struct zsp_err *err)
{
    return log_start(self_of(base), hooks, now, err);
}

static int op_part_open(struct store *base, const struct store_topic *topic, uint32_t partition,
                        void *owner, uint64_t replay_from, uint64_t hint, struct store_part **ret,
                        struct zsp_err *err)
{
    struct log_store *self = self_of(base);
    zsp_assert(self->starting && !self->ready);
    const struct recover_wish wish = {topic, partition, owner, replay_from, hint};
    const int rc = recover_partition(self, &wish, ret, err);
    return rc != 0 ? rc : store_check(self, err);
}

static int op_ready(struct store *base, struct zsp_err *err)
{
    return log_start_ready(self_of(base), err);
}

static int op_topic_create(struct store *base, const struct store_topic *topic, uint32_t first,
                           void *const *owners, struct store_part **ret_parts, uint64_t tag,
                           struct zsp_err *err)
{
    struct log_store *self = self_of(base);
    const int rc = store_check(self, err);
    return rc < 0 ? rc : topic_log_create(self, topic, first, owners, ret_parts, tag, err);
}

static int op_topic_end(struct store *base, uint64_t topic_id, const struct store_entry *entry,
                        uint64_t tag, struct zsp_err *err)
{
    struct log_store *self = self_of(base);
    const int rc = store_check(self, err);
    return rc < 0 ? rc : topic_log_end(self, topic_id, entry, tag, err);
}

static int op_topic_drop(struct store *base, const struct store_topic *topic,
                         struct store_part *const *parts, uint64_t tag, struct zsp_err *err)
{
    struct log_store *self = self_of(base);
    const int rc = store_check(self, err);
    return rc < 0 ? rc : topic_log_drop(self, topic, parts, tag, err);
}

static int op_append(struct store *base, struct store_part *part, const struct store_batch *batch,
                     uint64_t tag, struct zsp_err *err)
{
    struct log_store *self = self_of(base);
    int rc = store_check(self, err);
    if (rc == 0) {
        rc = space_take(self, batch_bytes(batch->body.len), err);
    }
    return rc < 0 ? rc : partition_append(part, batch, tag, err);
}

static int op_read(struct store *base, const struct store_read *read, struct zsp_err *err)
{
    struct log_store *self = self_of(base);
    const int rc = store_check(self, err);
    return rc < 0 ? rc : reads_add(self, read, err);
}

static int op_find_time(struct store *base, struct store_part *part, int64_t time_ms, uint64_t tag,
                        struct zsp_err *err)
{
    struct log_store *self = self_of(base);
    const int rc = store_check(self, err);
    return rc < 0 ? rc : reads_add_time(self, part, time_ms, tag, err);
}

static void op_index_ids(struct store *base, struct store_part *part, bool is_wanted)
{
    (void)base;
    part_ids_index(part, is_wanted);
}

static int op_find_ids(struct store *base, const struct store_find_ids *find, struct zsp_err *err)
{
    struct log_store *self = self_of(base);
    const int rc = store_check(self, err);
    return rc < 0 ? rc : id_finds_add(self, find, err);
}

static int op_read_terms(struct store *base, const struct store_read_terms *read,
                         struct zsp_err *err)
{
    struct log_store *self = self_of(base);
    const int rc = store_check(self, err);
    return rc < 0 ? rc : part_terms_read(self, read, err);
}

static int op_retain(struct store *base, struct store_part *part, const struct store_retain *retain,
                     struct zsp_err *err)
{
    struct log_store *self = self_of(base);
    const int rc = store_check(self, err);
    return rc < 0 ? rc : retain_start(self, part, retain, err);
}

static uint64_t op_retain_reach(const struct store *base, const struct store_part *part,
                                const struct store_retain *retain)
{
    return store_check(const_self_of(base), NULL) < 0 ? part->start_offset
                                                      : retain_reach(part, retain);
}

static int op_compact(struct store *base, struct store_part *part, const struct store_compact *what,
                      struct zsp_err *err)
{
    struct log_store *self = self_of(base);
    const int rc = store_check(self, err);
    return rc < 0 ? rc : compact_start(self, part, what, err);
}

static void op_part_info(const struct store *base, const struct store_part *part,
                         struct store_part_info *ret)
{
    (void)base;
    memset(ret, 0, sizeof *ret);
    ret->start_offset = part->start_offset;
    ret->island_offset = part->island_offset;
    ret->synced_offset = part->mark.offset;
    ret->end_offset = part->end_offset;
    ret->segment_count = (uint32_t)part->segment_count;
    ret->island_end = part->island_offset;
    ret->is_island_busy = island_is_busy(part->store, part);
    for (size_t i = 0; i < part->segment_count; i++) {
        const struct segment *segment = part->segments[i];
        ret->island_end = segment->is_island ? segment->end_offset : ret->island_end;
        ret->bytes += segment->bytes;
        ret->island_bytes += segment->is_island ? segment->bytes : 0;
    }
    compact_info(part, ret);
    ret->refuses_appends = part->refuses;
    if (part->damage_count > 0) {
        ret->corrupt = part->damages[0].range;
    }
}

static uint64_t op_place(const struct store *base, const struct store_part *part, uint64_t offset)
{
    (void)base;
    if (offset == part->end_offset) {
        return partition_active(part)->bytes + 1;
    }
    const struct segment *segment = partition_segment(part, offset);
    const struct index_entry *entry = segment ? index_find_offset(&segment->index, offset) : NULL;
    return entry ? entry->pos + 1 : 0;
}

static int op_state_put(struct store *base, const struct store_entry *entries, size_t count,
                        enum store_level level, uint64_t tag, struct zsp_err *err)
{
    struct log_store *self = self_of(base);
    const int rc = store_check(self, err);
    const struct journal_wait wait = {.tag = tag};
    return rc < 0 ? rc : journal_put(self, entries, count, 0, level, &wait, err);
}

static int op_atomic_begin(struct store *base, const struct store_append *appends, size_t count,
                           uint64_t tag, struct store_atomic **ret, struct zsp_err *err)
{
    struct log_store *self = self_of(base);
    const int rc = store_check(self, err);
    return rc < 0 ? rc : atomic_begin(self, appends, count, tag, ret, err);
}

static int op_atomic_put(struct store *base, struct store_atomic *atomic,
                         const struct store_entry *entries, size_t count, struct zsp_err *err)
{
    struct log_store *self = self_of(base);
    const int rc = store_check(self, err);
    if (rc < 0) {
        atomic_cancel(self, atomic);
        return rc;
    }
    return atomic_put(self, atomic, entries, count, err);
}

static void op_atomic_cancel(struct store *base, struct store_atomic *atomic)
{
    atomic_cancel(self_of(base), atomic);
}

static void op_set_broker_time(struct store *base, int64_t broker_ms)
{
    struct log_store *self = self_of(base);
    if (broker_ms > self->journal.broker_ms) {
        self->journal.broker_ms = broker_ms;
    }
}

static int64_t op_broker_time(const struct store *base)
{
    return const_self_of(base)->journal.broker_ms;
}

static void op_flush(struct store *base, struct instant now)
{
    struct log_store *self = self_of(base);
    self->now = now;
    if (!self->failed) {
        commit_start(self); /* what was written before this turn */
        step(self);
    }
}

static bool op_next_completion(struct store *base, struct store_completion *ret)
{
    return completions_next(&self_of(base)->completions, ret);
}

static int64_t op_deadline_ms(const struct store *base)
{
    const struct log_store *self = const_self_of(base);
    if (self->failed) {
        return INT64_MAX;
    }
    int64_t deadline = journal_deadline_ms(self);
    const int64_t others[] = {carry_deadline_ms(self),
                              space_deadline_ms(self),
                              redo_deadline_ms(self),
                              atomics_deadline_ms(self),
                              deferred_deadline_ms(self),
                              rewritings_deadline_ms(&self->compactions),
                              rewritings_deadline_ms(&self->islands)};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (others[i] < deadline) {
            deadline = others[i];
        }
    }
    return deadline;
}

static void op_stats(const struct store *base, struct store_stats *ret)
{
    const struct log_store *self = const_self_of(base);
    *ret = self->stats;
    ret->journal_file_count = self->journal.file_count;
    ret->tail_bytes = self->tail.bytes;
    ret->read_cache_bytes = self->read_cache.bytes;
    ret->open_file_count = self->files.count;
}

static bool op_busy(const struct store *base)
{
    const struct log_store *self = const_self_of(base);
    if (self->failed) {
        return self->jobs_out > 0 || self->completions.count > 0;
    }
    return self->jobs_first || self->jobs_out > 0 || self->dirty_first || self->commit.first ||
           self->commit.placed_first || commit_busy(self) || self->reads.count > 0 ||
           self->id_finds.count > 0 || self->terms_reads > 0 || self->works > 0 ||
           atomics_busy(self) || self->completions.count > 0 || journal_busy(self);
}

static void append_pool_fini(struct log_store *self)
{
    while (self->append_pool) {
        struct append *next = self->append_pool->next;
        free(self->append_pool);
        self->append_pool = next;
    }
}

static void op_destroy(struct store *base)
{
    struct log_store *self = self_of(base);
    zsp_assert(self->jobs_out == 0);
    /* Jobs never handed out end as if the store had failed: their owners only give
     * back what they hold. */
    self->failed = true;
    self->closing = true;
    while (self->jobs_first) {
        struct job *job = self->jobs_first;
        self->jobs_first = job->next;
        self->jobs_last = self->jobs_first ? self->jobs_last : NULL;
        job->done = 0;
        job->error.code = ZSP_ECLOSED;
        struct io *io = (struct io *)job;
        io->done_fn(self, io);
    }
    open_files_settle(self);
    const struct zsp_err err = {.code = ZSP_ECLOSED};
    for (struct store_part *part = self->parts_first; part; part = part->next) {
        partition_fail_queue(part, &err);
    }
    journal_fail(self);
    rewritings_fini(&self->compactions);
    rewritings_fini(&self->islands);
    atomics_fini(self);
    commit_fail(self);
    reads_fail(self);
    id_finds_fail(self);
    part_terms_fail(self);
    topic_log_fini(self);
    redo_forget_all(self);
    redo_log_fini(&self->redo_log);
    while (self->parts_first) {
        struct store_part *part = self->parts_first;
        partition_abandon(part);
        partition_destroy(&part);
    }
    journal_fini(self);
    commit_fini(&self->commit);
    tail_fini(&self->tail);
    batch_ids_fini(&self->id_finds.walker);
    completions_fini(&self->completions);
    layout_topics_fini(&self->topics);
    append_pool_fini(self);
    partition_writes_fini(self);
    if (self->lock_file >= 0) {
        (void)self->fs->ops->close(self->fs->self, self->lock_file, NULL); /* gives the lock back */
    }
    free(self);
}

static const struct store_ops ops = {
    .capabilities = STORE_DENSE | STORE_ATOMIC | STORE_IDS,
    .start = op_start,
    .part_open = op_part_open,
    .ready = op_ready,
    .topic_create = op_topic_create,
    .topic_end = op_topic_end,
    .topic_drop = op_topic_drop,
    .append = op_append,
    .read = op_read,
    .find_time = op_find_time,
    .index_ids = op_index_ids,
    .find_ids = op_find_ids,
    .read_terms = op_read_terms,
    .retain = op_retain,
    .retain_reach = op_retain_reach,
    .compact = op_compact,
    .part_info = op_part_info,
    .place = op_place,
    .state_put = op_state_put,
    .set_broker_time = op_set_broker_time,
    .broker_time = op_broker_time,
    .atomic_begin = op_atomic_begin,
    .atomic_offsets = atomic_offsets,
    .atomic_put = op_atomic_put,
    .atomic_cancel = op_atomic_cancel,
    .flush = op_flush,
    .next_completion = op_next_completion,
    .deadline_ms = op_deadline_ms,
    .stats = op_stats,
    .busy = op_busy,
    .destroy = op_destroy,
};

/* --- Opening ---------------------------------------------------------------------------------------- */

static void default_u64(uint64_t *value, uint64_t otherwise)
{
    if (*value == 0) {
        *value = otherwise;
    }
}

static void set_defaults(struct log_store_options *options)
{
    default_u64(&options->segment_bytes, ZSP_SEGMENT_BYTES);
    default_u64(&options->journal_file_bytes, ZSP_JOURNAL_FILE_BYTES);
    default_u64(&options->journal_bytes_min, ZSP_JOURNAL_BYTES_MIN);
    default_u64(&options->redo_bytes_max, ZSP_REDO_BYTES_MAX);
    default_u64(&options->redo_entries_max, ZSP_REDO_ENTRIES_MAX);
    default_u64(&options->unsynced_bytes_max, ZSP_UNSYNCED_BYTES_MAX);
    default_u64(&options->tail_bytes, ZSP_TAIL_BYTES);
    if (options->segment_ids_max == 0) {
        options->segment_ids_max = ZSP_SEGMENT_IDS_MAX;
    }
    default_u64(&options->compaction_keys_max, ZSP_COMPACTION_KEYS_MAX);
    if (options->sync_files_max == 0) {
        options->sync_files_max = REDO_FILES_STANDARD;
    }
}

/* FORMAT of an existing store, or a new one. */
static int open_format(struct log_store *self, struct zsp_err *err)
{
    int rc = layout_read_format(self->fs, self->uuid, err);
    if (rc != ZSP_ENOT_FOUND || !self->options.create) {
        return rc;
    }
    if (err) {
        memset(err, 0, sizeof *err);
    }
    zsp_put_u64(self->uuid, self->options.random_fn(self->options.random_arg));
    zsp_put_u64(self->uuid + 8, self->options.random_fn(self->options.random_arg));
    return layout_create(self->fs, self->uuid, err);
}

struct log_store *log_store_open(const struct log_store_options *options, struct zsp_err *err)
{
    struct log_store *self = calloc(1, sizeof *self);
    if (!self) {
        (void)zsp_err_set(err, ZSP_ENOMEM, "open the store");
        return NULL;
    }
    self->base.ops = &ops;
    self->options = *options;
    set_defaults(&self->options);
    self->fs = options->fs;
    self->lock_file = -1;
    self->tail.bytes_max = self->options.tail_bytes;
    self->read_cache.bytes_max = self->options.tail_bytes / ZSP_READ_CACHE_SHARE;
    rewritings_init(&self->compactions);
    rewritings_init(&self->islands);
    open_files_init(&self->files, options->open_files_max);
    redo_init(&self->redo,
              (struct redo_amount){self->options.redo_entries_max, self->options.redo_bytes_max});
    int rc = 0;
    if (journal_init(&self->journal, options->random_fn(options->random_arg)) < 0) {
        rc = zsp_err_set(err, ZSP_ENOMEM, "open the store");
    }
    if (rc == 0) {
        rc = layout_lock(self->fs, options->create, &self->lock_file, err);
    }
    if (rc == 0) {
        rc = open_format(self, err);
    }
    if (rc < 0) {
        op_destroy(&self->base);
        return NULL;
    }
    return self;
}

struct store *log_store_base(struct log_store *self)
{
    return &self->base;
}
