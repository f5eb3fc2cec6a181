/* SPDX-License-Identifier: MPL-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/src/base/message_out.h"
#include "client/src/base/range_check.h"
#include "client/src/producer/producer_priv.h"
#include "common/container.h"

#define MAX_BYTES     (64u * ZSP_MIB)
#define BATCH_BYTES   (256u * ZSP_KIB)
#define MAX_IN_FLIGHT 16u  /* standard */
#define IN_FLIGHT_MAX 128u /* as zspool.h tells */
#define DELIVERY_MS   120000
#define YEAR_MS       31536000000

/* --- Life -------------------------------------------------------------------------- */

static int read_options(zspool_producer_options_t *self, const zspool_producer_options_t *given,
                        struct zsp_err *err)
{
    int rc = zsp_options_read(self, sizeof *self, given, "zspool_producer_options_t", err);
    if (rc == 0 && self->name) {
        rc = zsp_name_check_text("producer", self->name, err);
    }
    if (rc != 0) {
        return rc;
    }
    self->max_bytes = self->max_bytes == 0 ? MAX_BYTES : self->max_bytes;
    self->batch_bytes = self->batch_bytes == 0 ? BATCH_BYTES : self->batch_bytes;
    self->max_in_flight = self->max_in_flight == 0 ? MAX_IN_FLIGHT : self->max_in_flight;
    self->delivery_ms = self->delivery_ms == 0 ? DELIVERY_MS : self->delivery_ms;
    self->codec_level = self->codec_level == 0 ? ZSP_CODEC_LEVEL_DEFAULT : self->codec_level;
    const struct {
        const char *name;
        int64_t given, min, max;
    } ranges[] = {
        {"codec", (int64_t)self->codec, ZSPOOL_CODEC_NONE, ZSPOOL_CODEC_ZSTD},
        {"codec_level", self->codec_level, ZSP_CODEC_LEVEL_MIN, ZSP_CODEC_LEVEL_MAX},
        {"max_in_flight", self->max_in_flight, 0, IN_FLIGHT_MAX},
        {"delivery_ms", self->delivery_ms, -1, YEAR_MS},
        {"level", (int64_t)self->level, ZSPOOL_SYNCED, ZSPOOL_WRITTEN},
        {"reporting", (int64_t)self->reporting, ZSPOOL_REPORT_NONE, ZSPOOL_REPORT_ALL},
    };
    rc = zsp_count_check(ZSP_EINVAL, "batch_bytes", self->batch_bytes, ZSP_FRAME_MAX, err);
    for (size_t i = 0; rc == 0 && i < sizeof ranges / sizeof ranges[0]; i++) {
        rc = zsp_range_check(ZSP_EINVAL, ranges[i].name, ranges[i].given, ranges[i].min,
                             ranges[i].max, err);
    }
    return rc;
}

static int make_name(struct zspool_producer *self, const char *given)
{
    self->ephemeral = !given;
    if (given) {
        (void)snprintf(self->name, sizeof self->name, "%s", given);
        return 0;
    }
    uint64_t random[2];
    const int rc = zsp_random(random, sizeof random);
    (void)snprintf(self->name, sizeof self->name, "e-%016llx%016llx", (unsigned long long)random[0],
                   (unsigned long long)random[1]);
    return rc;
}

static bool usable(const struct zspool_producer *self)
{
    return self && zsp_client_usable(self->client);
}

static void call_ready(struct zsp_ready *ready)
{
    struct zspool_producer *self = CONTAINER_OF(ready, struct zspool_producer, ready);
    self->options.ready_fn(self, self->options.ready_arg);
}

zspool_producer_t *zspool_producer_new(zspool_client_t *client,
                                       const zspool_producer_options_t *options,
                                       zspool_error_t *err)
{
    struct zsp_err report = {0};
    zspool_producer_t *self = NULL;
    uint64_t seed = 0;
    if (!zsp_client_usable(client)) {
        zsp_err_set(&report, ZSP_EINVAL, "no client given, or one made before fork()");
        goto fail;
    }
    self = calloc(1, sizeof *self);
    if (!self) {
        zsp_err_set(&report, ZSP_ENOMEM, "no memory for a producer");
        goto fail;
    }
    if (read_options(&self->options, options, &report) != 0) {
        goto fail;
    }
    if (make_name(self, self->options.name) != 0 || zsp_random(&seed, sizeof seed) != 0) {
        zsp_err_set(&report, ZSP_EIO, "the system has no random numbers");
        goto fail;
    }
    if (self->options.codec == ZSPOOL_CODEC_ZSTD) {
        self->packer = zsp_packer_new(self->options.codec_level);
        if (!self->packer) {
            zsp_err_set(&report, ZSP_ENOMEM, "no memory for a producer");
            goto fail;
        }
    }
    self->options.name = NULL; /* was borrowed */
    self->client = client;
    zsp_table_init(&self->topics, seed);
    TAILQ_INIT(&self->all);
    TAILQ_INIT(&self->active);
    TAILQ_INIT(&self->waiting);
    self->ready.call_fn = self->options.ready_fn ? call_ready : NULL;
    self->port.pump_fn = zsp_producer_pump;
    zsp_client_join(client, &self->port);
    return self;
fail:
    free(self);
    (void)zsp_err_export(&report, err);
    return NULL;
}

static void forget_requests(struct zspool_producer *self)
{
    struct zsp_link *link = self->client->link;
    if (self->state == NAME_OPENING) {
        zsp_link_forget(link, &self->open);
    }
    zsp_bundles_forget(self);
    while (!TAILQ_EMPTY(&self->all)) {
        struct zsp_batch *batch = TAILQ_FIRST(&self->all);
        if (batch->in_flight && !batch->is_bundled) {
            zsp_link_forget(link, &batch->request);
        }
        zsp_batch_drop(batch);
    }
    for (struct zsp_topic_out *topic = self->topic_first; topic; topic = topic->next) {
        if (topic->state == TOPIC_ASKING) {
            zsp_link_forget(link, &topic->info);
        }
    }
}

void zspool_producer_destroy(zspool_producer_t **self_p)
{
    if (!self_p || !*self_p) {
        return;
    }
    struct zspool_producer *self = *self_p;
    *self_p = NULL;
    if (!usable(self)) {
        return; /* a child of fork() */
    }
    struct zsp_link *link = self->client->link;
    zsp_link_lock(link);
    zsp_link_end_work(link, &self->port);
    forget_requests(self);
    zsp_client_set_ready(self->client, &self->ready, false);
    zsp_link_remove(link, &self->port);
    self->client->objects--;
    zsp_link_unlock(link);
    while (self->topic_first) {
        struct zsp_topic_out *next = self->topic_first->next;
        zsp_topic_out_free(self->topic_first);
        self->topic_first = next;
    }
    zsp_table_fini(&self->topics);
    zsp_writer_fini(&self->open_args);
    zsp_writer_fini(&self->scratch);
    zsp_packer_destroy(&self->packer);
    zsp_producer_free_reports(self);
    free(self);
}

const char *zspool_producer_name(const zspool_producer_t *self)
{
    return self ? self->name : "";
}

/* --- A message in ----------------------------------------------------------------------- */

/* Encode into the batch; nothing of it stays when this fails. */
static int encode(struct zspool_producer *self, struct zsp_batch *batch,
                  const zspool_out_t *message, struct zsp_err *err)
{
    const size_t before = batch->bytes.len;
    zsp_message_write(&batch->bytes, message, &self->scratch);
    const size_t bytes = batch->bytes.len - before;
    const uint64_t told = zsp_link_hello(self->client->link)->max_record;
    const uint64_t max = told == 0 ? ZSP_RECORD_MAX : told;
    int rc = 0;
    if (bytes > max) {
        rc = zsp_err_set(err, ZSP_ETOO_LARGE, "topic %s: a message of %zu bytes, want up to %llu",
                         message->topic, bytes, (unsigned long long)max);
    } else if (batch->bytes.failed || self->scratch.failed ||
               zsp_batch_add_ticket(batch, self->last_ticket + 1) != 0) {
        rc = zsp_err_set(err, ZSP_ENOMEM, "no memory for a message");
    }
    if (rc != 0) {
        batch->bytes.len = before;
        batch->bytes.failed = false;
        return rc;
    }
    batch->count++;
    self->bytes += bytes;
    return 0;
}

static int send_locked(struct zspool_producer *self, const zspool_out_t *message,
                       uint64_t *ret_ticket, struct zsp_err *err)
{
    const size_t bytes = zsp_message_bytes(message);
    if (self->state == NAME_FENCED) {
        *err = self->fenced;
        return err->code;
    }
    if (bytes > ZSP_RECORD_MAX + 64u) {
        return zsp_err_set(err, ZSP_ETOO_LARGE, "topic %s: a message of %zu bytes, want up to %u",
                           message->topic, bytes, ZSP_RECORD_MAX);
    }
    if (!zsp_producer_has_room(self, bytes)) {
        self->want_room = true;
        self->wanted_bytes = bytes;
        zsp_producer_update_ready(self);
        return zsp_err_set(err, ZSP_EAGAIN, "%zu bytes or %zu reports are waiting", self->bytes,
                           self->report_count);
    }
    struct zsp_topic_out *topic;
    int rc = zsp_topic_out_get(self, zsp_slice_str(message->topic), &topic, err);
    if (rc != 0) {
        return rc;
    }
    const struct zsp_addressed addressed = {
        .partition = message->partition,
        .key = {message->key.data, message->key.len},
        .id = {message->id.data, message->id.len},
        .bytes = bytes,
        .terms = zsp_terms_of(message),
    };
    struct zsp_batch *batch = zsp_topic_out_batch(topic, &addressed);
    if (!batch) {
        return zsp_err_set(err, ZSP_ENOMEM, "no memory for a batch");
    }
    const bool was_empty = batch->count == 0;
    const bool was_full = batch->bytes.len >= self->options.batch_bytes / 2;
    rc = encode(self, batch, message, err);
    if (rc != 0) {
        if (was_empty) {
            zsp_route_take(batch);
            zsp_batch_drop(batch);
        }
        return rc;
    }
    self->last_ticket++;
    *ret_ticket = self->last_ticket;
    if (self->want_room) {
        self->want_room = false;
        zsp_producer_update_ready(self);
    }
    const bool now_full = !was_full && batch->bytes.len >= self->options.batch_bytes / 2;
    if ((was_empty || now_full) && zsp_producer_can_send(self, batch)) {
        if (zsp_bundle_must_wait(batch)) {
            zsp_route_await_bundle(batch->route);
        } else {
            zsp_route_activate(batch->route);
            zsp_link_kick(self->client->link, &self->port);
        }
    }
    return 0;
}

int zspool_send(zspool_producer_t *self, const zspool_out_t *message, uint64_t *ret_ticket,
                zspool_error_t *err)
{
    struct zsp_err report;
    report.code = 0;
    zspool_out_t copy;
    uint64_t ticket = 0;
    int rc = 0;
    if (!usable(self) || !message) {
        rc = ZSP_EINVAL;
        zsp_err_set(&report, rc, "no message, no producer, or one made before fork()");
    } else if (message->size != sizeof copy) {
        rc = zsp_options_read(&copy, sizeof copy, message, "zspool_out_t", &report);
        message = &copy;
    }
    if (rc == 0) {
        rc = zsp_message_check(message, &report);
    }
    if (rc == 0) {
        zsp_link_lock(self->client->link);
        rc = send_locked(self, message, &ticket, &report);
        zsp_link_unlock(self->client->link);
    }
    if (rc != 0) {
        return zsp_err_export(&report, err);
    }
    if (ret_ticket) {
        *ret_ticket = ticket;
    }
    return 0;
}

/* --- Its fate out --------------------------------------------------------------------------- */

int zspool_room(zspool_producer_t *self, size_t bytes, int timeout_ms, zspool_error_t *err)
{
    if (!usable(self)) {
        return zsp_refuse(err, "no producer given, or one made before fork()");
    }
    struct zsp_err report = {0};
    if (bytes > self->options.max_bytes) {
        zsp_err_set_about(&report, ZSP_EINVAL, "bytes", "%zu bytes are more than max_bytes", bytes);
        return zsp_err_export(&report, err);
    }
    const int64_t deadline_ms = zsp_deadline_ms(timeout_ms);
    int rc = 0;
    zsp_link_lock(self->client->link);
    while (rc == 0 && self->state != NAME_FENCED && !zsp_producer_has_room(self, bytes + 64)) {
        rc = zsp_link_wait(self->client->link, deadline_ms, &report);
    }
    if (rc == 0) {
        self->want_room = false;
        zsp_producer_update_ready(self);
    }
    zsp_link_unlock(self->client->link);
    return rc == 0 ? 0 : zsp_err_export(&report, err);
}

static const struct zsp_batch *batch_of(const struct zspool_producer *self, uint64_t ticket)
{
    uint64_t index;
    const struct zsp_batch *batch;
    TAILQ_FOREACH (batch, &self->all, all_link) {
        if (!batch->reported && zsp_batch_has_ticket(batch, ticket, &index)) {
            return batch;
        }
    }
    return NULL;
}

/* Newest first: who waits usually waits for something recent. */
static const struct zsp_fate *fate_of(const struct zsp_fates *fates, uint64_t ticket)
{
    for (size_t i = 1; i <= fates->count; i++) {
        const struct zsp_fate *fate =
            &fates->items[(fates->next + fates->capacity - i) % fates->capacity];
        const uint64_t first = fate->report.first_ticket;
        if (ticket >= first && ticket - first < fate->report.count) {
            return fate;
        }
    }
    return NULL;
}

static int tell_fate(const struct zspool_producer *self, uint64_t ticket, zspool_report_t *ret,
                     struct zsp_err *err)
{
    const struct zsp_fate *fate = fate_of(&self->failed, ticket);
    if (!fate) {
        fate = fate_of(&self->kept, ticket);
    }
    memset(ret, 0, sizeof *ret);
    ret->first_offset = ZSPOOL_OFFSET_UNKNOWN;
    ret->level = self->options.level;
    if (fate) {
        *ret = fate->report;
        if (ret->first_offset != ZSPOOL_OFFSET_UNKNOWN) {
            ret->first_offset += ticket - fate->report.first_ticket;
        }
    }
    ret->first_ticket = ticket;
    ret->count = 1;
    if (ret->status == 0) {
        return 0;
    }
    if (fate && fate->err) {
        *err = *fate->err;
    } else {
        zsp_err_set(err, ret->status, "%s", zsp_strerror(ret->status));
    }
    err->maybe = ret->maybe;
    return ret->status;
}

int zspool_wait(zspool_producer_t *self, uint64_t ticket, int timeout_ms,
                zspool_report_t *ret_report, zspool_error_t *err)
{
    struct zsp_err report = {0};
    zspool_report_t told;
    if (!usable(self)) {
        return zsp_refuse(err, "no producer given, or one made before fork()");
    }
    const int64_t deadline_ms = zsp_deadline_ms(timeout_ms);
    int rc = 0;
    bool known = false;
    zsp_link_lock(self->client->link);
    if (ticket == 0 || ticket > self->last_ticket) {
        rc = zsp_err_set_about(&report, ZSP_EINVAL, "ticket", "ticket %llu was never given out",
                               (unsigned long long)ticket);
    }
    while (rc == 0 && batch_of(self, ticket)) {
        rc = zsp_link_wait(self->client->link, deadline_ms, &report);
    }
    if (rc == 0) {
        known = true;
        rc = tell_fate(self, ticket, &told, &report);
    }
    zsp_link_unlock(self->client->link);
    if (known && ret_report) {
        *ret_report = told;
    }
    return rc == 0 ? 0 : zsp_err_export(&report, err);
}

/* Is anything given out up to `ticket` still open? */
static bool open_up_to(const struct zspool_producer *self, uint64_t ticket)
{
    const struct zsp_batch *batch;
    TAILQ_FOREACH (batch, &self->all, all_link) {
        if (!batch->reported && batch->run_count > 0 && batch->runs[0].first <= ticket) {
            return true;
        }
    }
    return false;
}

int zspool_flush(zspool_producer_t *self, int timeout_ms, zspool_error_t *err)
{
    if (!usable(self)) {
        return zsp_refuse(err, "no producer given, or one made before fork()");
    }
    struct zsp_err report = {0};
    const int64_t deadline_ms = zsp_deadline_ms(timeout_ms);
    int rc = 0;
    zsp_link_lock(self->client->link);
    const uint64_t last = self->last_ticket;
    while (rc == 0 && open_up_to(self, last)) {
        rc = zsp_link_wait(self->client->link, deadline_ms, &report);
    }
    if (rc == 0 && self->first_failure.code != 0) {
        rc = self->first_failure.code;
        report = self->first_failure;
        self->first_failure = (struct zsp_err){0};
    }
    zsp_link_unlock(self->client->link);
    return rc == 0 ? 0 : zsp_err_export(&report, err);
}

int zspool_reports(zspool_producer_t *self, zspool_report_t *ret_reports, int max)
{
    if (!usable(self) || max < 0 || (!ret_reports && max > 0)) {
        return ZSPOOL_EINVAL;
    }
    int taken = 0;
    zsp_link_lock(self->client->link);
    if (zsp_producer_room_is_told(self)) {
        self->want_room = false; /* who looks for reports was told of it by the descriptor */
    }
    while (taken < max && self->report_count > 0) {
        ret_reports[taken++] = self->reports[self->report_first];
        self->report_first = (self->report_first + 1) % self->report_capacity;
        self->report_count--;
    }
    zsp_producer_update_ready(self);
    zsp_link_notify(self->client->link);
    zsp_link_unlock(self->client->link);
    return taken;
}
