/* SPDX-License-Identifier: MPL-2.0 */
#include <stddef.h>

#include "client/src/producer/producer_priv.h"
#include "common/container.h"

static bool is_packed(struct zsp_batch *batch)
{
    return zsp_batch_body(batch) != &batch->buf;
}

uint32_t zsp_batch_extra_args(struct zsp_batch *self)
{
    return zsp_terms_args(&self->terms) + (is_packed(self) ? 2u : 0u);
}

void zsp_batch_write_extra_args(struct zsp_batch *self, struct zsp_writer *out)
{
    if (is_packed(self)) {
        wire_write_text_str(out, "codec", zsp_slice_str(ZSP_CODEC_ZSTD_NAME));
        wire_write_text_uint(out, "raw_size", self->bytes.len);
    }
    zsp_terms_write(out, &self->terms, zsp_link_clock_ahead_ms(self->producer->client->link));
}

static void write_args(struct zsp_batch *batch)
{
    const struct zspool_producer *self = batch->producer;
    const struct zsp_topic_out *topic = batch->route->topic;
    const bool written = self->options.level == ZSPOOL_WRITTEN;
    struct zsp_writer *args = &batch->args;
    zsp_writer_reset(args);
    wire_write_map(args, 6u + batch->routed + written + zsp_batch_extra_args(batch));
    wire_write_text_str(args, "topic",
                        (struct zsp_slice){(const uint8_t *)topic->name, topic->name_len});
    wire_write_text_uint(args, "partition", batch->route->partition);
    if (batch->routed) {
        wire_write_text_uint(args, "partitions", topic->partitions);
    }
    wire_write_text_uint(args, "count", batch->count);
    if (written) {
        wire_write_text_str(args, "level", zsp_slice_str("written"));
    }
    wire_write_text_str(args, "producer", zsp_slice_str(self->name));
    wire_write_text_uint(args, "epoch", self->epoch);
    wire_write_text_uint(args, "seq", batch->seq);
    zsp_batch_write_extra_args(batch, args);
}

static void publish_done(struct zsp_request *request, const struct zsp_answer *answer)
{
    struct zsp_batch *batch = CONTAINER_OF(request, struct zsp_batch, request);
    struct zsp_confirmed confirmed = {0};
    if (answer->code == 0) {
        confirmed = zsp_confirmed_read(batch->producer, answer->map);
        confirmed.at = wire_map_find(answer->map, "at");
    }
    batch->producer->requests--;
    zsp_batch_answered(batch, answer, &confirmed);
}

int zsp_batch_send_alone(struct zsp_batch *self, int64_t now_ms)
{
    struct zspool_producer *producer = self->producer;
    self->request.verb = "PUBLISH";
    self->request.body = zsp_batch_body(self);
    write_args(self);
    self->request.done_fn = publish_done;
    if (zsp_link_send_args(producer->client->link, &producer->port, &self->request, &self->args,
                           now_ms) != 0) {
        return ZSP_EAGAIN;
    }
    self->is_bundled = false;
    producer->requests++;
    return 0;
}

void zsp_batch_depart(struct zsp_batch *self)
{
    struct zsp_route *route = self->route;
    self->has_new_seq = self->seq == 0;
    if (self->has_new_seq) {
        self->seq = route->next_seq;
        route->next_seq += self->count;
    }
    route->usual_bytes = self->bytes.len;
    route->usual_runs = self->run_count;
    self->in_flight = true;
    route->in_flight++;
    self->producer->in_flight++;
}

void zsp_batch_return(struct zsp_batch *self)
{
    struct zsp_route *route = self->route;
    if (self->has_new_seq) {
        route->next_seq = self->seq;
        self->seq = 0;
    }
    self->in_flight = false;
    route->in_flight--;
    self->producer->in_flight--;
    zsp_route_activate(route);
}

/* 0, or ZSP_EAGAIN: no credit, or the connection went. */
static int send_batch(struct zsp_batch *batch, int64_t now_ms)
{
    if (zsp_bundle_takes(batch)) {
        return zsp_bundle_add(batch, now_ms);
    }
    if (zsp_bundle_send(batch->producer, now_ms) != 0) { /* what came first goes first */
        return ZSP_EAGAIN;
    }
    zsp_batch_depart(batch);
    const int rc = zsp_batch_send_alone(batch, now_ms);
    if (rc != 0) {
        zsp_batch_return(batch);
    }
    return rc;
}

static struct zsp_batch *next_unsent(const struct zsp_route *route)
{
    struct zsp_batch *batch = TAILQ_FIRST(&route->batches);
    while (batch && batch->in_flight) {
        batch = TAILQ_NEXT(batch, link);
    }
    return batch;
}

static bool is_full(const struct zsp_batch *batch)
{
    return batch->seq != 0 || TAILQ_NEXT(batch, link) ||
           batch->bytes.len >= batch->producer->options.batch_bytes / 2;
}

/* Others need the connection, too: one producer takes half of its credit. */
static bool has_share(const struct zspool_producer *self)
{
    return self->requests < zsp_link_hello(self->client->link)->max_requests / 2;
}

bool zsp_producer_can_send(const struct zspool_producer *self, const struct zsp_batch *batch)
{
    const struct zsp_route *route = batch->route;
    return route->in_flight < self->options.max_in_flight && has_share(self) &&
           (route->in_flight == 0 || self->in_flight <= 1 || is_full(batch));
}

/* Send what may go; false when the route has to be looked at again, though none of its batches is
 * answered and none becomes full. */
static bool pump_route(struct zsp_route *route, int64_t now_ms, bool *ret_blocked)
{
    struct zspool_producer *self = route->topic->producer;
    if (route->holding && route->in_flight == 0 && now_ms >= route->hold_until_ms) {
        route->holding = false;
    }
    if (route->holding) {
        if (route->in_flight == 0) {
            zsp_producer_wake_at(self, route->hold_until_ms);
        }
        return false;
    }
    struct zsp_batch *batch;
    while ((batch = next_unsent(route))) {
        if (has_share(self) && !zsp_producer_can_send(self, batch)) {
            return true;
        }
        if (zsp_bundle_must_wait(batch)) {
            zsp_route_await_bundle(route);
            return true;
        }
        if (!has_share(self) || !zsp_batch_ready(batch) || send_batch(batch, now_ms) != 0) {
            *ret_blocked = true;
            return false;
        }
    }
    return true;
}

/* Looks at each active route once; those that have to be looked at again go to the end of the list. */
void zsp_producer_send(struct zspool_producer *self, int64_t now_ms)
{
    const struct zsp_route *const last = TAILQ_LAST(&self->active, zsp_route_list);
    bool blocked = false;
    bool all = !last;
    while (!blocked && !all) {
        struct zsp_route *route = TAILQ_FIRST(&self->active);
        TAILQ_REMOVE(&self->active, route, active_link);
        route->active = false;
        all = route == last;
        if (!pump_route(route, now_ms, &blocked)) {
            zsp_route_activate(route);
        }
    }
    (void)zsp_bundle_send(self, now_ms); /* if not, its routes are active again */
}
