/* SPDX-License-Identifier: MPL-2.0
 *
 * The happy path of a batch:
 *   - the pump finds it in an active route, gives it the route's next sequence, sends it, alone or with
 *     others (producer_bundle.c)
 *   - while it is in flight, the next one fills; a batch that is not full waits until none of
 *     its route is in flight, or at most one of all, so batches grow with the load and idle ones
 *     go at once
 *   - the confirm tells the offsets; its tickets are resolved
 * Failure modes:
 *   - the connection goes: sent again, same sequence; the broker knows what it has
 *   - a passing refusal (no space, shutting down ...): the route holds until everything behind it has
 *     come back too (as sequence_gap), pauses, and goes on in order
 *   - a refusal for good: if nothing behind it was sent, its sequence is free again; else
 *     resync: open the name anew, which tells exactly what is in the log
 *   - the broker does not know the name any more: resync; what was sent without an
 *     answer is reported as maybe
 */
#include <stdlib.h>
#include <string.h>

#include "client/src/producer/producer_priv.h"
#include "common/container.h"

#define PAUSE_MS              100  /* before a refused batch is tried again; doubles */
#define PAUSE_MS_MAX          5000 /* */
#define CHECK_MS_MAX          1000 /* between two looks at ages of batches */
#define FRUITLESS_RESYNCS_MAX 5u   /* then what is refused is refused for good */

static zspool_report_t told_of(int code, bool maybe)
{
    return (zspool_report_t){.status = code, .maybe = maybe, .first_offset = ZSPOOL_OFFSET_UNKNOWN};
}

static void resolve_failed(struct zsp_batch *batch, const struct zsp_err *err)
{
    const zspool_report_t told = told_of(err->code, err->maybe);
    zsp_batch_resolve(batch, &told, err);
}

/* --- Time-outs ---------------------------------------------------------------------- */

static void give_up(struct zsp_batch *batch)
{
    struct zspool_producer *self = batch->producer;
    struct zsp_err err = {0};
    const bool maybe = batch->in_flight || batch->uncertain || batch->applied;
    zsp_err_set(&err, ZSP_ETIMEOUT, "topic %s: not confirmed within %lld ms",
                batch->route->topic->name, (long long)self->options.delivery_ms);
    err.maybe = maybe;
    const zspool_report_t told = told_of(ZSP_ETIMEOUT, maybe);
    if (batch->seq == 0) {
        zsp_batch_resolve(batch, &told, &err);
        return;
    }
    /* Its sequence is taken: keep it until open_done sorts the route out. */
    zsp_batch_report(batch, &told, &err);
    self->resync = true;
}

static void check_ages(struct zspool_producer *self, int64_t now_ms)
{
    if (self->options.delivery_ms < 0 || TAILQ_EMPTY(&self->all)) {
        return;
    }
    struct zsp_batch *next;
    for (struct zsp_batch *batch = TAILQ_FIRST(&self->all); batch; batch = next) {
        next = TAILQ_NEXT(batch, all_link);
        if (batch->reported) {
            continue;
        }
        if (now_ms - batch->born_ms < self->options.delivery_ms) {
            break; /* those behind it are younger */
        }
        give_up(batch);
    }
    int64_t check_ms = self->options.delivery_ms / 4 + 1;
    check_ms = check_ms > CHECK_MS_MAX ? CHECK_MS_MAX : check_ms;
    if (self->port.wake_ms > now_ms + check_ms) {
        self->port.wake_ms = now_ms + check_ms;
    }
}

void zsp_producer_wake_at(struct zspool_producer *self, int64_t at_ms)
{
    if (at_ms < self->port.wake_ms) {
        self->port.wake_ms = at_ms;
    }
}

/* --- Opening the name -------------------------------------------------------------------- */

static void read_last(struct zspool_producer *self, const msgpack_object *map)
{
    for (struct zsp_topic_out *topic = self->topic_first; topic; topic = topic->next) {
        for (uint32_t i = 0; i < topic->route_count; i++) {
            if (topic->routes[i]) {
                topic->routes[i]->broker_seq = 0;
            }
        }
    }
    const msgpack_object *last = wire_map_find(map, "last");
    const uint32_t count = last && last->type == MSGPACK_OBJECT_ARRAY ? last->via.array.size : 0;
    for (uint32_t i = 0; i < count; i++) {
        const msgpack_object *row = &last->via.array.ptr[i];
        struct zsp_slice name;
        uint64_t partition;
        uint64_t seq;
        struct zsp_topic_out *topic;
        if (row->type != MSGPACK_OBJECT_ARRAY || row->via.array.size < 3 ||
            wire_get_str(&row->via.array.ptr[0], "topic", &name, NULL) != 0 ||
            wire_get_uint(&row->via.array.ptr[1], "partition", ZSP_PARTITIONS_MAX - 1, &partition,
                          NULL) != 0 ||
            wire_get_uint(&row->via.array.ptr[2], "seq", UINT64_MAX - 1, &seq, NULL) != 0 ||
            zsp_topic_out_get(self, name, &topic, NULL) != 0) {
            continue; /* then the first publish there is answered with a gap: opened anew */
        }
        struct zsp_route *route = zsp_route_get(topic, (uint32_t)partition);
        if (route) {
            route->broker_seq = seq;
        }
    }
}

/* What the broker told decides about each batch that had a sequence. */
static void sort_out_batch(struct zsp_batch *batch, bool forgotten)
{
    const struct zsp_route *route = batch->route;
    const bool known =
        batch->seq != 0 && !forgotten && route->broker_seq >= batch->seq + batch->count - 1;
    if (batch->reported) {
        zsp_batch_resolve(batch, NULL, NULL);
        return;
    }
    if (known && (batch->uncertain || batch->doom)) {
        batch->applied = true;
        return;
    }
    if (batch->doom) {
        batch->doom->maybe = false;
        resolve_failed(batch, batch->doom);
        return;
    }
    const bool new_log =
        route->broker_seq < route->confirmed_seq && batch->producer->options.level == ZSPOOL_SYNCED;
    if (batch->uncertain && (forgotten || new_log)) {
        struct zsp_err err = {0};
        zsp_err_set(&err, ZSP_ENOT_FOUND, "the broker does not remember producer %s any more",
                    batch->producer->name);
        err.maybe = true;
        resolve_failed(batch, &err);
        return;
    }
    batch->seq = 0;
    batch->uncertain = false;
}

static void sort_out_route(struct zsp_route *route, bool forgotten)
{
    struct zsp_batch *next;
    for (struct zsp_batch *batch = TAILQ_FIRST(&route->batches); batch; batch = next) {
        next = TAILQ_NEXT(batch, link);
        sort_out_batch(batch, forgotten);
    }
    route->next_seq = route->broker_seq + 1;
    route->confirmed_seq = route->broker_seq;
    route->holding = false;
    if (!TAILQ_EMPTY(&route->batches)) {
        zsp_route_activate(route);
    }
}

/* The batch that was to make the topic failed: the next one is to try. */
static void guess_again(struct zsp_topic_out *topic)
{
    const struct zsp_route *route = topic->route_count > 0 ? topic->routes[0] : NULL;
    if (topic->state == TOPIC_GUESSED && (!route || TAILQ_EMPTY(&route->batches))) {
        topic->state = TOPIC_UNKNOWN;
        if (!TAILQ_EMPTY(&topic->unrouted.batches)) {
            zsp_topic_out_ask(topic);
        }
    }
}

static void opened(struct zspool_producer *self, const msgpack_object *map)
{
    uint64_t epoch = 0;
    const msgpack_object *value = wire_map_find(map, "epoch");
    if (!value || wire_get_uint(value, "epoch", UINT32_MAX, &epoch, NULL) != 0) {
        epoch = 0;
    }
    const bool forgotten = self->epoch != 0 && epoch <= self->epoch;
    read_last(self, map);
    if (!forgotten) {
        zsp_producer_report_losses(self);
    }
    for (struct zsp_topic_out *topic = self->topic_first; topic; topic = topic->next) {
        for (uint32_t i = 0; i < topic->route_count; i++) {
            if (topic->routes[i]) {
                sort_out_route(topic->routes[i], forgotten);
            }
        }
        if (topic->reroute) {
            zsp_topic_out_gather(topic);
        }
        guess_again(topic);
    }
    self->epoch = (uint32_t)epoch;
    self->state = NAME_OPEN;
    memcpy(self->instance, zsp_link_hello(self->client->link)->instance, sizeof self->instance);
}

static void fence(struct zspool_producer *self, const struct zsp_err *err)
{
    self->state = NAME_FENCED;
    self->fenced = *err;
    struct zsp_batch *next;
    for (struct zsp_batch *batch = TAILQ_FIRST(&self->all); batch; batch = next) {
        next = TAILQ_NEXT(batch, all_link);
        if (!batch->in_flight) {
            struct zsp_err one = *err;
            one.maybe = batch->uncertain;
            resolve_failed(batch, &one);
        }
    }
    zsp_link_notify(self->client->link);
}

static int64_t pause_ms(uint32_t tries)
{
    int64_t pause = PAUSE_MS;
    for (uint32_t i = 1; i < tries && pause < PAUSE_MS_MAX; i++) {
        pause *= 2;
    }
    return pause < PAUSE_MS_MAX ? pause : PAUSE_MS_MAX;
}

static void open_done(struct zsp_request *request, const struct zsp_answer *answer)
{
    struct zspool_producer *self = CONTAINER_OF(request, struct zspool_producer, open);
    self->state = NAME_CLOSED;
    if (answer->code == 0) {
        self->resync = false;
        opened(self, answer->map);
    } else if (answer->code != ZSP_ECLOSED && !zsp_err_retriable(answer->code)) {
        fence(self, answer->err); /* denied, unsupported: this name is of no use */
    } else {
        self->open_at_ms = answer->now_ms + (answer->code == ZSP_ECLOSED ? 0 : PAUSE_MS);
    }
    zsp_link_kick(self->client->link, &self->port);
}

static void open_name(struct zspool_producer *self, int64_t now_ms)
{
    if (now_ms < self->open_at_ms) {
        zsp_producer_wake_at(self, self->open_at_ms);
        return;
    }
    zsp_writer_reset(&self->open_args);
    wire_write_map(&self->open_args, self->ephemeral ? 2 : 1);
    wire_write_text_str(&self->open_args, "producer", zsp_slice_str(self->name));
    if (self->ephemeral) {
        wire_write_text_bool(&self->open_args, "ephemeral", true);
    }
    if (self->open_args.failed) {
        zsp_producer_wake_at(self, now_ms + PAUSE_MS);
        return;
    }
    self->open.verb = "PRODUCER.OPEN";
    self->open.args = zsp_writer_slice(&self->open_args);
    self->open.done_fn = open_done;
    if (zsp_link_send(self->client->link, &self->port, &self->open, now_ms) == 0) {
        self->state = NAME_OPENING;
    }
}

/* --- Asking for partitions ------------------------------------------------------------------ */

static void fail_unrouted(struct zsp_topic_out *topic, const struct zsp_err *err)
{
    while (!TAILQ_EMPTY(&topic->unrouted.batches)) {
        resolve_failed(TAILQ_FIRST(&topic->unrouted.batches), err);
    }
}

/* There is no such topic: one batch goes out, and the broker makes the topic, if it does such things.
 * If it gives topics another number of partitions than 1 it answers would_reorder, and makes none: then
 * it is told to. */
static void guess(struct zsp_topic_out *topic)
{
    struct zsp_batch *batch = TAILQ_FIRST(&topic->unrouted.batches);
    struct zsp_route *route = batch ? zsp_route_get(topic, 0) : NULL;
    if (!route) {
        return; /* nothing to send any more, or no memory: the next message asks again */
    }
    topic->state = TOPIC_GUESSED;
    topic->partitions = 1;
    zsp_route_take(batch);
    zsp_route_append(route, batch);
}

static void info_done(struct zsp_request *request, const struct zsp_answer *answer)
{
    struct zsp_topic_out *topic = CONTAINER_OF(request, struct zsp_topic_out, info);
    struct zspool_producer *self = topic->producer;
    topic->state = TOPIC_UNKNOWN;
    if (answer->code == 0) {
        const msgpack_object *list = wire_map_find(answer->map, "partitions");
        const bool sane = list && list->type == MSGPACK_OBJECT_ARRAY && list->via.array.size > 0 &&
                          list->via.array.size <= ZSP_PARTITIONS_MAX;
        const uint32_t partitions = sane ? list->via.array.size : 1;
        if (partitions != topic->partitions) {
            self->fruitless_resyncs = 0; /* it has grown: that was the reason */
        }
        topic->partitions = partitions;
        topic->state = TOPIC_KNOWN;
        if (zsp_topic_out_spread(topic) != 0) {
            topic->ask_at_ms = answer->now_ms + PAUSE_MS;
            zsp_topic_out_ask(topic);
        }
    } else if (answer->code == ZSP_ENOT_FOUND) {
        guess(topic);
    } else if (answer->code == ZSP_ECLOSED || zsp_err_retriable(answer->code)) {
        topic->ask_at_ms = answer->now_ms + (answer->code == ZSP_ECLOSED ? 0 : PAUSE_MS);
        zsp_topic_out_ask(topic);
    } else {
        fail_unrouted(topic, answer->err);
    }
    zsp_link_kick(self->client->link, &self->port);
}

static void make_done(struct zsp_request *request, const struct zsp_answer *answer)
{
    struct zsp_topic_out *topic = CONTAINER_OF(request, struct zsp_topic_out, info);
    const bool is_passing = answer->code == ZSP_ECLOSED || zsp_err_retriable(answer->code);
    topic->state = TOPIC_UNKNOWN;
    topic->make = is_passing;
    if (answer->code == 0 || answer->code == ZSP_EEXISTS || is_passing) {
        const bool waits = is_passing && answer->code != ZSP_ECLOSED;
        topic->ask_at_ms = answer->now_ms + (waits ? PAUSE_MS : 0);
        zsp_topic_out_ask(topic);
    } else {
        fail_unrouted(topic, answer->err);
    }
    zsp_link_kick(topic->producer->client->link, &topic->producer->port);
}

static bool ask_one(struct zspool_producer *self, struct zsp_topic_out *topic, int64_t now_ms)
{
    zsp_writer_reset(&topic->info_args);
    wire_write_map(&topic->info_args, 1);
    wire_write_text_str(&topic->info_args, "topic", zsp_slice_str(topic->name));
    if (topic->info_args.failed) {
        return false;
    }
    topic->info.verb = topic->make ? "TOPIC.CREATE" : "TOPIC.INFO";
    topic->info.args = zsp_writer_slice(&topic->info_args);
    topic->info.done_fn = topic->make ? make_done : info_done;
    if (zsp_link_send(self->client->link, &self->port, &topic->info, now_ms) != 0) {
        return false;
    }
    topic->state = TOPIC_ASKING;
    return true;
}

static void ask_topics(struct zspool_producer *self, int64_t now_ms)
{
    struct zsp_topic_out *asks = self->asks_first;
    self->asks_first = NULL;
    while (asks) {
        struct zsp_topic_out *topic = asks;
        asks = topic->asks_next;
        topic->asks = false;
        const bool due = now_ms >= topic->ask_at_ms;
        if (!due || !ask_one(self, topic, now_ms)) {
            zsp_topic_out_ask(topic);
            zsp_producer_wake_at(self, due ? now_ms + PAUSE_MS : topic->ask_at_ms);
        }
    }
}

/* --- The pump ------------------------------------------------------------------------------ */

void zsp_producer_pump(struct zsp_port *port, int64_t now_ms)
{
    struct zspool_producer *self = CONTAINER_OF(port, struct zspool_producer, port);
    port->wake_ms = INT64_MAX;
    check_ages(self, now_ms);
    if (self->state == NAME_FENCED || !zsp_link_up(self->client->link)) {
        return;
    }
    const struct zsp_hello *hello = zsp_link_hello(self->client->link);
    if (self->state == NAME_OPEN &&
        memcmp(self->instance, hello->instance, sizeof self->instance) != 0) {
        self->resync = true;
    }
    if (self->state == NAME_OPEN && self->resync && self->in_flight == 0) {
        self->state = NAME_CLOSED;
    }
    if (self->asks_first) {
        ask_topics(self, now_ms);
    }
    if (self->state == NAME_CLOSED && !TAILQ_EMPTY(&self->all)) {
        open_name(self, now_ms);
    } else if (self->state == NAME_OPEN && !self->resync) {
        zsp_producer_send(self, now_ms);
    }
}

/* --- Answers --------------------------------------------------------------------------------- */

struct zsp_confirmed zsp_confirmed_read(const struct zspool_producer *self,
                                        const msgpack_object *map)
{
    struct zsp_confirmed confirmed = {.level = self->options.level};
    struct zsp_slice level;
    const msgpack_object *value = wire_map_find(map, "level");
    if (value && wire_get_str(value, "level", &level, NULL) == 0) {
        confirmed.level = zsp_slice_equal_str(level, "written") ? ZSPOOL_WRITTEN : ZSPOOL_SYNCED;
    }
    uint64_t timestamp_ms = 0;
    value = wire_map_find(map, "timestamp_ms");
    if (value && wire_get_uint(value, "timestamp_ms", INT64_MAX, &timestamp_ms, NULL) == 0) {
        confirmed.timestamp_ms = (int64_t)timestamp_ms;
    }
    return confirmed;
}

static void confirm(struct zsp_batch *batch, const struct zsp_confirmed *confirmed)
{
    struct zsp_route *route = batch->route;
    zspool_report_t told = told_of(0, false);
    told.level = confirmed->level;
    told.timestamp_ms = confirmed->timestamp_ms;
    const msgpack_object *at = confirmed->at;
    batch->at = at;
    const msgpack_object *row = at && at->type == MSGPACK_OBJECT_ARRAY && at->via.array.size > 0
                                    ? &at->via.array.ptr[0]
                                    : NULL;
    if (row && row->type == MSGPACK_OBJECT_ARRAY && row->via.array.size >= 5) {
        uint64_t first;
        if (wire_get_uint(&row->via.array.ptr[3], "first", UINT64_MAX - 1, &first, NULL) == 0) {
            told.first_offset = first;
        }
        const msgpack_object *duplicate = &row->via.array.ptr[4];
        told.duplicate = duplicate->type == MSGPACK_OBJECT_BOOLEAN && duplicate->via.boolean;
    }
    const uint64_t last_seq = batch->seq + batch->count - 1;
    if (last_seq > route->confirmed_seq) {
        route->confirmed_seq = last_seq;
    }
    route->tries = 0;
    batch->producer->fruitless_resyncs = 0;
    if (route->topic->state == TOPIC_GUESSED && batch->routed) {
        route->topic->state = TOPIC_KNOWN;
        (void)zsp_topic_out_spread(route->topic); /* one partition: no memory */
    }
    zsp_batch_resolve(batch, &told, NULL);
}

static void hold(struct zsp_route *route, int64_t until_ms)
{
    route->holding = true;
    route->hold_until_ms = until_ms > route->hold_until_ms ? until_ms : route->hold_until_ms;
    zsp_route_activate(route);
}

/* Refused for good. Its sequence is free again if nothing behind it was sent; else only the broker
 * can tell. */
static void refuse(struct zsp_batch *batch, const struct zsp_err *err)
{
    struct zspool_producer *self = batch->producer;
    struct zsp_route *route = batch->route;
    const struct zsp_batch *behind = TAILQ_NEXT(batch, link);
    if (batch->applied) {
        zspool_report_t told = told_of(0, false);
        told.duplicate = true;
        told.level = self->options.level;
        zsp_batch_resolve(batch, &told, NULL);
        return;
    }
    if (!err->maybe && !batch->uncertain && batch == TAILQ_FIRST(&route->batches) &&
        (!behind || behind->seq == 0)) {
        route->next_seq = batch->seq;
        resolve_failed(batch, err);
        return;
    }
    batch->uncertain = batch->uncertain || err->maybe;
    batch->doom = malloc(sizeof *batch->doom);
    if (batch->doom) {
        *batch->doom = *err;
    }
    hold(route, 0);
    self->resync = true;
}

static bool about_producer(const struct zsp_err *err)
{
    return strncmp(err->object, "producer", 8) == 0;
}

/* What was in flight together comes back together, and asks for one resync. */
static void resync_for(struct zsp_batch *batch, const struct zsp_err *err)
{
    struct zspool_producer *self = batch->producer;
    self->fruitless_resyncs += self->resync ? 0 : 1;
    if (self->fruitless_resyncs > FRUITLESS_RESYNCS_MAX) {
        refuse(batch, err);
        return;
    }
    hold(batch->route, 0);
    self->resync = true;
}

static void refused(struct zsp_batch *batch, const struct zsp_answer *answer)
{
    struct zspool_producer *self = batch->producer;
    struct zsp_route *route = batch->route;
    struct zsp_topic_out *topic = route->topic;
    const struct zsp_err *err = answer->err;
    const int code = answer->code;
    const bool passing = zsp_err_retriable(code) || (code == ZSP_ESTORAGE_FAILED && err->maybe);
    if (passing) {
        batch->uncertain = batch->uncertain || err->maybe;
        route->tries++;
        hold(route, answer->now_ms + pause_ms(route->tries));
    } else if (code == ZSP_ESEQUENCE_GAP && route->holding) {
        zsp_route_activate(route); /* as expected behind a batch that failed */
    } else if (code == ZSP_ESEQUENCE_GAP || (code == ZSP_ENOT_FOUND && about_producer(err))) {
        resync_for(batch, err);
    } else if (code == ZSP_EFENCED_PRODUCER) {
        fence(self, err);
    } else if (code == ZSP_EWOULD_REORDER && batch->routed && !batch->applied) {
        topic->make = topic->state == TOPIC_GUESSED;
        topic->reroute = true;
        resync_for(batch, err);
    } else {
        struct zsp_err copy = *err;
        const bool no_topic = code == ZSP_ENOT_FOUND && topic->state == TOPIC_GUESSED;
        refuse(batch, err);
        if (no_topic) {
            topic->state = TOPIC_UNKNOWN;
            fail_unrouted(topic, &copy);
        }
    }
}

void zsp_batch_answered(struct zsp_batch *batch, const struct zsp_answer *answer,
                        const struct zsp_confirmed *confirmed)
{
    struct zspool_producer *self = batch->producer;
    struct zsp_route *route = batch->route;
    struct zsp_topic_out *topic = route->topic;
    batch->in_flight = false;
    route->in_flight--;
    self->in_flight--;
    if (answer->code == 0) {
        confirm(batch, confirmed);
    } else if (answer->code == ZSP_ECLOSED) {
        batch->uncertain = true;
        zsp_route_activate(route);
    } else {
        refused(batch, answer);
    }
    if (self->state == NAME_FENCED && self->fenced.code != 0) {
        const struct zsp_err fenced = self->fenced;
        fence(self, &fenced);
    }
    if (!TAILQ_EMPTY(&route->batches)) {
        zsp_route_activate(route);
    }
    guess_again(topic);
    zsp_link_kick(self->client->link, &self->port);
}
