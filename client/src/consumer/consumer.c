/* SPDX-License-Identifier: MPL-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/src/base/range_check.h"
#include "client/src/consumer/consumer_priv.h"
#include "client/src/link/wire_out.h"
#include "client/src/result.h"
#include "common/container.h"

#define PREFETCH_MESSAGES     1000u
#define PREFETCH_MESSAGES_MAX 1000000u
#define PREFETCH_BYTES        (1u * ZSP_MIB)
#define MARK_MS               20 /* the first look after a message was taken */

/* --- Life ---------------------------------------------------------------------------- */

static int check_options(zspool_consumer_options_t *self, struct zsp_err *err)
{
    int rc = zsp_list_check(ZSP_EINVAL, "topic_count", self->topics, self->topic_count,
                            ZSP_GROUP_TOPICS_MAX, err);
    if (rc == 0) {
        rc = zsp_name_check_text("group", self->group, err);
    }
    for (size_t i = 0; i < self->topic_count && rc == 0; i++) {
        rc = zsp_pattern_check_text("topic", self->topics[i], err);
    }
    if (rc == 0) {
        rc = zsp_position_check(&self->start, err);
    }
    if (rc == 0 && self->mode) {
        rc = zsp_text_check("mode", self->mode, ZSP_MODE_LEN_MAX, err);
    }
    if (rc == 0) {
        rc = zsp_count_check(ZSP_EINVAL, "prefetch_messages", self->prefetch_messages,
                             PREFETCH_MESSAGES_MAX, err);
    }
    if (rc == 0) {
        rc =
            zsp_count_check(ZSP_EINVAL, "prefetch_bytes", self->prefetch_bytes, ZSP_REPLY_MAX, err);
    }
    self->prefetch_messages =
        self->prefetch_messages == 0 ? PREFETCH_MESSAGES : self->prefetch_messages;
    self->prefetch_bytes = self->prefetch_bytes == 0 ? PREFETCH_BYTES : self->prefetch_bytes;
    return rc;
}

static bool usable(const struct zspool_consumer *self)
{
    return self && zsp_client_usable(self->client);
}

static void call_ready(struct zsp_ready *ready)
{
    struct zspool_consumer *self = CONTAINER_OF(ready, struct zspool_consumer, ready);
    self->options.ready_fn(self, self->options.ready_arg);
}

static int copy_strings(struct zspool_consumer *self, struct zsp_err *err)
{
    zspool_consumer_options_t *options = &self->options;
    uint64_t seed;
    if (zsp_random(&seed, sizeof seed) != 0) {
        return zsp_err_set(err, ZSP_EIO, "the system has no random numbers");
    }
    zsp_interned_init(&self->parcels.topics, seed);
    (void)snprintf(self->group, sizeof self->group, "%s", options->group);
    (void)snprintf(self->mode, sizeof self->mode, "%s", options->mode ? options->mode : "");
    self->topics = calloc(options->topic_count + 1, sizeof *self->topics);
    self->lost = calloc(ZSP_LOST_MAX, sizeof *self->lost);
    bool copied = self->topics && self->lost;
    for (size_t i = 0; i < options->topic_count && copied; i++) {
        self->topics[i] = strdup(options->topics[i]);
        copied = self->topics[i] != NULL;
        self->topic_count++;
    }
    options->group = NULL;
    options->mode = NULL;
    options->topics = NULL;
    return copied ? 0 : zsp_err_set(err, ZSP_ENOMEM, "no memory for a consumer");
}

zspool_consumer_t *zspool_consumer_new(zspool_client_t *client,
                                       const zspool_consumer_options_t *options,
                                       zspool_error_t *err)
{
    struct zsp_err report = {0};
    zspool_consumer_t *self = NULL;
    if (!zsp_client_usable(client) || !options) {
        zsp_err_set(&report, ZSP_EINVAL, "no options, no client, or one made before fork()");
        goto fail;
    }
    self = calloc(1, sizeof *self);
    if (!self) {
        zsp_err_set(&report, ZSP_ENOMEM, "no memory for a consumer");
        goto fail;
    }
    TAILQ_INIT(&self->waiting);
    TAILQ_INIT(&self->emptied);
    TAILQ_INIT(&self->held);
    if (zsp_options_read(&self->options, sizeof self->options, options, "zspool_consumer_options_t",
                         &report) != 0 ||
        check_options(&self->options, &report) != 0 || copy_strings(self, &report) != 0) {
        goto fail;
    }
    self->client = client;
    self->look_at_ms = INT64_MAX;
    self->ready.call_fn = self->options.ready_fn ? call_ready : NULL;
    self->port.pump_fn = zsp_consumer_pump;
    zsp_client_join(client, &self->port);
    return self;
fail:
    if (self) {
        zsp_consumer_free(self);
    }
    (void)zsp_err_export(&report, err);
    return NULL;
}

void zsp_consumer_free(struct zspool_consumer *self)
{
    zsp_parcels_destroy(&self->waiting);
    zsp_parcels_destroy(&self->emptied);
    for (size_t i = 0; i < self->slab_count; i++) {
        free(self->slabs[i]);
    }
    for (size_t i = 0; i < self->topic_count; i++) {
        free(self->topics[i]);
    }
    free(self->topics);
    free(self->lost);
    zsp_outcomes_fini(&self->outcomes);
    zsp_outcomes_fini(&self->outcomes_sent);
    zsp_outcomes_fini(&self->touches);
    zsp_recalled_destroy(&self->recalled_late);
    zsp_writer_fini(&self->pull_args);
    zsp_writer_fini(&self->settle_args);
    zsp_writer_fini(&self->touch_args);
    zsp_parcel_owner_fini(&self->parcels);
    free(self);
}

/* Have the pull answered now, with nothing, rather than with messages for nobody. */
static void take_pull_back(struct zspool_consumer *self)
{
    if (self->pull_out) {
        zsp_link_cancel(self->client->link, &self->pull);
    }
}

/* Give up what is still on its way; the pull's answer is waited for without us. */
static void leave(struct zspool_consumer *self)
{
    struct zsp_link *link = self->client->link;
    if (self->settle_out && !self->settle_aboard) {
        zsp_link_forget(link, &self->settle);
        self->settle_out = false;
    }
    if (self->touch_out) {
        zsp_link_forget(link, &self->touch);
        self->touch_out = false;
    }
    zsp_outcomes_reset(&self->outcomes);
    zsp_outcomes_reset(&self->outcomes_sent);
    self->client->objects--;
    if (self->held_count > 0) {
        zsp_link_keep_leases(link);
    }
    if (self->pull_out) {
        self->orphan = true;
        zsp_link_unlock(link);
        return;
    }
    zsp_link_remove(link, &self->port);
    zsp_link_unlock(link);
    zsp_consumer_free(self);
}

bool zspool_consumer_finished(zspool_consumer_t *self)
{
    if (!usable(self)) {
        return false;
    }
    zsp_link_lock(self->client->link);
    const bool finished = self->finished && zsp_consumer_at_end(self);
    zsp_link_unlock(self->client->link);
    return finished;
}

void zspool_consumer_stop(zspool_consumer_t *self)
{
    if (!usable(self)) {
        return;
    }
    struct zsp_link *link = self->client->link;
    zsp_link_lock(link);
    self->stopped = true;
    take_pull_back(self);
    zsp_consumer_release_waiting(self);
    zsp_consumer_update_ready(self);
    zsp_link_notify(link);
    zsp_link_kick(link, &self->port);
    zsp_link_unlock(link);
}

void zspool_consumer_want(zspool_consumer_t *self, bool wanted)
{
    if (usable(self)) {
        zsp_link_lock(self->client->link);
        self->unwanted = !wanted;
        zsp_consumer_update_ready(self);
        zsp_link_unlock(self->client->link);
    }
}

void zspool_consumer_destroy(zspool_consumer_t **self_p)
{
    if (!self_p || !*self_p) {
        return;
    }
    struct zspool_consumer *self = *self_p;
    *self_p = NULL;
    if (!usable(self)) {
        return; /* a child of fork() */
    }
    struct zsp_link *link = self->client->link;
    const int64_t deadline_ms = zsp_deadline_ms(self->client->linger_ms);
    zsp_link_lock(link);
    self->closing = true;
    take_pull_back(self);
    zsp_consumer_release_waiting(self);
    zsp_consumer_update_ready(self);
    zsp_link_kick(link, &self->port);
    /* An interrupt does not keep messages from being handed back. */
    while (zsp_consumer_settling(self) && zsp_link_wait_always(link, deadline_ms) == 0) {
    }
    leave(self);
}

/* --- Next --------------------------------------------------------------------------------- */

static size_t slab_size(size_t index)
{
    return (size_t)ZSP_HELD_SLAB_SIZE << index;
}

static bool more_held(struct zspool_consumer *self)
{
    if (self->slab_count == ZSP_HELD_SLABS) {
        return false;
    }
    const size_t size = slab_size(self->slab_count);
    struct zsp_held *slab = calloc(size, sizeof *slab);
    if (!slab) {
        return false;
    }
    self->slabs[self->slab_count++] = slab;
    for (size_t i = 0; i < size; i++) {
        SLIST_INSERT_HEAD(&self->pool, &slab[i], pool_link);
    }
    return true;
}

static struct zsp_held *held_new(struct zspool_consumer *self)
{
    if (SLIST_EMPTY(&self->pool) && !more_held(self)) {
        return NULL;
    }
    struct zsp_held *held = SLIST_FIRST(&self->pool);
    SLIST_REMOVE_HEAD(&self->pool, pool_link);
    return held;
}

static void put_in_hand(struct zspool_consumer *self, struct zsp_held *held,
                        struct zsp_parcel *parcel, int64_t now_ms)
{
    held->parcel = parcel;
    held->taken_ms = now_ms;
    held->marked = self->suspect == SUSPECT_MARKED;
    held->lost_told = false;
    TAILQ_INSERT_TAIL(&self->held, held, link);
    self->held_count++;
    parcel->held++;
    self->taken++;
    const int64_t look_ms =
        self->options.no_started || held->marked ? parcel->lease_until_ms : now_ms + MARK_MS;
    if (look_ms < self->look_at_ms) {
        self->look_at_ms = look_ms;
        zsp_link_kick(self->client->link, &self->port);
    }
}

/* 0, 1 = not now, or an error. */
static int take(struct zspool_consumer *self, const zspool_message_t **ret, struct zsp_err *err)
{
    const int64_t now_ms = zsp_now_ms();
    zsp_consumer_drop_expired(self, now_ms);
    struct zsp_parcel *parcel = TAILQ_FIRST(&self->waiting);
    if (!parcel) {
        self->starved = true;
        if (!self->pull_out) {
            zsp_link_kick(self->client->link, &self->port); /* what was dropped left room */
        }
        return 1;
    }
    if (self->suspect != SUSPECT_MARKED && zsp_consumer_head_is_suspect(self)) {
        if (self->suspect == SUSPECT_NONE) {
            self->suspect = SUSPECT_WANTED;
            zsp_consumer_update_ready(self);
            zsp_link_kick(self->client->link, &self->port);
        }
        return 1;
    }
    struct zsp_held *held = held_new(self);
    if (!held) {
        return zsp_err_set(err, ZSP_ENOMEM, "no memory for a message");
    }
    const size_t bytes = parcel->bytes_left;
    const uint64_t messages = parcel->left;
    const int rc = zsp_parcel_take(parcel, &held->view, err);
    self->waiting_bytes -= bytes - parcel->bytes_left;
    self->waiting_messages -= messages - parcel->left;
    if (rc != 0) {
        SLIST_INSERT_HEAD(&self->pool, held, pool_link);
        zsp_consumer_retire(self, parcel);
        return rc;
    }
    put_in_hand(self, held, parcel, now_ms);
    self->suspect = SUSPECT_NONE;
    zsp_consumer_pass_over(self, parcel);
    if (parcel->left == 0) {
        zsp_consumer_retire(self, parcel);
    }
    if (!self->pull_out && self->waiting_messages <= self->options.prefetch_messages / 2 &&
        self->waiting_bytes <= self->options.prefetch_bytes / 2) {
        zsp_link_kick(self->client->link, &self->port);
    }
    *ret = &held->view;
    return 0;
}

/* An outcome was given: what that message kept back may be pulled. */
static void note_settled(struct zspool_consumer *self)
{
    self->settled_count++;
    if (self->kept_back) {
        self->kept_back = false;
        self->pull_at_ms = 0;
    }
}

/* Would a caller that holds messages wait for what only their outcomes bring? Without a time limit
 * that is the end; it may go on after having settled. */
static bool waits_for_itself(const struct zspool_consumer *self, int timeout_ms)
{
    return timeout_ms < 0 && self->options.end_when_empty && self->kept_back &&
           TAILQ_EMPTY(&self->waiting) && !TAILQ_EMPTY(&self->held);
}

static int next_locked(struct zspool_consumer *self, const zspool_message_t **ret, int timeout_ms,
                       struct zsp_err *err)
{
    int64_t deadline_ms = INT64_MIN; /* not known: made where something is waited for */
    if (zsp_halt_end(&self->halt)) {
        zsp_link_kick(self->client->link, &self->port);
    }
    for (;;) {
        int rc = take(self, ret, err);
        if (rc != 1) {
            return rc;
        }
        if (TAILQ_EMPTY(&self->waiting) && self->halt.error.code != 0) {
            return zsp_halt_tell(&self->halt, err);
        }
        if (zsp_consumer_at_end(self)) {
            self->end_told = true;
            return ZSPOOL_END;
        }
        if (waits_for_itself(self, timeout_ms)) {
            return ZSPOOL_END;
        }
        if (deadline_ms == INT64_MIN) {
            deadline_ms = timeout_ms == 0 ? 0 : zsp_deadline_ms(timeout_ms);
        }
        rc = zsp_link_wait(self->client->link, deadline_ms, err);
        if (rc != 0) {
            return rc;
        }
    }
}

int zspool_next(zspool_consumer_t *self, const zspool_message_t **ret_message, int timeout_ms,
                zspool_error_t *err)
{
    if (!usable(self) || !ret_message) {
        return zsp_refuse(err, "no place for the message, no consumer, or one made before fork()");
    }
    struct zsp_err report;
    report.code = 0;
    zsp_link_lock(self->client->link);
    const int rc = next_locked(self, ret_message, timeout_ms, &report);
    zsp_consumer_update_ready(self);
    zsp_link_unlock(self->client->link);
    return rc >= 0 ? rc : zsp_err_export(&report, err);
}

/* --- Settle ----------------------------------------------------------------------------------- */

int zsp_outcome_read(zspool_outcome_t outcome, const zspool_settle_arg_t *given,
                     struct zsp_outcome_run *ret, struct zsp_err *err)
{
    static const enum wire_outcome outcomes[] = {
        [ZSPOOL_ACK] = WIRE_ACK,         [ZSPOOL_RETRY] = WIRE_RETRY,
        [ZSPOOL_RELEASE] = WIRE_RELEASE, [ZSPOOL_REJECT] = WIRE_REJECT,
        [ZSPOOL_EXTEND] = WIRE_EXTEND,
    };
    if ((int)outcome < ZSPOOL_ACK || (int)outcome > ZSPOOL_EXTEND) {
        return zsp_err_set_about(err, ZSP_EINVAL, "outcome", "outcome %d is none that exists",
                                 (int)outcome);
    }
    ret->outcome = outcomes[outcome];
    zspool_settle_arg_t arg;
    zspool_settle_arg_init(&arg);
    if (given) {
        const int rc = zsp_options_read(&arg, sizeof arg, given, "zspool_settle_arg_t", err);
        if (rc != 0) {
            return rc;
        }
    }
    if (outcome == ZSPOOL_EXTEND) {
        ret->has_delay = true;
        ret->delay_ms = (uint64_t)arg.extend_ms;
        return zsp_range_check(ZSP_EBAD_VALUE, "extend_ms", arg.extend_ms, ZSP_LEASE_MS_MIN,
                               ZSP_LEASE_MS_MAX, err);
    }
    if (outcome == ZSPOOL_RETRY && arg.delay_ms >= 0) {
        ret->has_delay = true;
        ret->delay_ms = (uint64_t)arg.delay_ms;
    }
    const int rc = zsp_range_check(ZSP_EBAD_VALUE, "delay_ms", arg.delay_ms, -1,
                                   (int64_t)ZSP_DELAY_MS_MAX, err);
    if (rc != 0) {
        return rc;
    }
    if (arg.reason.data && (outcome == ZSPOOL_RETRY || outcome == ZSPOOL_REJECT)) {
        const struct zsp_slice reason = {arg.reason.data, arg.reason.len};
        if (reason.len > ZSP_REASON_MAX || !zsp_utf8_valid(reason)) {
            return zsp_err_set_about(err, ZSP_EBAD_VALUE, "reason",
                                     "the reason is not UTF-8 of up to %u bytes", ZSP_REASON_MAX);
        }
        memcpy(&ret->reason, &arg.reason.data, sizeof ret->reason); /* copied when queued */
        ret->reason_len = reason.len;
    }
    return 0;
}

/* Pointers are compared as numbers, since the host may give us any. */
struct zsp_held *zsp_consumer_held(const struct zspool_consumer *self,
                                   const zspool_message_t *message)
{
    const uintptr_t address = (uintptr_t)message;
    for (size_t i = self->slab_count; i-- > 0;) {
        const uintptr_t first = (uintptr_t)self->slabs[i];
        const size_t bytes = slab_size(i) * sizeof(struct zsp_held);
        if (address >= first && address - first < bytes) {
            struct zsp_held *held = &self->slabs[i][(address - first) / sizeof *held];
            return (uintptr_t)&held->view == address && held->parcel ? held : NULL;
        }
    }
    return NULL;
}

static int settle_locked(struct zspool_consumer *self, const zspool_message_t *message,
                         struct zsp_outcome_run *run, struct zsp_err *err)
{
    struct zsp_held *held = zsp_consumer_held(self, message);
    if (!held) {
        return zsp_err_set_about(err, ZSP_EINVAL, "message", "the message is not in hand");
    }
    if (held->in_commit && run->outcome != WIRE_EXTEND) {
        return zsp_err_set_about(err, ZSP_EINVAL, "message", "the message is in a commit");
    }
    run->topic = held->view.topic;
    run->partition = held->view.partition;
    run->first = held->view.offset;
    run->count = 1;
    run->lease = held->view.lease;
    if (zsp_outcomes_add(&self->outcomes, run) != 0) {
        return zsp_err_set(err, ZSP_ENOMEM, "no memory for an outcome");
    }
    note_settled(self);
    if (run->outcome == WIRE_EXTEND) {
        held->parcel->lease_until_ms = zsp_now_ms() + (int64_t)run->delay_ms;
    } else {
        zsp_consumer_give_back(self, held, run->outcome);
        zsp_consumer_unhold(self, held);
    }
    if (!self->settle_out || self->options.held_limit > 0) {
        zsp_link_kick(self->client->link, &self->port);
    }
    return 0;
}

int zspool_settle(zspool_consumer_t *self, const zspool_message_t *message,
                  zspool_outcome_t outcome, const zspool_settle_arg_t *arg, zspool_error_t *err)
{
    if (!usable(self) || !message) {
        return zsp_refuse(err, "no message, no consumer, or one made before fork()");
    }
    struct zsp_err report = {0};
    struct zsp_outcome_run run = {0};
    int rc = zsp_outcome_read(outcome, arg, &run, &report);
    if (rc == 0) {
        zsp_link_lock(self->client->link);
        rc = settle_locked(self, message, &run, &report);
        zsp_link_unlock(self->client->link);
    }
    return rc == 0 ? 0 : zsp_err_export(&report, err);
}

int zspool_settle_flush(zspool_consumer_t *self, int timeout_ms, zspool_error_t *err)
{
    if (!usable(self)) {
        return zsp_refuse(err, "no consumer given, or one made before fork()");
    }
    struct zsp_err report = {0};
    const int64_t deadline_ms = zsp_deadline_ms(timeout_ms);
    int rc = 0;
    zsp_link_lock(self->client->link);
    const uint64_t target = self->settled_count;
    while (rc == 0 && self->answered_count < target) {
        rc = zsp_link_wait(self->client->link, deadline_ms, &report);
    }
    if (rc == 0 && self->settle_error.code != 0) {
        report = self->settle_error;
        rc = report.code;
        self->settle_error = (struct zsp_err){0};
    }
    zsp_link_unlock(self->client->link);
    return rc == 0 ? 0 : zsp_err_export(&report, err);
}

int zspool_lost(zspool_consumer_t *self, zspool_lost_t *ret_lost, int max)
{
    if (!usable(self) || max < 0 || (!ret_lost && max > 0)) {
        return ZSPOOL_EINVAL;
    }
    int taken = 0;
    zsp_link_lock(self->client->link);
    while (taken < max && self->lost_count > 0) {
        ret_lost[taken++] = self->lost[self->lost_first];
        self->lost_first = (self->lost_first + 1) % ZSP_LOST_MAX;
        self->lost_count--;
    }
    zsp_consumer_update_ready(self);
    zsp_link_unlock(self->client->link);
    return taken;
}
