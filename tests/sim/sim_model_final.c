/* SPDX-License-Identifier: MPL-2.0
 *
 * The last look at a group: each message has reached it that had to.
 */
#include <inttypes.h>

#include "tests/sim/sim_model.h"

static bool check_ledger(struct model *self, uint32_t group, uint32_t topic, uint32_t partition)
{
    const uint32_t optional = self->groups[group].ledgers[topic][partition].optional_before;
    for (uint64_t o = 0; o < self->logs[topic][partition].mark; o++) {
        const struct group_slot *slot = model_group_slot(self, group, topic, partition, o);
        const uint32_t message = model_log_slot(self, topic, partition, o)->message;
        if (!slot->delivered && !slot->optional && message > optional &&
            !model_may_be_left_out(self, group, message - 1)) {
            return model_fail(self, "group %s never got %s/%u/%" PRIu64, sim_group_name(group),
                              sim_topic_name(topic), partition, o);
        }
    }
    return true;
}

void model_final_group(struct model *self, uint32_t group)
{
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        for (uint32_t p = 0; p < model_partition_count(t) && model_group_has_topic(group, t); p++) {
            if (!check_ledger(self, group, t, p)) {
                return;
            }
        }
    }
}
