/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/read.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/partition.h"
#include "common/assert.h"

#define READ_BYTES_MIN (64u * ZSP_KIB) /* a job reads at least this, if there is so much */

enum read_kind { READ_RANGE, READ_TIME };

struct read_request {
    struct io io;
    struct read_request *next;
    enum read_kind kind;
    struct store_part *part;
    struct store_read want; /* RANGE; TIME uses the tag */
    int64_t time_ms;        /* TIME */
    bool has_place;         /* `segment` and `pos` are where to go on */
    uint64_t segment_number;
    uint64_t pos;
    uint64_t offset;         /* of the batch at `pos` */
    size_t least_bytes;      /* the job must bring so much */
    struct segment *segment; /* READING: pinned */
    struct zsp_buf *buf;
};

/* Batches found in a buffer. */
struct found {
    struct store_batch *batches;
    uint32_t count;
    uint32_t capacity;
    uint64_t bytes;
    uint64_t end_offset; /* after the last one */
};

/* --- Requests ------------------------------------------------------------------------- */

static void enqueue(struct reads *self, struct read_request *request)
{
    request->next = NULL;
    if (self->last) {
        self->last->next = request;
    } else {
        self->first = request;
    }
    self->last = request;
    self->woken = true;
}

static struct read_request *request_new(struct log_store *store, struct store_part *part,
                                        struct zsp_err *err)
{
    struct read_request *request = calloc(1, sizeof *request);
    if (!request) {
        (void)zsp_err_set(err, ZSP_ENOMEM, "a read");
        return NULL;
    }
    request->part = part;
    part->reads++;
    store->reads.count++;
    store->stats.read_requests++;
    return request;
}

int reads_add(struct log_store *store, const struct store_read *read, struct zsp_err *err)
{
    struct read_request *request = request_new(store, read->part, err);
    if (!request) {
        return ZSP_ENOMEM;
    }
    request->kind = READ_RANGE;
    request->want = *read;
    enqueue(&store->reads, request);
    return 0;
}

int reads_add_time(struct log_store *store, struct store_part *part, int64_t time_ms, uint64_t tag,
                   struct zsp_err *err)
{
    struct read_request *request = request_new(store, part, err);
    if (!request) {
        return ZSP_ENOMEM;
    }
    request->kind = READ_TIME;
    request->time_ms = time_ms;
    request->want.tag = tag;
    enqueue(&store->reads, request);
    return 0;
}

void reads_wake(struct log_store *store)
{
    store->reads.woken = true;
}

/* Answer and free. Takes the batches of `completion`. */
static void read_answer(struct log_store *store, struct read_request *request,
                        struct completion *completion, const struct zsp_err *err)
{
    struct store_part *part = request->part;
    completion->kind = request->kind == READ_RANGE ? STORE_READ : STORE_FOUND;
    completion->tag = request->want.tag;
    completion->owner = part->owner;
    store_complete(store, completion, err);
    part->reads--;
    store->reads.count--;
    free(request);
}

static void read_error(struct log_store *store, struct read_request *request,
                       const struct zsp_err *err)
{
    struct completion completion = {0};
    read_answer(store, request, &completion, err);
}

/* --- Answers without the disk ------------------------------------------------------------ */

static void answer_tail(struct log_store *store, struct read_request *request, size_t index,
                        size_t count)
{
    const struct store_part *part = request->part;
    struct completion completion = {.batches = calloc(count, sizeof(struct store_batch))};
    if (!completion.batches) {
        struct zsp_err err = {0};
        (void)zsp_err_set(&err, ZSP_ENOMEM, "a read of %zu batches", count);
        read_error(store, request, &err);
        return;
    }
    uint64_t end = request->want.from_offset;
    for (size_t i = 0; i < count; i++) {
        completion.batches[i] = *tail_get(&part->tail, index + i);
        (void)zsp_buf_get(completion.batches[i].frame);
        end = completion.batches[i].first_offset + completion.batches[i].record_count;
    }
    completion.batch_count = (uint32_t)count;
    completion.covered = (struct store_range){
        request->want.from_offset, end < request->want.to_offset ? end : request->want.to_offset};
    store->stats.tail_reads++;
    read_answer(store, request, &completion, NULL);
}

static void answer_damage(struct log_store *store, struct read_request *request,
                          const struct damage *damage)
{
    struct zsp_err err = {0};
    char name[64];
    partition_describe(request->part, name);
    (void)zsp_err_set(&err, ZSP_ECORRUPT, "%s: offsets %" PRIu64 " to %" PRIu64 " are damaged",
                      name, damage->range.first_offset, damage->range.end_offset);
    struct completion completion = {.covered = damage->range};
    read_answer(store, request, &completion, &err);
}

/* A range that needs no disk: out of range, empty, damaged, in the tail. True = answered;
 * else the wish is cut at what can be read. */
static bool answer_now(struct log_store *store, struct read_request *request)
{
    const struct store_part *part = request->part;
    struct store_read *want = &request->want;
    if (want->from_offset < part->start_offset || want->from_offset > part->mark.offset) {
        struct zsp_err err = {0};
        (void)zsp_err_set(&err, ZSP_EOUT_OF_RANGE,
                          "offset %" PRIu64 " is not in %" PRIu64 " to %" PRIu64, want->from_offset,
                          part->start_offset, part->mark.offset);
        read_error(store, request, &err);
        return true;
    }
    if (want->to_offset > part->mark.offset) {
        want->to_offset = part->mark.offset;
    }
    const struct damage *damage = partition_damage(part, want->from_offset);
    if (damage && damage->range.first_offset <= want->from_offset) {
        answer_damage(store, request, damage);
        return true;
    }
    if (damage && damage->range.first_offset < want->to_offset) {
        want->to_offset = damage->range.first_offset;
    }
    if (want->to_offset <= want->from_offset) {
        struct completion completion = {.covered = {want->from_offset, want->from_offset}};
        read_answer(store, request, &completion, NULL);
        return true;
    }
    size_t index;
    const struct store_range range = {want->from_offset, want->to_offset};
    const size_t count = tail_find(&part->tail, &range, want->max_bytes, &index);
    if (count == 0) {
        return false;
    }
    answer_tail(store, request, index, count);
    return true;
}

/* --- Finding the place ----------------------------------------------------------------------- */

static struct segment *segment_by_number(const struct store_part *part, uint64_t number)
{
    for (size_t i = part->segment_count; i > 0; i--) {
        if (part->segments[i - 1]->number == number) {
            return part->segments[i - 1];
        }
    }
    return NULL;
}

/* The segment a request goes on in; NULL = it ends here. */
static struct segment *find_segment(const struct read_request *request)
{
    const struct store_part *part = request->part;
    if (request->has_place) {
        struct segment *segment = segment_by_number(part, request->segment_number);
        if (segment) {
            return segment;
        }
    }
    if (request->kind == READ_RANGE) {
        return partition_segment(part, request->want.from_offset);
    }
    for (size_t i = 0; i < part->segment_count; i++) {
        struct segment *segment = part->segments[i];
        if (segment->end_offset > segment->base_offset &&
            segment->max_timestamp_ms >= request->time_ms) {
            return segment;
        }
    }
    return NULL;
}

/* Does the walk begin where the index in memory reaches? */
static bool needs_index(const struct read_request *request, const struct segment *segment)
{
    if (request->has_place || segment->index.complete) {
        return false;
    }
    return request->kind == READ_TIME ||
           !index_find_offset(&segment->index, request->want.from_offset);
}

/* Where in the segment the walk begins: request->pos and ->offset. */
static void find_pos(struct read_request *request, const struct segment *segment)
{
    if (request->has_place) {
        return;
    }
    const struct index_entry *entry =
        request->kind == READ_RANGE ? index_find_offset(&segment->index, request->want.from_offset)
                                    : index_find_time(&segment->index, request->time_ms);
    request->segment_number = segment->number;
    request->pos = entry ? entry->pos : 0;
    request->offset = entry ? entry->offset : segment->base_offset;
    const struct store_part *part = request->part;
    for (size_t i = 0; i < part->damage_count && request->kind == READ_RANGE; i++) {
        const struct damage *damage = &part->damages[i];
        if (damage->range.end_offset <= request->want.from_offset &&
            damage->resume_segment == segment->number && damage->resume_pos > request->pos) {
            request->pos = damage->resume_pos;
            request->offset = damage->range.end_offset;
        }
    }
}

/* Where the readable batches of a segment end. */
static uint64_t readable_bytes(const struct store_part *part, const struct segment *segment)
{
    return segment->number == part->mark.segment && segment->state == SEGMENT_ACTIVE
               ? part->mark.pos
               : segment->bytes;
}

static void read_done(struct log_store *store, struct io *io);

static int read_start(struct log_store *store, struct read_request *request,
                      struct segment *segment)
{
    const uint64_t pos = request->pos;
    const uint64_t end = readable_bytes(request->part, segment);
    if (pos >= end) {
        return ZSP_ECORRUPT; /* the wanted offset should be here, and is not */
    }
    uint64_t len = request->least_bytes;
    if (request->kind == READ_RANGE && !request->has_place) {
        len = (uint64_t)request->want.max_bytes + INDEX_STEP + BATCH_HEADER_BYTES;
    }
    if (len < READ_BYTES_MIN) {
        len = READ_BYTES_MIN;
    }
    if (len > ZSP_REPLY_MAX + READ_BYTES_MIN) {
        len = ZSP_REPLY_MAX + READ_BYTES_MIN;
    }
    if (len > end - pos) {
        len = end - pos;
    }
    request->buf = zsp_buf_new((size_t)len);
    if (!request->buf) {
        return ZSP_ENOMEM;
    }
    request->segment = segment;
    segment_pin(store, segment);
    request->io.job = (struct job){.kind = JOB_READ,
                                   .owner = request,
                                   .file = segment->file,
                                   .pos = pos,
                                   .len = (size_t)len,
                                   .data = zsp_buf_bytes(request->buf)};
    request->io.done_fn = read_done;
    store->reads.out++;
    store->stats.cold_reads++;
    store_submit(store, &request->io);
    return 0;
}

/* The segment cannot be read at all. */
static void answer_unreadable(struct log_store *store, struct read_request *request,
                              const struct segment *segment, struct zsp_err *err)
{
    struct completion completion = {0};
    if (err->code == ZSP_ENOT_FOUND || err->code == ZSP_ECORRUPT) { /* gone, or too short */
        const struct damage damage = {.range = {segment->base_offset, segment->end_offset},
                                      .resume_segment = segment->number + 1};
        partition_add_damage(request->part, &damage);
        completion.covered = damage.range;
        err->code = ZSP_ECORRUPT;
    }
    read_answer(store, request, &completion, err);
}

/* Move a waiting request on. True = it waits no more. */
static bool read_step(struct log_store *store, struct read_request *request)
{
    struct store_part *part = request->part;
    struct zsp_err err = {0};
    if (part->state == PART_DROPPED) {
        (void)zsp_err_set(&err, ZSP_ENOT_FOUND, "the topic was deleted");
        read_error(store, request, &err);
        return true;
    }
    if (part->state == PART_CREATING) {
        return false;
    }
    if (request->kind == READ_RANGE && answer_now(store, request)) {
        return true;
    }
    struct segment *segment = find_segment(request);
    if (request->kind == READ_TIME && (!segment || segment->max_before_ms >= request->time_ms)) {
        /* Nothing is late enough, or all of the segment is. */
        struct completion completion = {.offset =
                                            segment ? segment->base_offset : part->mark.offset};
        read_answer(store, request, &completion, NULL);
        return true;
    }
    zsp_assert(segment); /* offsets below the mark lie in a segment or in a damage */
    if (store->reads.out == READS_MAX) {
        return false;
    }
    int rc = segment_ready(store, segment, needs_index(request, segment), &err);
    if (rc == 0) {
        return false;
    }
    if (rc == 1) {
        find_pos(request, segment);
        if (request->kind == READ_TIME && request->pos >= readable_bytes(part, segment)) {
            struct completion none = {.offset = part->mark.offset};
            read_answer(store, request, &none, NULL);
            return true;
        }
        rc = read_start(store, request, segment);
        if (rc == 0) {
            return true;
        }
        (void)zsp_err_set(&err, rc, "a read at offset %" PRIu64, request->want.from_offset);
    }
    answer_unreadable(store, request, segment, &err);
    return true;
}

void reads_step(struct log_store *store)
{
    struct reads *self = &store->reads;
    if (!self->woken) {
        return;
    }
    self->woken = false;
    struct read_request *request = self->first;
    self->first = NULL;
    self->last = NULL;
    struct read_request *waiting_first = NULL;
    struct read_request *waiting_last = NULL;
    while (request) {
        struct read_request *next = request->next;
        if (!read_step(store, request)) {
            request->next = NULL;
            if (waiting_last) {
                waiting_last->next = request;
            } else {
                waiting_first = request;
            }
            waiting_last = request;
        }
        request = next;
    }
    if (waiting_last) {
        waiting_last->next = self->first;
        self->first = waiting_first;
        self->last = self->last ? self->last : waiting_last;
    }
}

void reads_fail(struct log_store *store)
{
    struct read_request *request = store->reads.first;
    store->reads.first = NULL;
    store->reads.last = NULL;
    while (request) {
        struct read_request *next = request->next;
        read_error(store, request, &store->failure);
        request = next;
    }
}

/* --- What a job brought ------------------------------------------------------------------------- */

/* The walk over a buffer. */
struct walk {
    struct read_request *request;
    const uint8_t *data;
    size_t len;      /* bytes that were read */
    size_t at;       /* of the next header */
    uint64_t offset; /* of the batch at `at` */
    bool at_end;     /* nothing readable follows the buffer */
};

enum walk_found { WALK_BATCH, WALK_MORE, WALK_BAD };

/* The next batch of the buffer: header at walk->at, body checked if `body`.
 * WALK_MORE: it goes on behind the buffer; *ret_bytes is how much a batch takes, if known. */
static enum walk_found walk_next(const struct walk *walk, bool body, struct batch_header *ret,
                                 size_t *ret_bytes)
{
    const size_t left = walk->len - walk->at;
    *ret_bytes = BATCH_HEADER_BYTES;
    if (left < BATCH_HEADER_BYTES) {
        return walk->at_end ? WALK_BAD : WALK_MORE;
    }
    const struct batch_place place =
        segment_place(walk->request->segment, walk->request->pos + walk->at);
    if (batch_decode(walk->data + walk->at, &place, ret, NULL) < 0) {
        return WALK_BAD;
    }
    *ret_bytes = (size_t)batch_bytes(ret->batch.body.len);
    if (*ret_bytes > left && (body || walk->at_end)) {
        return walk->at_end ? WALK_BAD : WALK_MORE;
    }
    ret->batch.body.data = walk->data + walk->at + BATCH_HEADER_BYTES;
    return !body || batch_body_valid(ret, ret->batch.body) ? WALK_BATCH : WALK_BAD;
}

/* The range that a bad batch at walk->at spoils: up to the next good header. */
static struct damage damage_at(const struct walk *walk, uint64_t first_offset)
{
    const struct read_request *request = walk->request;
    const struct segment *segment = request->segment;
    struct damage damage = {.range = {first_offset, 0}, .resume_segment = segment->number};
    struct walk next = *walk;
    for (next.at = walk->at; walk->len - next.at >= BATCH_HEADER_BYTES; next.at += BATCH_ALIGN) {
        struct batch_header header;
        size_t bytes;
        const bool good = batch_has_magic(next.data + next.at) &&
                          walk_next(&next, false, &header, &bytes) == WALK_BATCH;
        if (good && next.at == walk->at) { /* only its body is bad */
            damage.range.end_offset = header.batch.first_offset + header.batch.record_count;
            damage.resume_pos = request->pos + next.at + bytes;
            return damage;
        }
        if (good && header.batch.first_offset > first_offset) {
            damage.range.end_offset = header.batch.first_offset;
            damage.resume_pos = request->pos + next.at;
            return damage;
        }
    }
    for (size_t i = 0; i < segment->index.count; i++) {
        if (segment->index.entries[i].offset > first_offset) {
            damage.range.end_offset = segment->index.entries[i].offset;
            damage.resume_pos = segment->index.entries[i].pos;
            return damage;
        }
    }
    damage.range.end_offset = segment->end_offset;
    damage.resume_segment = segment->number + 1;
    return damage;
}

static int found_add(struct found *found, const struct store_batch *batch, struct zsp_buf *buf)
{
    if (found->count == found->capacity) {
        const uint32_t capacity = found->capacity ? found->capacity * 2 : 8;
        struct store_batch *batches = realloc(found->batches, capacity * sizeof *batches);
        if (!batches) {
            return ZSP_ENOMEM;
        }
        found->batches = batches;
        found->capacity = capacity;
    }
    found->batches[found->count] = *batch;
    found->batches[found->count++].frame = zsp_buf_get(buf);
    found->bytes += batch->body.len;
    found->end_offset = batch->first_offset + batch->record_count;
    return 0;
}

static void found_release(struct found *found)
{
    for (uint32_t i = 0; i < found->count; i++) {
        zsp_buf_put(&found->batches[i].frame);
    }
    free(found->batches);
}

/* Go on with a further job from `at` in the buffer, where the batch of walk->offset
 * begins, for at least `bytes`. */
static void read_again(struct log_store *store, const struct walk *walk, size_t at, size_t bytes)
{
    struct read_request *request = walk->request;
    request->has_place = true;
    request->pos += at;
    request->offset = walk->offset;
    request->least_bytes = bytes;
    enqueue(&store->reads, request);
}

/* The batch at walk->at is bad: the request ends, or goes on behind it. */
static void range_bad(struct log_store *store, struct walk *walk)
{
    struct read_request *request = walk->request;
    const struct damage damage = damage_at(walk, walk->offset);
    partition_add_damage(request->part, &damage);
    if (damage.range.end_offset > request->want.from_offset) {
        answer_damage(store, request, &damage);
        return;
    }
    request->has_place = false; /* it lies before what is wanted */
    enqueue(&store->reads, request);
}

static void answer_found(struct log_store *store, struct read_request *request, struct found *found)
{
    const struct store_read *want = &request->want;
    struct completion completion = {
        .batches = found->batches,
        .batch_count = found->count,
        .covered = {want->from_offset,
                    found->end_offset < want->to_offset ? found->end_offset : want->to_offset}};
    read_answer(store, request, &completion, NULL);
}

/* Skip the batches before the wanted one, by their headers. True = walk->at is at the
 * wanted one; false = the request has been taken care of. */
static bool range_skip(struct log_store *store, struct walk *walk)
{
    for (;;) {
        struct batch_header header;
        size_t bytes;
        const enum walk_found next = walk_next(walk, false, &header, &bytes);
        if (next == WALK_MORE) {
            read_again(store, walk, walk->at, READ_BYTES_MIN);
            return false;
        }
        if (next == WALK_BAD || header.batch.first_offset != walk->offset) {
            range_bad(store, walk);
            return false;
        }
        const uint64_t end = walk->offset + header.batch.record_count;
        if (end > walk->request->want.from_offset) {
            return true;
        }
        walk->offset = end;
        if (bytes > walk->len - walk->at) {
            read_again(store, walk, walk->at + bytes, READ_BYTES_MIN);
            return false;
        }
        walk->at += bytes;
    }
}

static void range_done(struct log_store *store, struct walk *walk, struct zsp_buf *buf)
{
    struct read_request *request = walk->request;
    const struct store_read *want = &request->want;
    if (!range_skip(store, walk)) {
        return;
    }
    struct found found = {0};
    bool no_memory = false;
    while (walk->offset < want->to_offset) {
        struct batch_header header;
        size_t bytes;
        const enum walk_found next = walk_next(walk, true, &header, &bytes);
        if (next == WALK_MORE && found.count == 0) {
            read_again(store, walk, walk->at, bytes + READ_BYTES_MIN);
            return;
        }
        const bool good = next == WALK_BATCH && header.batch.first_offset == walk->offset;
        if (!good && next != WALK_MORE && found.count == 0) {
            range_bad(store, walk);
            return;
        }
        if (!good || (found.count > 0 && found.bytes + header.batch.body.len > want->max_bytes)) {
            break;
        }
        no_memory = found_add(&found, &header.batch, buf) < 0;
        if (no_memory) {
            break;
        }
        walk->offset += header.batch.record_count;
        walk->at += bytes;
    }
    if (no_memory) {
        struct zsp_err err = {0};
        (void)zsp_err_set(&err, ZSP_ENOMEM, "a read");
        found_release(&found);
        read_error(store, request, &err);
        return;
    }
    answer_found(store, request, &found);
}

static void time_bad(struct log_store *store, struct walk *walk)
{
    struct read_request *request = walk->request;
    const struct damage damage = damage_at(walk, walk->offset);
    partition_add_damage(request->part, &damage);
    answer_damage(store, request, &damage);
}

static void time_done(struct log_store *store, struct walk *walk)
{
    struct read_request *request = walk->request;
    const struct store_part *part = request->part;
    const struct segment *segment = request->segment;
    struct completion completion = {0};
    for (;;) {
        if (walk->at_end && walk->at >= walk->len) { /* nothing in what is readable of it */
            completion.offset =
                segment->state == SEGMENT_ACTIVE ? part->mark.offset : segment->end_offset;
            break;
        }
        struct batch_header header;
        size_t bytes;
        const enum walk_found next = walk_next(walk, false, &header, &bytes);
        if (next == WALK_MORE) {
            read_again(store, walk, walk->at, READ_BYTES_MIN);
            return;
        }
        if (next == WALK_BAD || header.batch.first_offset != walk->offset) {
            time_bad(store, walk);
            return;
        }
        if (header.batch.timestamp_ms >= request->time_ms) {
            completion.offset = header.batch.first_offset;
            break;
        }
        walk->offset += header.batch.record_count;
        if (bytes > walk->len - walk->at) {
            read_again(store, walk, walk->at + bytes, READ_BYTES_MIN);
            return;
        }
        walk->at += bytes;
    }
    read_answer(store, request, &completion, NULL);
}

static void read_done(struct log_store *store, struct io *io)
{
    struct read_request *request = (struct read_request *)io;
    struct store_part *part = request->part;
    struct segment *segment = request->segment;
    struct zsp_buf *buf = request->buf;
    request->buf = NULL;
    store->reads.out--;
    reads_wake(store);
    const uint64_t end = readable_bytes(part, segment);
    struct walk walk = {.request = request,
                        .data = buf->data,
                        .len = io->job.done,
                        .offset = request->offset,
                        .at_end = io->job.pos + io->job.len >= end};
    struct zsp_err err = {0};
    if (store->failed) {
        read_error(store, request, &store->failure);
    } else if (part->state == PART_DROPPED) {
        (void)zsp_err_set(&err, ZSP_ENOT_FOUND, "the topic was deleted");
        read_error(store, request, &err);
    } else if (io->job.error.code != 0) {
        err = io->job.error;
        (void)zsp_err_wrap(&err, "topic %" PRIu64 " partition %" PRIu32, part->topic_id,
                           part->number);
        read_error(store, request, &err);
    } else if (io->job.done < io->job.len) {
        /* The file is shorter than it was written. */
        walk.at_end = true;
        if (request->kind == READ_RANGE) {
            range_done(store, &walk, buf);
        } else {
            time_bad(store, &walk);
        }
    } else if (request->kind == READ_RANGE) {
        range_done(store, &walk, buf);
    } else {
        time_done(store, &walk);
    }
    zsp_buf_put(&buf);
    segment_unpin(store, segment);
}
