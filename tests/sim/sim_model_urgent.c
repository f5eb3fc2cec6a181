/* SPDX-License-Identifier: MPL-2.0
 *
 * What the checker knows of priorities and times:
 *
 *   - nothing is handed out before the wall clock has ever been at its time
 *   - what was expired when the pull came, by a clock that was not set back since, does not come
 *   - a pull that was alone is not told that there is nothing while a message waits that was never
 *     handed out, and whose time had come LATE_MS before, by the clock as it was then
 *   - GROUP.INFO counts what was left out: at least what cannot be done otherwise, and at most what
 *     may have expired
 *   - what a group's filter does not want does not come to it
 *   - a pull that was alone does not get a message while a more urgent one, which was confirmed
 *     synced before it came and was never handed out, is left behind; of a weighted group: no more
 *     than 15 messages in a row of such pulls are of the highest priority while another one waits
 *     (of pulls of 128 and more: 15 for each message of a turn), whatever has expired or is not wanted.
 *     Not while the disk is slow: a group does not wait for ever until it knows what is urgent
 */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/sim_message.h"
#include "tests/sim/sim_model.h"

/* The clock may move by half a second before that is looked after. */
#define LATE_MS 1000

void model_wall(struct model *self, int64_t wall_ms)
{
    if (wall_ms < self->wall_ms) {
        self->wall_step = self->step;
    }
    self->wall_ms = wall_ms;
    self->wall_max_ms = wall_ms > self->wall_max_ms ? wall_ms : self->wall_max_ms;
}

void model_urgent_enter(struct model *self, struct sim_request *pull)
{
    struct group_model *group = &self->groups[pull->group];
    pull->was_alone = group->pulls_out == 0;
    group->pulls_out++;
    pull->pulls_then = ++group->pulls;
}

void model_urgent_crash(struct model *self)
{
    for (uint32_t g = 0; g < SIM_GROUPS; g++) {
        self->groups[g].pulls_out = 0;
        self->groups[g].no_turns = 0;
    }
    model_fair_forget(self);
}

bool model_may_be_expired(const struct model *self, uint32_t message)
{
    const struct sim_order *order = &self->messages[message].order;
    return order->expires_at_ms != 0 && order->expires_at_ms <= self->wall_max_ms;
}

/* Its filter, when it has one, does not want the message. */
static bool is_filtered(const struct model *self, uint32_t group, uint32_t message)
{
    return self->filters && model_is_made_by_hand(group) && !message_is_wanted(message);
}

bool model_may_be_left_out(const struct model *self, uint32_t group, uint32_t message)
{
    return model_may_be_expired(self, message) || is_filtered(self, group, message);
}

bool model_judge_urgent(struct model *self, const struct sim_request *pull,
                        const struct sim_run *run, uint64_t offset)
{
    const struct group_slot *slot =
        model_group_slot(self, pull->group, run->topic, run->partition, offset);
    const uint32_t message = model_log_slot(self, run->topic, run->partition, offset)->message;
    const struct sim_order *order = &self->messages[message > 0 ? message - 1 : 0].order;
    const bool is_first = slot->lease != run->lease && !pull->repeats;
    const char *what = NULL;
    if (message == 0) {
        return true;
    }
    if (run->priority != order->priority) {
        what = "has another priority than it was published with";
    } else if (order->not_before_ms > self->wall_max_ms) {
        what = "was delivered before its time";
    } else if (is_first && order->expires_at_ms != 0 && self->wall_step < pull->entered_step &&
               order->expires_at_ms <= pull->entered_wall_ms) {
        what = "was delivered after it expired";
    } else if (is_filtered(self, pull->group, message - 1)) {
        what = "was delivered against its filter";
    }
    return !what || model_fail(self, "group %s: message %u of %s/%u, priority %u, %s",
                               sim_group_name(pull->group), message - 1, sim_topic_name(run->topic),
                               run->partition, run->priority, what);
}

/* Is it below `committed`, and cannot be done but by having expired? */
static bool must_have_expired(const struct model *self, const struct group_slot *slot,
                              const struct sim_request *info, uint32_t message)
{
    return !slot->delivered && !slot->acked && !slot->skipped && !slot->optional &&
           !model_may_be_over(self, slot, info->group) &&
           !is_filtered(self, info->group, message - 1) && model_may_be_expired(self, message - 1);
}

bool model_judge_expired(struct model *self, const struct sim_request *info,
                         const struct sim_part *part)
{
    const struct group_model *group = &self->groups[info->group];
    const uint32_t optional = group->ledgers[part->topic][part->partition].optional_before;
    const uint64_t mark = self->logs[part->topic][part->partition].mark;
    uint64_t least = 0;
    uint64_t most = 0;
    for (uint64_t o = 0; o < mark; o++) {
        const uint32_t message = model_log_slot(self, part->topic, part->partition, o)->message;
        if (message == 0 || message <= optional || group->seeks > 0) {
            return true; /* it is not known well enough */
        }
        const struct group_slot *slot =
            model_group_slot(self, info->group, part->topic, part->partition, o);
        most += model_may_be_expired(self, message - 1);
        least += o < part->values[0] && must_have_expired(self, slot, info, message);
    }
    const uint64_t told = part->values[7];
    return (told >= least && told <= most) ||
           model_fail(self,
                      "group %s: %s/%u: %" PRIu64 " expired are told, want %" PRIu64 " to %" PRIu64,
                      sim_group_name(info->group), sim_topic_name(part->topic), part->partition,
                      told, least, most);
}

/* Was it surely to be had by the pull, and was not? */
static bool is_left_behind(const struct sim_request *pull, const struct message_fact *fact,
                           const struct group_slot *slot)
{
    return fact->synced_step != 0 && fact->synced_step < pull->entered_step && fact->is_sure &&
           slot->grants == 0 && !slot->skipped && !slot->optional && !slot->acked && !slot->dead &&
           !slot->maybe_done && !slot->doomed && fact->order.not_before_ms <= pull->entered_wall_ms;
}

/* The first message of [low, high] from `from` on that was left behind; false = none. */
static bool find_left_behind(struct model *self, const struct sim_request *pull, uint32_t topic,
                             uint32_t partition, unsigned low, unsigned high, uint64_t *ret)
{
    const uint64_t end = self->logs[topic][partition].mark;
    for (uint64_t o = 0; o < end; o++) {
        const struct log_slot *log = model_log_slot(self, topic, partition, o);
        const struct message_fact *fact = &self->messages[log->message > 0 ? log->message - 1 : 0];
        if (log->message == 0 || log->is_stale || fact->order.priority < low ||
            fact->order.priority > high ||
            model_may_be_left_out(self, pull->group, log->message - 1)) {
            continue;
        }
        if (is_left_behind(pull, fact, model_group_slot(self, pull->group, topic, partition, o))) {
            *ret = o;
            return true;
        }
    }
    return false;
}

static bool judge_log(struct model *self, const struct sim_request *pull, uint32_t topic,
                      uint32_t partition, unsigned least)
{
    uint64_t offset = 0;
    return least == ZSP_PRIORITY_MAX ||
           !find_left_behind(self, pull, topic, partition, least + 1, ZSP_PRIORITY_MAX, &offset) ||
           model_fail(self,
                      "group %s: a message of priority %u was delivered, and %s/%u/%" PRIu64
                      " of a higher one left behind",
                      sim_group_name(pull->group), least, sim_topic_name(topic), partition, offset);
}

/* The pull got nothing: was there something for it? */
static bool judge_empty(struct model *self, const struct sim_request *pull)
{
    static const char *const excuses[] = {"paused", "loading", "cancelled", "limit", "corrupt"};
    for (size_t i = 0; i < sizeof excuses / sizeof excuses[0]; i++) {
        if (strcmp(pull->reply.reason, excuses[i]) == 0) {
            return true;
        }
    }
    struct sim_request earlier = *pull;
    earlier.entered_wall_ms -= LATE_MS;
    for (uint32_t i = 0; i < SIM_TOPICS * SIM_PARTS_MAX; i++) {
        const uint32_t topic = i / SIM_PARTS_MAX;
        const uint32_t partition = i % SIM_PARTS_MAX;
        uint64_t offset = 0;
        if (model_group_has_topic(pull->group, topic) && partition < model_partition_count(topic) &&
            find_left_behind(self, &earlier, topic, partition, 0, ZSP_PRIORITY_MAX, &offset)) {
            return model_fail(self,
                              "group %s: a pull got nothing (%s), and %s/%u/%" PRIu64 " waits",
                              sim_group_name(pull->group), pull->reply.reason,
                              sim_topic_name(topic), partition, offset);
        }
    }
    return true;
}

/* No turn of the less urgent is left out. */
static bool judge_turns(struct model *self, const struct sim_request *pull, unsigned least,
                        unsigned most)
{
    struct group_model *group = &self->groups[pull->group];
    bool waits = false;
    for (uint32_t i = 0; least == most && most > 0 && i < SIM_TOPICS * SIM_PARTS_MAX; i++) {
        const uint32_t topic = i / SIM_PARTS_MAX;
        const uint32_t partition = i % SIM_PARTS_MAX;
        uint64_t offset = 0;
        if (model_group_has_topic(pull->group, topic) && partition < model_partition_count(topic)) {
            waits = waits || find_left_behind(self, pull, topic, partition, 0, most - 1, &offset);
        }
    }
    group->no_turns = most == group->no_turns_of ? group->no_turns : 0; /* else this was a turn */
    group->no_turns_of = most;
    for (size_t i = 0; i < pull->reply.run_count; i++) {
        group->no_turns += pull->reply.runs[i].count;
    }
    group->no_turns = waits ? group->no_turns : 0;
    /* A large pull has few turns, of several messages each; the pulls before it had others. */
    return group->no_turns < 16 * (2 + pull->max_messages / 128) ||
           model_fail(self,
                      "group %s: %" PRIu64 " messages of priority %u without a turn of others",
                      sim_group_name(pull->group), group->no_turns, most);
}

bool model_judge_order(struct model *self, const struct sim_request *pull)
{
    struct group_model *group = &self->groups[pull->group];
    unsigned least = ZSP_PRIORITY_MAX;
    unsigned most = 0;
    for (size_t i = 0; i < pull->reply.run_count; i++) {
        const unsigned priority = pull->reply.runs[i].priority;
        least = priority < least ? priority : least;
        most = priority > most ? priority : most;
    }
    if (model_has_order(pull->group) || !pull->was_alone || group->pulls != pull->pulls_then ||
        pull->repeats || group->unseen_grants > 0 || group->seeks > 0 ||
        self->wall_step >= pull->entered_step || self->uptime_ms < self->slow_ms) {
        group->no_turns = 0;
        if (pull->group == 0) {
            model_fair_forget(self);
        }
        return true;
    }
    if (pull->reply.run_count == 0) {
        return self->filters || judge_empty(self, pull);
    }
    if (self->is_weighted && pull->group == 0) {
        return judge_turns(self, pull, least, most);
    }
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        for (uint32_t p = 0; model_group_has_topic(pull->group, t) && p < model_partition_count(t);
             p++) {
            if (!judge_log(self, pull, t, p, least)) {
                return false;
            }
        }
    }
    const bool is_fair = self->shares_fairly && pull->group == 0 && !self->filters;
    return !is_fair || model_judge_fair(self, pull);
}
