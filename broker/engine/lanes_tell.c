/* SPDX-License-Identifier: MPL-2.0
 *
 * What people are told of lanes.
 */
#include "broker/engine/group.h"
#include "broker/engine/lanes.h"

bool lanes_all_held(const struct ledger *ledger)
{
    uint64_t held = 0;
    const struct lane_table *table = ledger->lanes ? &ledger->lanes->table : NULL;
    for (uint32_t i = table ? lane_table_next(table, 0) : 0; i != 0;
         i = lane_table_next(table, i)) {
        const struct lane *lane = lane_at(table, i);
        held += lane->holds > 0 ? lane->waits : 0;
    }
    return ledger_waiting(ledger) <= held;
}

void lanes_write_stalled(struct zsp_writer *out, const struct ledger *ledger)
{
    const uint64_t first = ledger_committed(ledger);
    const struct lane_entry *entry =
        ledger->lanes ? lane_entry(&ledger->lanes->table, first) : NULL;
    wire_write_array(out, 4);
    wire_write_str(out, ledger->binding->followers->name);
    wire_write_uint(out, ledger_partition_index(ledger));
    wire_write_uint(out, first);
    if (entry && entry->lane != LANE_FREE) {
        wire_write_bin(out, lane_key(lane_at(&ledger->lanes->table, entry->lane)));
    } else {
        wire_write_nil(out);
    }
}
