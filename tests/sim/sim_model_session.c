/* SPDX-License-Identifier: MPL-2.0
 *
 * Sessions of the checker:
 *
 *   - a PULL sent again under its id is answered with the lease that the first one
 *     got, as long as that surely lives: never with another one
 *   - a BYE hands back what its session surely has under a lease, and no more than
 *     it may have; then that is durable
 *   - a request whose CANCEL says so was answered before, with nothing
 *
 * A silent session's leases may be over; what is judged of a lost lease elsewhere
 * holds for them.
 */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/sim_model.h"

typedef void each_fn(struct model *self, struct group_slot *slot, const struct group_model *group,
                     void *arg);

/* Every message that went out last under a lease of the session. */
static void each_of_session(struct model *self, uint64_t session, each_fn *fn, void *arg)
{
    for (uint32_t i = 0; i < SIM_GROUPS * SIM_TOPICS * SIM_PARTS_MAX; i++) {
        struct group_model *group = &self->groups[i / (SIM_TOPICS * SIM_PARTS_MAX)];
        struct ledger_model *ledger =
            &group->ledgers[i / SIM_PARTS_MAX % SIM_TOPICS][i % SIM_PARTS_MAX];
        for (size_t o = 0; o < ledger->capacity; o++) {
            struct group_slot *slot = &ledger->slots[o];
            if (slot->session == session && slot->lease != 0) {
                fn(self, slot, group, arg);
            }
        }
    }
}

/* --- Repeated PULLs -------------------------------------------------------------------- */

/* Does a message of this reply surely stand under its lease still? */
static bool reply_lives(struct model *self, const struct sim_request *pull)
{
    for (size_t i = 0; i < pull->reply.run_count; i++) {
        const struct sim_run *run = &pull->reply.runs[i];
        for (uint64_t o = run->first; o < run->first + run->count; o++) {
            const struct group_slot *slot =
                model_group_slot(self, pull->group, run->topic, run->partition, o);
            if (slot->lease == pull->reply.lease && model_lease_lives(self, slot)) {
                return true;
            }
        }
    }
    return false;
}

bool model_judge_repeat(struct model *self, const struct sim_request *request)
{
    const char *const reason = request->reply.reason;
    if (strcmp(reason, "cancelled") == 0 || strcmp(reason, "shutting_down") == 0) {
        return true;
    }
    for (const struct sim_request *first = request->repeats; first; first = first->repeats) {
        if (first->reply.lease != 0 && first->reply.lease != request->reply.lease &&
            reply_lives(self, first)) {
            return model_fail(self,
                              "PULL %" PRIu64 " was sent again: it had lease %" PRIu64
                              ", which lives, and got %" PRIu64,
                              first->ticket, first->reply.lease, request->reply.lease);
        }
    }
    return true;
}

/* --- BYE ---------------------------------------------------------------------------------- */

struct bye_count {
    uint64_t sure, possible;
};

/* A seek under way may have taken the leases of its group away. */
static void count_and_doubt(struct model *self, struct group_slot *slot,
                            const struct group_model *group, void *arg)
{
    struct bye_count *count = arg;
    count->sure += group->seeks_out == 0 && model_lease_lives(self, slot);
    count->possible++;
    slot->lease_sure = false;
}

void model_bye_enter(struct model *self, struct sim_request *request)
{
    struct bye_count count = {0};
    each_of_session(self, request->session, count_and_doubt, &count);
    request->released_min = count.sure;
    if (request->released_max == 0) {
        request->released_max = count.possible;
    }
    for (uint32_t g = 0; g < SIM_GROUPS; g++) {
        if (self->groups[g].unseen_grants > 0 || self->groups[g].seeks_out > 0) {
            request->released_max = UINT64_MAX; /* what nobody was told of may be among it */
        }
    }
}

static void give_back(struct model *self, struct group_slot *slot, const struct group_model *group,
                      void *arg)
{
    (void)self;
    (void)group;
    (void)arg;
    slot->lease = 0;
}

void model_bye_answer(struct model *self, struct sim_request *request)
{
    const uint64_t released = request->reply.released;
    if (request->reply.is_error) {
        return;
    }
    if (released < request->released_min || released > request->released_max) {
        (void)model_fail(self,
                         "BYE of session %" PRIu64 " released %" PRIu64 " messages, it had %" PRIu64
                         " to %" PRIu64,
                         request->session, released, request->released_min, request->released_max);
        return;
    }
    each_of_session(self, request->session, give_back, NULL);
    if (released > 0 && request->entered_step > self->durable_step) {
        self->durable_step = request->entered_step;
    }
}

/* --- CANCEL and silence --------------------------------------------------------------------- */

void model_cancel_answer(struct model *self, const struct sim_request *request)
{
    const struct sim_request *const pull = request->cancels;
    if (request->reply.is_error || !request->reply.cancelled || pull->srun_count > 0) {
        return; /* a PULL with outcomes is answered when they are durable */
    }
    if (pull->state == REQUEST_ENTERED) {
        (void)model_fail(self, "PULL %" PRIu64 " is cancelled and not answered", pull->ticket);
    } else if (pull->state == REQUEST_ANSWERED && !pull->reply.is_error &&
               (pull->reply.run_count > 0 || strcmp(pull->reply.reason, "cancelled") != 0)) {
        (void)model_fail(self, "PULL %" PRIu64 " is cancelled and was answered with reason %s",
                         pull->ticket, pull->reply.reason);
    }
}

static void doubt(struct model *self, struct group_slot *slot, const struct group_model *group,
                  void *arg)
{
    (void)self;
    (void)group;
    (void)arg;
    slot->lease_sure = false;
}

void model_silent(struct model *self, uint64_t session)
{
    each_of_session(self, session, doubt, NULL);
}
