/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/partition/atomic_append.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/journal/fact.h"
#include "broker/store/log_store_priv.h"
#include "broker/store/partition/atomic_append_priv.h"
#include "broker/store/partition/partition.h"
#include "common/assert.h"
#include "common/hash.h"

#define PLACED_BYTES_MAX (16u * ZSP_MIB) /* between record and segment, the first one aside */

static void set_state(struct store_atomic *self, enum atomic_state state)
{
    const enum atomic_state from = self->state;
    zsp_assert((from == ATOMIC_WAITING && state == ATOMIC_READY) ||
               (from == ATOMIC_READY && state == ATOMIC_PLACED) ||
               (from == ATOMIC_PLACED && state == ATOMIC_WRITING));
    self->state = state;
}

/* --- Lists and the object ---------------------------------------------------------------- */

static void list_add(struct store_atomic *self)
{
    struct atomics *atomics = &self->store->atomics;
    self->prev = NULL;
    self->next = atomics->first;
    if (self->next) {
        self->next->prev = self;
    }
    atomics->first = self;
}

static void list_remove(struct store_atomic *self)
{
    *(self->prev ? &self->prev->next : &self->store->atomics.first) = self->next;
    if (self->next) {
        self->next->prev = self->prev;
    }
    redo_release(self->store, self->reserved);
    self->reserved = (struct redo_amount){0};
}

static void destroy(struct store_atomic *self)
{
    for (size_t i = 0; i < self->count; i++) {
        zsp_buf_put(&self->batches[i].batch.frame);
    }
    for (size_t i = 0; i < self->part_count; i++) {
        struct atomic_part *part = &self->parts[i];
        zsp_assert(!part->marker);
        part->part->busy--;
        free(part->redo);
    }
    free(self->parts);
    free(self->offsets);
    free(self);
}

static void remove_markers(struct store_atomic *self)
{
    for (size_t i = 0; i < self->part_count; i++) {
        struct atomic_part *part = &self->parts[i];
        if (part->marker) {
            partition_remove_marker(part->part, part->marker);
            part->marker = NULL;
            partition_wake(part->part);
        }
    }
}

/* It is WAITING or READY and comes to nothing. */
static void give_up(struct store_atomic *self)
{
    remove_markers(self);
    list_remove(self);
    destroy(self);
}

static void tell(const struct store_atomic *self, enum store_completion_kind kind,
                 const struct zsp_err *err)
{
    const struct completion completion = {.kind = kind, .tag = self->tag};
    store_complete(self->store, &completion, err);
}

/* --- Beginning ---------------------------------------------------------------------------- */

static struct atomic_part *part_of(struct store_atomic *self, struct store_part *partition)
{
    for (size_t i = 0; i < self->part_count; i++) {
        if (self->parts[i].part == partition) {
            return &self->parts[i];
        }
    }
    struct atomic_part *part = &self->parts[self->part_count++];
    part->atomic = self;
    part->part = partition;
    partition->busy++;
    return part;
}

static struct store_atomic *atomic_new(struct log_store *store, const struct store_append *appends,
                                       size_t count, uint64_t tag)
{
    struct store_atomic *self = calloc(1, sizeof *self + count * sizeof self->batches[0]);
    if (!self) {
        return NULL;
    }
    self->store = store;
    self->tag = tag;
    self->parts = calloc(count + 1, sizeof *self->parts);
    self->offsets = calloc(count + 1, sizeof *self->offsets);
    if (!self->parts || !self->offsets) {
        destroy(self);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        struct atomic_part *part = part_of(self, appends[i].part);
        struct atomic_batch *batch = &self->batches[self->count++];
        batch->batch = *appends[i].batch;
        (void)zsp_buf_get(batch->batch.frame);
        batch->bytes = batch_bytes(batch->batch.body.len);
        batch->part = (size_t)(part - self->parts);
        part->bytes += batch->bytes;
        self->bytes += batch->bytes;
    }
    return self;
}

static int check(struct log_store *store, const struct store_append *appends, size_t count,
                 struct zsp_err *err)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const struct store_batch *batch = appends[i].batch;
        const struct store_part *part = appends[i].part;
        zsp_assert(part->state != PART_DROPPED);
        zsp_assert(batch->record_count > 0 && batch->body.len > 0);
        if (part->refuses) {
            return zsp_err_set(err, ZSP_ECORRUPT,
                               "topic %" PRIu64 " partition %" PRIu32
                               ": damaged, takes no messages",
                               part->topic_id, part->number);
        }
        bytes +=
            batch->body.len > ZSP_ATOMIC_BYTES_MAX ? batch->body.len : batch_bytes(batch->body.len);
        if (bytes > ZSP_ATOMIC_BYTES_MAX) {
            return zsp_err_set(err, ZSP_ETOO_LARGE,
                               "batches of %" PRIu64 " bytes in one commit, at most %u", bytes,
                               ZSP_ATOMIC_BYTES_MAX);
        }
    }
    /* They are written twice. */
    return count > 0 ? space_take(store, 2 * bytes, err) : 0;
}

static void is_ready(struct store_atomic *self);

int atomic_begin(struct log_store *store, const struct store_append *appends, size_t count,
                 uint64_t tag, struct store_atomic **ret, struct zsp_err *err)
{
    int rc = check(store, appends, count, err);
    if (rc < 0) {
        return rc;
    }
    struct store_atomic *self = atomic_new(store, appends, count, tag);
    for (size_t i = 0; self && i < self->part_count; i++) {
        struct atomic_part *part = &self->parts[i];
        part->marker = partition_add_marker(part->part, part, part->bytes);
        if (!part->marker) {
            remove_markers(self);
            destroy(self);
            self = NULL;
        }
    }
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "an atomic append");
    }
    list_add(self);
    *ret = self;
    if (count == 0) {
        is_ready(self);
    }
    return 0;
}

/* --- Waiting -------------------------------------------------------------------------------- */

/* Where the next batch goes when all that is placed is written. */
static struct mark end_of(const struct store_part *partition)
{
    return partition->placed_last ? partition->placed_last->end : partition_written(partition);
}

/* Every partition stands still: the offsets are known. */
static void is_ready(struct store_atomic *self)
{
    for (size_t i = 0; i < self->part_count; i++) {
        self->parts[i].end = end_of(self->parts[i].part);
    }
    for (size_t i = 0; i < self->count; i++) {
        struct mark *end = &self->parts[self->batches[i].part].end;
        self->offsets[i] = end->offset;
        end->offset += self->batches[i].batch.record_count;
    }
    set_state(self, ATOMIC_READY);
    tell(self, STORE_ATOMIC_READY, NULL);
}

static bool fits(const struct atomic_part *part, const struct mark *end)
{
    const uint64_t segment_bytes = partition_segment_bytes(part->part);
    return end->pos == 0 || (end->pos < segment_bytes && part->bytes <= segment_bytes - end->pos &&
                             !part_ids_full(partition_active(part->part)));
}

/* Room for what its record makes a start read. Only when nothing but this is missing: nobody who
 * holds some waits for somebody else who wants it. */
static bool reserve_redo(struct store_atomic *self)
{
    if (self->reserved.entries > 0) {
        return true;
    }
    const struct redo_amount amount = {
        self->part_count, self->bytes + (uint64_t)JOURNAL_REDO_BYTES * self->part_count};
    const bool fits = redo_reserve(self->store, amount);
    self->reserved = fits ? amount : self->reserved;
    return fits;
}

bool atomic_at_head(struct atomic_part *part)
{
    struct store_part *partition = part->part;
    struct store_atomic *self = part->atomic;
    const struct log_store *store = self->store;
    if (part->is_ready) {
        return true;
    }
    const bool is_quiet = partition->placed_last ||
                          (!partition->unsynced && partition->mark.offset == partition->end_offset);
    zsp_assert(store->atomics.held_bytes <= store->atomics.placed_bytes);
    const uint64_t flowing = store->atomics.placed_bytes - store->atomics.held_bytes;
    const bool too_much = flowing > 0 && flowing + self->bytes > PLACED_BYTES_MAX;
    const bool is_held = partition->placed_last && partition->placed_last->atomic->is_held;
    if (!is_quiet || too_much || is_held || deferred_flush(partition)) {
        return true;
    }
    const struct mark end = end_of(partition);
    if (!fits(part, &end)) {
        return partition->placed_last ? true : roll_start(partition);
    }
    const bool is_last = self->ready_count + 1 == self->part_count;
    if (is_last && !reserve_redo(self)) {
        return true; /* before a file is opened that somebody else could use */
    }
    /* It can be opened: else the whole is refused while that is still possible. */
    struct segment *segment = partition_active(partition);
    struct zsp_err err = {0};
    const int ready = segment_ready(self->store, segment, false, &err);
    if (ready < 0) {
        partition_open_failed(partition, &err);
    }
    if (ready <= 0) {
        return ready < 0 || segment->loading;
    }
    part->is_ready = true;
    self->ready_count++;
    if (self->ready_count == self->part_count) {
        is_ready(self);
    }
    return true;
}

bool atomic_holds(const struct store_part *part)
{
    return part->placed_last || (part->queue_first && part->queue_first->atomic);
}

void atomic_queue_fails(struct atomic_part *part, const struct zsp_err *err)
{
    struct store_atomic *self = part->atomic;
    part->marker = NULL;
    struct zsp_err told = *err;
    told.maybe = false; /* nothing of it was written */
    remove_markers(self);
    if (self->state == ATOMIC_READY) {
        self->broken = self->broken.code != 0 ? self->broken : told;
        return;
    }
    tell(self, STORE_ATOMIC_READY, &told);
    give_up(self);
}

const uint64_t *atomic_offsets(const struct store_atomic *self)
{
    zsp_assert(self->state == ATOMIC_READY);
    return self->offsets;
}

void atomic_cancel(struct log_store *store, struct store_atomic *self)
{
    (void)store;
    zsp_assert(self->state == ATOMIC_READY);
    give_up(self);
}

/* --- The record ----------------------------------------------------------------------------- */

/* The batches as they will stand in the segment, as a redo entry has them. */
static int lay_out(struct store_atomic *self)
{
    uint8_t **const at = calloc(self->part_count + 1, sizeof *at);
    bool has_memory = at != NULL;
    for (size_t i = 0; i < self->part_count && has_memory; i++) {
        struct atomic_part *part = &self->parts[i];
        part->end = end_of(part->part);
        part->redo = malloc(JOURNAL_REDO_BYTES + (size_t)part->bytes);
        has_memory = part->redo != NULL;
        at[i] = has_memory ? part->redo + JOURNAL_REDO_BYTES : NULL;
    }
    for (size_t i = 0; i < self->count && has_memory; i++) {
        struct atomic_batch *batch = &self->batches[i];
        struct atomic_part *part = &self->parts[batch->part];
        const struct zsp_slice body = batch->batch.body;
        batch->batch.first_offset = part->end.offset;
        const struct batch_header header = {.batch = batch->batch,
                                            .synced_to = part->part->mark.offset,
                                            .epoch = self->store->epoch,
                                            .body_sum = zsp_hash(body)};
        const struct batch_place place = segment_place(partition_active(part->part), part->end.pos);
        uint8_t *p = at[batch->part];
        batch_encode(p, &header, &place);
        memcpy(p + BATCH_HEADER_BYTES, body.data, body.len);
        memset(p + BATCH_HEADER_BYTES + body.len, 0,
               (size_t)batch->bytes - BATCH_HEADER_BYTES - body.len);
        at[batch->part] = p + batch->bytes;
        part->end.pos += batch->bytes;
        part->end.offset += batch->batch.record_count;
        if (batch->batch.timestamp_ms > part->end.max_timestamp_ms) {
            part->end.max_timestamp_ms = batch->batch.timestamp_ms;
        }
        part->end.epoch = self->store->epoch;
    }
    for (size_t i = 0; i < self->part_count && has_memory; i++) {
        struct atomic_part *part = &self->parts[i];
        journal_put_redo(part->redo, JOURNAL_REDO_BYTES + (size_t)part->bytes, part->end.segment,
                         part->end.pos - part->bytes);
    }
    self->epoch = self->store->epoch;
    free(at);
    return has_memory ? 0 : ZSP_ENOMEM;
}

/* The record is durable: from here on the commit is a fact. */
static void record_synced(struct log_store *store, void *arg, const struct zsp_err *err)
{
    struct store_atomic *self = arg;
    (void)store;
    if (!err) {
        set_state(self, ATOMIC_WRITING);
    }
}

size_t atomic_fill_entries(const struct store_atomic *self, struct fact *facts,
                           struct store_entry *entries)
{
    size_t count = 0;
    for (size_t i = 0; i < self->part_count; i++) {
        const struct atomic_part *part = &self->parts[i];
        const uint64_t topic_id = part->part->topic_id;
        const uint32_t number = part->part->number;
        if (part->is_written || part->part->state != PART_OPEN) {
            continue;
        }
        facts[count] = fact_redo_key(topic_id, number);
        entries[count] =
            (struct store_entry){fact_key(&facts[count]),
                                 STORE_REDO,
                                 {part->redo, JOURNAL_REDO_BYTES + (size_t)part->bytes}};
        const struct atomic_part *last = part->after ? part->part->placed_last : part;
        facts[count + 1] = fact_mark(topic_id, number, &last->end);
        entries[count + 1] = fact_entry(&facts[count + 1], STORE_IMAGE);
        count += 2;
    }
    return count;
}

static int put_record(struct log_store *store, struct store_atomic *self,
                      const struct store_entry *entries, size_t count, struct zsp_err *err)
{
    struct store_entry *all = calloc(count + 2 * self->part_count + 1, sizeof *all);
    struct fact *facts = calloc(2 * self->part_count + 1, sizeof *facts);
    int rc = all && facts ? lay_out(self) : ZSP_ENOMEM;
    if (rc < 0) {
        (void)zsp_err_set(err, rc, "an atomic append");
    } else {
        if (count > 0) {
            memcpy(all, entries, count * sizeof *all);
        }
        const size_t own_count = atomic_fill_entries(self, facts, all + count);
        self->record = store->journal.next_record;
        const struct journal_wait wait = {.fn = record_synced, .arg = self};
        rc = journal_put(store, all, count + own_count, own_count, STORE_SYNCED_LEVEL, &wait, err);
    }
    free(all);
    free(facts);
    return rc;
}

int atomic_put(struct log_store *store, struct store_atomic *self,
               const struct store_entry *entries, size_t count, struct zsp_err *err)
{
    zsp_assert(self->state == ATOMIC_READY);
    int rc = self->broken.code;
    if (rc != 0) {
        rc = zsp_err_set(err, self->broken.code, "%.300s", self->broken.msg);
    } else {
        rc = put_record(store, self, entries, count, err);
    }
    if (rc < 0) {
        give_up(self);
        return rc;
    }
    struct atomics *atomics = &store->atomics;
    remove_markers(self);
    list_remove(self);
    self->next = NULL;
    *(atomics->placed_last ? &atomics->placed_last->next : &atomics->placed_first) = self;
    atomics->placed_last = self;
    atomics->placed_bytes += self->bytes;
    for (size_t i = 0; i < self->part_count; i++) {
        struct atomic_part *part = &self->parts[i];
        part->before = part->part->placed_last;
        if (part->before) {
            part->before->after = part;
        }
        part->part->placed_last = part;
    }
    set_state(self, ATOMIC_PLACED);
    return 0;
}

/* --- The segments ------------------------------------------------------------------------------ */

static void part_written(struct log_store *store, struct io *io)
{
    struct atomic_part *part = (struct atomic_part *)io;
    struct store_part *partition = part->part;
    struct segment *segment = partition_active(partition);
    const struct job *job = &io->job;
    part->is_out = false;
    store->writes_live--;
    const bool is_whole = job->error.code == 0 && job->done == job->len;
    if (is_whole && !store->failed) {
        part->is_written = true;
        if (part->end.pos > segment->file_bytes) {
            segment->file_bytes = part->end.pos;
        }
        if (partition->state == PART_OPEN) {
            redo_owe(store, segment, part->atomic->record);
        }
    } else if (!store->failed && job->error.code == ZSP_ENO_SPACE) {
        part->retry_ms = store->now.mono_ms + (int64_t)JOURNAL_RETRY_MS;
        space_exhausted(store);
    } else if (!store->failed) {
        struct zsp_err err = job->error;
        if (err.code == 0) {
            (void)zsp_err_set(&err, ZSP_EIO, "a write ended early");
        }
        (void)zsp_err_wrap(&err, "topic %" PRIu64 " partition %" PRIu32, partition->topic_id,
                           partition->number);
        store_fail(store, &err);
    }
    segment_unpin(store, segment);
}

static void submit_write(struct log_store *store, struct atomic_part *part, struct segment *segment)
{
    const size_t len = (size_t)part->bytes;
    const uint64_t pos = part->end.pos - part->bytes;
    part->iov = (struct iovec){part->redo + JOURNAL_REDO_BYTES, len};
    part->io.job = (struct job){.kind = JOB_WRITE,
                                .owner = part,
                                .file = segment->file,
                                .pos = pos,
                                .len = len,
                                .iov = &part->iov,
                                .iov_count = 1};
    part->io.done_fn = part_written;
    part->is_out = true;
    part->retry_ms = 0;
    segment_pin(store, segment);
    space_spend(store,
                part->end.pos > segment->file_bytes ? part->end.pos - segment->file_bytes : 0);
    store->writes_live++;
    store_submit(store, &part->io);
}

/* Start what can be started. True = all is written, and nothing stands before it. */
static bool write_parts(struct log_store *store, struct store_atomic *self)
{
    bool all = true;
    for (size_t i = 0; i < self->part_count && !store->failed; i++) {
        struct atomic_part *part = &self->parts[i];
        if (part->before || part->retry_ms > store->now.mono_ms) {
            all = false;
            continue;
        }
        if (part->is_written || part->part->state != PART_OPEN) {
            all = all && !part->is_out;
            continue;
        }
        all = false;
        if (part->is_out) {
            continue;
        }
        struct segment *segment = partition_active(part->part);
        struct zsp_err err = {0};
        const int ready = segment_ready(store, segment, false, &err);
        if (ready < 0 && err.code == ZSP_ENOT_FOUND) {
            store_fail(store, &err); /* a file of ours is gone */
        } else if (ready < 0) {
            part->retry_ms = store->now.mono_ms + (int64_t)JOURNAL_RETRY_MS;
        } else if (ready == 1) {
            submit_write(store, part, segment);
        }
    }
    return all && !store->failed;
}

/* Everything is in place: it becomes visible in one moment. */
static void finish(struct log_store *store, struct store_atomic *self)
{
    tell(self, STORE_ATOMIC_DONE, NULL);
    for (size_t i = 0; i < self->count; i++) {
        const struct atomic_batch *batch = &self->batches[i];
        struct store_part *partition = self->parts[batch->part].part;
        if (partition->state == PART_OPEN) {
            partition_take(partition, partition_active(partition), &batch->batch, self->epoch);
            store->stats.unsynced_bytes += batch->bytes;
        }
    }
    for (size_t i = 0; i < self->part_count; i++) {
        struct atomic_part *part = &self->parts[i];
        struct store_part *partition = part->part;
        if (part->after) {
            part->after->before = NULL;
        } else {
            partition->placed_last = NULL;
        }
        if (partition->state == PART_OPEN) {
            partition_synced(partition, &part->end);
            roll_ahead(partition);
        }
    }
}

void atomics_step(struct log_store *store)
{
    struct atomics *atomics = &store->atomics;
    struct store_atomic *before = NULL;
    struct store_atomic *self = atomics->placed_first;
    while (self && self->state == ATOMIC_WRITING && !store->failed) {
        struct store_atomic *next = self->next;
        const bool is_over = write_parts(store, self);
        atomic_note_held(store, self);
        if (is_over) {
            *(before ? &before->next : &atomics->placed_first) = next;
            atomics->placed_last = next ? atomics->placed_last : before;
            atomics->placed_bytes -= self->bytes;
            atomics->held_bytes -= self->is_held ? self->bytes : 0; /* its topic was dropped */
            finish(store, self);
            destroy(self);
        } else {
            before = self;
        }
        self = next;
    }
}

bool atomics_busy(const struct log_store *store)
{
    return store->atomics.first || store->atomics.placed_first;
}

/* --- The end ------------------------------------------------------------------------------------ */

void atomics_fail(struct log_store *store)
{
    for (struct store_atomic *self = store->atomics.placed_first; self; self = self->next) {
        tell(self, STORE_ATOMIC_DONE, &store->failure);
    }
}

void atomics_fini(struct log_store *store)
{
    struct atomics *atomics = &store->atomics;
    struct store_atomic *next = NULL;
    for (struct store_atomic *self = atomics->first; self; self = next) {
        next = self->next;
        give_up(self);
    }
    while (atomics->placed_first) {
        struct store_atomic *self = atomics->placed_first;
        atomics->placed_first = self->next;
        destroy(self);
    }
    atomics->placed_last = NULL;
}
