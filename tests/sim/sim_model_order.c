/* SPDX-License-Identifier: MPL-2.0
 *
 * Order, of the groups that keep one. When a message is handed out, each one before it in its
 * partition (of its key, in a keyed group) is finished, or out to the same member (under the same
 * lease); so it must not be that one of them
 *
 *   - surely came back (a confirmed retry or release) and was not handed out since
 *   - was never handed out at all
 *   - stands under the live lease of another member, or, without a session, under another lease
 *
 * Where a reply was lost, or the client left before it came, messages may be out that nobody was
 * told of: until the leases of such pulls are surely over, nothing is judged.
 */
#include <inttypes.h>

#include "tests/sim/sim_message.h"
#include "tests/sim/sim_model.h"

bool model_has_order(uint32_t group)
{
    return group == SIM_ORDERED || group == SIM_KEYED;
}

/* 1 + the number of the message that is there; 0 = that is not known. */
static uint32_t message_at(struct model *self, uint32_t topic, uint32_t partition, uint64_t offset)
{
    const struct log_slot *slot = model_log_slot(self, topic, partition, offset);
    return slot->is_stale ? 0 : slot->message;
}

/* Does the group keep an order between these two of a partition? `unknown` = what to say when it is
 * not known which messages they are. */
static bool is_one_order(struct model *self, uint32_t group, uint32_t topic, uint32_t partition,
                         uint64_t one, uint64_t other, bool unknown)
{
    if (group != SIM_KEYED) {
        return group == SIM_ORDERED;
    }
    const uint32_t message = message_at(self, topic, partition, one);
    const uint32_t another = message_at(self, topic, partition, other);
    if (message == 0 || another == 0) {
        return unknown;
    }
    const int key = message_key(message - 1);
    return key >= 0 && key == message_key(another - 1);
}

/* May the message be finished, as far as one can tell? */
static bool may_be_finished(const struct model *self, const struct group_slot *slot,
                            uint32_t message, uint32_t optional_before)
{
    return slot->acked || slot->dead || slot->maybe_done || slot->doomed || slot->skipped ||
           slot->optional || message == 0 || message <= optional_before ||
           model_may_be_left_out(self, SIM_ORDERED, message - 1);
}

/* Why the message before it forbids to hand out another one; NULL = it does not. */
static const char *forbids(const struct model *self, const struct group_slot *slot,
                           const struct sim_request *request, uint64_t lease)
{
    if (slot->lease == lease) {
        return NULL;
    }
    if (slot->came_back) {
        return "which came back and was not handed out since";
    }
    if (!slot->delivered) {
        return "which was never handed out";
    }
    if (model_lease_lives(self, slot) && (request->session == 0 || request->group == SIM_KEYED ||
                                          slot->session != request->session)) {
        return "which is out to another member";
    }
    return NULL;
}

bool model_order_deliver(struct model *self, const struct sim_request *request,
                         const struct sim_run *run, uint64_t offset)
{
    const struct group_model *group = &self->groups[request->group];
    const struct ledger_model *ledger = &group->ledgers[run->topic][run->partition];
    struct group_slot *slot =
        model_group_slot(self, request->group, run->topic, run->partition, offset);
    const bool judges = self->uptime_ms > group->unseen_until_ms;
    for (uint64_t before = ledger->low; before < offset; before++) {
        const struct group_slot *other =
            model_group_slot(self, request->group, run->topic, run->partition, before);
        if (!is_one_order(self, request->group, run->topic, run->partition, before, offset,
                          false)) {
            continue;
        }
        if (other->lease != 0 && other->lease != run->lease) {
            /* When that comes back, so does this. */
            slot->lease_sure = slot->lease_sure && other->lease_sure;
            slot->lease_end_ms =
                other->lease_end_ms < slot->lease_end_ms ? other->lease_end_ms : slot->lease_end_ms;
            slot->lease_base_ms = other->lease_base_ms < slot->lease_base_ms ? other->lease_base_ms
                                                                             : slot->lease_base_ms;
        }
        const uint32_t message = message_at(self, run->topic, run->partition, before);
        const char *what = forbids(self, other, request, run->lease);
        if (judges && what && !may_be_finished(self, other, message, ledger->optional_before)) {
            return model_fail(self,
                              "group %s: %s/%u/%" PRIu64 " was handed out under lease %" PRIu64
                              " behind %" PRIu64 ", %s",
                              sim_group_name(request->group), sim_topic_name(run->topic),
                              run->partition, offset, run->lease, before, what);
        }
    }
    return true;
}

void model_order_doubt(struct model *self, uint32_t group, uint32_t topic, uint32_t partition,
                       uint64_t offset)
{
    struct ledger_model *ledger = &self->groups[group].ledgers[topic][partition];
    for (uint64_t o = offset; o < ledger->capacity && model_has_order(group); o++) {
        if (is_one_order(self, group, topic, partition, offset, o, true)) {
            ledger->slots[o].lease_sure = false;
        }
    }
}

void model_order_recall(struct model *self, const struct sim_request *request,
                        const struct sim_srun *srun, uint64_t offset)
{
    struct ledger_model *ledger =
        &self->groups[request->group].ledgers[srun->topic][srun->partition];
    for (uint64_t o = offset + 1; o < ledger->capacity && model_has_order(request->group); o++) {
        struct group_slot *slot = &ledger->slots[o];
        if (slot->lease != 0 && slot->grant_step < request->entered_step && !slot->maybe_done &&
            is_one_order(self, request->group, srun->topic, srun->partition, offset, o, false)) {
            slot->came_back = true;
            slot->lease = 0;
        }
    }
}
