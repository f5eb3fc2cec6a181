/* SPDX-License-Identifier: MPL-2.0
 *
 * The logs of mem_store: queued appends become batches when they are written,
 * the mark moves when they are synced, reads see what lies below the mark.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/store/index/batch_ids.h"
#include "common/assert.h"
#include "common/limits.h"
#include "tests/support/mem_store_priv.h"

static struct mem_store *mem_of(struct store *base)
{
    return (struct mem_store *)base;
}

static uint64_t batch_end(const struct store_batch *batch)
{
    return batch->first_offset + batch->record_count;
}

static int check_part(const struct mem_store *self, const struct store_part *part,
                      struct zsp_err *err)
{
    zsp_assert(self->ready);
    if (self->failed) {
        return zsp_err_set(err, ZSP_ESTORAGE_FAILED, "the store failed");
    }
    zsp_assert(part->log); /* the handle of a dropped topic is dead */
    return 0;
}

int mem_append(struct store *base, struct store_part *part, const struct store_batch *batch,
               uint64_t tag, struct zsp_err *err)
{
    struct mem_store *self = mem_of(base);
    int rc = check_part(self, part, err);
    if (rc < 0) {
        return rc;
    }
    struct mem_log *log = part->log;
    if (log->corrupt.first_offset < log->corrupt.end_offset) {
        return zsp_err_set(err, ZSP_ECORRUPT, "the partition is damaged");
    }
    if (self->refuses) {
        return zsp_err_set(err, ZSP_ENO_SPACE, "too little room");
    }
    zsp_assert(batch->record_count > 0);
    zsp_assert(batch->body.len > 0);
    const size_t used = log->batch_count + log->queued;
    log->batches = mem_grow(log->batches, &log->capacity, used + 1, sizeof *log->batches);
    struct mem_batch *queued = &log->batches[used];
    *queued = (struct mem_batch){.batch = *batch};
    queued->batch.frame = zsp_buf_get(batch->frame);
    queued->tag = tag;
    log->queued++;
    return 0;
}

static struct mem_call *add_call(struct mem_store *self, enum mem_call_kind kind,
                                 struct store_part *part, uint64_t tag)
{
    self->calls =
        mem_grow(self->calls, &self->call_capacity, self->call_count + 1, sizeof *self->calls);
    struct mem_call *call = &self->calls[self->call_count++];
    memset(call, 0, sizeof *call);
    call->kind = kind;
    call->part = part;
    call->tag = tag;
    return call;
}

int mem_read(struct store *base, const struct store_read *read, struct zsp_err *err)
{
    struct mem_store *self = mem_of(base);
    int rc = check_part(self, read->part, err);
    if (rc < 0) {
        return rc;
    }
    add_call(self, MEM_CALL_READ, read->part, read->tag)->read = *read;
    return 0;
}

int mem_find_time(struct store *base, struct store_part *part, int64_t time_ms, uint64_t tag,
                  struct zsp_err *err)
{
    struct mem_store *self = mem_of(base);
    int rc = check_part(self, part, err);
    if (rc < 0) {
        return rc;
    }
    add_call(self, MEM_CALL_FIND, part, tag)->time_ms = time_ms;
    return 0;
}

void mem_index_ids(struct store *base, struct store_part *part, bool is_wanted)
{
    (void)base;
    part->has_ids = is_wanted;
}

int mem_find_ids(struct store *base, const struct store_find_ids *find, struct zsp_err *err)
{
    struct mem_store *self = mem_of(base);
    int rc = check_part(self, find->part, err);
    if (rc < 0) {
        return rc;
    }
    struct mem_call *call = add_call(self, MEM_CALL_IDS, find->part, find->tag);
    call->time_ms = find->since_ms;
    call->print_count = find->count;
    call->prints = mem_alloc(find->count * sizeof *call->prints);
    memcpy(call->prints, find->prints, find->count * sizeof *call->prints);
    return 0;
}

int mem_read_terms(struct store *base, const struct store_read_terms *read, struct zsp_err *err)
{
    struct mem_store *self = mem_of(base);
    int rc = check_part(self, read->part, err);
    if (rc < 0) {
        return rc;
    }
    struct mem_call *call = add_call(self, MEM_CALL_TERMS, read->part, read->tag);
    call->read =
        (struct store_read){.from_offset = read->from_offset, .to_offset = read->to_offset};
    call->time_ms = read->expiry_grain_ms;
    return 0;
}

int mem_retain(struct store *base, struct store_part *part, const struct store_retain *retain,
               struct zsp_err *err)
{
    struct mem_store *self = mem_of(base);
    int rc = check_part(self, part, err);
    if (rc < 0) {
        return rc;
    }
    struct mem_call *const call = add_call(self, MEM_CALL_RETAIN, part, 0);
    call->retain = *retain;
    call->kept = mem_alloc((retain->kept_count + 1) * sizeof *call->kept);
    for (size_t i = 0; i < retain->kept_count; i++) {
        call->kept[i] = retain->kept[i];
    }
    return 0;
}

static uint64_t log_bytes(const struct mem_log *log)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < log->batch_count; i++) {
        bytes += log->batches[i].batch.body.len;
    }
    return bytes;
}

static uint64_t island_offset(const struct mem_log *log)
{
    return log->island_count > 0 ? log->islands[0].batch.first_offset : log->start_offset;
}

void mem_part_info(const struct store *base, const struct store_part *part,
                   struct store_part_info *ret)
{
    const struct mem_store *self = (const struct mem_store *)base;
    const struct mem_log *log = part->log;
    zsp_assert(log);
    const uint64_t first_segment = log->batches_trimmed / self->segment_batches;
    const uint64_t last_segment = (log->batches_trimmed + log->batch_count) / self->segment_batches;
    *ret = (struct store_part_info){
        .start_offset = log->start_offset,
        .island_offset = island_offset(log),
        .island_end = log->start_offset,
        .synced_offset = log->synced_offset,
        .end_offset = log->end_offset,
        .bytes = log_bytes(log),
        .segment_count = (uint32_t)(last_segment - first_segment + 1),
        .refuses_appends = log->corrupt.first_offset < log->corrupt.end_offset,
        .corrupt = log->corrupt,
    };
}

uint64_t mem_place(const struct store *base, const struct store_part *part, uint64_t offset)
{
    (void)base;
    (void)part;
    return offset;
}

/* --- Writing and syncing --------------------------------------------------------- */

void mem_log_fail_queued(struct mem_store *self, struct mem_log *log, int code, bool maybe)
{
    while (log->queued > 0) {
        struct mem_batch *queued = &log->batches[log->batch_count];
        if (queued->atomic) {
            mem_atomic_log_fails(self, queued->atomic, code);
            continue;
        }
        struct store_completion *done = mem_complete(self, STORE_APPENDED);
        done->tag = queued->tag;
        done->owner = log->part ? log->part->owner : NULL;
        (void)zsp_err_set(&done->error, code, "append: %s", zsp_strerror(code));
        done->error.maybe = maybe;
        zsp_buf_put(&queued->batch.frame);
        log->queued--;
        memmove(queued, queued + 1, log->queued * sizeof *queued);
    }
}

static void log_write(struct mem_store *self, struct mem_log *log)
{
    while (log->queued > 0 && !log->is_placed && !log->batches[log->batch_count].atomic) {
        if (self->fail_append) {
            self->fail_append = false;
            mem_log_fail_queued(self, log, self->fail_append_code, self->fail_append_maybe);
            return;
        }
        struct mem_batch *next = &log->batches[log->batch_count];
        next->batch.first_offset = log->end_offset;
        log->end_offset += next->batch.record_count;
        log->batch_count++;
        log->queued--;
        self->stats.appended_batches++;
        self->stats.appended_bytes += next->batch.body.len;
        struct store_completion *done = mem_complete(self, STORE_APPENDED);
        done->tag = next->tag;
        done->owner = log->part->owner;
        done->offset = next->batch.first_offset;
    }
}

void mem_logs_write(struct mem_store *self)
{
    for (size_t i = 0; i < self->log_count; i++) {
        log_write(self, self->logs[i]);
    }
}

void mem_logs_sync(struct mem_store *self)
{
    for (size_t i = 0; i < self->log_count; i++) {
        struct mem_log *log = self->logs[i];
        if (log->synced_offset == log->end_offset || !log->part) {
            continue;
        }
        log->synced_offset = log->end_offset;
        self->stats.synced_files++;
        struct store_completion *done = mem_complete(self, STORE_SYNCED);
        done->owner = log->part->owner;
        done->offset = log->synced_offset;
    }
}

void mem_log_cut(struct mem_log *log, uint64_t end_offset)
{
    zsp_assert(log->queued == 0);
    while (log->batch_count > 0 &&
           batch_end(&log->batches[log->batch_count - 1].batch) > end_offset) {
        zsp_buf_put(&log->batches[--log->batch_count].batch.frame);
    }
    log->end_offset = end_offset;
}

void mem_log_destroy(struct mem_log *log)
{
    for (size_t i = 0; i < log->batch_count + log->queued; i++) {
        zsp_buf_put(&log->batches[i].batch.frame);
    }
    for (size_t i = 0; i < log->island_count; i++) {
        zsp_buf_put(&log->islands[i].batch.frame);
    }
    free(log->islands);
    free(log->batches);
    free(log);
}

/* --- Reads, searches, retention ---------------------------------------------------- */

static bool in_range(const struct store_range *range, uint64_t offset)
{
    return offset >= range->first_offset && offset < range->end_offset;
}

/* The batches of [from, limit) that fit max_bytes, the first in any case. */
static void take_batches(const struct mem_log *log, const struct store_read *read, uint64_t limit,
                         struct store_completion *done)
{
    done->batches = mem_alloc((log->batch_count + 1) * sizeof *done->batches);
    uint64_t bytes = 0;
    for (size_t i = 0; i < log->batch_count; i++) {
        const struct store_batch *batch = &log->batches[i].batch;
        if (batch_end(batch) <= read->from_offset) {
            continue;
        }
        if (batch->first_offset >= limit) {
            break;
        }
        if (done->batch_count > 0 && batch->body.len > read->max_bytes - bytes) {
            break;
        }
        bytes +=
            batch->body.len < read->max_bytes - bytes ? batch->body.len : read->max_bytes - bytes;
        done->batches[done->batch_count] = *batch;
        done->batches[done->batch_count].frame = zsp_buf_get(batch->frame);
        done->batch_count++;
        done->covered.end_offset = batch_end(batch);
    }
}

/* The island that the read begins in, or before, alone. */
static void take_islands(const struct mem_log *log, const struct store_read *read,
                         struct store_completion *done)
{
    done->covered.end_offset = log->start_offset;
    for (size_t i = 0; i < log->island_count; i++) {
        const struct store_batch *batch = &log->islands[i].batch;
        if (batch_end(batch) <= read->from_offset) {
            continue;
        }
        done->covered.end_offset = batch->first_offset;
        if (batch->first_offset < read->to_offset) {
            done->batches = mem_alloc(sizeof *done->batches);
            done->batches[0] = *batch;
            done->batches[0].frame = zsp_buf_get(batch->frame);
            done->batch_count = 1;
            done->covered.end_offset = batch_end(batch);
        }
        return;
    }
}

/* The answer to a call, told already where the topic was dropped: then NULL. */
static const struct mem_log *answer(struct mem_store *self, const struct mem_call *call,
                                    enum store_completion_kind kind, struct store_completion **ret)
{
    struct store_completion *done = mem_complete(self, kind);
    done->tag = call->tag;
    done->owner = call->part->owner;
    if (!call->part->log) {
        (void)zsp_err_set(&done->error, ZSP_ENOT_FOUND, "the topic was dropped");
    }
    *ret = done;
    return call->part->log;
}

static void run_read(struct mem_store *self, const struct mem_call *call)
{
    struct store_completion *done;
    const struct mem_log *log = answer(self, call, STORE_READ, &done);
    if (!log) {
        return;
    }
    const struct store_read *read = &call->read;
    self->stats.read_requests++;
    if (read->from_offset < island_offset(log) || read->from_offset > log->synced_offset) {
        (void)zsp_err_set(&done->error, ZSP_EOUT_OF_RANGE, "offset %llu is not in %llu..%llu",
                          (unsigned long long)read->from_offset,
                          (unsigned long long)log->start_offset,
                          (unsigned long long)log->synced_offset);
        return;
    }
    if (log->read_error != 0) {
        (void)zsp_err_set(&done->error, log->read_error, "cannot be read");
        return;
    }
    if (in_range(&log->corrupt, read->from_offset)) {
        (void)zsp_err_set(&done->error, ZSP_ECORRUPT, "damaged");
        done->covered = log->corrupt;
        return;
    }
    uint64_t limit = read->to_offset < log->synced_offset ? read->to_offset : log->synced_offset;
    if (log->corrupt.first_offset < log->corrupt.end_offset &&
        log->corrupt.first_offset > read->from_offset && log->corrupt.first_offset < limit) {
        limit = log->corrupt.first_offset;
    }
    done->covered =
        (struct store_range){.first_offset = read->from_offset, .end_offset = read->from_offset};
    if (read->from_offset < log->start_offset) {
        take_islands(log, read, done);
        return;
    }
    take_batches(log, read, limit, done);
}

static void run_find(struct mem_store *self, const struct mem_call *call)
{
    struct store_completion *done;
    const struct mem_log *log = answer(self, call, STORE_FOUND, &done);
    if (!log) {
        return;
    }
    done->offset = log->synced_offset;
    for (size_t i = 0; i < log->batch_count; i++) {
        const struct store_batch *batch = &log->batches[i].batch;
        if (batch->first_offset < log->synced_offset && batch->timestamp_ms >= call->time_ms) {
            done->offset = batch->first_offset;
            return;
        }
    }
}

struct id_hunt {
    uint64_t print;
    uint32_t index;
    struct store_completion *done;
};

static int meet_id(void *arg, uint64_t print, uint64_t offset)
{
    const struct id_hunt *hunt = arg;
    if (print == hunt->print) {
        hunt->done->hits[hunt->done->hit_count++] = (struct store_id_hit){hunt->index, offset};
    }
    return 0;
}

/* Newest batch first; within one batch the last first. */
static void hunt_id(const struct mem_log *log, const struct mem_call *call, uint32_t index,
                    struct store_completion *done)
{
    struct batch_ids ids = {0};
    struct id_hunt hunt = {call->prints[index], index, done};
    const uint32_t before = done->hit_count;
    for (size_t i = log->batch_count; i > 0; i--) {
        const struct store_batch *batch = &log->batches[i - 1].batch;
        if (batch->timestamp_ms < call->time_ms) {
            continue;
        }
        struct store_id_hit *first = &done->hits[done->hit_count];
        (void)batch_ids_walk(&ids, batch, meet_id, &hunt); /* a test has memory */
        struct store_id_hit *last = &done->hits[done->hit_count] - 1;
        for (; first < last; first++, last--) {
            const struct store_id_hit hit = *first;
            *first = *last;
            *last = hit;
        }
    }
    if (done->hit_count - before > STORE_ID_HITS_MAX) {
        done->hit_count = before + STORE_ID_HITS_MAX;
    }
    batch_ids_fini(&ids);
}

static void run_find_ids(struct mem_store *self, struct mem_call *call)
{
    struct store_completion *done;
    const struct mem_log *log = answer(self, call, STORE_IDS_FOUND, &done);
    if (log && !call->part->has_ids) {
        (void)zsp_err_set(&done->error, ZSP_EUNSUPPORTED, "there is no index of ids");
    } else if (log) {
        const uint64_t records = log->end_offset - log->start_offset;
        done->hits = mem_alloc((size_t)(call->print_count * STORE_ID_HITS_MAX + records + 1) *
                               sizeof *done->hits);
        for (uint32_t i = 0; i < call->print_count; i++) {
            hunt_id(log, call, i, done);
        }
    }
    free(call->prints);
}

/* A few stretches at a time, so that it takes several calls. */
#define TERMS_A_CALL 3u

static void run_read_terms(struct mem_store *self, const struct mem_call *call)
{
    struct store_completion *done;
    const struct mem_log *log = answer(self, call, STORE_TERMS_READ, &done);
    if (!log) {
        return;
    }
    if (log->read_error != 0) {
        (void)zsp_err_set(&done->error, log->read_error, "cannot be read");
        return;
    }
    const uint64_t from = call->read.from_offset;
    const uint64_t to =
        call->read.to_offset < log->synced_offset ? call->read.to_offset : log->synced_offset;
    if (from < log->start_offset || from > log->synced_offset) {
        (void)zsp_err_set(&done->error, ZSP_EOUT_OF_RANGE, "there is no such offset");
        return;
    }
    done->covered = (struct store_range){from, to > from ? to : from};
    done->terms = mem_alloc(TERMS_A_CALL * sizeof *done->terms);
    for (size_t i = 0; i < log->batch_count; i++) {
        const struct store_batch *batch = &log->batches[i].batch;
        const uint64_t end = batch->first_offset + batch->record_count;
        const int64_t grain_ms = call->time_ms;
        const bool has_any = grain_ms > 0
                                 ? batch->expires_at_ms != 0
                                 : batch->priority != ZSP_PRIORITY || batch->not_before_ms != 0;
        if (end <= from || batch->first_offset >= to || !has_any) {
            continue;
        }
        if (done->terms_count == TERMS_A_CALL) {
            done->covered.end_offset = batch->first_offset;
            break;
        }
        const int64_t time_ms = grain_ms > 0
                                    ? (batch->expires_at_ms + grain_ms - 1) / grain_ms * grain_ms
                                    : batch->not_before_ms;
        done->terms[done->terms_count++] =
            (struct store_terms){batch->first_offset, end, time_ms, batch->priority};
    }
}

/* May the oldest `count` batches, one whole segment, go? */
static bool may_drop(const struct mem_log *log, size_t count, const struct store_retain *retain)
{
    const struct store_batch *last = &log->batches[count - 1].batch;
    if (batch_end(last) > log->synced_offset || batch_end(last) > retain->imaged_before) {
        return false;
    }
    uint64_t dropped = 0;
    bool all_old = retain->before_ms > 0;
    for (size_t i = 0; i < count; i++) {
        dropped += log->batches[i].batch.body.len;
        all_old = all_old && log->batches[i].batch.timestamp_ms < retain->before_ms;
    }
    return all_old || batch_end(last) <= retain->before_offset ||
           (retain->max_bytes > 0 && log_bytes(log) - dropped >= retain->max_bytes);
}

static bool is_kept(const struct mem_call *call, const struct store_batch *batch)
{
    bool kept = false;
    for (size_t i = 0; i < call->retain.kept_count; i++) {
        kept = kept || (call->kept[i].first_offset < batch_end(batch) &&
                        call->kept[i].end_offset > batch->first_offset);
    }
    return kept;
}

/* Islands that are not wanted any more go. Returns whether any did. */
static bool drop_islands(struct mem_log *log, const struct mem_call *call)
{
    const struct store_retain *retain = &call->retain;
    size_t left = 0;
    for (size_t i = 0; i < log->island_count; i++) {
        struct store_batch *batch = &log->islands[i].batch;
        const bool is_told =
            batch->first_offset >= retain->keep_from && batch_end(batch) <= retain->keep_to;
        if (retain->keeps ? is_told && !is_kept(call, batch)
                          : batch_end(batch) <= retain->before_offset) {
            zsp_buf_put(&batch->frame);
        } else {
            log->islands[left++] = log->islands[i];
        }
    }
    const bool any = left < log->island_count;
    log->island_count = left;
    return any;
}

static void drop_front(struct mem_log *log, size_t count, const struct mem_call *call)
{
    log->start_offset = batch_end(&log->batches[count - 1].batch);
    for (size_t i = 0; i < count; i++) {
        if (call->retain.keeps && is_kept(call, &log->batches[i].batch)) {
            log->islands = mem_grow(log->islands, &log->island_capacity, log->island_count + 1,
                                    sizeof *log->islands);
            log->islands[log->island_count++] = log->batches[i];
        } else {
            zsp_buf_put(&log->batches[i].batch.frame);
        }
    }
    const size_t left = log->batch_count + log->queued - count;
    memmove(log->batches, log->batches + count, left * sizeof *log->batches);
    log->batch_count -= count;
    log->batches_trimmed += count;
}

static void run_retain(struct mem_store *self, const struct mem_call *call)
{
    struct mem_log *log = call->part->log;
    if (!log) {
        return;
    }
    const uint64_t before = log->start_offset;
    const bool any_island = drop_islands(log, call);
    for (;;) {
        const size_t count =
            self->segment_batches - (size_t)(log->batches_trimmed % self->segment_batches);
        /* A full segment is sealed only when another batch follows, or when it is asked for. */
        const bool is_last = log->batch_count <= count;
        if (is_last && call->retain.seal_bytes > 0 && log->batch_count > 0 && log->queued == 0 &&
            may_drop(log, log->batch_count, &call->retain)) {
            drop_front(log, log->batch_count, call);
            log->batches_trimmed = 0; /* the next one begins a segment */
            break;
        }
        if (is_last || !may_drop(log, count, &call->retain)) {
            break;
        }
        drop_front(log, count, call);
    }
    if (log->start_offset != before || any_island) {
        struct store_completion *done = mem_complete(self, STORE_TRIMMED);
        done->owner = call->part->owner;
        done->offset = log->start_offset;
    }
}

uint64_t mem_retain_reach(const struct store *base, const struct store_part *part,
                          const struct store_retain *retain)
{
    const struct mem_store *self = (const struct mem_store *)base;
    const struct mem_log *log = part->log;
    const size_t segment = self->segment_batches - log->batches_trimmed % self->segment_batches;
    struct store_retain any = *retain;
    any.imaged_before = UINT64_MAX;
    const bool seals = !retain->keeps && retain->seal_bytes > 0 && log->batch_count > 0;
    if (log->batch_count <= segment ? !seals || !may_drop(log, log->batch_count, &any)
                                    : !may_drop(log, segment, &any)) {
        return log->start_offset;
    }
    return log->end_offset; /* perhaps more than will go, which does no harm */
}

void mem_calls_run(struct mem_store *self)
{
    for (size_t i = 0; i < self->call_count; i++) {
        struct mem_call *call = &self->calls[i];
        switch (call->kind) {
        case MEM_CALL_READ:
            run_read(self, call);
            break;
        case MEM_CALL_FIND:
            run_find(self, call);
            break;
        case MEM_CALL_IDS:
            run_find_ids(self, call);
            break;
        case MEM_CALL_TERMS:
            run_read_terms(self, call);
            break;
        case MEM_CALL_RETAIN:
            run_retain(self, call);
            free(call->kept);
            break;
        }
    }
    self->call_count = 0;
}

void mem_calls_drop(struct mem_store *self)
{
    for (size_t i = 0; i < self->call_count; i++) {
        free(self->calls[i].prints);
        free(self->calls[i].kept);
    }
    self->call_count = 0;
}
