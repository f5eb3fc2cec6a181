/* SPDX-License-Identifier: MPL-2.0
 *
 * What GROUP.INFO tells of why a group does not move, and of who takes part in it.
 */
#include "broker/engine/group/why.h"
#include "broker/engine/order/hold.h"
#include "broker/engine/pull/pull.h"

/* Leases that are looked at for what members have. */
#define LEASES_READ 10000u

/* Has the partition a reason of its own? */
static bool why_differs(const struct why *why, const struct ledger *ledger)
{
    return !hold_is_free(ledger) || (why->reason != WHY_MOVING && why->reason != WHY_CAUGHT_UP);
}

/* Rows of partitions with a reason, or a holder, of their own; `out` NULL = count them only. */
static uint32_t write_whys(const struct engine *engine, struct zsp_writer *out,
                           const struct group *group, size_t bytes)
{
    uint32_t count = 0;
    for (size_t i = 0; i < group->bindings.count; i++) {
        const struct binding *binding = group->bindings.slots[i].value;
        const size_t row_bytes = binding->followers->name.len + WHY_BYTES + 40u;
        for (uint32_t k = 0; binding->topic && k < binding->topic->partition_count; k++) {
            const struct ledger *ledger = binding->ledgers[k];
            const struct why why = why_ledger(engine, ledger);
            if (!why_differs(&why, ledger)) {
                continue;
            }
            if (bytes < row_bytes) {
                return count;
            }
            bytes -= row_bytes;
            count++;
            if (out) {
                why_write(out, &why, ledger);
            }
        }
    }
    return count;
}

/* Messages that the member has out, of the first leases of its session. */
static uint64_t leased_by(const struct member *member, uint32_t *left)
{
    uint64_t leased = 0;
    const struct lease *lease = member->note ? TAILQ_FIRST(&member->note->leases) : NULL;
    for (; lease && *left > 0; lease = TAILQ_NEXT(lease, session_link), (*left)--) {
        leased += &lease->group->members == member->members ? lease->outstanding : 0;
    }
    return leased;
}

static bool pulls_now(const struct group *group, const struct member *member)
{
    for (const struct pull *pull = group_first_parked(group); pull; pull = TAILQ_NEXT(pull, link)) {
        if (pull->parked.to.session == member->session) {
            return true;
        }
    }
    return false;
}

static void write_member(const struct engine *engine, struct zsp_writer *out,
                         const struct group *group, const struct member *member, uint32_t *left)
{
    const struct zsp_slice name = session_names_find(&engine->groups->names, member->session);
    uint64_t held = 0;
    for (const struct ledger_order *order = hold_first(member); order; order = order->next) {
        held++;
    }
    wire_write_map(out, 5u + (name.data ? 1u : 0u));
    wire_write_text_uint(out, "member", member->session);
    if (name.data) {
        wire_write_text_str(out, "name", name);
    }
    wire_write_text_uint(out, "leased", leased_by(member, left));
    wire_write_text_uint(out, "partitions", held);
    wire_write_text_bool(out, "waits", pulls_now(group, member));
    wire_write_text_uint(out, "silent_ms", (uint64_t)(engine->clock.broker_ms - member->seen_ms));
}

/* Those heard last come first. */
static void write_members(const struct engine *engine, struct zsp_writer *out,
                          const struct group *group)
{
    uint32_t left = LEASES_READ;
    uint32_t count = 0;
    const struct member *member;
    for (member = TAILQ_LAST(&group->members.list, member_list); member && count < WHY_MEMBERS;
         member = TAILQ_PREV(member, member_list, link)) {
        count++;
    }
    wire_write_text(out, "member_list");
    wire_write_array(out, count);
    for (member = TAILQ_LAST(&group->members.list, member_list); count > 0;
         member = TAILQ_PREV(member, member_list, link), count--) {
        write_member(engine, out, group, member, &left);
    }
}

void why_tell(const struct engine *engine, struct zsp_writer *out, const struct group *group,
              size_t bytes)
{
    const struct why why = why_group(engine, group);
    write_members(engine, out, group);
    wire_write_text(out, "why");
    why_write(out, &why, NULL);
    wire_write_text(out, "whys");
    wire_write_array(out, write_whys(engine, NULL, group, bytes));
    (void)write_whys(engine, out, group, bytes);
}
