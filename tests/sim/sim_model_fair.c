/* SPDX-License-Identifier: MPL-2.0
 *
 * What the checker knows of fair sharing (docs/decisions/0563): of a partition and a priority, a tenant
 * whose message waits sees at most two messages of each other tenant handed out before it has a turn, four
 * where replies are cut by their limit of bytes.
 * Looked at are pulls that were alone, and messages that were never handed out and were there already
 * when the pull before came: the window has one look at what is new before a pull, which may have begun
 * before that was there. What was delayed comes when it is due, with what was out before. What a reply had no room for is put back and comes out of turn: at most what it had less
 * than it asked for.
 */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/sim_message.h"
#include "tests/sim/sim_model.h"

#define TURNS_MAX     2u
#define CUT_TURNS_MAX 4u
/* The most that a pull of a history reserves. */
#define PUT_BACK_MAX 500u

/* By key: each key, and none. By producer: each that has a name, and the others together. */
static uint32_t tenant_of(const struct model *self, uint32_t message)
{
    const uint32_t client = self->messages[message].client;
    return self->fair_by_key ? (uint32_t)(message_key(message) + 1) : self->producer_of[client];
}

static uint32_t tenant_count(const struct model *self)
{
    return self->fair_by_key ? SIM_KEYS + 1 : SIM_PRODUCERS + 1;
}

void model_fair_forget(struct model *self)
{
    memset(self->fair_waits, 0, sizeof self->fair_waits);
    self->fair_pull_step = 0;
    self->fair_back = PUT_BACK_MAX;
}

/* Is it there for the pull, for sure, and was not taken? */
static bool waits(const struct model *self, uint32_t group, const struct log_slot *log,
                  const struct group_slot *slot)
{
    if (log->message == 0 || log->is_stale) {
        return false;
    }
    const struct message_fact *fact = &self->messages[log->message - 1];
    return fact->synced_step != 0 && fact->synced_step < self->fair_pull_step && fact->is_sure &&
           slot->grants_ever == 0 && fact->order.not_before_ms == 0 &&
           !model_may_be_left_out(self, group, log->message - 1);
}

struct fair_look {
    bool waits[SIM_TENANTS][ZSP_PRIORITY_MAX + 1];
    bool served[SIM_TENANTS][ZSP_PRIORITY_MAX + 1];
    uint32_t came[ZSP_PRIORITY_MAX + 1][SIM_TENANTS]; /* for the first time */
    bool is_cut;
};

static void look_at_reply(struct model *self, const struct sim_request *pull, uint32_t topic,
                          uint32_t partition, struct fair_look *look)
{
    look->is_cut = pull->reply.message_count < pull->max_messages;
    for (size_t i = 0; i < pull->reply.run_count; i++) {
        const struct sim_run *run = &pull->reply.runs[i];
        for (uint64_t m = 0; run->topic == topic && run->partition == partition && m < run->count;
             m++) {
            const uint32_t message = pull->reply.messages[run->first_message + m];
            const uint32_t tenant = tenant_of(self, message);
            look->served[tenant][run->priority] = true;
            const struct group_slot *slot =
                model_group_slot(self, pull->group, topic, partition, run->first + m);
            /* Who was delayed is no turn of the window. */
            look->came[run->priority][tenant] +=
                slot->grants_ever == 1 && self->messages[message].order.not_before_ms == 0;
        }
    }
}

/* Was a tenant passed over? It has a message that waits, and none of it is in the reply. */
static bool pass_over(struct fair_wait *self, const struct fair_look *look, unsigned priority,
                      uint64_t back)
{
    uint64_t too_many = 0;
    uint64_t came = 0;
    self->any_cut = self->any_cut || look->is_cut;
    for (uint32_t t = 0; t < SIM_TENANTS; t++) {
        const uint32_t most = self->any_cut ? CUT_TURNS_MAX : TURNS_MAX;
        came += look->came[priority][t];
        self->others[t] += look->came[priority][t];
        too_many += self->others[t] > most ? self->others[t] - most : 0;
    }
    self->out_of_turn += came < back ? came : back;
    return too_many > self->out_of_turn;
}

static bool judge_partition(struct model *self, const struct sim_request *pull, uint32_t topic,
                            uint32_t partition)
{
    struct fair_look look = {0};
    look_at_reply(self, pull, topic, partition, &look);
    for (uint64_t o = 0; o < self->logs[topic][partition].mark; o++) {
        const struct log_slot *log = model_log_slot(self, topic, partition, o);
        const struct group_slot *slot = model_group_slot(self, pull->group, topic, partition, o);
        if (waits(self, pull->group, log, slot)) {
            const uint32_t message = log->message - 1;
            look.waits[tenant_of(self, message)][self->messages[message].order.priority] = true;
        }
    }
    const uint32_t tenants = tenant_count(self);
    for (uint32_t t = 0; t < tenants; t++) {
        for (unsigned p = 0; p <= ZSP_PRIORITY_MAX; p++) {
            struct fair_wait *wait = &self->fair_waits[partition][t][p];
            if (!look.waits[t][p] || look.served[t][p]) {
                *wait = (struct fair_wait){0};
            } else if (pass_over(wait, &look, p, self->fair_back)) {
                return model_fail(
                    self,
                    "group %s: %s/%u: tenant %u has a message of priority %u that waits,"
                    " and too many of others came: %u %u %u %u %u %u %u %u %u %u, %u out of turn",
                    sim_group_name(pull->group), sim_topic_name(topic), partition, t, p,
                    wait->others[0], wait->others[1], wait->others[2], wait->others[3],
                    wait->others[4], wait->others[5], wait->others[6], wait->others[7],
                    wait->others[8], wait->others[9], (unsigned)wait->out_of_turn);
            }
        }
    }
    return true;
}

bool model_judge_fair(struct model *self, const struct sim_request *pull)
{
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        for (uint32_t p = 0; model_group_has_topic(pull->group, t) && p < model_partition_count(t);
             p++) {
            if (!judge_partition(self, pull, t, p)) {
                return false;
            }
        }
    }
    const uint64_t count = pull->reply.message_count;
    self->fair_back -= count < self->fair_back ? count : self->fair_back;
    self->fair_back += pull->max_messages - count;
    self->fair_pull_step = pull->entered_step;
    return true;
}
