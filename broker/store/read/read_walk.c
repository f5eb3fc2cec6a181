/* SPDX-License-Identifier: MPL-2.0
 *
 * What a READ job brought: a walk over the buffer from header to header, every
 * sum checked, until the request is answered, needs more, or meets damage.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/file/sparse.h"
#include "broker/store/log_store_priv.h"
#include "broker/store/read/read_priv.h"

/* Batches found in a buffer. */
struct found {
    struct store_batch *batches;
    uint32_t count;
    uint32_t capacity;
    uint64_t bytes;
    bool is_whole;       /* nothing of it is lost */
    bool any;            /* also true when what was found is lost, and in no batch */
    uint64_t end_offset; /* after the last one */
};

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

static int found_push(struct found *found, const struct store_batch *batch, struct zsp_buf *buf)
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
    return 0;
}

static bool holds_together(const struct store_batch *batch)
{
    struct sparse sparse;
    return batch->codec != BATCH_CODEC_SPARSE || sparse_open(&sparse, batch, NULL) == 0;
}

/* What of it is there, as batches of their own. */
static int found_add_sparse(struct found *found, const struct store_batch *batch,
                            uint64_t from_offset, struct zsp_buf *buf)
{
    struct sparse sparse;
    struct sparse_run run;
    int rc = sparse_open(&sparse, batch, NULL);
    while (rc == 0 && sparse_next(&sparse, &run)) {
        if (run.first_offset + run.count > from_offset) {
            const struct store_batch part = sparse_batch(batch, &run);
            rc = found_push(found, &part, buf);
        }
    }
    return rc;
}

static int found_add(struct found *found, const struct store_batch *batch, uint64_t from_offset,
                     struct zsp_buf *buf)
{
    int rc = 0;
    if (batch->codec == BATCH_CODEC_LOST) {
        found->is_whole = false; /* covered, and in no batch: absent */
    } else if (batch->codec == BATCH_CODEC_SPARSE) {
        found->is_whole = false;
        rc = found_add_sparse(found, batch, from_offset, buf);
    } else {
        rc = found_push(found, batch, buf);
    }
    found->any = true;
    found->end_offset = batch->first_offset + batch->record_count;
    return rc;
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
    read_enqueue(&store->reads, request);
}

/* What was read is compacted, or was dropped, since: then it is looked for anew. */
static bool is_gone(struct log_store *store, struct read_request *request)
{
    if (request->segment->state != SEGMENT_GONE) {
        return false;
    }
    request->has_place = false;
    read_enqueue(&store->reads, request);
    return true;
}

/* The batch at walk->at is bad: the request ends, or goes on behind it. */
static void range_bad(struct log_store *store, struct walk *walk)
{
    struct read_request *request = walk->request;
    if (is_gone(store, request)) {
        return;
    }
    const struct damage damage = damage_at(walk, walk->offset);
    partition_add_damage(request->part, &damage);
    if (damage.range.end_offset > request->want.from_offset) {
        read_answer_damage(store, request, &damage);
        return;
    }
    request->has_place = false; /* it lies before what is wanted */
    read_enqueue(&store->reads, request);
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
    struct found found = {.is_whole = true};
    bool no_memory = false;
    while (walk->offset < want->to_offset) {
        struct batch_header header;
        size_t bytes;
        const enum walk_found next = walk_next(walk, true, &header, &bytes);
        if (next == WALK_MORE && !found.any) {
            read_again(store, walk, walk->at, bytes + READ_BYTES_MIN);
            return;
        }
        const bool good = next == WALK_BATCH && header.batch.first_offset == walk->offset &&
                          holds_together(&header.batch);
        if (!good && next != WALK_MORE && !found.any) {
            range_bad(store, walk);
            return;
        }
        if (!good || (found.count > 0 && found.bytes + header.batch.body.len > want->max_bytes)) {
            break;
        }
        no_memory = found_add(&found, &header.batch, want->from_offset, buf) < 0;
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
    /* Of a segment that was replaced meanwhile nobody else hears: who asks later gets the new one. */
    if (found.is_whole && request->segment->state != SEGMENT_GONE) {
        read_cache_add(&store->read_cache, &request->part->read_cache, found.batches, found.count);
    }
    answer_found(store, request, &found);
}

static void time_bad(struct log_store *store, struct walk *walk)
{
    struct read_request *request = walk->request;
    if (is_gone(store, request)) {
        return;
    }
    const struct damage damage = damage_at(walk, walk->offset);
    partition_add_damage(request->part, &damage);
    read_answer_damage(store, request, &damage);
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

static void leave_work(struct reads *self, const struct read_request *request)
{
    struct read_request **link = &self->at_work;
    while (*link != request) {
        link = &(*link)->next;
    }
    *link = request->next;
    self->out--;
}

void read_job_done(struct log_store *store, struct io *io)
{
    struct read_request *request = (struct read_request *)io;
    struct store_part *part = request->part;
    struct segment *segment = request->segment;
    struct zsp_buf *buf = request->buf;
    request->buf = NULL;
    leave_work(&store->reads, request);
    reads_wake(store);
    const uint64_t end = read_readable_bytes(part, segment);
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
