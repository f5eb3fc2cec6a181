/* SPDX-License-Identifier: MPL-2.0 */
#include <stdlib.h>
#include <string.h>

#include "client/src/producer/producer_priv.h"
#include "common/hash.h"
#include "common/name.h"

/* --- Topics --------------------------------------------------------------------- */

static struct zsp_topic_out *topic_new(struct zspool_producer *producer, struct zsp_slice name)
{
    struct zsp_topic_out *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->producer = producer;
    memcpy(self->name, name.data, name.len);
    self->name_len = name.len;
    self->unrouted.topic = self;
    TAILQ_INIT(&self->unrouted.batches);
    const struct zsp_slice key = {(const uint8_t *)self->name, name.len};
    if (zsp_table_add(&producer->topics, key, self) != 0) {
        free(self);
        return NULL;
    }
    self->next = producer->topic_first;
    producer->topic_first = self;
    return self;
}

int zsp_topic_out_get(struct zspool_producer *producer, struct zsp_slice name,
                      struct zsp_topic_out **ret, struct zsp_err *err)
{
    struct zsp_topic_out *topic = producer->topic_last_used;
    if (!topic || topic->name_len != name.len || memcmp(topic->name, name.data, name.len) != 0) {
        topic = zsp_table_find(&producer->topics, name);
    }
    if (!topic) {
        if (zsp_name_check("topic", name, err) != 0) {
            return ZSP_EBAD_NAME;
        }
        if (producer->topics.count >= ZSP_TOPICS_OUT_MAX) {
            return zsp_err_set(err, ZSP_ELIMIT_REACHED, "a producer writes to at most %u topics",
                               ZSP_TOPICS_OUT_MAX);
        }
        topic = topic_new(producer, name);
    }
    if (!topic) {
        return zsp_err_set(err, ZSP_ENOMEM, "no memory for a topic");
    }
    producer->topic_last_used = topic;
    *ret = topic;
    return 0;
}

void zsp_topic_out_free(struct zsp_topic_out *self)
{
    for (uint32_t i = 0; i < self->route_count; i++) {
        free(self->routes[i]);
    }
    free(self->routes);
    zsp_writer_fini(&self->info_args);
    free(self);
}

void zsp_topic_out_ask(struct zsp_topic_out *topic)
{
    if (topic->state == TOPIC_ASKING) {
        return;
    }
    topic->state = TOPIC_UNKNOWN;
    if (!topic->asks) {
        topic->asks = true;
        topic->asks_next = topic->producer->asks_first;
        topic->producer->asks_first = topic;
    }
}

/* --- Routes ---------------------------------------------------------------------- */

static bool more_routes(struct zsp_topic_out *topic, uint32_t count)
{
    struct zsp_route **routes = realloc(topic->routes, count * sizeof(struct zsp_route *));
    if (!routes) {
        return false;
    }
    for (uint32_t i = topic->route_count; i < count; i++) {
        routes[i] = NULL;
    }
    topic->routes = routes;
    topic->route_count = count;
    return true;
}

struct zsp_route *zsp_route_get(struct zsp_topic_out *topic, uint32_t partition)
{
    if (partition >= topic->route_count && !more_routes(topic, partition + 1)) {
        return NULL;
    }
    struct zsp_route *route = topic->routes[partition];
    if (!route) {
        route = calloc(1, sizeof *route);
        if (!route) {
            return NULL;
        }
        route->topic = topic;
        route->partition = partition;
        route->next_seq = 1;
        TAILQ_INIT(&route->batches);
        topic->routes[partition] = route;
    }
    return route;
}

void zsp_route_activate(struct zsp_route *route)
{
    struct zspool_producer *producer = route->topic->producer;
    if (route->active || route == &route->topic->unrouted) {
        return;
    }
    route->active = true;
    TAILQ_INSERT_TAIL(&producer->active, route, active_link);
}

void zsp_route_append(struct zsp_route *route, struct zsp_batch *batch)
{
    batch->route = route;
    TAILQ_INSERT_TAIL(&route->batches, batch, link);
    zsp_route_activate(route);
}

void zsp_route_take(struct zsp_batch *batch)
{
    TAILQ_REMOVE(&batch->route->batches, batch, link);
    batch->route = NULL;
}

/* The route's last batch if it takes one more record like this. */
static struct zsp_batch *open_batch(const struct zsp_route *route,
                                    const struct zsp_addressed *record)
{
    struct zsp_batch *batch = TAILQ_LAST(&route->batches, zsp_batch_list);
    if (!batch || batch->in_flight || batch->closed || batch->seq != 0 ||
        batch->routed != (record->partition < 0) ||
        !zsp_terms_equal(&batch->terms, &record->terms)) {
        return NULL;
    }
    const size_t max = route->topic->producer->options.batch_bytes;
    return batch->bytes.len < max && record->bytes <= max - batch->bytes.len ? batch : NULL;
}

static struct zsp_batch *batch_in(struct zsp_route *route, const struct zsp_addressed *record)
{
    struct zsp_batch *batch = open_batch(route, record);
    if (batch) {
        return batch;
    }
    const size_t room = record->bytes > route->usual_bytes ? record->bytes : route->usual_bytes;
    batch = zsp_batch_new(route->topic->producer, room, route->usual_runs);
    if (batch) {
        batch->routed = record->partition < 0;
        batch->terms = record->terms;
        zsp_route_append(route, batch);
    }
    return batch;
}

/* Keyless records of a batch stay together; the next batch goes to the next partition. */
static struct zsp_route *keyless_route(struct zsp_topic_out *topic,
                                       const struct zsp_addressed *record)
{
    struct zsp_route *route = zsp_route_get(topic, topic->keyless_partition % topic->partitions);
    if (route && !open_batch(route, record)) {
        topic->keyless_partition = (topic->keyless_partition + 1) % topic->partitions;
        route = zsp_route_get(topic, topic->keyless_partition);
    }
    return route;
}

struct zsp_batch *zsp_topic_out_batch(struct zsp_topic_out *topic,
                                      const struct zsp_addressed *record)
{
    struct zsp_route *route = NULL;
    if (record->partition >= 0) {
        route = zsp_route_get(topic, (uint32_t)record->partition);
    } else if (topic->state != TOPIC_KNOWN) {
        route = &topic->unrouted;
        if (topic->state == TOPIC_UNKNOWN) {
            zsp_topic_out_ask(topic);
        }
    } else if (record->key.data) {
        route = zsp_route_get(topic, (uint32_t)(zsp_hash(record->key) % topic->partitions));
    } else if (record->id.data) { /* who sends it again meets it there (dedup_window_ms) */
        route = zsp_route_get(topic, (uint32_t)(zsp_hash(record->id) % topic->partitions));
    } else {
        route = keyless_route(topic, record);
    }
    return route ? batch_in(route, record) : NULL;
}

/* --- Routing later, and anew ---------------------------------------------------------- */

/* The first `moved` records went elsewhere; `rest` is what is left of the bytes. */
static void cut_front(struct zsp_batch *self, uint32_t moved, struct zsp_slice rest)
{
    uint64_t left = moved;
    size_t run = 0;
    while (left >= self->runs[run].count) {
        left -= self->runs[run].count;
        run++;
    }
    self->run_count -= run;
    memmove(self->runs, self->runs + run, self->run_count * sizeof *self->runs);
    self->runs[0].first += left;
    self->runs[0].count -= left;
    self->count -= moved;
    self->producer->bytes -= self->bytes.len - rest.len;
    memmove(self->bytes.data, rest.data, rest.len);
    self->bytes.len = rest.len;
}

/* Move the records of one batch to where they belong. */
static int spread_batch(struct zsp_topic_out *topic, struct zsp_batch *from)
{
    struct zsp_slice rest = zsp_writer_slice(&from->bytes);
    struct zsp_slice before = rest;
    struct zsp_slice record;
    uint32_t moved = 0;
    size_t run = 0;
    uint64_t in_run = 0;
    struct zsp_slice id;
    for (; zsp_record_next_id(&rest, &record, &id) == 0; before = rest) {
        struct zsp_addressed addressed = {
            .partition = ZSPOOL_PARTITION_ANY, .id = id, .bytes = record.len, .terms = from->terms};
        (void)zsp_record_key(record, &addressed.key); /* our own encoding: it is a record */
        struct zsp_batch *to = zsp_topic_out_batch(topic, &addressed);
        const size_t len = to ? to->bytes.len : 0;
        if (to) {
            to->born_ms = from->born_ms < to->born_ms ? from->born_ms : to->born_ms;
            zsp_write_bytes(&to->bytes, record);
        }
        if (!to || to->bytes.failed ||
            zsp_batch_add_ticket(to, from->runs[run].first + in_run) != 0) {
            if (to) {
                to->bytes.failed = false;
                to->bytes.len = len;
            }
            cut_front(from, moved, before);
            return ZSP_ENOMEM;
        }
        to->count++;
        moved++;
        topic->producer->bytes += record.len;
        if (++in_run == from->runs[run].count) {
            run++;
            in_run = 0;
        }
    }
    return 0;
}

int zsp_topic_out_spread(struct zsp_topic_out *topic)
{
    while (!TAILQ_EMPTY(&topic->unrouted.batches)) {
        struct zsp_batch *batch = TAILQ_FIRST(&topic->unrouted.batches);
        if (topic->partitions == 1) {
            struct zsp_route *route = zsp_route_get(topic, 0);
            if (!route) {
                return ZSP_ENOMEM;
            }
            zsp_route_take(batch);
            zsp_route_append(route, batch);
            continue;
        }
        const int rc = spread_batch(topic, batch);
        if (rc != 0) {
            return rc;
        }
        zsp_route_take(batch);
        zsp_batch_drop(batch);
    }
    return 0;
}

void zsp_topic_out_gather(struct zsp_topic_out *topic)
{
    struct zsp_batch_list later = TAILQ_HEAD_INITIALIZER(later);
    TAILQ_CONCAT(&later, &topic->unrouted.batches, link);
    /* Per key, what is in a route is older than what is unrouted. */
    for (uint32_t i = 0; i < topic->route_count; i++) {
        struct zsp_batch *next = topic->routes[i] ? TAILQ_FIRST(&topic->routes[i]->batches) : NULL;
        while (next) {
            struct zsp_batch *batch = next;
            next = TAILQ_NEXT(batch, link);
            if (batch->routed && batch->seq == 0) {
                zsp_route_take(batch);
                zsp_route_append(&topic->unrouted, batch);
            }
        }
    }
    TAILQ_CONCAT(&topic->unrouted.batches, &later, link);
    topic->reroute = false;
    zsp_topic_out_ask(topic);
}
