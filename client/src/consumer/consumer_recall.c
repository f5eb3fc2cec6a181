/* SPDX-License-Identifier: MPL-2.0
 *
 * In a group with an order the broker takes back what it gave behind a message that was not acked. The
 * host must not see that before it comes again: what waits here is handed back when its turn comes, and
 * is passed over. So the next message of a parcel is always one that may be taken.
 *
 *   - keyed: of the same key, in the same parcel, since all of a key that is out is under one
 *     lease; other keys go on
 *   - ordered: of the same partition, in all parcels and in the one that is on its way
 *
 * What is in hand behind it is doubtful: perhaps the broker has it back (after a retry or release), perhaps
 * not (after a reject, where dead messages do not hold). That it is lost says nothing about its
 * lease, which other messages have as well.
 */
#include <stdlib.h>

#include "client/src/consumer/consumer_priv.h"

static struct zsp_place place_of(const struct zspool_consumer *self,
                                 const zspool_message_t *message)
{
    return (struct zsp_place){.topic = message->topic,
                              .partition = message->partition,
                              .offset = message->offset,
                              .key = self->order == ZSP_ORDER_KEY
                                         ? (struct zsp_slice){message->key.data, message->key.len}
                                         : (struct zsp_slice){NULL, 0}};
}

static bool is_recalled(const struct zspool_consumer *self, const struct zsp_parcel *parcel,
                        const zspool_message_t *message)
{
    if (!parcel->recalled || (self->order == ZSP_ORDER_KEY && !message->key.data)) {
        return false;
    }
    const struct zsp_place place = place_of(self, message);
    return zsp_recalled_has(parcel->recalled, &place);
}

bool zsp_consumer_is_doubtful(const struct zspool_consumer *self, const struct zsp_held *held)
{
    return is_recalled(self, held->parcel, &held->view);
}

/* Hand the parcel's next message back. Without memory its lease ends by time. */
static void release_next(struct zspool_consumer *self, struct zsp_parcel *parcel,
                         const zspool_message_t *next)
{
    const struct zsp_outcome_run release = {.topic = next->topic,
                                            .partition = next->partition,
                                            .first = next->offset,
                                            .count = 1,
                                            .lease = next->lease,
                                            .outcome = WIRE_RELEASE,
                                            .is_unseen = true};
    (void)zsp_outcomes_add(&self->outcomes, &release);
    if (TAILQ_FIRST(&self->waiting) == parcel) {
        self->suspect = SUSPECT_NONE;
    }
}

/* Is there a next message that comes back? Then it is in *ret. A record that cannot be read is told when
 * it is taken. */
static bool next_is_recalled(const struct zspool_consumer *self, struct zsp_parcel *parcel,
                             zspool_message_t *ret)
{
    struct zsp_err ignored = {0};
    return parcel->recalled && zsp_parcel_peek(parcel, ret, &ignored) == 0 &&
           is_recalled(self, parcel, ret);
}

void zsp_consumer_pass_over(struct zspool_consumer *self, struct zsp_parcel *parcel)
{
    zspool_message_t next;
    struct zsp_err none = {0};
    const size_t bytes = parcel->bytes_left;
    while (next_is_recalled(self, parcel, &next)) {
        release_next(self, parcel, &next);
        (void)zsp_parcel_take(parcel, &next, &none); /* as it was seen */
        self->waiting_messages--;
    }
    self->waiting_bytes -= bytes - parcel->bytes_left;
}

/* In this parcel. */
static int recall_in(struct zspool_consumer *self, struct zsp_parcel *parcel,
                     const struct zsp_place *place)
{
    const int rc = zsp_recalled_add(&parcel->recalled, place, self->parcels.topics.table.seed);
    zsp_consumer_pass_over(self, parcel);
    return rc;
}

/* In all there are, and in what is on its way. */
static int recall_everywhere(struct zspool_consumer *self, const struct zsp_place *place)
{
    int rc = 0;
    struct zsp_parcel *next;
    struct zsp_parcel *parcel;
    TAILQ_FOREACH (parcel, &self->emptied, link) {
        rc = rc == 0 ? recall_in(self, parcel, place) : rc;
    }
    for (parcel = TAILQ_FIRST(&self->waiting); parcel && rc == 0; parcel = next) {
        next = TAILQ_NEXT(parcel, link);
        rc = recall_in(self, parcel, place);
        if (parcel->left == 0) {
            zsp_consumer_retire(self, parcel);
        }
    }
    if (rc == 0 && self->pull_out) {
        rc = zsp_recalled_add(&self->recalled_late, place, self->parcels.topics.table.seed);
    }
    return rc;
}

void zsp_consumer_give_back(struct zspool_consumer *self, const struct zsp_held *held,
                            enum wire_outcome outcome)
{
    struct zsp_parcel *const parcel = held->parcel;
    const struct zsp_place place = place_of(self, &held->view);
    int rc = 0;
    if (self->order == ZSP_ORDER_NONE || outcome == WIRE_ACK || outcome == WIRE_EXTEND) {
        return;
    }
    if (self->order == ZSP_ORDER_PARTITION) {
        rc = recall_everywhere(self, &place);
    } else if (held->view.key.data) {
        const bool waits = parcel->left > 0;
        rc = recall_in(self, parcel, &place);
        if (waits && parcel->left == 0) {
            zsp_consumer_retire(self, parcel);
        }
    }
    if (rc != 0) { /* no memory to tell them apart */
        zsp_consumer_release_waiting(self);
        self->pull_is_late = self->pull_out;
    }
    zsp_consumer_update_ready(self);
}
