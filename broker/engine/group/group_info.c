/* SPDX-License-Identifier: MPL-2.0
 *
 * GROUP.INFO and GROUP.LIST: what is told of groups.
 */
#include <stddef.h>

#include "broker/engine/dead/letters.h"
#include "broker/engine/dead/redrive.h"
#include "broker/engine/group/group.h"
#include "broker/engine/group/mark_watch.h"
#include "broker/engine/group/pattern.h"
#include "broker/engine/group/why.h"
#include "broker/engine/list.h"
#include "broker/engine/order/lanes.h"
#include "broker/engine/replay/side_replay.h"
#include "broker/engine/verb.h"

/* Bytes of a header that one row of `parts` may take beside the topic's name. */
#define PART_BYTES 90u
/* What else a reply's header holds, generously. */
#define INFO_BYTES (4096u + WHY_MEMBERS_BYTES)
/* What `keys` of a keyed group may take of it. */
#define KEYS_BYTES 8192u

/* What an answer holds beside what is always told. */
struct extras {
    uint32_t parts; /* rows that fit a header */
    bool more;      /* there are others */
    size_t left;    /* bytes of the header that they leave */
    bool has_patterns, has_keys;
    const struct group_filter *filter; /* NULL = none */
    const struct redrive *redrive;     /* likewise */
    const struct letter_call *letters; /* likewise */
};

/* --- Its partitions ---------------------------------------------------------------------------- */

/* How many rows fit a header. */
static void count_parts(const struct group *group, struct extras *ret)
{
    size_t bytes = INFO_BYTES;
    for (size_t i = 0; group->patterns && i < group->patterns->index.count; i++) {
        bytes += group->patterns->index.slots[i].name.len + 3;
    }
    for (size_t i = 0; i < group->bindings.count; i++) {
        const struct binding *binding = group->bindings.slots[i].value;
        for (uint32_t k = 0; binding->topic && k < binding->topic->partition_count; k++) {
            bytes += binding->followers->name.len + PART_BYTES;
            if (bytes > ZSP_HEADER_MAX) {
                ret->more = true;
                return;
            }
            ret->parts++;
        }
    }
    ret->left = ZSP_HEADER_MAX - bytes;
}

static void write_part(struct zsp_writer *out, const struct binding *binding, uint32_t partition)
{
    const struct ledger *ledger = binding->ledgers[partition];
    wire_write_array(out, 11);
    wire_write_str(out, binding->followers->name);
    wire_write_uint(out, partition);
    wire_write_uint(out, ledger_committed(ledger));
    wire_write_uint(out, ledger->mark);
    wire_write_uint(out, ledger_ready(ledger) + runmap_count(&ledger->runs, RUN_RESERVED));
    wire_write_uint(out, ledger_leased(ledger));
    wire_write_uint(out, ledger_waiting(ledger));
    wire_write_uint(out, ledger_dead(ledger));
    wire_write_uint(out, ledger_rare_of(ledger)->lost);
    wire_write_uint(out, ledger_rare_of(ledger)->expired);
    wire_write_uint(out, ledger_rare_of(ledger)->compacted);
}

static void write_parts(struct zsp_writer *out, const struct group *group, uint32_t count)
{
    wire_write_array(out, count);
    for (size_t i = 0; i < group->bindings.count; i++) {
        const struct binding *binding = group->bindings.slots[i].value;
        for (uint32_t k = 0; binding->topic && k < binding->topic->partition_count && count > 0;
             k++, count--) {
            write_part(out, binding, k);
        }
    }
}

/* --- The whole --------------------------------------------------------------------------------- */

/* Sessions that pulled within the last lease time (10 s at least), and every sessionless pull
 * that waits now. */
static uint64_t count_members(const struct engine *engine, const struct group *group)
{
    int64_t since_ms = (int64_t)group_settings_of(group)->lease_ms;
    since_ms = since_ms > (int64_t)ZSP_STALL_GRACE_MS ? since_ms : (int64_t)ZSP_STALL_GRACE_MS;
    return members_count(&group->members, engine->clock.broker_ms - since_ms) +
           pull_count_sessionless(group);
}

static void write_patterns(struct zsp_writer *out, const struct group_patterns *patterns)
{
    wire_write_text(out, "patterns");
    wire_write_array(out, patterns->index.count);
    for (size_t i = 0; i < patterns->index.count; i++) {
        wire_write_str(out, patterns->index.slots[i].name);
    }
}

static struct extras extras_of(struct engine *engine, const struct group *group)
{
    struct extras ret = {
        .has_patterns = group->patterns && group->patterns->index.count > 0,
        .filter = group_filter_of(group),
        .has_keys = group->mode == GROUP_KEYED,
        .redrive = redrive_find(engine->groups, group),
        .letters = letters_find(engine->groups, group),
    };
    count_parts(group, &ret);
    return ret;
}

static uint32_t count_extras(const struct group *group, const struct extras *extras)
{
    return (extras->more ? 1u : 0u) + (extras->has_patterns ? 1u : 0u) + (group->side ? 1u : 0u) +
           (extras->redrive ? 1u : 0u) + (extras->letters ? 1u : 0u) + (extras->filter ? 1u : 0u) +
           (extras->has_keys ? 1u : 0u);
}

/* How it is set up. */
static void write_group(struct zsp_writer *out, const struct group *group)
{
    const struct wire_position start = group_position(group);
    wire_write_text_str(out, "group", group_name(group));
    wire_write_text(out, "mode");
    wire_write_text(out, group_mode_name(group->mode));
    wire_write_text(out, "start");
    wire_write_position(out, &start);
    wire_write_text(out, "settings");
    group_settings_write(out, group_settings_of(group));
    wire_write_text_bool(out, "paused", group->paused);
}

/* What is going on in it by itself. */
static void write_under_way(const struct engine *engine, struct zsp_writer *out,
                            const struct group *group, const struct extras *extras)
{
    if (group->side) {
        side_replay_write(out, engine, group->side);
    }
    if (extras->redrive) {
        wire_write_text(out, "redrive");
        wire_write_map(out, 2);
        wire_write_text_uint(out, "rate", redrive_rate(extras->redrive));
        wire_write_text_uint(out, "messages", redrive_messages(extras->redrive));
    }
    if (extras->letters) {
        wire_write_text(out, "dead_letters");
        letters_write(out, extras->letters);
    }
}

static void tell(struct engine *engine, struct zsp_writer *out, const struct group *group,
                 const struct extras *extras)
{
    const size_t spared = !extras->has_keys           ? 0
                          : extras->left > KEYS_BYTES ? KEYS_BYTES
                                                      : extras->left;
    wire_write_map(out, 7u + WHY_TOLD + count_extras(group, extras));
    write_group(out, group);
    wire_write_text(out, "parts");
    write_parts(out, group, extras->parts);
    if (extras->more) {
        wire_write_text_bool(out, "more", true);
    }
    wire_write_text_uint(out, "members", count_members(engine, group));
    why_tell(engine, out, group, extras->left - spared);
    if (extras->filter) {
        wire_write_text_uint(out, "filtered", extras->filter->filtered);
    }
    if (extras->has_patterns) {
        write_patterns(out, group->patterns);
    }
    if (extras->has_keys) {
        wire_write_text(out, "keys");
        lanes_write_hot(out, group, spared);
    }
    write_under_way(engine, out, group, extras);
}

struct info_args {
    struct zsp_slice group;
};

static const struct wire_arg info_table[] = {
    {"group", WIRE_NAME, offsetof(struct info_args, group), true, 0, 0},
};

int verb_group_info(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct info_args args = {0};
    struct group *group = NULL;
    int rc =
        wire_args(request->args, info_table, sizeof info_table / sizeof info_table[0], &args, err);
    if (rc == 0) {
        rc = group_require(engine, args.group, &group, err);
    }
    if (rc != 0) {
        return rc;
    }
    mark_watch_refresh(engine->groups, group);
    const struct extras extras = extras_of(engine, group);
    tell(engine, reply_begin(engine, &request->to), group, &extras);
    reply_end(engine);
    return 0;
}

static bool is_listed(const void *object)
{
    const struct group *group = object;
    return group->state == GROUP_LIVE;
}

int verb_group_list(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    return list_answer(engine, request, &engine->catalog.groups, is_listed, err);
}
