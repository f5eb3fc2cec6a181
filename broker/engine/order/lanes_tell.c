/* SPDX-License-Identifier: MPL-2.0
 *
 * What people are told of lanes.
 */
#include "broker/engine/group/group.h"
#include "broker/engine/order/lanes.h"

/* Lanes that are looked at for the hottest: where more are about alike, some of them are told. */
#define HOT_LOOKS 4096u

/* A key of which messages wait. */
struct hot {
    const struct ledger *ledger;
    uint32_t lane;
    uint64_t waiting;
};

/* Does one come before the other? Among equals the one that is known longer. */
static bool is_hotter(const struct hot *one, const struct hot *other)
{
    return one->waiting > other->waiting ||
           (one->waiting == other->waiting && one->ledger == other->ledger &&
            one->lane < other->lane);
}

/* Keep the most of them, first found first among equals of different ledgers. */
static void keep(struct hot *hot, size_t *count, size_t max, struct hot one)
{
    size_t at = *count;
    while (at > 0 && is_hotter(&one, &hot[at - 1])) {
        at--;
    }
    if (at == max) {
        return;
    }
    *count += *count < max ? 1 : 0;
    for (size_t i = *count - 1; i > at; i--) {
        hot[i] = hot[i - 1];
    }
    hot[at] = one;
}

/* Look at lanes in which about as many wait as in the hottest, while *left allows; at `max` of them in any
 * case. */
static void find_hot(const struct ledger *ledger, struct hot *hot, size_t *count, size_t max,
                     uint32_t *left)
{
    const struct lanes *lanes = ledger_lanes(ledger);
    const struct lane_table *table = lanes ? &lanes->table : NULL;
    size_t seen = 0;
    for (unsigned heat = LANE_HEATS - 1; table && heat > 0 && seen < max; heat--) {
        for (uint32_t i = table->heats[heat].first; i != 0 && (*left > 0 || seen < max);
             i = lane_at(table, i)->heat_next) {
            keep(hot, count, max, (struct hot){ledger, i, lane_waiting(lane_at(table, i))});
            seen++;
            *left -= *left > 0 ? 1 : 0;
        }
    }
}

/* The message that those of the lane wait for, and how it stands. */
static uint64_t blocks(const struct ledger *ledger, const struct lane *lane, const char **ret_state)
{
    struct run_span span;
    *ret_state = "dead";
    if (lane->out == 0 && lane_is_held(lane)) {
        return lane_holds_first(lane->held);
    }
    *ret_state = lane->head == LANE_NONE ? "dead" : "waiting";
    const bool found = lane->head != LANE_NONE &&
                       runmap_next(&ledger->runs, lane->head, RUN_CLASS_ANY, &span) &&
                       span.first <= lane->head;
    if (found && span.run.state == RUN_READY) {
        *ret_state = "ready";
    } else if (found && (span.run.state == RUN_LEASED || span.run.state == RUN_RESERVED)) {
        *ret_state = "leased";
    }
    return lane->head != LANE_NONE ? lane->head : 0;
}

uint32_t lanes_hottest(const struct ledger *ledger, uint64_t *ret_offset, const char **ret_state)
{
    struct hot hot = {0};
    size_t count = 0;
    uint32_t left = HOT_LOOKS;
    find_hot(ledger, &hot, &count, 1, &left);
    if (count == 0) {
        return 0;
    }
    *ret_offset = blocks(ledger, lane_at(&ledger->ways->lanes->table, hot.lane), ret_state);
    return hot.lane;
}

static void write_hot(struct zsp_writer *out, const struct hot *hot)
{
    const struct lane *lane = lane_at(&hot->ledger->ways->lanes->table, hot->lane);
    const char *state = NULL;
    const uint64_t offset = blocks(hot->ledger, lane, &state);
    wire_write_array(out, 6);
    wire_write_str(out, hot->ledger->binding->followers->name);
    wire_write_uint(out, ledger_partition_index(hot->ledger));
    wire_write_bin(out, lane_key_told(lane));
    wire_write_uint(out, hot->waiting);
    wire_write_uint(out, offset);
    wire_write_text(out, state);
}

void lanes_write_hot(struct zsp_writer *out, const struct group *group, size_t bytes)
{
    struct hot hot[LANES_HOT];
    uint32_t left = HOT_LOOKS;
    size_t count = 0;
    size_t fitting = 0;
    for (size_t i = 0; i < group->bindings.count; i++) {
        const struct binding *binding = group->bindings.slots[i].value;
        for (uint32_t k = 0; binding->topic && k < binding->topic->partition_count; k++) {
            find_hot(binding->ledgers[k], hot, &count, LANES_HOT, &left);
        }
    }
    for (; fitting < count; fitting++) {
        const struct lane *lane =
            lane_at(&hot[fitting].ledger->ways->lanes->table, hot[fitting].lane);
        const size_t row =
            hot[fitting].ledger->binding->followers->name.len + lane_key_told(lane).len + 50u;
        if (row > bytes) {
            break;
        }
        bytes -= row;
    }
    wire_write_array(out, (uint32_t)fitting);
    for (size_t i = 0; i < fitting; i++) {
        write_hot(out, &hot[i]);
    }
}

bool lanes_all_held(const struct ledger *ledger)
{
    const struct lanes *lanes = ledger_lanes(ledger);
    return ledger_waiting(ledger) <= (lanes ? lanes->table.held_waits : 0);
}

void lanes_write_stalled(struct zsp_writer *out, const struct ledger *ledger)
{
    const uint64_t first = ledger_committed(ledger);
    const struct lane_entry *entry =
        ledger_lanes(ledger) ? lane_entry(&ledger->ways->lanes->table, first) : NULL;
    wire_write_array(out, 4);
    wire_write_str(out, ledger->binding->followers->name);
    wire_write_uint(out, ledger_partition_index(ledger));
    wire_write_uint(out, first);
    if (entry && entry->lane != LANE_FREE) {
        wire_write_bin(out, lane_key_told(lane_at(&ledger->ways->lanes->table, entry->lane)));
    } else {
        wire_write_nil(out);
    }
}
