/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/topic/id_lookup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/engine/topic/topic.h"
#include "common/codec.h"
#include "common/limits.h"
#include "common/record.h"

#define READ_BYTES (1u * ZSP_MIB) /* of one read */

static void go_on(struct engine *engine, struct id_lookup *self);

void id_lookup_fini(struct id_lookup *self)
{
    free(self->found);
    free(self->hits);
    self->found = NULL;
    self->hits = NULL;
}

static void done(struct engine *engine, struct id_lookup *self, const struct zsp_err *error)
{
    free(self->hits);
    self->hits = NULL;
    self->done_fn(engine, self, error);
}

/* --- Comparing -------------------------------------------------------------------------- */

/* Does a record at `offset` have one of the ids that were found there? */
static void compare(struct id_lookup *self, uint64_t offset, struct zsp_slice id)
{
    while (self->at < self->hit_count && self->hits[self->at].offset <= offset) {
        const struct store_id_hit *const hit = &self->hits[self->at];
        if (hit->offset == offset && id.data && zsp_slice_equal(self->ids[hit->index], id)) {
            self->found[hit->index] = offset; /* they rise: the newest stays */
        }
        self->at++;
    }
}

static int walk(struct engine *engine, struct id_lookup *self, const struct store_batch *batch,
                struct zsp_err *err)
{
    const uint64_t end = batch->first_offset + batch->record_count;
    if (self->hits[self->at].offset >= end) {
        return 0;
    }
    struct zsp_buf *raw = NULL;
    struct zsp_slice rest = batch->body;
    if (batch->codec != ZSP_CODEC_NONE) {
        const int rc = unpack_stored(&engine->unpack, self->partition, batch, &raw, err);
        if (rc != 0) {
            return rc;
        }
        rest = (struct zsp_slice){raw->data, raw->len};
    }
    const bool is_meant = batch->timestamp_ms >= self->since_ms;
    struct zsp_slice record, id;
    for (uint64_t offset = batch->first_offset; offset < end && self->at < self->hit_count;
         offset++) {
        if (zsp_record_next_id(&rest, &record, &id) != 0) {
            break;
        }
        compare(self, offset, is_meant ? id : (struct zsp_slice){0});
    }
    engine->unpack.walked_bytes += batch->body.len;
    zsp_buf_put(&raw);
    return 0;
}

/* --- Reading ----------------------------------------------------------------------------- */

static void is_read(struct engine *engine, struct engine_op *op,
                    const struct store_completion *completion)
{
    struct id_lookup *const self = (struct id_lookup *)op;
    struct zsp_err error = completion->error;
    if (error.code == ZSP_EOUT_OF_RANGE) {
        go_on(engine, self); /* retention was faster: the start has moved */
        return;
    }
    for (uint32_t i = 0;
         i < completion->batch_count && error.code == 0 && self->at < self->hit_count; i++) {
        (void)walk(engine, self, &completion->batches[i], &error);
    }
    if (error.code != 0) {
        done(engine, self, &error);
        return;
    }
    /* Offsets that no batch holds are absent. */
    while (self->at < self->hit_count &&
           self->hits[self->at].offset < completion->covered.end_offset) {
        self->at++;
    }
    go_on(engine, self);
}

static void stop_waiting(struct id_lookup *self)
{
    struct partition *const partition = self->partition;
    *(self->wait_prev ? &self->wait_prev->wait_next : &partition->lookup_first) = self->wait_next;
    if (self->wait_next) {
        self->wait_next->wait_prev = self->wait_prev;
    }
    self->wait_next = self->wait_prev = NULL;
    self->is_waiting = false;
}

static void wait_for_mark(struct id_lookup *self)
{
    struct partition *const partition = self->partition;
    self->is_waiting = true;
    self->wait_prev = NULL;
    self->wait_next = partition->lookup_first;
    if (self->wait_next) {
        self->wait_next->wait_prev = self;
    }
    partition->lookup_first = self;
}

/* Read what is next, once all of it can be read. */
static void go_on(struct engine *engine, struct id_lookup *self)
{
    const struct partition *const partition = self->partition;
    while (self->at < self->hit_count && self->hits[self->at].offset < partition->start_offset) {
        self->at++;
    }
    if (self->at == self->hit_count) {
        done(engine, self, NULL);
        return;
    }
    const uint64_t last = self->hits[self->hit_count - 1].offset;
    if (last >= partition->synced_offset) {
        wait_for_mark(self);
        return;
    }
    const struct store_read read = {
        .part = partition->part,
        .from_offset = self->hits[self->at].offset,
        .to_offset = last + 1,
        .max_bytes = READ_BYTES,
        .tag = engine_op_tag(&self->op),
    };
    struct zsp_err error = {0};
    self->op.done_fn = is_read;
    if (engine->store->ops->read(engine->store, &read, &error) != 0) {
        done(engine, self, &error);
    }
}

/* --- Asking -------------------------------------------------------------------------------- */

static int compare_offsets(const void *a, const void *b)
{
    const struct store_id_hit *left = a;
    const struct store_id_hit *right = b;
    if (left->offset != right->offset) {
        return left->offset < right->offset ? -1 : 1;
    }
    return left->index < right->index ? -1 : (left->index > right->index ? 1 : 0);
}

static void is_found(struct engine *engine, struct engine_op *op,
                     const struct store_completion *completion)
{
    struct id_lookup *const self = (struct id_lookup *)op;
    struct zsp_err error = completion->error;
    if (error.code == 0 && completion->hit_count > 0) {
        const size_t bytes = completion->hit_count * sizeof *self->hits;
        self->hits = malloc(bytes);
        if (self->hits) {
            memcpy(self->hits, completion->hits, bytes);
            self->hit_count = completion->hit_count;
            qsort(self->hits, self->hit_count, sizeof *self->hits, compare_offsets);
        } else {
            zsp_err_set(&error, ZSP_ENOMEM, "out of memory");
        }
    }
    if (error.code != 0) {
        done(engine, self, &error);
    } else {
        go_on(engine, self);
    }
}

static uint64_t *prints_of(const struct id_lookup *self)
{
    uint64_t *const prints = malloc(self->count * sizeof *prints);
    for (uint32_t i = 0; prints && i < self->count; i++) {
        prints[i] = store_id_print(self->ids[i]);
    }
    return prints;
}

int id_lookup_start(struct engine *engine, struct id_lookup *self, struct zsp_err *err)
{
    uint64_t *const prints = prints_of(self);
    self->found = malloc(self->count * sizeof *self->found);
    self->hit_count = self->at = 0;
    int rc = prints && self->found ? 0 : zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < self->count && prints && self->found; i++) {
        self->found[i] = ID_NOT_FOUND;
    }
    if (rc == 0) {
        const struct store_find_ids find = {
            .part = self->partition->part,
            .prints = prints,
            .count = self->count,
            .keep = self->keep,
            .since_ms = self->since_ms,
            .tag = engine_op_tag(&self->op),
        };
        self->op.done_fn = is_found;
        rc = engine->store->ops->find_ids(engine->store, &find, err);
    }
    free(prints);
    if (rc != 0) {
        id_lookup_fini(self);
    }
    return rc;
}

void id_lookup_advanced(struct engine *engine, struct partition *partition)
{
    struct id_lookup *next = NULL;
    for (struct id_lookup *self = partition->lookup_first; self; self = next) {
        next = self->wait_next;
        stop_waiting(self);
        go_on(engine, self); /* who waits on comes first again */
    }
}

void id_lookup_partition_gone(struct engine *engine, struct partition *partition,
                              const struct zsp_err *error)
{
    while (partition->lookup_first) {
        struct id_lookup *const self = partition->lookup_first;
        stop_waiting(self);
        done(engine, self, error);
    }
}
