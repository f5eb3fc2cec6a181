/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/read/read_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "common/assert.h"

/* --- Requests ------------------------------------------------------------------------- */

void read_enqueue(struct reads *self, struct read_request *request)
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
    read_enqueue(&store->reads, request);
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
    read_enqueue(&store->reads, request);
    return 0;
}

void reads_wake(struct log_store *store)
{
    store->reads.woken = true;
}

void read_answer(struct log_store *store, struct read_request *request,
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

void read_error(struct log_store *store, struct read_request *request, const struct zsp_err *err)
{
    struct completion completion = {0};
    read_answer(store, request, &completion, err);
}

/* --- Answers without the disk ------------------------------------------------------------ */

/* `batches` is the caller's memory, and becomes the answer's. NULL = there was none. */
static void answer_kept(struct log_store *store, struct read_request *request,
                        struct store_batch *batches, size_t count)
{
    if (!batches) {
        struct zsp_err err = {0};
        (void)zsp_err_set(&err, ZSP_ENOMEM, "a read of %zu batches", count);
        read_error(store, request, &err);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        (void)zsp_buf_get(batches[i].frame);
    }
    const uint64_t end = batches[count - 1].first_offset + batches[count - 1].record_count;
    struct completion completion = {.batches = batches, .batch_count = (uint32_t)count};
    completion.covered = (struct store_range){
        request->want.from_offset, end < request->want.to_offset ? end : request->want.to_offset};
    read_answer(store, request, &completion, NULL);
}

static bool answer_from_tail(struct log_store *store, struct read_request *request,
                             const struct store_range *range)
{
    const struct tail_part *tail = &request->part->tail;
    size_t index;
    const size_t count = tail_find(tail, range, request->want.max_bytes, &index);
    if (count == 0) {
        return false;
    }
    struct store_batch *batches = calloc(count, sizeof *batches);
    for (size_t i = 0; i < count && batches; i++) {
        batches[i] = *tail_get(tail, index + i);
    }
    store->stats.tail_reads++;
    answer_kept(store, request, batches, count);
    return true;
}

static bool answer_from_cache(struct log_store *store, struct read_request *request,
                              const struct store_range *range)
{
    const struct store_batch *kept;
    const size_t count = read_cache_find(&store->read_cache, &request->part->read_cache, range,
                                         request->want.max_bytes, &kept);
    if (count == 0) {
        return false;
    }
    struct store_batch *batches = calloc(count, sizeof *batches);
    if (batches) {
        memcpy(batches, kept, count * sizeof *batches);
    }
    store->stats.shared_reads++;
    answer_kept(store, request, batches, count);
    return true;
}

void read_answer_damage(struct log_store *store, struct read_request *request,
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

/* A range that needs no disk: out of range, empty, damaged, in memory. True = answered;
 * else the wish is cut at what can be read. */
static bool answer_now(struct log_store *store, struct read_request *request)
{
    const struct store_part *part = request->part;
    struct store_read *want = &request->want;
    if (want->from_offset < part->island_offset || want->from_offset > part->mark.offset) {
        struct zsp_err err = {0};
        (void)zsp_err_set(&err, ZSP_EOUT_OF_RANGE,
                          "offset %" PRIu64 " is not in %" PRIu64 " to %" PRIu64, want->from_offset,
                          part->island_offset, part->mark.offset);
        read_error(store, request, &err);
        return true;
    }
    if (want->to_offset > part->mark.offset) {
        want->to_offset = part->mark.offset;
    }
    const struct damage *damage = partition_damage(part, want->from_offset);
    if (damage && damage->range.first_offset <= want->from_offset) {
        read_answer_damage(store, request, damage);
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
    const struct store_range range = {want->from_offset, want->to_offset};
    return answer_from_tail(store, request, &range) || answer_from_cache(store, request, &range);
}

/* --- Finding the place ----------------------------------------------------------------------- */

/* The segment a request goes on in; NULL = it ends here. */
static struct segment *find_segment(struct read_request *request)
{
    const struct store_part *part = request->part;
    if (request->has_place) {
        struct segment *segment = partition_find_segment(part, request->segment_name);
        if (segment) {
            return segment;
        }
        request->has_place = false;
    }
    if (request->kind == READ_RANGE) {
        return partition_segment(part, request->want.from_offset);
    }
    for (size_t i = 0; i < part->segment_count; i++) {
        struct segment *segment = part->segments[i];
        if (segment->end_offset > segment->base_offset && !segment->is_island &&
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
    request->segment_name = segment_file(segment);
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

uint64_t read_readable_bytes(const struct store_part *part, const struct segment *segment)
{
    if (segment->number >
        part->mark.segment) { /* the mark is at the end of the one before it, or nearer */
        return 0;
    }
    return segment->number == part->mark.segment && segment->state == SEGMENT_ACTIVE
               ? part->mark.pos
               : segment->bytes;
}

/* Does a job that is out read where this one would? Then its batches will be in the cache,
 * perhaps: wait for them, but once only. */
static bool is_coming(const struct reads *self, struct read_request *request,
                      const struct segment *segment)
{
    if (request->kind != READ_RANGE || request->has_place || request->has_waited) {
        return false;
    }
    for (const struct read_request *other = self->at_work; other; other = other->next) {
        const struct job *job = &other->io.job;
        if (other->kind == READ_RANGE && other->segment == segment && request->pos >= job->pos &&
            request->pos - job->pos < job->len) {
            request->has_waited = true;
            return true;
        }
    }
    return false;
}

/* 1 = it is out, 0 = wait until the file has it. Errors: ZSP_ENOMEM, ZSP_ECORRUPT */
static int read_start(struct log_store *store, struct read_request *request,
                      struct segment *segment)
{
    const uint64_t pos = request->pos;
    const uint64_t end = read_readable_bytes(request->part, segment);
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
    if (segment == partition_active(request->part) && pos + len > deferred_written(request->part)) {
        (void)deferred_flush(request->part);
        return 0;
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
    request->io.done_fn = read_job_done;
    request->next = store->reads.at_work;
    store->reads.at_work = request;
    store->reads.out++;
    store->stats.cold_reads++;
    store_submit(store, &request->io);
    return 1;
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
        if (request->kind == READ_TIME && request->pos >= read_readable_bytes(part, segment)) {
            struct completion none = {.offset = part->mark.offset};
            read_answer(store, request, &none, NULL);
            return true;
        }
        if (is_coming(&store->reads, request, segment)) {
            return false;
        }
        rc = read_start(store, request, segment);
        if (rc >= 0) {
            return rc == 1;
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
