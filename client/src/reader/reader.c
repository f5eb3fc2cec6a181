/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool_read(): from what is in hand; else a run of the oldest head, once every shelf has one, is
 * finished, or (following) has caught up.
 */
#include <stdlib.h>
#include <string.h>

#include "client/src/base/range_check.h"
#include "client/src/reader/reader_priv.h"
#include "common/container.h"
#include "common/filter.h"
#include "common/wire.h"

#define PREFETCH_BYTES (1u * ZSP_MIB)

/* --- What is here ------------------------------------------------------------------ */

static bool all_finished(const struct zspool_reader *self)
{
    for (uint32_t i = 0; i < self->shelf_count; i++) {
        if (!self->shelves[i]->finished || !TAILQ_EMPTY(&self->shelves[i]->parcels)) {
            return false;
        }
    }
    return self->shelf_count > 0;
}

static int64_t head_ms(const struct zsp_shelf *shelf)
{
    return zsp_parcel_run(TAILQ_FIRST(&shelf->parcels))->timestamp_ms;
}

/* Does a head come first? The lowest partition among equals, so that every replay has the same
 * order. */
static bool is_before(const struct zsp_shelf *shelf, const struct zsp_shelf *other)
{
    return head_ms(shelf) < head_ms(other) ||
           (head_ms(shelf) == head_ms(other) && shelf->partition < other->partition);
}

/* The shelf whose head comes first; NULL when there is none, or one is still awaited. */
static struct zsp_shelf *choose_anew(struct zspool_reader *self)
{
    struct zsp_shelf *best = NULL;
    const struct zsp_shelf *second = NULL;
    self->current = NULL;
    for (uint32_t i = 0; i < self->shelf_count; i++) {
        struct zsp_shelf *shelf = self->shelves[i];
        if (TAILQ_EMPTY(&shelf->parcels)) {
            if (!shelf->finished && !(self->options.follow && shelf->caught_up)) {
                return NULL;
            }
            continue;
        }
        if (!best || is_before(shelf, best)) {
            second = best;
            best = shelf;
        } else if (!second || is_before(shelf, second)) {
            second = shelf;
        }
    }
    self->others_oldest = second;
    self->current = best;
    return best;
}

static struct zsp_shelf *choose(struct zspool_reader *self)
{
    struct zsp_shelf *shelf = self->current;
    if (shelf && (!self->others_oldest || is_before(shelf, self->others_oldest))) {
        return shelf;
    }
    return choose_anew(self);
}

void zsp_reader_update_ready(struct zspool_reader *self)
{
    const bool next = self->halt.error.code != 0 || (all_finished(self) && !self->end_told) ||
                      choose(self) != NULL;
    zsp_client_set_ready(self->client, &self->ready, next && !self->unwanted);
}
/* --- Public -------------------------------------------------------------------------------- */

static int check_options(zspool_reader_options_t *self, struct zsp_err *err)
{
    int rc = zsp_name_check_text("topic", self->topic, err);
    if (rc == 0) {
        rc = zsp_position_check(&self->from, err);
    }
    if (rc == 0) {
        rc = zsp_position_check(&self->to, err);
    }
    if (rc == 0) {
        rc = zsp_partition_check(self->partition, err);
    }
    if (rc == 0 && self->filter) {
        rc = zsp_text_check("filter", self->filter, ZSP_FILTER_MAX, err);
    }
    if (rc == 0 && self->follow && self->to.kind != ZSPOOL_POSITION_NONE) {
        rc = zsp_err_set_about(err, ZSP_EINVAL, "to", "following has no `to`");
    }
    if (rc == 0) {
        rc =
            zsp_count_check(ZSP_EINVAL, "prefetch_bytes", self->prefetch_bytes, ZSP_REPLY_MAX, err);
    }
    self->prefetch_bytes = self->prefetch_bytes == 0 ? PREFETCH_BYTES : self->prefetch_bytes;
    if (self->from.kind == ZSPOOL_POSITION_NONE) {
        self->from.kind = ZSPOOL_POSITION_EARLIEST;
    }
    return rc;
}

static bool usable(const struct zspool_reader *self)
{
    return self && zsp_client_usable(self->client);
}

static void call_ready(struct zsp_ready *ready)
{
    struct zspool_reader *self = CONTAINER_OF(ready, struct zspool_reader, ready);
    self->options.ready_fn(self, self->options.ready_arg);
}

static void reader_free(struct zspool_reader *self)
{
    for (uint32_t i = 0; i < self->shelf_count; i++) {
        struct zsp_shelf *shelf = self->shelves[i];
        zsp_parcels_destroy(&shelf->parcels);
        zsp_writer_fini(&shelf->args);
        free(shelf);
    }
    zsp_parcel_destroy(&self->lent);
    free(self->shelves);
    zsp_writer_fini(&self->info_args);
    free(self->filter);
    free(self->places);
    zsp_parcel_owner_fini(&self->parcels);
    free(self);
}

zspool_reader_t *zspool_reader_new(zspool_client_t *client, const zspool_reader_options_t *options,
                                   zspool_error_t *err)
{
    struct zsp_err report = {0};
    zspool_reader_t *self = NULL;
    uint64_t seed = 0;
    if (!zsp_client_usable(client) || !options || zsp_random(&seed, sizeof seed) != 0) {
        zsp_err_set(&report, ZSP_EINVAL, "no options, no client, or one made before fork()");
        goto fail;
    }
    self = calloc(1, sizeof *self);
    if (!self) {
        zsp_err_set(&report, ZSP_ENOMEM, "no memory for a reader");
        goto fail;
    }
    zsp_interned_init(&self->parcels.topics, seed);
    if (zsp_options_read(&self->options, sizeof self->options, options, "zspool_reader_options_t",
                         &report) != 0 ||
        check_options(&self->options, &report) != 0 || zsp_reader_take_places(self, &report) != 0) {
        goto fail;
    }
    memcpy(self->topic, self->options.topic, strlen(self->options.topic));
    self->options.topic = NULL;
    if (self->options.filter) {
        self->filter = strdup(self->options.filter);
        self->options.filter = NULL;
        if (!self->filter) {
            zsp_err_set(&report, ZSP_ENOMEM, "no memory for a reader");
            goto fail;
        }
    }
    if (self->options.partition != ZSPOOL_PARTITION_ALL && self->place_count == 0 &&
        zsp_reader_add_shelves(self, (uint32_t)self->options.partition,
                               (uint32_t)self->options.partition + 1) != 0) {
        zsp_err_set(&report, ZSP_ENOMEM, "no memory for a reader");
        goto fail;
    }
    self->client = client;
    self->ready.call_fn = self->options.ready_fn ? call_ready : NULL;
    self->port.pump_fn = zsp_reader_pump;
    zsp_client_join(client, &self->port);
    return self;
fail:
    if (self) {
        reader_free(self);
    }
    (void)zsp_err_export(&report, err);
    return NULL;
}

void zspool_reader_want(zspool_reader_t *self, bool wanted)
{
    if (usable(self)) {
        zsp_link_lock(self->client->link);
        self->unwanted = !wanted;
        zsp_reader_update_ready(self);
        zsp_link_unlock(self->client->link);
    }
}

void zspool_reader_destroy(zspool_reader_t **self_p)
{
    if (!self_p || !*self_p) {
        return;
    }
    struct zspool_reader *self = *self_p;
    *self_p = NULL;
    if (!usable(self)) {
        return; /* a child of fork() */
    }
    struct zsp_link *link = self->client->link;
    zsp_link_lock(link);
    if (self->info_out) {
        zsp_link_forget(link, &self->info);
    }
    for (uint32_t i = 0; i < self->shelf_count; i++) {
        if (self->shelves[i]->out) {
            zsp_link_forget(link, &self->shelves[i]->request);
        }
    }
    zsp_client_set_ready(self->client, &self->ready, false);
    zsp_link_remove(link, &self->port);
    self->client->objects--;
    zsp_link_unlock(link);
    reader_free(self);
}

/* What the broker sent cannot be read from this offset on: forget what lies behind it, so that the
 * next call asks for it again. */
static void begin_again(struct zspool_reader *self, struct zsp_shelf *shelf, uint64_t offset)
{
    zsp_parcels_destroy(&shelf->parcels);
    if (shelf->out) {
        zsp_link_forget(self->client->link, &shelf->request);
        shelf->out = false;
    }
    shelf->parcel_count = 0;
    shelf->bytes = 0;
    shelf->next_offset = offset;
    shelf->overtaken = false;
    shelf->finished = false;
    shelf->caught_up = false;
    self->current = NULL;
    self->halt.is_told = true;
    self->hand_count = 0;
}

/* Take the last message of a run off its shelf. The parcel it lies in leaves the shelf with its last
 * message, and lives until the message after that is asked for. */
static int take_last(struct zspool_reader *self, struct zsp_shelf *shelf, struct zsp_err *err)
{
    struct zsp_parcel *parcel = TAILQ_FIRST(&shelf->parcels);
    const uint64_t offset = zsp_parcel_offset(parcel);
    const int rc = zsp_parcel_take(parcel, &self->view, err);
    if (rc != 0) {
        begin_again(self, shelf, offset);
        return rc;
    }
    if (parcel->left > 0) {
        return 0;
    }
    TAILQ_REMOVE(&shelf->parcels, parcel, link);
    shelf->parcel_count--;
    shelf->bytes -= parcel->bytes;
    self->lent = parcel;
    self->current = NULL;
    zsp_link_kick(self->client->link, &self->port);
    return 0;
}

/* Have something in hand, or `view` if what comes next is the last of its run. */
static int take_in_hand(struct zspool_reader *self, struct zsp_shelf *shelf, struct zsp_err *err)
{
    const uint64_t left = zsp_parcel_left_in_run(TAILQ_FIRST(&shelf->parcels));
    if (left == 1) {
        return take_last(self, shelf, err);
    }
    self->hand = shelf;
    self->hand_count = left - 1;
    return 0;
}

/* Give an error to the host. */
static int tell_error(struct zspool_reader *self, struct zsp_err *err)
{
    if (self->behind) {
        self->behind->overtaken = true;
        self->behind->caught_up = false;
        self->behind = NULL;
    }
    return zsp_halt_tell(&self->halt, err);
}

static int wait_locked(struct zspool_reader *self, int timeout_ms, struct zsp_err *err)
{
    if (zsp_halt_end(&self->halt)) {
        zsp_link_kick(self->client->link, &self->port);
    }
    int64_t deadline_ms = INT64_MIN; /* not known: the clock is asked only to wait */
    for (;;) {
        struct zsp_shelf *shelf = choose(self);
        if (shelf) {
            return take_in_hand(self, shelf, err);
        }
        if (self->halt.error.code != 0) {
            return tell_error(self, err);
        }
        if (all_finished(self)) {
            self->end_told = true;
            return ZSPOOL_END;
        }
        if (deadline_ms == INT64_MIN) {
            deadline_ms = timeout_ms == 0 ? 0 : zsp_deadline_ms(timeout_ms);
        }
        const int rc = zsp_link_wait(self->client->link, deadline_ms, err);
        if (rc != 0) {
            return rc;
        }
    }
}

/* Nothing is in hand. */
static int wait_for_more(struct zspool_reader *self, int timeout_ms, struct zsp_err *err)
{
    zsp_parcel_destroy(&self->lent);
    zsp_link_lock(self->client->link);
    const int rc = wait_locked(self, timeout_ms, err);
    zsp_reader_update_ready(self);
    zsp_link_unlock(self->client->link);
    return rc;
}

/* From what is in hand, not locked. */
static int take_from_hand(struct zspool_reader *self, struct zsp_err *err)
{
    struct zsp_shelf *shelf = self->hand;
    struct zsp_parcel *parcel = TAILQ_FIRST(&shelf->parcels);
    const int rc = zsp_parcel_take(parcel, &self->view, err);
    if (rc == 0) {
        self->hand_count--;
        return 0;
    }
    zsp_link_lock(self->client->link);
    begin_again(self, shelf, zsp_parcel_offset(parcel));
    zsp_reader_update_ready(self);
    zsp_link_unlock(self->client->link);
    return rc;
}

int zspool_read(zspool_reader_t *self, const zspool_message_t **ret_message, int timeout_ms,
                zspool_error_t *err)
{
    if (!usable(self) || !ret_message) {
        return zsp_refuse(err, "no place for the message, no reader, or one made before fork()");
    }
    struct zsp_err report;
    report.code = 0;
    int rc = 0;
    if (self->hand_count == 0) {
        rc = wait_for_more(self, timeout_ms, &report);
    }
    if (rc == 0 && self->hand_count > 0) {
        rc = take_from_hand(self, &report);
    }
    if (rc == 0) {
        *ret_message = &self->view;
    }
    return rc >= 0 ? rc : zsp_err_export(&report, err);
}
