/* SPDX-License-Identifier: MPL-2.0
 *
 * GROUP.TRACE agrees with what the checker knows of a message's history:
 *
 *   - what was acked, or is dead, before it was asked for is "done", or "dead";
 *   - while it surely is under the lease that it went out with it is "leased";
 *   - what was told to be retried, and is not due, is "waiting"; what nobody ever had is "ready", but
 *     "waiting" when the clock was never at its time;
 *   - in the end, when the group has done all, each message is "done" or "dead";
 *   - no failures that were confirmed are missing, nor are there more of them, or of deliveries, than
 *     there can be.
 */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/sim_model.h"

/* What it must be said to be now; NULL = that is not known. */
static const char *status_of(const struct model *self, const struct sim_request *trace,
                             const struct group_slot *slot)
{
    const struct group_model *group = &self->groups[trace->group];
    if (slot->acked) {
        return "done";
    }
    if (slot->dead) {
        return "dead";
    }
    if (model_lease_lives(self, slot)) {
        return "leased";
    }
    if (slot->came_back && slot->not_before_ms > self->uptime_ms && !slot->maybe_done) {
        return "waiting";
    }
    if (slot->grants_ever == 0 && !slot->optional && !slot->skipped && !slot->doomed &&
        group->unseen_grants == 0 && group->pulls_out == 0) {
        return "fresh";
    }
    return NULL;
}

static struct group_slot *slot_of(struct model *self, const struct sim_request *trace)
{
    return model_group_slot(self, trace->group, trace->topic, (uint32_t)trace->partition,
                            trace->from);
}

void model_trace_enter(struct model *self, struct sim_request *trace)
{
    const struct group_slot *slot = slot_of(self, trace);
    trace->wanted_status = status_of(self, trace, slot);
    trace->wanted_lease = slot->lease;
}

static bool is_fresh(const struct model *self, const struct sim_reply *reply, uint32_t message)
{
    const int64_t due_ms = self->messages[message].order.not_before_ms;
    const bool is_ready = strcmp(reply->status, "ready") == 0;
    const bool waits = strcmp(reply->status, "waiting") == 0;
    return reply->deliveries == 0 && (due_ms == 0                  ? is_ready
                                      : due_ms > self->wall_max_ms ? waits
                                                                   : is_ready || waits);
}

void model_final_trace(struct model *self, const struct sim_request *trace)
{
    const struct group_slot *slot = slot_of(self, trace);
    const char *status = trace->reply.status;
    const bool is_done = strcmp(status, "done") == 0;
    const bool is_dead = strcmp(status, "dead") == 0;
    if ((!is_done && !is_dead) || (slot->acked && !is_done) || (slot->dead && !is_dead)) {
        (void)model_fail(self,
                         "GROUP.TRACE of %s/%d/%" PRIu64 " in group %s tells %s in the end "
                         "(acked %d, dead %d)",
                         sim_topic_name(trace->topic), trace->partition, trace->from,
                         sim_group_name(trace->group), status, slot->acked, slot->dead);
    }
}

void model_trace_answer(struct model *self, const struct sim_request *trace)
{
    const struct sim_reply *reply = &trace->reply;
    const struct group_slot *slot = slot_of(self, trace);
    const struct log_slot *log =
        model_log_slot(self, trace->topic, (uint32_t)trace->partition, trace->from);
    const char *wanted = status_of(self, trace, slot);
    if (log->message == 0 || model_in_seek(self, trace) ||
        model_may_be_left_out(self, trace->group, log->message - 1)) {
        return;
    }
    /* As it was when it was asked for, and is still; what is over stays so. */
    const bool is_over =
        trace->wanted_status && slot->lease == trace->wanted_lease &&
        (strcmp(trace->wanted_status, "done") == 0 || strcmp(trace->wanted_status, "dead") == 0);
    const bool is_known = wanted && trace->wanted_status &&
                          strcmp(wanted, trace->wanted_status) == 0 &&
                          slot->lease == trace->wanted_lease;
    const bool fits =
        !wanted || (strcmp(wanted, "fresh") == 0 ? is_fresh(self, reply, log->message - 1)
                                                 : strcmp(wanted, reply->status) == 0);
    if ((is_known || is_over) && !fits) {
        (void)model_fail(
            self, "GROUP.TRACE of %s/%d/%" PRIu64 " in group %s tells %s (deliveries %u), it is %s",
            sim_topic_name(trace->topic), trace->partition, trace->from,
            sim_group_name(trace->group), reply->status, reply->deliveries, wanted);
        return;
    }
    /* A seek leaves the dead as they are, counts and all. */
    const uint32_t grants = slot->dead || slot->doomed ? slot->grants_ever : slot->grants;
    const uint32_t most = grants + self->groups[trace->group].unseen_grants +
                          (uint32_t)self->groups[trace->group].pulls_out;
    const bool is_unfinished = strcmp(reply->status, "done") != 0;
    if (is_unfinished && !slot->maybe_done &&
        (reply->deliveries > most || reply->failures > most ||
         (!slot->lease_sure && reply->failures < slot->failures_min))) {
        (void)model_fail(self,
                         "GROUP.TRACE of %s/%d/%" PRIu64
                         " in group %s tells deliveries %u failures %u,"
                         " there were %u and at least %u",
                         sim_topic_name(trace->topic), trace->partition, trace->from,
                         sim_group_name(trace->group), reply->deliveries, reply->failures, most,
                         slot->failures_min);
    }
}
