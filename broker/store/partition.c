/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/partition.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "common/assert.h"
#include "common/hash.h"

#define WRITE_BATCHES_MAX 4096u           /* batches of one write */
#define WRITE_BYTES_MAX   (16u * ZSP_MIB) /* bytes of one write, the first batch aside */
#define COPY_BYTES_MAX    (2u * ZSP_KIB)  /* a smaller body is copied behind its header */
#define FILL_WRITE_MAX    (64u * ZSP_KIB) /* a write of this size or more fills nothing */
#define FILL_ALIGN        4096u           /* filled space ends on a page */

static const uint8_t zeros[64 * 1024];

/* --- Life -------------------------------------------------------------------------- */

struct store_part *partition_new(struct log_store *store, uint64_t topic_id, uint32_t number,
                                 const char *path, void *owner)
{
    struct store_part *self = calloc(1, sizeof *self);
    char *copy = malloc(strlen(path) + 1);
    if (!self || !copy) {
        free(self);
        free(copy);
        return NULL;
    }
    memcpy(copy, path, strlen(path) + 1);
    self->store = store;
    self->state = PART_CREATING;
    self->topic_id = topic_id;
    self->number = number;
    self->path = copy;
    self->owner = owner;
    self->max_timestamp_ms = INT64_MIN;
    self->mark.max_timestamp_ms = INT64_MIN;
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
    tail_drop(&store->tail, &self->tail);
    if (self->roll.next) {
        segment_retire(store, self->roll.next);
    }
    for (size_t i = 0; i < self->segment_count; i++) {
        segment_retire(store, self->segments[i]);
    }
    free(self->segments);
    free(self->write.scratch);
    free(self->write.iov);
    free(self->damages);
    free(self->path);
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
        const size_t capacity = self->segment_capacity ? self->segment_capacity * 2 : 4;
        struct segment **segments = calloc(capacity, sizeof(struct segment *));
        if (!segments) {
            return ZSP_ENOMEM;
        }
        for (size_t i = 0; i < self->segment_count; i++) {
            segments[i] = self->segments[i];
        }
        free(self->segments);
        self->segments = segments;
        self->segment_capacity = capacity;
    }
    self->segments[self->segment_count++] = segment;
    return 0;
}

struct segment *partition_active(const struct store_part *self)
{
    return self->segment_count > 0 ? self->segments[self->segment_count - 1] : NULL;
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
    partition_wake(self);
}

void partition_drop(struct store_part *self)
{
    zsp_assert(self->state != PART_DROPPED);
    self->state = PART_DROPPED;
    struct zsp_err err = {0};
    (void)zsp_err_set(&err, ZSP_ENOT_FOUND, "the topic was deleted");
    partition_fail_queue(self, &err);
    tail_drop(&self->store->tail, &self->tail);
}

bool partition_idle(const struct store_part *self)
{
    return self->busy == 0 && self->reads == 0 && !self->dirty && !self->unsynced &&
           !self->write.segment && !self->trimming;
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
static void append_free(struct log_store *store, struct append *append)
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
    append->next = NULL;
    append->batch = *batch;
    (void)zsp_buf_get(append->batch.frame);
    append->tag = tag;
    append->bytes = batch_bytes(batch->body.len);
    if (self->queue_last) {
        self->queue_last->next = append;
    } else {
        self->queue_first = append;
    }
    self->queue_last = append;
    store->stats.waiting_bytes += append->bytes;
    partition_wake(self);
    return 0;
}

static void append_failed(struct store_part *self, struct append *append, const struct zsp_err *err)
{
    const struct completion completion = {
        .kind = STORE_APPENDED, .tag = append->tag, .owner = self->owner};
    store_complete(self->store, &completion, err);
    zsp_buf_put(&append->batch.frame);
    append_free(self->store, append);
}

void partition_fail_queue(struct store_part *self, const struct zsp_err *err)
{
    struct append *append = self->queue_first;
    self->queue_first = NULL;
    self->queue_last = NULL;
    while (append) {
        struct append *next = append->next;
        self->store->stats.waiting_bytes -= append->bytes;
        append_failed(self, append, err);
        append = next;
    }
}

/* --- Writing ------------------------------------------------------------------------ */

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
    uint64_t end = segment->bytes;
    for (const struct append *append = self->queue_first; append; append = append->next) {
        const bool first_of_segment = end == 0;
        const bool too_many = selection.count == WRITE_BATCHES_MAX;
        /* One batch larger than all room goes out alone. */
        const bool too_much =
            append->bytes > room - selection.bytes && (selection.count > 0 || unsynced > 0);
        const bool full = end >= store->options.segment_bytes ||
                          append->bytes > store->options.segment_bytes - end;
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
    if (fill_end > options->segment_bytes) {
        fill_end = options->segment_bytes;
    }
    const uint64_t doubled = segment->fill_bytes * 2;
    segment->fill_bytes = doubled < options->fill_bytes ? doubled : options->fill_bytes;
    return fill_end > end ? fill_end - end : 0;
}

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

/* Lay one batch out: header and a small body into scratch, a large one by reference. */
static uint8_t *lay_out(struct store_part *self, struct append *append, uint64_t pos,
                        uint8_t *scratch, int *iov_count)
{
    struct log_store *store = self->store;
    const struct zsp_slice body = append->batch.body;
    const struct batch_header header = {.batch = append->batch,
                                        .synced_to = self->mark.offset,
                                        .epoch = store->epoch,
                                        .body_sum = zsp_hash(body)};
    const struct batch_place place = segment_place(self->write.segment, pos);
    batch_encode(scratch, &header, &place);
    const size_t padding = (size_t)append->bytes - BATCH_HEADER_BYTES - body.len;
    if (is_copied(append)) {
        memcpy(scratch + BATCH_HEADER_BYTES, body.data, body.len);
        memset(scratch + BATCH_HEADER_BYTES + body.len, 0, padding);
        iov_add(&self->write, iov_count, scratch, (size_t)append->bytes);
        return scratch + append->bytes;
    }
    iov_add(&self->write, iov_count, scratch, BATCH_HEADER_BYTES);
    iov_add(&self->write, iov_count, body.data, body.len);
    iov_add(&self->write, iov_count, zeros, padding);
    return scratch + BATCH_HEADER_BYTES;
}

static void write_done(struct log_store *store, struct io *io);

static void submit_write(struct store_part *self, struct segment *segment,
                         const struct selection *selection)
{
    struct log_store *store = self->store;
    struct partition_write *write = &self->write;
    uint64_t fill = fill_behind(segment, selection->bytes);
    const size_t fill_iovs = (size_t)(fill / sizeof zeros) + 1;
    if (reserve(write, selection->scratch_bytes, selection->iov_count + fill_iovs) < 0) {
        store_fail_memory(store, "a write");
        return;
    }
    write->segment = segment;
    segment_pin(store, segment);
    write->first = self->queue_first;
    write->batch_bytes = selection->bytes;
    write->epoch = store->epoch;
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
    last->next = NULL;
    self->queue_first = append;
    self->queue_last = append ? self->queue_last : NULL;
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
    store->stats.unsynced_bytes += write->batch_bytes;
    self->busy++;
    store->writes_live++;
    store_submit(store, &write->io);
}

/* The queue waits for a segment: its file could not be opened. */
static void open_failed(struct store_part *self, const struct zsp_err *err)
{
    if (err->code == ZSP_ENOT_FOUND) { /* a file of ours is gone: damage, not a missing topic */
        struct zsp_err damage = *err;
        damage.code = ZSP_ECORRUPT;
        partition_fail_queue(self, &damage);
        return;
    }
    partition_fail_queue(self, err);
}

void partition_write(struct store_part *self)
{
    struct log_store *store = self->store;
    if (self->state != PART_OPEN || self->write.segment || store->failed) {
        return;
    }
    if (roll_busy(self)) {
        roll_continue(self);
        return;
    }
    if (!self->queue_first) {
        return;
    }
    if (self->refuses) {
        struct zsp_err err = {0};
        (void)zsp_err_set(&err, ZSP_ECORRUPT, "the partition is damaged, takes no messages");
        partition_fail_queue(self, &err);
        return;
    }
    struct segment *segment = partition_active(self);
    struct zsp_err err = {0};
    const int ready = segment_ready(store, segment, false, &err);
    if (ready < 0) {
        open_failed(self, &err);
    }
    if (ready <= 0) {
        return;
    }
    const uint64_t bytes = self->queue_first->bytes;
    const uint64_t segment_bytes = store->options.segment_bytes;
    if (segment->bytes > 0 &&
        (segment->bytes >= segment_bytes || bytes > segment_bytes - segment->bytes)) {
        roll_start(self);
        return;
    }
    const struct selection selection = select_batches(self, segment);
    if (selection.count > 0) {
        submit_write(self, segment, &selection);
    }
}

/* --- Written ------------------------------------------------------------------------- */

/* The batch is part of the segment now. */
static void append_written(struct store_part *self, struct append *append)
{
    struct log_store *store = self->store;
    struct segment *segment = self->write.segment;
    const struct store_batch *batch = &append->batch;
    index_note(&segment->index,
               &(struct index_entry){batch->first_offset, segment->bytes, self->max_timestamp_ms});
    if (segment->bytes == 0) {
        segment->index.complete = true;
    }
    segment->bytes += append->bytes;
    segment->end_offset += batch->record_count;
    self->end_offset = segment->end_offset;
    if (batch->timestamp_ms > self->max_timestamp_ms) {
        self->max_timestamp_ms = batch->timestamp_ms;
    }
    segment->max_timestamp_ms = self->max_timestamp_ms;
    segment->epoch = self->write.epoch;
    self->epoch = self->write.epoch;
    store->stats.appended_batches++;
    store->stats.appended_bytes += append->bytes;
    tail_add(&store->tail, &self->tail, batch);
    const struct completion completion = {.kind = STORE_APPENDED,
                                          .tag = append->tag,
                                          .owner = self->owner,
                                          .offset = batch->first_offset};
    store_complete(store, &completion, NULL);
    zsp_buf_put(&append->batch.frame);
    append_free(store, append);
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
        append_failed(self, append, &err);
        append = next;
    }
    partition_fail_queue(self, &err);
}

static void write_done(struct log_store *store, struct io *io)
{
    struct store_part *self = io->job.owner;
    struct partition_write *write = &self->write;
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
        roll_back(self, append, &io->job.error);
    }
    write->segment = NULL;
    write->first = NULL;
    self->busy--;
    store->writes_live--;
    if (self->end_offset > self->mark.offset) {
        commit_add(store, self);
    }
    segment_unpin(store, segment);
    roll_ahead(self);
    partition_wake(self);
}

/* --- Marks and damage ------------------------------------------------------------------ */

struct mark partition_written(const struct store_part *self)
{
    const struct segment *active = partition_active(self);
    return (struct mark){active->number, active->bytes, self->end_offset, self->max_timestamp_ms,
                         self->epoch};
}

void partition_synced(struct store_part *self, const struct mark *mark)
{
    struct log_store *store = self->store;
    zsp_assert(mark->segment == partition_active(self)->number);
    const uint64_t before = self->mark.segment == mark->segment ? self->mark.pos : 0;
    zsp_assert(mark->pos - before <= store->stats.unsynced_bytes);
    store->stats.unsynced_bytes -= mark->pos - before;
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
