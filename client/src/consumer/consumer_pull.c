/* SPDX-License-Identifier: MPL-2.0 */
#include <stdlib.h>
#include <string.h>

#include "client/src/consumer/consumer_priv.h"
#include "client/src/link/wire_out.h"
#include "client/src/result.h"
#include "common/container.h"

#define PULL_WAIT_MS 20000 /* below a session's time-out: a parked pull keeps it alive */
#define PAUSE_MS     100   /* after a refusal, or an empty answer that came at once */

/* --- What is here --------------------------------------------------------------------- */

bool zsp_consumer_at_end(const struct zspool_consumer *self)
{
    const uint64_t limit = self->options.message_limit;
    return TAILQ_EMPTY(&self->waiting) &&
           (self->drained || self->stopped || (limit > 0 && self->taken >= limit));
}

void zsp_consumer_update_ready(struct zspool_consumer *self)
{
    const bool marking = self->suspect == SUSPECT_WANTED || self->suspect == SUSPECT_SENT;
    const bool message = !TAILQ_EMPTY(&self->waiting) && !marking;
    const bool end = zsp_consumer_at_end(self) && !self->end_told;
    const bool next = message || end || self->halt.error.code != 0;
    zsp_client_set_ready(self->client, &self->ready,
                         !self->closing && ((next && !self->unwanted) || self->lost_count > 0));
}

void zsp_consumer_retire(struct zspool_consumer *self, struct zsp_parcel *parcel)
{
    if (TAILQ_FIRST(&self->waiting) == parcel) {
        self->suspect = SUSPECT_NONE;
    }
    TAILQ_REMOVE(&self->waiting, parcel, link);
    self->waiting_messages -= parcel->left;
    self->waiting_bytes -= parcel->bytes_left;
    parcel->left = 0;
    parcel->bytes_left = 0;
    if (parcel->held == 0) {
        zsp_parcel_destroy(&parcel);
        return;
    }
    TAILQ_INSERT_HEAD(&self->emptied, parcel, link);
}

void zsp_consumer_drop_expired(struct zspool_consumer *self, int64_t now_ms)
{
    struct zsp_parcel *next;
    for (struct zsp_parcel *parcel = TAILQ_FIRST(&self->waiting); parcel; parcel = next) {
        next = TAILQ_NEXT(parcel, link);
        if (now_ms >= parcel->lease_until_ms || parcel->lost) {
            zsp_consumer_retire(self, parcel);
        }
    }
}

void zsp_consumer_unhold(struct zspool_consumer *self, struct zsp_held *held)
{
    struct zsp_parcel *parcel = held->parcel;
    TAILQ_REMOVE(&self->held, held, link);
    held->parcel = NULL;
    SLIST_INSERT_HEAD(&self->pool, held, pool_link);
    self->held_count--;
    parcel->held--;
    if (parcel->held == 0 && parcel->left == 0) {
        TAILQ_REMOVE(&self->emptied, parcel, link);
        zsp_parcel_destroy(&parcel);
    }
}

bool zsp_consumer_head_is_suspect(const struct zspool_consumer *self)
{
    return !self->options.no_started && zsp_parcel_run(TAILQ_FIRST(&self->waiting))->deliveries > 1;
}

/* --- PULL -------------------------------------------------------------------------------- */

static void add_parcel(struct zspool_consumer *self, struct zsp_parcel *parcel, int64_t now_ms)
{
    parcel->lease_until_ms = now_ms + parcel->lease_ms;
    TAILQ_INSERT_TAIL(&self->waiting, parcel, link);
    self->waiting_messages += parcel->left;
    self->waiting_bytes += parcel->bytes_left;
    if (self->options.auto_extend && now_ms + parcel->lease_ms / 2 < self->look_at_ms) {
        self->look_at_ms = now_ms + parcel->lease_ms / 2;
    }
}

static bool is_passing(int code)
{
    return code == ZSP_ECLOSED || zsp_err_retriable(code);
}

/* An empty answer: what its reason means to the host. */
static void nothing_ready(struct zspool_consumer *self, const struct zsp_answer *answer)
{
    const struct zsp_slice reason = zsp_reply_text(answer->map, "reason");
    const bool unsure = reason.data && (zsp_slice_equal_str(reason, "shutting_down") ||
                                        zsp_slice_equal_str(reason, "cancelled") ||
                                        zsp_slice_equal_str(reason, "loading"));
    const bool waited = answer->now_ms - self->pull_sent_ms >= PAUSE_MS;
    /* A PULL with outcomes never waits for messages: the next one does. */
    const bool at_once = !waited && !wire_map_find(answer->map, "settled");
    self->pull_at_ms = answer->now_ms + (at_once ? PAUSE_MS : 0);
    if (reason.data && zsp_slice_equal_str(reason, "corrupt")) {
        zsp_err_set(&self->halt.error, ZSP_ECORRUPT,
                    "group %s: what comes next is damaged on the broker's disk", self->group);
    } else if (reason.data && zsp_slice_equal_str(reason, "finished")) {
        self->finished = true;
        self->drained = true;
    } else if (self->order != ZSP_ORDER_NONE && self->pull_held) {
        self->kept_back = true; /* what comes behind them is ready when they are settled */
    } else if (self->options.end_when_empty && !unsure) {
        self->drained = true;
    }
}

/* A mode that we do not know keeps every order. */
static void learn_order(struct zspool_consumer *self, const msgpack_object *map)
{
    const struct zsp_slice mode = zsp_reply_text(map, "mode");
    if (mode.data) {
        self->order = zsp_slice_equal_str(mode, "keyed") ? ZSP_ORDER_KEY : ZSP_ORDER_PARTITION;
    }
}

static void pull_done(struct zsp_request *request, const struct zsp_answer *answer)
{
    struct zspool_consumer *self = CONTAINER_OF(request, struct zspool_consumer, pull);
    struct zsp_parcel *parcel = NULL;
    struct zsp_err err = {0};
    self->pull_out = false;
    self->kept_back = false;
    zsp_consumer_unboard(self, answer);
    int code = answer->code;
    if (code == 0) {
        learn_order(self, answer->map);
        code = zsp_parcel_new(answer, &self->parcels, &parcel, &err);
    } else {
        err = *answer->err;
    }
    if (code == 0 && parcel) {
        add_parcel(self, parcel, answer->now_ms);
        parcel->recalled = self->recalled_late;
        self->recalled_late = NULL;
        zsp_consumer_pass_over(self, parcel);
        if (parcel->left == 0) {
            zsp_consumer_retire(self, parcel);
        }
    } else if (code == 0) {
        nothing_ready(self, answer);
    } else if (is_passing(code)) {
        self->pull_at_ms = answer->now_ms + (code == ZSP_ECLOSED ? 0 : PAUSE_MS);
    } else {
        self->halt.error = err;
    }
    if (self->closing || self->stopped || self->pull_is_late) {
        zsp_consumer_release_waiting(self);
    }
    self->pull_is_late = false;
    zsp_recalled_destroy(&self->recalled_late);
    zsp_consumer_update_ready(self);
    zsp_link_notify(self->client->link);
    zsp_link_kick(self->client->link, &self->port);
}

/* A broker may have given more than it was asked for. */
static uint64_t room_left(uint64_t limit, uint64_t used)
{
    return used < limit ? limit - used : 0;
}

static uint64_t wanted_messages(const struct zspool_consumer *self)
{
    const uint64_t here = self->waiting_messages;
    uint64_t wanted = room_left(self->options.prefetch_messages, here);
    if (self->options.message_limit > 0) {
        const uint64_t left = room_left(self->options.message_limit, self->taken + here);
        wanted = left < wanted ? left : wanted;
    }
    if (self->options.held_limit > 0) {
        const uint64_t room = room_left(self->options.held_limit, self->held_count + here);
        wanted = room < wanted ? room : wanted;
    }
    return wanted;
}

static bool wants_pull(const struct zspool_consumer *self)
{
    return !self->closing && !self->stopped && !self->pull_out && !self->drained &&
           !zsp_halt_stands(&self->halt) &&
           self->waiting_messages <= self->options.prefetch_messages / 2 &&
           self->waiting_bytes <= self->options.prefetch_bytes / 2 && wanted_messages(self) > 0;
}

/* With the outcomes that are aboard. */
static void write_pull(struct zspool_consumer *self, uint64_t wait_ms)
{
    struct zsp_writer *out = &self->pull_args;
    const bool has_start = self->options.start.kind != ZSPOOL_POSITION_NONE;
    const bool has_mode = self->mode[0] != '\0';
    const bool zstd = zsp_hello_has(zsp_link_hello(self->client->link), ZSP_CODEC_ZSTD_NAME);
    zsp_writer_reset(out);
    wire_write_map(out, 4u + (self->topic_count > 0) + has_start + has_mode + self->settle_aboard +
                            zstd);
    wire_write_text_str(out, "group", zsp_slice_str(self->group));
    if (self->topic_count > 0) {
        wire_write_text(out, "topics");
        wire_write_array(out, (uint32_t)self->topic_count);
        for (size_t i = 0; i < self->topic_count; i++) {
            wire_write_text(out, self->topics[i]);
        }
    }
    wire_write_text_uint(out, "max_messages", wanted_messages(self));
    wire_write_text_uint(out, "max_bytes", self->options.prefetch_bytes - self->waiting_bytes);
    wire_write_text_uint(out, "wait_ms", wait_ms);
    if (has_mode) {
        wire_write_text_str(out, "mode", zsp_slice_str(self->mode));
    }
    if (has_start) {
        wire_write_text(out, "start");
        zsp_write_position(out, &self->options.start);
    }
    if (zstd) {
        zsp_write_accept(out);
    }
    if (self->settle_aboard) {
        wire_write_text(out, "settle");
        zsp_outcomes_write_runs(&self->outcomes_sent, out);
    }
}

static void wake_at(struct zspool_consumer *self, int64_t at_ms)
{
    if (at_ms < self->port.wake_ms) {
        self->port.wake_ms = at_ms;
    }
}

static void pump_pull(struct zspool_consumer *self, int64_t now_ms)
{
    if (!wants_pull(self)) {
        return;
    }
    if (now_ms < self->pull_at_ms) {
        wake_at(self, self->pull_at_ms);
        return;
    }
    const struct zsp_hello *hello = zsp_link_hello(self->client->link);
    uint64_t wait_ms = PULL_WAIT_MS < hello->max_wait_ms ? PULL_WAIT_MS : hello->max_wait_ms;
    wait_ms = self->options.end_when_empty ? 0 : wait_ms;
    (void)zsp_consumer_board(self, now_ms);
    self->pull_held = !TAILQ_EMPTY(&self->waiting) || !TAILQ_EMPTY(&self->held) ||
                      self->outcomes.count > 0 ||
                      (self->outcomes_sent.count > 0 && !self->settle_aboard);
    write_pull(self, wait_ms);
    self->pull.verb = "PULL";
    self->pull.repeats = true;
    self->pull.done_fn = pull_done;
    self->pull.wait_ms = (int64_t)wait_ms;
    if (zsp_link_send_args(self->client->link, &self->port, &self->pull, &self->pull_args,
                           now_ms) == 0) {
        self->pull_out = true;
        self->pull_sent_ms = now_ms;
    } else {
        zsp_consumer_unboard(self, NULL);
    }
}

/* A consumer that the host destroyed stays only for the answer to its pull and what follows. */
static bool is_over(const struct zspool_consumer *self)
{
    return self->orphan && !self->pull_out && !self->settle_out && !self->touch_out &&
           (!zsp_consumer_settling(self) || !zsp_link_up(self->client->link));
}

void zsp_consumer_pump(struct zsp_port *port, int64_t now_ms)
{
    struct zspool_consumer *self = CONTAINER_OF(port, struct zspool_consumer, port);
    zsp_consumer_drop_expired(self, now_ms);
    if (is_over(self)) {
        zsp_link_remove(self->client->link, port);
        zsp_consumer_free(self);
        return;
    }
    zsp_consumer_check_instance(self, now_ms);
    zsp_consumer_look(self, now_ms);
    /* Where nobody looks, a time that has passed must not keep the thread awake. */
    port->wake_ms = self->touch_out || self->closing ? INT64_MAX : self->look_at_ms;
    if (zsp_link_up(self->client->link)) {
        zsp_consumer_pump_touch(self, now_ms);
        pump_pull(self, now_ms);
        zsp_consumer_pump_outcomes(self, now_ms);
    }
}
