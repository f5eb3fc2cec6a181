/* SPDX-License-Identifier: MPL-2.0
 *
 * From the queue of a partition to its segment: what goes out in one write, how
 * it is laid out, and what becomes of it when the write is back. The story is in
 * partition.h.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/journal/journal_record.h"
#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "broker/store/retain.h"
#include "common/assert.h"
#include "common/hash.h"

#define WRITE_BATCHES_MAX 4096u              /* batches of one write */
#define WRITE_BYTES_MAX   (16u * ZSP_MIB)    /* bytes of one write, the first batch aside */
#define COPY_BYTES_MAX    (2u * ZSP_KIB)     /* a smaller body is copied behind its header */
#define FILL_WRITE_MAX    (64u * ZSP_KIB)    /* a write of this size or more fills nothing */
#define FILL_ALIGN        4096u              /* filled space ends on a page */
#define POOL_BYTES_MAX    ((size_t)16 << 20) /* memory of writes that is kept for the next ones */

static const uint8_t zeros[64 * 1024];

/* The front of the queue that goes out in one write. */
struct selection {
    size_t count;
    uint64_t bytes;
    size_t scratch_bytes;
    size_t iov_count;
};

static bool is_copied(const struct append *append)
{
    return append->batch.body.len < COPY_BYTES_MAX;
}

/* What of the queue fits into the segment and into the bound of unsynced bytes. */
static struct selection select_batches(const struct store_part *self, const struct segment *segment)
{
    const struct log_store *store = self->store;
    const uint64_t unsynced = store->stats.unsynced_bytes;
    const uint64_t unsynced_max = store->options.unsynced_bytes_max;
    uint64_t room = unsynced < unsynced_max ? unsynced_max - unsynced : 0;
    if (room > WRITE_BYTES_MAX) {
        room = WRITE_BYTES_MAX;
    }
    struct selection selection = {0};
    const uint64_t segment_bytes = partition_segment_bytes(self);
    uint64_t end = segment->bytes;
    for (const struct append *append = self->queue_first; append; append = append->next) {
        if (append->atomic) {
            break;
        }
        const bool first_of_segment = end == 0;
        const bool too_many = selection.count == WRITE_BATCHES_MAX;
        /* One batch larger than all room goes out alone. */
        const bool too_much =
            append->bytes > room - selection.bytes && (selection.count > 0 || unsynced > 0);
        const bool full = end >= segment_bytes || append->bytes > segment_bytes - end;
        if (too_many || too_much || (full && !first_of_segment)) {
            break;
        }
        selection.count++;
        selection.bytes += append->bytes;
        end += append->bytes;
        if (is_copied(append)) {
            selection.scratch_bytes += (size_t)append->bytes;
            selection.iov_count++;
        } else {
            selection.scratch_bytes += BATCH_HEADER_BYTES;
            selection.iov_count += 3;
        }
        if (selection.bytes >= room) {
            break;
        }
    }
    return selection;
}

/* How many zeros follow the batches, so that later syncs need not move the file's end. */
static uint64_t fill_behind(struct segment *segment, uint64_t bytes)
{
    const uint64_t end = segment->bytes + bytes;
    if (bytes >= FILL_WRITE_MAX || end <= segment->file_bytes || segment->fill_bytes == 0) {
        return 0;
    }
    uint64_t fill_end = (end + segment->fill_bytes + FILL_ALIGN - 1) / FILL_ALIGN * FILL_ALIGN;
    const struct log_store_options *options = &segment->part->store->options;
    const uint64_t segment_bytes = partition_segment_bytes(segment->part);
    if (fill_end > segment_bytes) {
        fill_end = segment_bytes;
    }
    const uint64_t doubled = (uint64_t)segment->fill_bytes * 2;
    segment->fill_bytes = doubled < options->fill_bytes ? (uint32_t)doubled : options->fill_bytes;
    return fill_end > end ? fill_end - end : 0;
}

/* --- The pool ------------------------------------------------------------------------ */

static size_t memory_of(const struct partition_write *write)
{
    return sizeof *write + write->scratch_capacity + write->iov_capacity * sizeof *write->iov;
}

static void write_free(struct partition_write *write)
{
    free(write->scratch);
    free(write->iov);
    free(write);
}

/* NULL = out of memory. */
static struct partition_write *write_new(struct log_store *store)
{
    struct partition_write *write = store->write_pool;
    if (!write) {
        return calloc(1, sizeof *write);
    }
    store->write_pool = write->next;
    store->write_pool_bytes -= memory_of(write);
    return write;
}

/* Many at once are given back, so that a peak does not stay. */
static void write_release(struct log_store *store, struct partition_write *write)
{
    if (memory_of(write) > POOL_BYTES_MAX - store->write_pool_bytes) {
        write_free(write);
        return;
    }
    write->segment = NULL;
    write->first = NULL;
    write->next = store->write_pool;
    store->write_pool = write;
    store->write_pool_bytes += memory_of(write);
}

void partition_writes_fini(struct log_store *store)
{
    while (store->write_pool) {
        struct partition_write *write = store->write_pool;
        store->write_pool = write->next;
        write_free(write);
    }
    store->write_pool_bytes = 0;
}

/* --- Laying out ----------------------------------------------------------------------- */

static int reserve(struct partition_write *write, size_t scratch_bytes, size_t iov_count)
{
    if (scratch_bytes > write->scratch_capacity) {
        uint8_t *scratch = realloc(write->scratch, scratch_bytes * 2);
        if (!scratch) {
            return ZSP_ENOMEM;
        }
        write->scratch = scratch;
        write->scratch_capacity = scratch_bytes * 2;
    }
    if (iov_count > write->iov_capacity) {
        struct iovec *iov = realloc(write->iov, iov_count * 2 * sizeof *iov);
        if (!iov) {
            return ZSP_ENOMEM;
        }
        write->iov = iov;
        write->iov_capacity = iov_count * 2;
    }
    return 0;
}

/* Add bytes to the vector; bytes that follow the last ones in memory extend them. */
static void iov_add(struct partition_write *write, int *count, const void *data, size_t len)
{
    if (len == 0) {
        return;
    }
    if (*count > 0) {
        struct iovec *last = &write->iov[*count - 1];
        if ((const uint8_t *)last->iov_base + last->iov_len == (const uint8_t *)data &&
            data != (const void *)zeros) {
            last->iov_len += len;
            return;
        }
    }
    /* pwritev does not change what it writes; iovec has no const. */
    write->iov[(*count)++] = (struct iovec){(void *)(uintptr_t)data, len};
}

static void encode_header(const struct store_part *self, const struct append *append, uint64_t pos,
                          uint8_t *scratch)
{
    const struct batch_header header = {.batch = append->batch,
                                        .synced_to = self->mark.offset,
                                        .epoch = self->store->epoch,
                                        .body_sum = zsp_hash(append->batch.body)};
    const struct batch_place place = segment_place(self->write->segment, pos);
    batch_encode(scratch, &header, &place);
}

static void copy_body(const struct append *append, uint8_t *scratch)
{
    const struct zsp_slice body = append->batch.body;
    memcpy(scratch + BATCH_HEADER_BYTES, body.data, body.len);
    memset(scratch + BATCH_HEADER_BYTES + body.len, 0,
           (size_t)append->bytes - BATCH_HEADER_BYTES - body.len);
}

/* Lay one batch out: header and a small body into scratch, a large one by reference. */
static uint8_t *lay_out(struct store_part *self, struct append *append, uint64_t pos,
                        uint8_t *scratch, int *iov_count)
{
    const struct zsp_slice body = append->batch.body;
    encode_header(self, append, pos, scratch);
    const size_t padding = (size_t)append->bytes - BATCH_HEADER_BYTES - body.len;
    if (is_copied(append)) {
        copy_body(append, scratch);
        iov_add(self->write, iov_count, scratch, (size_t)append->bytes);
        return scratch + append->bytes;
    }
    iov_add(self->write, iov_count, scratch, BATCH_HEADER_BYTES);
    iov_add(self->write, iov_count, body.data, body.len);
    iov_add(self->write, iov_count, zeros, padding);
    return scratch + BATCH_HEADER_BYTES;
}

static void write_done(struct log_store *store, struct io *io);

/* Begin a write of the front of the queue. NULL = out of memory, the store has failed. */
static struct partition_write *begin_write(struct store_part *self, struct segment *segment,
                                           const struct selection *selection, size_t iov_count)
{
    struct log_store *store = self->store;
    struct partition_write *write = write_new(store);
    if (!write || reserve(write, selection->scratch_bytes, iov_count) < 0) {
        if (write) {
            write_release(store, write);
        }
        store_fail_memory(store, "a write");
        return NULL;
    }
    zsp_assert(write->scratch); /* for one batch at least */
    self->write = write;
    write->part = self;
    write->segment = segment;
    segment_pin(store, segment);
    write->first = self->queue_first;
    write->batch_bytes = selection->bytes;
    write->epoch = store->epoch;
    store->stats.unsynced_bytes += write->batch_bytes;
    self->busy++;
    return write;
}

/* The batches up to `last` are on their way. */
static void leave_queue(struct store_part *self, struct append *last)
{
    zsp_assert(last); /* a selection holds one batch at least */
    self->queue_first = last->next;
    self->queue_last = last->next ? self->queue_last : NULL;
    last->next = NULL;
}

static void submit_write(struct store_part *self, struct segment *segment,
                         const struct selection *selection)
{
    struct log_store *store = self->store;
    uint64_t fill = fill_behind(segment, selection->bytes);
    const size_t fill_iovs = (size_t)(fill / sizeof zeros) + 1;
    struct partition_write *write =
        begin_write(self, segment, selection, selection->iov_count + fill_iovs);
    if (!write) {
        return;
    }
    zsp_assert(write->iov);
    uint8_t *scratch = write->scratch;
    uint64_t pos = segment->bytes;
    uint64_t offset = self->end_offset;
    int iov_count = 0;
    struct append *append = self->queue_first;
    struct append *last = NULL;
    for (size_t i = 0; i < selection->count; i++) {
        append->batch.first_offset = offset;
        scratch = lay_out(self, append, pos, scratch, &iov_count);
        pos += append->bytes;
        offset += append->batch.record_count;
        store->stats.waiting_bytes -= append->bytes;
        last = append;
        append = append->next;
    }
    leave_queue(self, last);
    write->io.job = (struct job){.kind = JOB_WRITE,
                                 .owner = self,
                                 .file = segment->file,
                                 .pos = segment->bytes,
                                 .len = (size_t)(selection->bytes + fill)};
    for (; fill > 0; fill -= fill < sizeof zeros ? fill : sizeof zeros) {
        iov_add(write, &iov_count, zeros, fill < sizeof zeros ? (size_t)fill : sizeof zeros);
    }
    write->io.job.iov = write->iov;
    write->io.job.iov_count = iov_count;
    write->io.done_fn = write_done;
    const uint64_t end = write->io.job.pos + write->io.job.len;
    space_spend(store, end > segment->file_bytes ? end - segment->file_bytes : 0);
    store->writes_live++;
    store_submit(store, &write->io);
}

/* --- Through the journal ------------------------------------------------------------------ */

/* Many files would have to be synced, or this one has something put off already, so that its end is not
 * where the next bytes would go. Nothing of the partition may be in the segment and not synced. */
static bool goes_through_journal(const struct store_part *self, const struct selection *selection)
{
    const struct log_store *store = self->store;
    return (store->many_write || self->deferred) && !self->has_ids && !self->unsynced &&
           self->mark.offset == self->end_offset && selection->bytes <= COMMIT_PLACE_BYTES &&
           commit_may_place(store);
}

static void place_write(struct store_part *self, struct segment *segment,
                        const struct selection *selection)
{
    struct selection whole = *selection;
    whole.scratch_bytes = JOURNAL_REDO_BYTES + (size_t)selection->bytes;
    struct partition_write *write = begin_write(self, segment, &whole, 0);
    if (!write) {
        return;
    }
    uint8_t *p = write->scratch + JOURNAL_REDO_BYTES;
    struct mark end = partition_written(self);
    struct append *append = self->queue_first;
    struct append *last = NULL;
    for (size_t i = 0; i < selection->count; i++) {
        const int64_t timestamp_ms = append->batch.timestamp_ms;
        append->batch.first_offset = end.offset;
        encode_header(self, append, end.pos, p);
        copy_body(append, p);
        p += append->bytes;
        end.pos += append->bytes;
        end.offset += append->batch.record_count;
        end.max_timestamp_ms =
            timestamp_ms > end.max_timestamp_ms ? timestamp_ms : end.max_timestamp_ms;
        self->store->stats.waiting_bytes -= append->bytes;
        last = append;
        append = append->next;
    }
    end.epoch = write->epoch;
    write->end = end;
    leave_queue(self, last);
    commit_place(self->store, write);
}

void partition_open_failed(struct store_part *self, const struct zsp_err *err)
{
    if (err->code == ZSP_ENOT_FOUND) { /* a file of ours is gone: damage, not a missing topic */
        struct zsp_err damage = *err;
        damage.code = ZSP_ECORRUPT;
        partition_fail_queue(self, &damage);
        return;
    }
    partition_fail_queue(self, err);
}

bool partition_write(struct store_part *self)
{
    struct log_store *store = self->store;
    if (self->state != PART_OPEN || self->write || store->failed) {
        return true;
    }
    if (roll_busy(self)) {
        return roll_continue(self);
    }
    if (!self->queue_first) {
        if (self->retain_next) {
            retain_again(store, self);
        }
        return true;
    }
    if (self->queue_first->atomic) {
        return atomic_at_head(self->queue_first->atomic);
    }
    if (self->placed_last) {
        return true;
    }
    if (self->refuses) {
        struct zsp_err err = {0};
        (void)zsp_err_set(&err, ZSP_ECORRUPT, "the partition is damaged, takes no messages");
        partition_fail_queue(self, &err);
        return true;
    }
    struct segment *segment = partition_active(self);
    struct zsp_err err = {0};
    const int ready = segment_ready(store, segment, false, &err);
    if (ready < 0) {
        partition_open_failed(self, &err);
    }
    if (ready <= 0) {
        return ready < 0 || segment->loading;
    }
    const uint64_t bytes = self->queue_first->bytes;
    const uint64_t segment_bytes = partition_segment_bytes(self);
    if (segment->bytes > 0 && (segment->bytes >= segment_bytes ||
                               bytes > segment_bytes - segment->bytes || part_ids_full(segment))) {
        return roll_start(self);
    }
    const struct selection selection = select_batches(self, segment);
    if (selection.count == 0) {
        return true;
    }
    const struct redo_amount redo = {1, JOURNAL_REDO_BYTES + selection.bytes};
    if (goes_through_journal(self, &selection) && redo_reserve(store, redo)) {
        place_write(self, segment, &selection);
    } else if (!deferred_flush(self)) {
        submit_write(self, segment, &selection);
    }
    return true;
}

/* --- Written ------------------------------------------------------------------------- */

void partition_take(struct store_part *self, struct segment *segment,
                    const struct store_batch *batch, uint64_t epoch)
{
    struct log_store *store = self->store;
    const uint64_t bytes = batch_bytes(batch->body.len);
    if (self->has_ids) {
        part_ids_take(self, segment, batch);
    }
    if (terms_any(batch)) {
        part_terms_take(self, segment, batch);
    }
    index_note(&segment->index,
               &(struct index_entry){batch->first_offset, segment->bytes, self->max_timestamp_ms});
    if (segment->bytes == 0) {
        segment->index.complete = true;
        segment->knows_terms = true;
    }
    segment->bytes += bytes;
    segment->end_offset += batch->record_count;
    self->end_offset = segment->end_offset;
    if (batch->timestamp_ms > self->max_timestamp_ms) {
        self->max_timestamp_ms = batch->timestamp_ms;
    }
    segment->max_timestamp_ms = self->max_timestamp_ms;
    segment->epoch = epoch;
    self->epoch = epoch;
    store->stats.appended_batches++;
    store->stats.appended_bytes += bytes;
    tail_add(&store->tail, &self->tail, batch);
}

/* The batch is part of the segment now. */
static void append_written(struct store_part *self, struct append *append)
{
    struct log_store *store = self->store;
    const struct store_batch *batch = &append->batch;
    partition_take(self, self->write->segment, batch, self->write->epoch);
    const struct completion completion = {.kind = STORE_APPENDED,
                                          .tag = append->tag,
                                          .owner = self->owner,
                                          .offset = batch->first_offset};
    store_complete(store, &completion, NULL);
    zsp_buf_put(&append->batch.frame);
    append_release(store, append);
}

/* Batches that were not wholly written, and all behind them, fail; what of them
 * reached the disk is stale from now on. */
static void roll_back(struct store_part *self, struct append *append, const struct zsp_err *why)
{
    struct log_store *store = self->store;
    struct zsp_err err = *why;
    if (store->failed) {
        err = store->failure;
    } else if (self->state == PART_DROPPED) {
        (void)zsp_err_set(&err, ZSP_ENOT_FOUND, "the topic was deleted");
    }
    err.maybe = true;
    (void)zsp_err_wrap(&err, "topic %" PRIu64 " partition %" PRIu32, self->topic_id, self->number);
    store->epoch++;
    zsp_assert((uint32_t)store->epoch != 0); /* 4 billion rollbacks of one start */
    while (append) {
        struct append *next = append->next;
        append_fail(self, append, &err);
        append = next;
    }
    partition_fail_queue(self, &err);
}

void partition_recorded(struct partition_write *write)
{
    struct store_part *self = write->part;
    struct append *append = write->first;
    if (self->state != PART_OPEN || self->store->failed) {
        return; /* its end tells them */
    }
    write->first = NULL;
    while (append) {
        struct append *next = append->next;
        append_written(self, append);
        append = next;
    }
}

void partition_record_synced(struct partition_write *write, uint64_t record)
{
    struct store_part *self = write->part;
    struct log_store *store = self->store;
    struct segment *segment = write->segment;
    const bool is_kept = !store->failed && self->state == PART_OPEN && !write->first;
    if (is_kept) {
        redo_owe(store, segment, record);
        deferred_add(self, write->scratch + JOURNAL_REDO_BYTES, (size_t)write->batch_bytes, record);
        partition_synced(self, &write->end);
    } else {
        store->stats.unsynced_bytes -= write->batch_bytes;
        roll_back(self, write->first, &(struct zsp_err){0});
    }
    self->write = NULL;
    write_release(store, write);
    self->busy--;
    segment_unpin(store, segment);
    roll_ahead(self);
    partition_wake(self);
}

static void write_done(struct log_store *store, struct io *io)
{
    struct store_part *self = io->job.owner;
    struct partition_write *write = self->write;
    struct segment *segment = write->segment;
    const uint64_t written_end = segment->bytes + io->job.done;
    if (written_end > segment->file_bytes) {
        segment->file_bytes = written_end;
    }
    if (io->job.done < io->job.len) {
        segment->fill_bytes = 0; /* no room: zeros ahead would only take more of it */
    }
    store->stats.unsynced_bytes -= write->batch_bytes;
    const bool usable = !store->failed && self->state == PART_OPEN;
    struct append *append = write->first;
    while (usable && append && append->bytes <= written_end - segment->bytes) {
        struct append *next = append->next;
        store->stats.unsynced_bytes += append->bytes;
        append_written(self, append);
        append = next;
    }
    if (append) {
        if (io->job.error.code == ZSP_ENO_SPACE) {
            space_exhausted(store);
        }
        roll_back(self, append, &io->job.error);
    }
    self->write = NULL;
    write_release(store, write);
    self->busy--;
    store->writes_live--;
    if (self->end_offset > self->mark.offset) {
        commit_add(store, self);
    }
    segment_unpin(store, segment);
    roll_ahead(self);
    partition_wake(self);
}
