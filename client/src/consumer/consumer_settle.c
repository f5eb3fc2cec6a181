/* SPDX-License-Identifier: MPL-2.0 */
#include <string.h>

#include "client/src/consumer/consumer_priv.h"
#include "client/src/result.h"
#include "common/container.h"

#define MARK_MS     20  /* a message in hand for so long is marked started */
#define PAUSE_MS    100 /* after a refusal that passes */

#define SLOW_MS     3 /* a PULL with outcomes that is slow: fdatasync takes 0.2 ms on a good disk */
#define ALONE_PULLS 100u /* without outcomes, after a slow one kept the host waiting */

/* Outcomes go aboard a PULL that names no more topics: half of a header is for them. */
#define BOARD_TOPICS_MAX 256u
_Static_assert(BOARD_TOPICS_MAX *(ZSP_NAME_MAX + 2u) < ZSP_HEADER_MAX / 4,
               "the topics fit beside the outcomes");

static void wake_at(struct zspool_consumer *self, int64_t at_ms)
{
    if (at_ms < self->port.wake_ms) {
        self->port.wake_ms = at_ms;
    }
}

/* --- Losses ------------------------------------------------------------------------- */

void zsp_consumer_add_lost(struct zspool_consumer *self, const zspool_lost_t *lost)
{
    if (self->lost_count == ZSP_LOST_MAX) {
        self->lost_first = (self->lost_first + 1) % ZSP_LOST_MAX;
        self->lost_count--;
    }
    self->lost[(self->lost_first + self->lost_count) % ZSP_LOST_MAX] = *lost;
    self->lost_count++;
    zsp_consumer_update_ready(self);
    zsp_link_notify(self->client->link);
}

static void tell_held_lost(struct zspool_consumer *self, struct zsp_held *held)
{
    if (!held->lost_told) {
        held->lost_told = true;
        const zspool_lost_t lost = {.topic = held->view.topic,
                                    .partition = held->view.partition,
                                    .first_offset = held->view.offset,
                                    .count = 1,
                                    .lease = held->view.lease,
                                    .held = true};
        zsp_consumer_add_lost(self, &lost);
    }
}

/* The run of ours that a row of not_applied speaks of. */
static const struct zsp_outcome_run *run_of(const struct zsp_outcomes *sent,
                                            const struct zsp_not_applied *row)
{
    for (size_t i = 0; i < sent->count; i++) {
        const struct zsp_outcome_run *run = &sent->items[i];
        if (run->partition == row->partition && row->first >= run->first &&
            row->first - run->first < run->count && zsp_slice_equal_str(row->topic, run->topic)) {
            return run;
        }
    }
    return NULL;
}

static bool is_named(const struct zsp_outcome_run *run, const struct zsp_not_applied *row,
                     const char *topic, uint32_t partition, uint64_t offset)
{
    return partition == row->partition && offset >= row->first &&
           offset - row->first < row->count && strcmp(topic, run->topic) == 0;
}

/* Is the lease gone? Not if the message that was named is in a commit, whose answer tells of it and may
 * have ended its lease; nor if it is in doubt, and then lost by itself; nor if it is not here any more. */
static bool is_lease_lost(struct zspool_consumer *self, const struct zsp_outcome_run *run,
                          const struct zsp_not_applied *row)
{
    bool is_lost = false;
    struct zsp_held *held;
    TAILQ_FOREACH (held, &self->held, link) {
        const zspool_message_t *view = &held->view;
        if (held->in_commit || view->lease != run->lease ||
            !is_named(run, row, view->topic, view->partition, view->offset)) {
            continue;
        }
        if (zsp_consumer_is_doubtful(self, held)) {
            tell_held_lost(self, held);
        } else {
            is_lost = true;
        }
    }
    struct zsp_parcel *parcel;
    TAILQ_FOREACH (parcel, &self->waiting, link) {
        const struct zsp_parcel_run *next = zsp_parcel_run(parcel);
        is_lost = is_lost ||
                  (next->lease == run->lease &&
                   is_named(run, row, next->topic, next->partition, zsp_parcel_offset(parcel)));
    }
    return is_lost;
}

/* A lease that was to be extended or marked is gone: in this partition for all of its messages, since
 * an extension names but one of them. Of what is in a commit the commit's answer tells. */
static void lose_touched(struct zspool_consumer *self, const struct zsp_outcome_run *run,
                         const struct zsp_not_applied *row)
{
    if (!is_lease_lost(self, run, row)) {
        return;
    }
    struct zsp_held *held;
    TAILQ_FOREACH (held, &self->held, link) {
        if (!held->in_commit && held->view.lease == run->lease &&
            held->view.partition == row->partition && strcmp(held->view.topic, run->topic) == 0) {
            tell_held_lost(self, held);
        }
    }
    struct zsp_parcel *parcel;
    TAILQ_FOREACH (parcel, &self->waiting, link) {
        parcel->lost = parcel->lost || zsp_parcel_run(parcel)->lease == run->lease;
    }
}

/* --- Marks and extensions ---------------------------------------------------------------- */

void zsp_consumer_look_at(struct zspool_consumer *self, int64_t at_ms)
{
    if (at_ms < self->look_at_ms) {
        self->look_at_ms = at_ms;
    }
}

/* Not 0: not in this request, so next time. It has each message under one lease, for the answer names
 * none. */
static int touch(struct zspool_consumer *self, const char *topic, uint32_t partition,
                 const struct zsp_outcome_run *run)
{
    struct zsp_outcome_run copy = *run;
    copy.topic = topic;
    copy.partition = partition;
    return zsp_outcomes_meet(&self->touches, &copy) ? ZSP_EAGAIN
                                                    : zsp_outcomes_add(&self->touches, &copy);
}

static void mark_held(struct zspool_consumer *self, struct zsp_held *held, int64_t now_ms)
{
    /* Behind a commit the mark would come to a lease that the commit has ended. */
    if (self->options.no_started || held->marked || held->lost_told || held->in_commit) {
        return;
    }
    if (now_ms - held->taken_ms < MARK_MS) {
        zsp_consumer_look_at(self, held->taken_ms + MARK_MS);
        return;
    }
    const struct zsp_outcome_run run = {
        .first = held->view.offset, .count = 1, .lease = held->view.lease, .outcome = WIRE_STARTED};
    held->marked = touch(self, held->view.topic, held->view.partition, &run) == 0;
}

/* A message of the parcel in hand that tells whether its lease is there. One that is in a commit or in
 * doubt if there is no other, and none waits. NULL = there is none. */
static const struct zsp_held *held_of(const struct zspool_consumer *self,
                                      const struct zsp_parcel *parcel)
{
    const struct zsp_held *unsure = NULL;
    const struct zsp_held *held;
    TAILQ_FOREACH (held, &self->held, link) {
        if (held->parcel != parcel || held->lost_told) {
            continue;
        }
        if (!held->in_commit && !zsp_consumer_is_doubtful(self, held)) {
            return held;
        }
        unsure = unsure ? unsure : held;
    }
    return parcel->left > 0 ? NULL : unsure;
}

/* A lease is extended as a whole: naming one of its messages that is not lost is enough. False: next
 * time. */
static bool extend(struct zspool_consumer *self, const struct zsp_parcel *parcel)
{
    const struct zsp_held *held = held_of(self, parcel);
    struct zsp_outcome_run run = {.count = 1,
                                  .outcome = WIRE_EXTEND,
                                  .has_delay = true,
                                  .delay_ms = (uint64_t)parcel->lease_ms};
    if (held) {
        run.first = held->view.offset;
        run.lease = held->view.lease;
        return touch(self, held->view.topic, held->view.partition, &run) == 0;
    }
    if (parcel->left > 0) {
        const struct zsp_parcel_run *next = zsp_parcel_run(parcel);
        run.first = zsp_parcel_offset(parcel);
        run.lease = next->lease;
        return touch(self, next->topic, next->partition, &run) == 0;
    }
    return true; /* nothing of it is here any more */
}

static void look_at_parcels(struct zspool_consumer *self, const struct zsp_parcel_list *list,
                            int64_t now_ms)
{
    struct zsp_parcel *parcel;
    TAILQ_FOREACH (parcel, list, link) {
        const int64_t due_ms = parcel->lease_until_ms - parcel->lease_ms / 2;
        if (!self->options.auto_extend || parcel->lost || parcel->lease_ms == 0) {
            continue;
        }
        if (now_ms < due_ms) {
            zsp_consumer_look_at(self, due_ms);
            continue;
        }
        parcel->extending = extend(self, parcel);
    }
}

void zsp_consumer_check_instance(struct zspool_consumer *self, int64_t now_ms)
{
    const struct zsp_hello *hello = zsp_link_hello(self->client->link);
    if (memcmp(self->instance, hello->instance, sizeof self->instance) == 0) {
        return;
    }
    memcpy(self->instance, hello->instance, sizeof self->instance);
    struct zsp_held *held;
    TAILQ_FOREACH (held, &self->held, link) {
        held->marked = false;
        zsp_consumer_look_at(self, now_ms);
    }
}

void zsp_consumer_look(struct zspool_consumer *self, int64_t now_ms)
{
    if (now_ms < self->look_at_ms || self->touch_out || self->closing) {
        return; /* while a touch is out its answer looks again */
    }
    self->look_at_ms = INT64_MAX;
    zsp_outcomes_reset(&self->touches);
    look_at_parcels(self, &self->waiting, now_ms);
    look_at_parcels(self, &self->emptied, now_ms);
    struct zsp_held *held;
    TAILQ_FOREACH (held, &self->held, link) {
        mark_held(self, held, now_ms);
        if (now_ms >= held->parcel->lease_until_ms) {
            tell_held_lost(self, held);
        } else {
            zsp_consumer_look_at(self, held->parcel->lease_until_ms);
        }
    }
}

static void extended(const struct zsp_parcel_list *list, bool done, int64_t sent_ms)
{
    struct zsp_parcel *parcel;
    TAILQ_FOREACH (parcel, list, link) {
        if (parcel->extending && done && !parcel->lost) {
            parcel->lease_until_ms = sent_ms + parcel->lease_ms;
        }
        parcel->extending = false;
    }
}

static void touch_done(struct zsp_request *request, const struct zsp_answer *answer)
{
    struct zspool_consumer *self = CONTAINER_OF(request, struct zspool_consumer, touch);
    self->touch_out = false;
    const msgpack_object_array *rows =
        answer->code == 0 ? zsp_reply_array(answer->map, "not_applied") : NULL;
    for (uint32_t i = 0; rows && i < rows->size; i++) {
        struct zsp_not_applied row;
        const struct zsp_outcome_run *run =
            zsp_not_applied_read(&rows->ptr[i], &row) ? run_of(&self->touches, &row) : NULL;
        if (run && row.settled != ZSPOOL_SETTLED_DONE) {
            lose_touched(self, run, &row);
        }
    }
    extended(&self->waiting, answer->code == 0, self->touch_sent_ms);
    extended(&self->emptied, answer->code == 0, self->touch_sent_ms);
    if (self->suspect == SUSPECT_SENT) {
        /* Refused for good: handed out all the same, the mark is a courtesy. */
        self->suspect = answer->code == ZSP_ECLOSED ? SUSPECT_WANTED : SUSPECT_MARKED;
    }
    zsp_outcomes_reset(&self->touches);
    zsp_consumer_drop_expired(self, answer->now_ms);
    zsp_consumer_look_at(self, answer->now_ms + MARK_MS);
    zsp_consumer_update_ready(self);
    zsp_link_notify(self->client->link);
    zsp_link_kick(self->client->link, &self->port);
}

static void add_suspect(struct zspool_consumer *self)
{
    const struct zsp_parcel *next = TAILQ_FIRST(&self->waiting);
    const struct zsp_parcel_run *run = zsp_parcel_run(next);
    const struct zsp_outcome_run mark = {
        .first = zsp_parcel_offset(next), .count = 1, .lease = run->lease, .outcome = WIRE_STARTED};
    if (touch(self, run->topic, run->partition, &mark) == 0) {
        self->suspect = SUSPECT_SENT;
    }
}

void zsp_consumer_pump_touch(struct zspool_consumer *self, int64_t now_ms)
{
    if (self->touch_out || self->closing) {
        return;
    }
    if (self->suspect == SUSPECT_WANTED && !TAILQ_EMPTY(&self->waiting)) {
        add_suspect(self);
        if (self->suspect == SUSPECT_WANTED) {
            zsp_link_try_later(&self->port, now_ms); /* no room for the mark */
        }
    }
    if (self->touches.count == 0) {
        return;
    }
    const struct zsp_hello *hello = zsp_link_hello(self->client->link);
    const size_t fit = zsp_outcomes_fit(&self->touches, hello->max_header, hello->max_runs);
    self->touches.count = fit; /* no reasons in it; the rest is due at the next look */
    zsp_writer_reset(&self->touch_args);
    zsp_outcomes_write(&self->touches, self->group, &self->touch_args);
    self->touch.verb = "SETTLE";
    self->touch.done_fn = touch_done;
    if (zsp_link_send_args(self->client->link, &self->port, &self->touch, &self->touch_args,
                           now_ms) == 0) {
        self->touch_out = true;
        self->touch_sent_ms = now_ms;
    } else if (self->suspect == SUSPECT_SENT) {
        self->suspect = SUSPECT_WANTED;
        zsp_outcomes_reset(&self->touches);
        zsp_consumer_look_at(self, now_ms + MARK_MS);
    }
}

/* --- Outcomes ------------------------------------------------------------------------------ */

bool zsp_consumer_settling(const struct zspool_consumer *self)
{
    return self->settle_out || self->outcomes.count > 0 || self->outcomes_sent.count > 0;
}

static void settle_failed(struct zspool_consumer *self, int code, const char *text)
{
    if (self->settle_error.code == 0) {
        zsp_err_set(&self->settle_error, code, "%s", text);
    }
}

static void tell_not_applied(struct zspool_consumer *self, const msgpack_object_array *rows)
{
    for (uint32_t i = 0; rows && i < rows->size; i++) {
        struct zsp_not_applied row;
        const struct zsp_outcome_run *run =
            zsp_not_applied_read(&rows->ptr[i], &row) ? run_of(&self->outcomes_sent, &row) : NULL;
        if (!run || row.settled == ZSPOOL_SETTLED_DONE || run->is_unseen) {
            continue;
        }
        const zspool_lost_t lost = {.topic = run->topic,
                                    .partition = row.partition,
                                    .first_offset = row.first,
                                    .count = row.count,
                                    .lease = run->lease};
        zsp_consumer_add_lost(self, &lost);
        settle_failed(self, ZSP_ENOT_LEASED, "leases were lost before their messages were settled");
    }
}

/* `result`: the map that tells of the outcomes, when there is no error. */
static void outcomes_answered(struct zspool_consumer *self, const struct zsp_answer *answer,
                              const msgpack_object *result)
{
    if (answer->code == ZSP_ECLOSED || (answer->code != 0 && zsp_err_retriable(answer->code))) {
        self->settle_at_ms = answer->now_ms + (answer->code == ZSP_ECLOSED ? 0 : PAUSE_MS);
    } else {
        if (answer->code == 0) {
            tell_not_applied(self, zsp_reply_array(result, "not_applied"));
        } else if (self->settle_error.code == 0) {
            self->settle_error = *answer->err;
        }
        zsp_outcomes_reset(&self->outcomes_sent);
        self->answered_count = self->sent_count;
    }
}

static void settle_done(struct zsp_request *request, const struct zsp_answer *answer)
{
    struct zspool_consumer *self = CONTAINER_OF(request, struct zspool_consumer, settle);
    self->settle_out = false;
    outcomes_answered(self, answer, answer->map);
    zsp_link_notify(self->client->link);
    zsp_link_kick(self->client->link, &self->port);
}

/* Choose what the next request holds. */
static bool load_outcomes(struct zspool_consumer *self)
{
    if (self->outcomes_sent.count > 0) {
        return true; /* again: the broker knows what it has applied */
    }
    const struct zsp_hello *hello = zsp_link_hello(self->client->link);
    zsp_outcomes_join(&self->outcomes);
    const size_t fit = zsp_outcomes_fit(&self->outcomes, hello->max_header, hello->max_runs);
    const size_t count = zsp_outcomes_apart(&self->outcomes, fit);
    if (zsp_outcomes_move(&self->outcomes, count, &self->outcomes_sent) != 0) {
        return false;
    }
    if (self->outcomes.count == 0) {
        self->sent_count = self->settled_count;
    }
    return true;
}

bool zsp_consumer_board(struct zspool_consumer *self, int64_t now_ms)
{
    const struct zsp_hello *hello = zsp_link_hello(self->client->link);
    if (self->alone > 0) {
        self->alone--;
        return false;
    }
    if (self->settle_out || self->outcomes_sent.count > 0 || self->outcomes.count == 0 ||
        now_ms < self->settle_at_ms || self->topic_count > BOARD_TOPICS_MAX ||
        !zsp_hello_has(hello, "pull_settle")) {
        return false;
    }
    zsp_outcomes_join(&self->outcomes);
    size_t fit = zsp_outcomes_fit(&self->outcomes, hello->max_header / 2, hello->max_runs);
    fit = zsp_outcomes_apart(&self->outcomes, fit);
    if (fit < self->outcomes.count ||
        zsp_outcomes_move(&self->outcomes, fit, &self->outcomes_sent) != 0) {
        return false;
    }
    self->sent_count = self->settled_count;
    self->settle_out = self->settle_aboard = true;
    self->starved = false;
    return true;
}

void zsp_consumer_unboard(struct zspool_consumer *self, const struct zsp_answer *answer)
{
    if (!self->settle_aboard) {
        return;
    }
    self->settle_out = self->settle_aboard = false;
    if (answer && self->starved && answer->now_ms - self->pull_sent_ms >= SLOW_MS) {
        self->alone = ALONE_PULLS;
    }
    const msgpack_object *result =
        answer && answer->code == 0 ? wire_map_find(answer->map, "settled") : NULL;
    if (result && result->type == MSGPACK_OBJECT_MAP) {
        outcomes_answered(self, answer, result);
    }
}

void zsp_consumer_pump_outcomes(struct zspool_consumer *self, int64_t now_ms)
{
    if (self->settle_out || (self->outcomes.count == 0 && self->outcomes_sent.count == 0)) {
        return;
    }
    if (now_ms < self->settle_at_ms) {
        wake_at(self, self->settle_at_ms);
        return;
    }
    if (!load_outcomes(self)) {
        wake_at(self, now_ms + PAUSE_MS);
        return;
    }
    zsp_writer_reset(&self->settle_args);
    zsp_outcomes_write(&self->outcomes_sent, self->group, &self->settle_args);
    self->settle.verb = "SETTLE";
    self->settle.done_fn = settle_done;
    self->settle_out = zsp_link_send_args(self->client->link, &self->port, &self->settle,
                                          &self->settle_args, now_ms) == 0;
}

void zsp_consumer_release_waiting(struct zspool_consumer *self)
{
    while (!TAILQ_EMPTY(&self->waiting)) {
        struct zsp_parcel *parcel = TAILQ_FIRST(&self->waiting);
        for (size_t i = parcel->run_index; i < parcel->run_count && parcel->left > 0; i++) {
            const struct zsp_parcel_run *run = &parcel->runs[i];
            const uint64_t taken = i == parcel->run_index ? parcel->in_run : 0;
            const struct zsp_outcome_run release = {.topic = run->topic,
                                                    .partition = run->partition,
                                                    .first = run->first + taken,
                                                    .count = run->count - taken,
                                                    .lease = run->lease,
                                                    .outcome = WIRE_RELEASE,
                                                    .is_unseen = true};
            /* Without memory the lease ends by time. */
            (void)zsp_outcomes_add(&self->outcomes, &release);
        }
        zsp_consumer_retire(self, parcel);
    }
}
