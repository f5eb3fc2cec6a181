/* SPDX-License-Identifier: MPL-2.0
 *
 * A bundle: small batches for several partitions, ready at the same time, that travel in one request
 * and are told of in one answer, or in parts. What a request costs is paid once then. A batch in a
 * bundle is what it is alone: it has its own sequence and its own fate. One that has no company
 * travels alone, and so does a large one, whose bytes need not be copied then.
 *
 * Few bundles are in flight. What is ready meanwhile waits, and its batches grow: what a batch costs
 * beside its bytes counts more than what it waits for.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "client/src/producer/producer_priv.h"
#include "common/container.h"

#define BATCH_BYTES   (16u * ZSP_KIB) /* larger ones travel alone */
#define BODY_BYTES    ZSP_MIB
#define ROWS_MAX      512u /* with so many */
#define BUNDLES_MAX   2u   /* in flight: while one is being synced, the next one is written */
#define ARGS_BYTES    512u /* all that is told once */
#define ROW_BYTES     48u  /* what is told of a batch, beside its topic's name */
#define EXTRA_BYTES   128u /* the same, of terms and codec */
#define TERMS_ELEMENT 7u   /* of a row, counted from 1 */

struct zsp_bundle {
    struct zsp_request request;
    struct zspool_producer *producer;
    LIST_ENTRY(zsp_bundle) link; /* in flight, of the producer */
    struct zsp_writer args;
    struct zsp_buf *body;
    size_t body_bytes, args_bytes; /* the latter at most */
    uint32_t count, capacity;
    struct zsp_batch *batches[]; /* NULL = its fate was told */
};

static uint64_t batches_max(const struct zspool_producer *self)
{
    const uint64_t told = zsp_link_hello(self->client->link)->max_batches;
    return told < ROWS_MAX ? told : ROWS_MAX;
}

bool zsp_bundle_takes(const struct zsp_batch *batch)
{
    return batch->bytes.len <= BATCH_BYTES && batches_max(batch->producer) > 1;
}

/* What is told of it, at most. */
static size_t args_bytes_of(struct zsp_batch *batch)
{
    const bool has_extras = zsp_batch_extra_args(batch) > 0;
    return ROW_BYTES + batch->route->topic->name_len + (has_extras ? EXTRA_BYTES : 0u);
}

/* Of credit, with one more batch. */
static size_t bytes_with(const struct zsp_bundle *self, struct zsp_batch *batch)
{
    return self->body_bytes + zsp_batch_body(batch)->len + self->args_bytes + args_bytes_of(batch) +
           ((size_t)self->count + 1) * ZSP_BATCH_BYTES;
}

static bool fits(const struct zsp_bundle *self, struct zsp_batch *batch)
{
    const struct zsp_hello *hello = zsp_link_hello(self->producer->client->link);
    const size_t body_bytes = self->body_bytes + zsp_batch_body(batch)->len;
    return self->count < self->capacity && body_bytes <= BODY_BYTES &&
           body_bytes <= hello->max_frame &&
           self->args_bytes + args_bytes_of(batch) <= hello->max_header &&
           bytes_with(self, batch) <= hello->max_request_bytes;
}

bool zsp_bundle_must_wait(struct zsp_batch *batch)
{
    const struct zspool_producer *self = batch->producer;
    const struct zsp_bundle *bundle = self->gathered;
    if (!zsp_bundle_takes(batch)) {
        return false;
    }
    if (!bundle || bundle->count == 0) {
        return self->bundle_count >= BUNDLES_MAX;
    }
    return self->bundle_count + 1 >= BUNDLES_MAX && !fits(bundle, batch);
}

void zsp_route_await_bundle(struct zsp_route *route)
{
    struct zspool_producer *self = route->topic->producer;
    if (route->active || route == &route->topic->unrouted) {
        return;
    }
    route->active = true;
    TAILQ_INSERT_TAIL(&self->waiting, route, active_link);
}

/* --- out ------------------------------------------------------------------------------------- */

static void write_row(struct zsp_writer *args, struct zsp_batch *batch)
{
    const struct zsp_topic_out *topic = batch->route->topic;
    const uint32_t extras = zsp_batch_extra_args(batch);
    const bool has_extras = extras > 0;
    wire_write_array(args, has_extras      ? TERMS_ELEMENT
                           : batch->routed ? TERMS_ELEMENT - 1
                                           : TERMS_ELEMENT - 2);
    wire_write_str(args, (struct zsp_slice){(const uint8_t *)topic->name, topic->name_len});
    wire_write_uint(args, zsp_batch_body(batch)->len);
    wire_write_uint(args, batch->route->partition);
    wire_write_uint(args, batch->count);
    wire_write_uint(args, batch->seq);
    if (batch->routed) {
        wire_write_uint(args, topic->partitions);
    } else if (has_extras) {
        wire_write_nil(args);
    }
    if (has_extras) {
        wire_write_map(args, extras);
        zsp_batch_write_extra_args(batch, args);
    }
}

static void write_args(struct zsp_bundle *self)
{
    const struct zspool_producer *producer = self->producer;
    const bool written = producer->options.level == ZSPOOL_WRITTEN;
    struct zsp_writer *args = &self->args;
    (void)zsp_write_room(args, self->args_bytes); /* else it grows, or fails there */
    zsp_writer_reset(args);
    wire_write_map(args, 3u + written);
    wire_write_text_str(args, "producer", zsp_slice_str(producer->name));
    wire_write_text_uint(args, "epoch", producer->epoch);
    if (written) {
        wire_write_text_str(args, "level", zsp_slice_str("written"));
    }
    wire_write_text(args, "batches");
    wire_write_array(args, self->count);
    for (uint32_t i = 0; i < self->count; i++) {
        write_row(args, self->batches[i]);
    }
}

/* Errors: ZSP_ENOMEM */
static int join_bodies(struct zsp_bundle *self)
{
    self->body = zsp_buf_new(self->body_bytes);
    if (!self->body) {
        return ZSP_ENOMEM;
    }
    uint8_t *pos = zsp_buf_bytes(self->body);
    for (uint32_t i = 0; i < self->count; i++) {
        const struct zsp_buf *body = zsp_batch_body(self->batches[i]);
        memcpy(pos, body->data, body->len);
        pos += body->len;
    }
    return 0;
}

static void empty(struct zsp_bundle *self)
{
    self->count = 0;
    self->body_bytes = 0;
    self->args_bytes = ARGS_BYTES;
}

static void bundle_free(struct zsp_bundle *self)
{
    zsp_writer_fini(&self->args);
    zsp_buf_put(&self->body);
    free(self);
}

/* The last one to depart comes back first: of one partition they are in the order of sequences. */
static void take_back(struct zsp_bundle *self)
{
    while (self->count > 0) {
        self->count--;
        zsp_batch_return(self->batches[self->count]);
    }
    empty(self);
}

static void bundle_done(struct zsp_request *request, const struct zsp_answer *answer);
static void part_done(struct zsp_request *request, const struct zsp_answer *answer);

static int send_all(struct zsp_bundle *self, int64_t now_ms)
{
    struct zspool_producer *producer = self->producer;
    if (join_bodies(self) != 0) {
        zsp_link_try_later(&producer->port, now_ms);
        return ZSP_EAGAIN;
    }
    write_args(self);
    self->request.verb = "PUBLISH";
    self->request.body = self->body;
    self->request.extra_bytes = (size_t)self->count * ZSP_BATCH_BYTES;
    self->request.done_fn = bundle_done;
    self->request.part_fn = part_done;
    const int rc = zsp_link_send_args(producer->client->link, &producer->port, &self->request,
                                      &self->args, now_ms);
    if (rc != 0) {
        zsp_buf_put(&self->body);
        return rc;
    }
    for (uint32_t i = 0; i < self->count; i++) {
        self->batches[i]->is_bundled = true;
    }
    producer->requests++;
    producer->gathered = NULL;
    producer->bundle_count++;
    LIST_INSERT_HEAD(&producer->bundles, self, link);
    return 0;
}

int zsp_bundle_send(struct zspool_producer *self, int64_t now_ms)
{
    struct zsp_bundle *bundle = self->gathered;
    if (!bundle || bundle->count == 0) {
        return 0;
    }
    const bool is_alone = bundle->count == 1;
    const int rc =
        is_alone ? zsp_batch_send_alone(bundle->batches[0], now_ms) : send_all(bundle, now_ms);
    if (rc != 0) {
        take_back(bundle);
    } else if (is_alone) {
        empty(bundle);
    }
    return rc;
}

/* NULL when out of memory. */
static struct zsp_bundle *gathered(struct zspool_producer *self)
{
    const uint64_t max = batches_max(self);
    if (self->gathered && self->gathered->capacity != max) { /* another broker */
        bundle_free(self->gathered);
        self->gathered = NULL;
    }
    if (!self->gathered) {
        struct zsp_bundle *bundle = calloc(1, sizeof *bundle + max * sizeof(struct zsp_batch *));
        if (bundle) {
            bundle->producer = self;
            bundle->capacity = (uint32_t)max;
            empty(bundle);
        }
        self->gathered = bundle;
    }
    return self->gathered;
}

int zsp_bundle_add(struct zsp_batch *batch, int64_t now_ms)
{
    struct zspool_producer *producer = batch->producer;
    struct zsp_bundle *bundle = gathered(producer);
    if (bundle && bundle->count > 0 && !fits(bundle, batch)) {
        if (zsp_bundle_send(producer, now_ms) != 0) {
            return ZSP_EAGAIN;
        }
        bundle = gathered(producer);
    }
    if (!bundle) {
        zsp_link_try_later(&producer->port, now_ms);
        return ZSP_EAGAIN;
    }
    if (!zsp_link_room(producer->client->link, &producer->port, bytes_with(bundle, batch))) {
        return ZSP_EAGAIN; /* what is gathered has room */
    }
    bundle->batches[bundle->count++] = batch;
    bundle->body_bytes += zsp_batch_body(batch)->len;
    bundle->args_bytes += args_bytes_of(batch);
    zsp_batch_depart(batch);
    return 0;
}

/* --- in -------------------------------------------------------------------------------------- */

static struct zsp_bundle *bundle_of(struct zsp_request *request)
{
    return CONTAINER_OF(request, struct zsp_bundle, request);
}

/* The batch that a row tells of; NULL when there is none, or it was told of. */
static struct zsp_batch *take_batch(struct zsp_bundle *self, const msgpack_object *row)
{
    uint64_t index;
    if (row->type != MSGPACK_OBJECT_ARRAY || row->via.array.size < 2 ||
        wire_get_uint(&row->via.array.ptr[0], "batch", UINT32_MAX, &index, NULL) != 0 ||
        index >= self->count) {
        return NULL;
    }
    const bool is_told =
        row->via.array.ptr[1].type == MSGPACK_OBJECT_ARRAY ||
        (row->via.array.size >= 3 && row->via.array.ptr[2].type == MSGPACK_OBJECT_MAP);
    struct zsp_batch *batch = is_told ? self->batches[index] : NULL;
    self->batches[index] = is_told ? NULL : self->batches[index];
    return batch;
}

static void take_refusal(struct zsp_batch *batch, const msgpack_object *map, int64_t now_ms)
{
    struct zsp_err err = {0};
    const struct zsp_answer answer = {
        .code = wire_error_decode(map, &err), .err = &err, .now_ms = now_ms};
    zsp_batch_answered(batch, &answer, NULL);
}

static void take_rows(struct zsp_bundle *self, const struct zsp_answer *answer)
{
    const msgpack_object *rows = wire_map_find(answer->map, "rows");
    const uint32_t count = rows && rows->type == MSGPACK_OBJECT_ARRAY ? rows->via.array.size : 0;
    struct zsp_confirmed confirmed = zsp_confirmed_read(self->producer, answer->map);
    for (uint32_t i = 0; i < count; i++) {
        const msgpack_object *row = &rows->via.array.ptr[i];
        struct zsp_batch *batch = take_batch(self, row);
        if (batch && row->via.array.ptr[1].type == MSGPACK_OBJECT_ARRAY) {
            confirmed.at = &row->via.array.ptr[1];
            zsp_batch_answered(batch, answer, &confirmed);
        } else if (batch) {
            take_refusal(batch, &row->via.array.ptr[2], answer->now_ms);
        }
    }
}

static void part_done(struct zsp_request *request, const struct zsp_answer *answer)
{
    take_rows(bundle_of(request), answer);
}

static void bundle_done(struct zsp_request *request, const struct zsp_answer *answer)
{
    struct zsp_bundle *self = bundle_of(request);
    struct zsp_err untold = {0};
    struct zsp_answer rest = *answer;
    self->producer->requests--;
    self->producer->bundle_count--;
    LIST_REMOVE(self, link);
    TAILQ_CONCAT(&self->producer->active, &self->producer->waiting,
                 active_link); /* they are looked at again */
    if (answer->code == 0) {
        take_rows(self, answer);
        rest.code = zsp_err_set(&untold, ZSP_ECLOSED, "the answer told nothing of a batch");
        rest.err = &untold;
    }
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->batches[i]) {
            zsp_batch_answered(self->batches[i], &rest, NULL);
        }
    }
    bundle_free(self);
}

void zsp_bundles_forget(struct zspool_producer *self)
{
    while (!LIST_EMPTY(&self->bundles)) {
        struct zsp_bundle *bundle = LIST_FIRST(&self->bundles);
        zsp_link_forget(self->client->link, &bundle->request);
        LIST_REMOVE(bundle, link);
        bundle_free(bundle);
    }
    if (self->gathered) {
        bundle_free(self->gathered);
        self->gathered = NULL;
    }
}
