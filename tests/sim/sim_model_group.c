/* SPDX-License-Identifier: MPL-2.0
 *
 * Groups of the checker. Of each message in each group it knows what was
 * confirmed, and what may have happened unconfirmed:
 *
 *   - an ack that was confirmed: never delivered again, except after a seek
 *   - a lease lives until its time (of the broker's uptime, so outages do not
 *     count) unless something may have ended it: a settle on its way, a seek, a power
 *     cut before the grant was surely durable. While it surely lives nobody else
 *     gets the message, and no settle under it is told "lost"
 *   - failures that were confirmed are told with each later delivery
 *   - a retry is not due before its delay
 *   - `committed` covers only what may be done, and all that surely is
 *
 * While a seek is under way, or came between, nothing is judged.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/limits.h"
#include "tests/sim/sim_model.h"

bool model_is_made_by_hand(uint32_t group)
{
    return group == 0 || group == SIM_ORDERED || group == SIM_KEYED;
}

static int64_t backoff_ms(uint32_t group)
{
    return model_is_made_by_hand(group) ? SIM_BACKOFF_MS : (int64_t)ZSP_BACKOFF_MS;
}

uint32_t model_max_failures(uint32_t group)
{
    return group == 0 ? SIM_MAX_FAILURES : model_has_order(group) ? SIM_PATIENCE : ZSP_MAX_FAILURES;
}

/* The longest that a lease lasts which nobody extends. */
static int64_t lease_ms(uint32_t group)
{
    return model_is_made_by_hand(group) ? SIM_LEASE_MS : (int64_t)ZSP_LEASE_MS;
}

struct group_slot *model_group_slot(struct model *self, uint32_t group, uint32_t topic,
                                    uint32_t partition, uint64_t offset)
{
    struct ledger_model *ledger = &self->groups[group].ledgers[topic][partition];
    zsp_assert(offset < SIM_MESSAGES_MAX);
    while (offset >= ledger->capacity) {
        const size_t capacity = ledger->capacity > 0 ? 2 * ledger->capacity : 256;
        ledger->slots = realloc(ledger->slots, capacity * sizeof *ledger->slots);
        zsp_assert(ledger->slots);
        memset(ledger->slots + ledger->capacity, 0,
               (capacity - ledger->capacity) * sizeof *ledger->slots);
        ledger->capacity = capacity;
    }
    return &ledger->slots[offset];
}

bool model_in_seek(const struct model *self, const struct sim_request *request)
{
    const struct group_model *group = &self->groups[request->group];
    return group->seeks_out > 0 || group->seeks != request->seeks_then;
}

bool model_lease_lives(const struct model *self, const struct group_slot *slot)
{
    return slot->lease != 0 && slot->lease_sure && self->uptime_ms < slot->lease_end_ms;
}

bool model_may_be_over(const struct model *self, const struct group_slot *slot, uint32_t group)
{
    return slot->dead || slot->maybe_done || slot->doomed ||
           slot->grants + self->groups[group].unseen_grants >= model_max_failures(group);
}

/* Raise ledger->low over what is surely done. */
static uint64_t ledger_low(struct model *self, uint32_t group, uint32_t topic, uint32_t partition)
{
    struct ledger_model *ledger = &self->groups[group].ledgers[topic][partition];
    while (ledger->low < self->logs[topic][partition].mark) {
        const struct group_slot *slot =
            model_group_slot(self, group, topic, partition, ledger->low);
        if (!slot->acked && !slot->dead && !slot->skipped) {
            break;
        }
        ledger->low++;
    }
    return ledger->low;
}

/* --- Entering --------------------------------------------------------------------------- */

static void settle_enter(struct model *self, struct sim_request *request)
{
    for (size_t i = 0; i < request->srun_count; i++) {
        const struct sim_srun *srun = &request->sruns[i];
        for (uint64_t o = srun->first; o < srun->first + srun->count; o++) {
            struct group_slot *slot =
                model_group_slot(self, request->group, srun->topic, srun->partition, o);
            /* In order, a lease settles what lies before it as well. */
            const bool holds = slot->lease == srun->lease || request->group == SIM_ORDERED;
            slot->settling = holds ? request : NULL;
            slot->was_sure = slot->lease == srun->lease && model_lease_lives(self, slot);
            if (srun->outcome == WIRE_EXTEND || srun->outcome == WIRE_STARTED) {
                continue;
            }
            slot->lease_sure = slot->lease_sure && !holds;
            if (srun->outcome != WIRE_ACK) {
                model_order_doubt(self, request->group, srun->topic, srun->partition, o);
            }
            if (srun->outcome == WIRE_ACK || srun->outcome == WIRE_REJECT) {
                slot->maybe_done = true;
            }
        }
    }
}

/* The group's state is kept, with grants that nobody was told of, nor will be when it is moved. */
static void keep_unseen(struct group_model *group)
{
    group->unseen_grants += group->pulls_out;
}

void model_group_enter(struct model *self, struct sim_request *request)
{
    switch (request->verb) {
    case SIM_SEEK:
    case SIM_SAVEPOINT_RESTORE:
    case SIM_SAVEPOINT_UNDO:
        if (!request->dry_run) {
            self->groups[request->group].seeks++;
            self->groups[request->group].seeks_out++;
            self->groups[request->group].moved_count = self->message_count;
            keep_unseen(&self->groups[request->group]);
        }
        break;
    case SIM_PULL:
        model_urgent_enter(self, request);
        settle_enter(self, request);
        break;
    case SIM_SETTLE:
        settle_enter(self, request);
        break;
    case SIM_GROUP_INFO:
        for (uint32_t t = 0; t < SIM_TOPICS; t++) {
            for (uint32_t p = 0; p < model_partition_count(t); p++) {
                request->lows[t][p] = ledger_low(self, request->group, t, p);
            }
        }
        break;
    case SIM_GROUP_TRACE:
        model_trace_enter(self, request);
        break;
    case SIM_BYE:
        model_bye_enter(self, request);
        break;
    case SIM_GROUP_PAUSE:
    case SIM_GROUP_RESUME:
        model_pause_enter(self, request);
        break;
    case SIM_SAVEPOINT_SAVE:
        keep_unseen(&self->groups[request->group]);
        model_save_enter(self, request);
        break;
    case SIM_CANCEL:
    case SIM_PUBLISH:
    case SIM_OPEN:
    case SIM_READ:
    case SIM_TOPIC_CREATE:
    case SIM_TOPIC_GROW:
    case SIM_TOPIC_INFO:
    case SIM_GROUP_CREATE:
    case SIM_GROUP_REPLAY:
    case SIM_STATS:
    case SIM_DEAD_LIST:
    case SIM_DEAD_REDRIVE:
    case SIM_DEAD_DROP:
    case SIM_COMMIT:
    case SIM_TOPIC_DELETE:
    case SIM_TOPIC_PURGE:
    case SIM_GROUP_DELETE:
    case SIM_GROUP_SET:
        break;
    }
    request->seeks_then = self->groups[request->group].seeks;
}

/* --- PULL ---------------------------------------------------------------------------------- */

/* May this message be delivered now, with these figures? */
static bool judge_delivery(struct model *self, const struct sim_request *request,
                           const struct sim_run *run, uint64_t offset)
{
    const struct group_slot *slot =
        model_group_slot(self, request->group, run->topic, run->partition, offset);
    const uint32_t grants_max = slot->grants + self->groups[request->group].unseen_grants;
    const char *what = NULL;
    if (slot->acked) {
        what = "was delivered again after its ack was confirmed";
    } else if (slot->dead) {
        what = "was delivered though it is dead";
    } else if (slot->skipped) {
        what = "was delivered though a seek skipped it";
    } else if (model_lease_lives(self, slot)) {
        what = "is under two live leases";
    } else if (self->uptime_ms < slot->not_before_ms) {
        what = "was delivered before its retry was due";
    } else if (run->failures < slot->failures_min) {
        what = "lost failures that were confirmed";
    } else if (run->failures > grants_max) {
        what = "has more failures than it had deliveries";
    } else if (run->deliveries > grants_max + 1) {
        what = "tells more deliveries than there were";
    } else if (run->deliveries + slot->uncounted < slot->grants + 1) {
        what = "tells fewer deliveries than there were";
    }
    if (what) {
        return model_fail(self,
                          "group %s: %s/%u/%" PRIu64 " %s (deliveries %u of %u, failures %u of "
                          "%u, lease %" PRIu64 " then %" PRIu64 ")",
                          sim_group_name(request->group), sim_topic_name(run->topic),
                          run->partition, offset, what, run->deliveries, slot->grants + 1,
                          run->failures, slot->failures_min, slot->lease, run->lease);
    }
    return true;
}

static enum reach_mode mode_of(uint32_t group)
{
    return group == SIM_ORDERED ? REACH_ORDERED : group == SIM_KEYED ? REACH_KEYED : REACH_SHARED;
}

/* What the reply tells counts from when it was written: before a stall, perhaps, and then nothing ends
 * soon after that. */
static int64_t lease_end_of(const struct model *self, const struct sim_request *pull)
{
    const int64_t left_ms = (int64_t)pull->reply.lease_ms;
    const int64_t told_ms = self->uptime_ms - SIM_TURN_MS + left_ms;
    const int64_t grace_ms = self->stall_end_ms + ZSP_STALL_GRACE_MS;
    const int64_t least_ms =
        pull->entered_ms + left_ms > grace_ms ? pull->entered_ms + left_ms : grace_ms;
    return pull->entered_ms < self->stall_end_ms && least_ms < told_ms ? least_ms : told_ms;
}

static bool deliver(struct model *self, const struct sim_request *request,
                    const struct sim_run *run, uint64_t offset)
{
    const bool fuzzy = model_in_seek(self, request);
    struct group_slot *slot =
        model_group_slot(self, request->group, run->topic, run->partition, offset);
    if (slot->lease == run->lease) {
        if (slot->grant_step == self->step) {
            return model_fail(self, "group %s: %s/%u/%" PRIu64 " is twice in one reply",
                              sim_group_name(request->group), sim_topic_name(run->topic),
                              run->partition, offset);
        }
        return true; /* the same reply once more */
    }
    if (!fuzzy && !judge_delivery(self, request, run, offset)) {
        return false;
    }
    slot->grants++;
    slot->grants_ever++;
    slot->delivered = true;
    slot->delivered_in_seek = self->groups[request->group].seeks_out > 0;
    slot->lease = run->lease;
    slot->session = request->session;
    /* A reply that was on its way when its session said BYE tells of a lease that is over. */
    slot->lease_sure = !fuzzy && !(request->session != 0 && request->session_is_over);
    if (fuzzy) {
        slot->uncounted = UINT32_MAX / 2; /* it may have gone out before the seek */
    }
    slot->lease_end_ms = lease_end_of(self, request);
    slot->lease_base_ms = slot->lease_end_ms;
    slot->grant_step = self->step;
    slot->not_before_ms = 0;
    slot->came_back = false;
    self->delivered++;
    return fuzzy || !model_has_order(request->group) ||
           model_order_deliver(self, request, run, offset);
}

static bool judge_limits(struct model *self, const struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    if (reply->message_count > request->max_messages) {
        return model_fail(self, "PULL: %zu messages, at most %" PRIu64 " were asked for",
                          reply->message_count, request->max_messages);
    }
    if (reply->message_count > 1 && reply->body_bytes > request->max_bytes) {
        return model_fail(self, "PULL: %zu bytes, at most %" PRIu64 " were asked for",
                          reply->body_bytes, request->max_bytes);
    }
    return true;
}

void model_pull_answer(struct model *self, struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    self->groups[request->group].pulls_out -= self->groups[request->group].pulls_out > 0 ? 1 : 0;
    if (reply->is_error && reply->maybe) {
        model_pull_gone(self, request);
    }
    if (reply->is_error) {
        return;
    }
    if (strcmp(reply->reason, "cancelled") == 0) {
        model_pull_gone(self, request); /* it may have been granted */
    } else {
        self->groups[request->group].exists = true;
    }
    if (!judge_limits(self, request) || !model_judge_pause(self, request) ||
        (!model_in_seek(self, request) && !model_judge_repeat(self, request))) {
        return;
    }
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        if (run->lease == 0 || run->lease != reply->lease || run->lease >> 53 != 0) {
            (void)model_fail(self,
                             "PULL: a run with lease %" PRIu64 " in a reply of lease %" PRIu64,
                             run->lease, reply->lease);
            return;
        }
        if (!model_takes_topic(request, run->topic)) {
            (void)model_fail(self, "PULL: group %s got a message of %s",
                             sim_group_name(request->group), sim_topic_name(run->topic));
            return;
        }
        for (uint64_t m = 0; m < run->count; m++) {
            const uint32_t message = reply->messages[run->first_message + m];
            model_reach(self, mode_of(request->group), run, message,
                        self->groups[request->group].moved_count);
            if (!model_place(self, message, run->topic, run->partition, run->first + m, true,
                             run->timestamp_ms) ||
                !model_judge_urgent(self, request, run, run->first + m) ||
                !deliver(self, request, run, run->first + m)) {
                return;
            }
        }
    }
    if (!model_in_seek(self, request)) {
        (void)model_judge_order(self, request);
    }
}

void model_pull_gone(struct model *self, const struct sim_request *pull)
{
    struct group_model *group = &self->groups[pull->group];
    group->unseen_grants++;
    group->unseen_until_ms = self->uptime_ms + lease_ms(pull->group) + 1;
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        for (uint32_t p = 0; p < model_partition_count(t); p++) {
            model_order_doubt(self, pull->group, t, p, 0);
        }
    }
}

/* The lease has ended. */
static void come_back(struct model *self, uint32_t group, unsigned topic, unsigned partition,
                      uint64_t lease)
{
    const struct ledger_model *ledger = &self->groups[group].ledgers[topic][partition];
    for (uint64_t o = 0; o < ledger->capacity; o++) {
        struct group_slot *slot = &ledger->slots[o];
        if (slot->lease == lease) {
            slot->lease = 0;
            slot->lease_sure = false;
            slot->uncounted++; /* as if it had not been handed out */
            slot->came_back = true;
            model_order_doubt(self, group, topic, partition, o);
        }
    }
}

/* All of the lease comes back, and a pull that was sent again need not have been told all of it. */
void model_undelivered(struct model *self, const struct sim_request *pull)
{
    const uint64_t lease = pull->reply.run_count > 0 ? pull->reply.runs[0].lease : 0;
    for (unsigned t = 0; t < SIM_TOPICS && lease != 0; t++) {
        for (unsigned p = 0; p < SIM_PARTS_MAX; p++) {
            come_back(self, pull->group, t, p, lease);
        }
    }
}

/* --- SETTLE --------------------------------------------------------------------------------- */

/* What the reply says of one offset: NULL = applied. */
static const char *not_applied(const struct sim_reply *reply, const struct sim_srun *srun,
                               uint64_t offset)
{
    for (size_t i = 0; i < reply->not_applied_count; i++) {
        const struct sim_not_applied *entry = &reply->not_applied[i];
        if (entry->topic == srun->topic && entry->partition == srun->partition &&
            offset >= entry->first && offset - entry->first < entry->count) {
            return entry->why;
        }
    }
    return NULL;
}

static void apply_retry(struct model *self, const struct sim_request *request,
                        const struct sim_srun *srun, struct group_slot *slot)
{
    slot->failures_min++;
    if (slot->failures_min >= model_max_failures(request->group)) {
        slot->dead = true;
        self->deaths++;
    }
    if (slot->lease == srun->lease) {
        const int64_t delay =
            srun->has_delay ? (int64_t)srun->delay_ms : backoff_ms(request->group);
        slot->not_before_ms = request->entered_ms + delay;
    }
}

/* An outcome was taken. */
static bool apply(struct model *self, const struct sim_request *request,
                  const struct sim_srun *srun, uint64_t offset)
{
    struct group_slot *slot =
        model_group_slot(self, request->group, srun->topic, srun->partition, offset);
    const bool reaches = request->group == SIM_ORDERED && slot->grant_step < request->entered_step;
    if (slot->lease != 0 && slot->lease != srun->lease && !reaches &&
        slot->grant_step < request->entered_step) {
        return model_fail(self,
                          "group %s: %s/%u/%" PRIu64 ": an outcome under lease %" PRIu64
                          " was applied, it is under %" PRIu64,
                          sim_group_name(request->group), sim_topic_name(srun->topic),
                          srun->partition, offset, srun->lease, slot->lease);
    }
    switch (srun->outcome) {
    case WIRE_ACK:
        self->acked += !slot->acked;
        slot->acked = true;
        break;
    case WIRE_RETRY:
        apply_retry(self, request, srun, slot);
        break;
    case WIRE_REJECT:
        slot->dead = true;
        break;
    case WIRE_EXTEND:
        /* In order, it comes back with one before it that was not extended. */
        if (slot->lease == srun->lease && request->group != SIM_ORDERED) {
            slot->lease_end_ms = request->entered_ms + (int64_t)srun->delay_ms;
        }
        return true;
    case WIRE_STARTED:
        return true;
    case WIRE_RELEASE:
        break;
    }
    if (slot->lease == srun->lease || (slot->lease != 0 && reaches)) {
        slot->came_back = !slot->acked && !slot->dead && !slot->maybe_done;
        slot->lease = 0;
        if (slot->came_back) {
            model_order_recall(self, request, srun, offset);
        }
    }
    return true;
}

static bool judge_outcome(struct model *self, const struct sim_request *request,
                          const struct sim_srun *srun, uint64_t offset)
{
    struct group_slot *slot =
        model_group_slot(self, request->group, srun->topic, srun->partition, offset);
    const char *why = not_applied(&request->reply, srun, offset);
    const bool was_sure = slot->settling == request && slot->was_sure;
    if (!why) {
        return apply(self, request, srun, offset);
    }
    if (strcmp(why, "done") == 0) {
        slot->acked = slot->acked || (srun->outcome == WIRE_ACK && !slot->dead);
        return true;
    }
    if (was_sure) {
        return model_fail(
            self,
            "group %s: %s/%u/%" PRIu64 ": %s under the live lease %" PRIu64 " was told \"%s\"",
            sim_group_name(request->group), sim_topic_name(srun->topic), srun->partition, offset,
            wire_outcome_name(srun->outcome), srun->lease, why);
    }
    return true;
}

void model_settle_answer(struct model *self, struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    if (reply->is_error) {
        return;
    }
    uint64_t told = reply->applied;
    uint64_t asked = 0;
    bool synced = false; /* an outcome was taken that the reply waited for */
    for (size_t i = 0; i < reply->not_applied_count; i++) {
        told += reply->not_applied[i].count;
    }
    const bool fuzzy = model_in_seek(self, request);
    for (size_t i = 0; i < request->srun_count; i++) {
        const struct sim_srun *srun = &request->sruns[i];
        asked += srun->count;
        const bool waits = srun->outcome != WIRE_EXTEND && srun->outcome != WIRE_STARTED;
        for (uint64_t o = srun->first; o < srun->first + srun->count; o++) {
            synced = synced || (waits && !not_applied(reply, srun, o));
            if (!fuzzy && !judge_outcome(self, request, srun, o)) {
                return;
            }
        }
    }
    if (told != asked) {
        (void)model_fail(self, "SETTLE: %" PRIu64 " messages, the reply tells of %" PRIu64, asked,
                         told);
    }
    /* The journal keeps its order: what was granted before is durable, too. */
    if (synced && request->entered_step > self->durable_step) {
        self->durable_step = request->entered_step;
    }
}

/* --- SEEK ------------------------------------------------------------------------------------ */

/* A seek to `to` was done (sure), or one to anywhere may have been. */
static void reset_ledger(struct model *self, uint32_t group, struct sim_part place, uint64_t to,
                         bool sure)
{
    struct ledger_model *ledger = &self->groups[group].ledgers[place.topic][place.partition];
    const uint64_t mark = self->logs[place.topic][place.partition].mark;
    ledger->low = sure ? to : 0;
    ledger->high = 0;
    if (!sure) {
        ledger->optional_before = (uint32_t)self->message_count;
    }
    /* `to` may be above the mark that was told: the latest synced end. */
    for (uint64_t o = 0; o < ledger->capacity || o < mark || o < to; o++) {
        struct group_slot *slot = model_group_slot(self, group, place.topic, place.partition, o);
        slot->doomed = slot->doomed || (model_may_be_over(self, slot, group) && !slot->acked);
        slot->lease_sure = false;
        slot->settling = NULL;
        slot->not_before_ms = 0;
        slot->failures_min = 0;
        slot->came_back = false;
        if (!sure) {
            slot->acked = false;
            slot->skipped = false;
            slot->maybe_done = true;
            slot->optional = true;
            slot->uncounted = UINT32_MAX / 2;
            continue;
        }
        if (!slot->delivered_in_seek) {
            slot->delivered = false;
            slot->lease = 0;
            slot->grants = 0;
            slot->uncounted = 0;
        } else {
            slot->uncounted = UINT32_MAX / 2;
        }
        slot->acked = false;
        slot->skipped = o < to;
        slot->optional = o < to || slot->doomed || slot->delivered;
        slot->maybe_done = o < to;
        slot->delivered_in_seek = false;
    }
}

void model_forget_ledger(struct model *self, uint32_t group, struct sim_part place)
{
    reset_ledger(self, group, place, 0, false);
    struct ledger_model *ledger = &self->groups[group].ledgers[place.topic][place.partition];
    for (uint64_t o = 0; o < ledger->capacity; o++) {
        ledger->slots[o].dead = false;
        ledger->slots[o].doomed = true; /* it may be dead there */
        ledger->slots[o].grants = ledger->slots[o].grants_ever;
    }
}

void model_seek_answer(struct model *self, struct sim_request *request)
{
    if (request->dry_run) {
        return;
    }
    struct group_model *group = &self->groups[request->group];
    if (request->reply.is_error && request->reply.maybe) {
        model_seek_cut(self, request);
        return;
    }
    zsp_assert(group->seeks_out > 0);
    group->seeks_out--;
    group->seeks++;
    if (request->reply.is_error) {
        return;
    }
    for (size_t i = 0; i < request->reply.part_count; i++) {
        const struct sim_part *part = &request->reply.parts[i];
        reset_ledger(self, request->group, *part, part->values[1], group->seeks_out == 0);
    }
}

void model_seek_cut(struct model *self, const struct sim_request *request)
{
    struct group_model *group = &self->groups[request->group];
    if (request->dry_run) {
        return;
    }
    zsp_assert(group->seeks_out > 0);
    group->seeks_out--;
    group->seeks++;
    for (uint32_t p = 0; p < model_partition_count(request->topic); p++) {
        const struct sim_part place = {.topic = request->topic, .partition = p};
        reset_ledger(self, request->group, place, 0, false);
    }
}

/* --- GROUP.INFO ------------------------------------------------------------------------------- */

static bool judge_committed(struct model *self, const struct sim_request *request,
                            const struct sim_part *part)
{
    const uint64_t committed = part->values[0];
    struct ledger_model *ledger =
        &self->groups[request->group].ledgers[part->topic][part->partition];
    const char *group = sim_group_name(request->group);
    const char *topic = sim_topic_name(part->topic);
    if (committed < request->lows[part->topic][part->partition]) {
        return model_fail(
            self,
            "group %s: %s/%u: committed is %" PRIu64 ", all below %" PRIu64 " was confirmed done",
            group, topic, part->partition, committed, request->lows[part->topic][part->partition]);
    }
    if (committed > part->values[1]) {
        return model_fail(self, "group %s: %s/%u: committed %" PRIu64 " is above the end %" PRIu64,
                          group, topic, part->partition, committed, part->values[1]);
    }
    for (; ledger->high < committed; ledger->high++) {
        const struct group_slot *slot =
            model_group_slot(self, request->group, part->topic, part->partition, ledger->high);
        const uint32_t message =
            model_log_slot(self, part->topic, part->partition, ledger->high)->message;
        const bool may_be_over =
            model_may_be_over(self, slot, request->group) || slot->skipped || slot->optional ||
            (message > 0 && model_may_be_left_out(self, request->group, message - 1));
        if (!may_be_over && message == 0 && (self->any_expires || self->filters)) {
            break; /* looked at again when it is known which one it is */
        }
        if (!may_be_over && (message == 0 || message > ledger->optional_before)) {
            return model_fail(self,
                              "group %s: %s/%u: committed is %" PRIu64 ", but %" PRIu64
                              " was never acked (delivered: %d)",
                              group, topic, part->partition, committed, ledger->high,
                              slot->delivered);
        }
    }
    return true;
}

void model_group_info_answer(struct model *self, const struct sim_request *request)
{
    self->groups[request->group].exists = true;
    if (model_in_seek(self, request)) {
        return;
    }
    for (size_t i = 0; i < request->reply.part_count; i++) {
        const struct sim_part *part = &request->reply.parts[i];
        model_mark(self, part->topic, part->partition, part->values[1]);
        if (!judge_committed(self, request, part) || !model_judge_expired(self, request, part)) {
            return;
        }
    }
}
