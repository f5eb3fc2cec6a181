/* SPDX-License-Identifier: MPL-2.0
 *
 * SAVEPOINT.SAVE, LIST, DROP, RESTORE and UNDO.
 */
#include <stdlib.h>

#include "broker/engine/replay/savepoint.h"
#include "broker/engine/verb.h"

struct savepoint_args {
    struct zsp_slice group, name;
    struct wire_uint replace, dry_run;
};
#define PLACE(field) offsetof(struct savepoint_args, field)
#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static const struct wire_arg save_table[] = {
    {"group", WIRE_NAME, PLACE(group), true, 0, 0},
    {"name", WIRE_NAME, PLACE(name), true, 0, 0},
    {"replace", WIRE_BOOL, PLACE(replace), false, 0, 0},
};

static const struct wire_arg group_table[] = {
    {"group", WIRE_NAME, PLACE(group), true, 0, 0},
};

static const struct wire_arg named_table[] = {
    {"group", WIRE_NAME, PLACE(group), true, 0, 0},
    {"name", WIRE_NAME, PLACE(name), true, 0, 0},
    {"dry_run", WIRE_BOOL, PLACE(dry_run), false, 0, 0},
};

static const struct wire_arg undo_table[] = {
    {"group", WIRE_NAME, PLACE(group), true, 0, 0},
    {"dry_run", WIRE_BOOL, PLACE(dry_run), false, 0, 0},
};

/* Read the arguments and find the group. */
static int read_args(const struct engine *engine, const struct request *request,
                     const struct wire_arg *table, size_t count, struct savepoint_args *ret,
                     struct group **ret_group, struct zsp_err *err)
{
    const int rc = wire_args(request->args, table, count, ret, err);
    return rc == 0 ? group_require(engine, ret->group, ret_group, err) : rc;
}

static int require(const struct group *group, struct zsp_slice name, struct savepoint **ret,
                   struct zsp_err *err)
{
    *ret = savepoint_find(group, name);
    if (*ret) {
        return 0;
    }
    (void)zsp_err_set(err, ZSP_ENOT_FOUND, "%s has no savepoint %.*s", group->object, (int)name.len,
                      (const char *)name.data);
    zsp_err_detail(err, group->object, NULL, NULL);
    return ZSP_ENOT_FOUND;
}

/* Put the change as one record; `call` is answered when it is durable. */
static int put_change(struct engine *engine, struct savepoint_change *change,
                      struct group_call *call, struct zsp_err *err)
{
    struct groups *groups = engine->groups;
    step_begin(&groups->step);
    int rc = savepoint_step(groups, change);
    if (rc < 0) {
        step_undo(&groups->step);
        (void)zsp_err_set(err, rc, "savepoint: out of memory");
    } else {
        rc = step_put(&groups->step, engine, STORE_SYNCED_LEVEL, &call->op, err);
    }
    savepoint_end(groups, change, rc == 0);
    return rc;
}

/* --- SAVE --------------------------------------------------------------------------------------- */

static uint32_t count_of(const struct group *group, uint32_t *ret_next)
{
    uint32_t count = 0;
    *ret_next = SAVEPOINT_UNDO + 1;
    for (const struct savepoint *at = group->savepoint_first; at; at = at->next) {
        if (savepoint_number(at) != SAVEPOINT_UNDO) {
            count++;
            *ret_next = savepoint_number(at) + 1; /* they are in order */
        }
    }
    return count;
}

/* The number that a savepoint of that name is to have. */
static int choose_number(const struct group *group, const struct savepoint_args *args,
                         uint32_t *ret, struct zsp_err *err)
{
    const struct savepoint *there = savepoint_find(group, args->name);
    uint32_t next = 0;
    if (there && !args->replace.value) {
        (void)zsp_err_set(err, ZSP_EEXISTS, "%s has a savepoint of that name", group->object);
        zsp_err_detail(err, group->object, NULL, NULL);
        return ZSP_EEXISTS;
    }
    const uint32_t count = count_of(group, &next);
    if (!there && (count >= ZSP_SAVEPOINTS_MAX || next == 0)) {
        return zsp_err_set_about(err, ZSP_ELIMIT_REACHED, group->object,
                                 "%s has %u savepoints already", group->object, count);
    }
    *ret = there ? savepoint_number(there) : next;
    return 0;
}

/* All ledgers of the group; NULL = out of memory. */
static struct ledger **ledgers_of(const struct group *group, size_t *ret_count)
{
    size_t count = 0;
    for (size_t i = 0; i < group->bindings.count; i++) {
        const struct binding *binding = group->bindings.slots[i].value;
        count += binding->topic ? binding->topic->partition_count : 0;
    }
    struct ledger **ledgers = calloc(count + 1, sizeof(struct ledger *));
    size_t at = 0;
    for (size_t i = 0; ledgers && i < group->bindings.count; i++) {
        const struct binding *binding = group->bindings.slots[i].value;
        for (uint32_t k = 0; binding->topic && k < binding->topic->partition_count; k++) {
            ledgers[at++] = binding->ledgers[k];
        }
    }
    *ret_count = count;
    return ledgers;
}

static int write_value(const struct engine *engine, const struct group *group,
                       struct zsp_slice name, struct zsp_writer *out, struct zsp_err *err)
{
    size_t count = 0;
    struct ledger **ledgers = ledgers_of(group, &count);
    const int rc = ledgers ? savepoint_write(out, engine->now.wall_ms, name, ledgers, count, err)
                           : zsp_err_set(err, ZSP_ENOMEM, "savepoint: out of memory");
    free(ledgers);
    return rc;
}

static int save(struct engine *engine, struct group *group, const struct savepoint_args *args,
                struct group_call *call, struct zsp_err *err)
{
    uint32_t number = 0;
    struct zsp_writer value = {0};
    struct savepoint_change change = {0};
    int rc = choose_number(group, args, &number, err);
    if (rc == 0) {
        rc = write_value(engine, group, args->name, &value, err);
    }
    if (rc == 0) {
        rc = savepoint_begin(engine->groups, group, number, zsp_writer_slice(&value), &change, err);
    }
    if (rc == 0) {
        rc = put_change(engine, &change, call, err);
    }
    zsp_writer_fini(&value);
    return rc;
}

int verb_savepoint_save(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct savepoint_args args = {0};
    struct group *group = NULL;
    int rc = read_args(engine, request, save_table, COUNT(save_table), &args, &group, err);
    if (rc != 0) {
        return rc;
    }
    struct group_call *call = group_call_new(engine, request, err);
    if (!call) {
        return ZSP_ENOMEM;
    }
    rc = save(engine, group, &args, call, err);
    if (rc < 0) {
        pool_put(&engine->groups->calls, call);
        return rc;
    }
    reply_may_apply(engine, &request->to);
    return 0;
}

/* --- LIST, DROP ------------------------------------------------------------------------------------ */

int verb_savepoint_list(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct savepoint_args args = {0};
    struct group *group = NULL;
    uint32_t next = 0;
    int rc = read_args(engine, request, group_table, COUNT(group_table), &args, &group, err);
    if (rc != 0) {
        return rc;
    }
    const struct savepoint *undo = savepoint_of(group, SAVEPOINT_UNDO);
    struct zsp_writer *out = reply_begin(engine, &request->to);
    wire_write_map(out, undo ? 2 : 1);
    wire_write_text(out, "savepoints");
    wire_write_array(out, count_of(group, &next));
    for (const struct savepoint *at = group->savepoint_first; at; at = at->next) {
        if (at != undo) {
            const struct savepoint_head head = savepoint_head(at);
            wire_write_array(out, 3);
            wire_write_str(out, head.name);
            wire_write_int(out, head.created_ms);
            wire_write_uint(out, at->value->len);
        }
    }
    if (undo) {
        wire_write_text(out, "undo_ms");
        wire_write_int(out, savepoint_head(undo).created_ms);
    }
    reply_end(engine);
    return 0;
}

int verb_savepoint_drop(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct savepoint_args args = {0};
    struct savepoint_change change = {0};
    struct group *group = NULL;
    int rc = read_args(engine, request, named_table, COUNT(named_table), &args, &group, err);
    if (rc == 0) {
        rc = require(group, args.name, &change.savepoint, err);
    }
    if (rc == 0 && args.dry_run.value) {
        reply_ok(engine, &request->to);
        return 0;
    }
    struct group_call *call = rc == 0 ? group_call_new(engine, request, err) : NULL;
    if (!call) {
        return rc < 0 ? rc : ZSP_ENOMEM;
    }
    rc = put_change(engine, &change, call, err);
    if (rc < 0) {
        pool_put(&engine->groups->calls, call);
        return rc;
    }
    reply_may_apply(engine, &request->to);
    return 0;
}

/* --- RESTORE, UNDO ------------------------------------------------------------------------------- */

int verb_savepoint_restore(struct engine *engine, const struct request *request,
                           struct zsp_err *err)
{
    struct savepoint_args args = {0};
    struct savepoint *savepoint = NULL;
    struct group *group = NULL;
    int rc = read_args(engine, request, named_table, COUNT(named_table), &args, &group, err);
    if (rc == 0) {
        rc = require(group, args.name, &savepoint, err);
    }
    return rc == 0 ? restore_begin(engine, request, group, savepoint, args.dry_run.value != 0, err)
                   : rc;
}

int verb_savepoint_undo(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct savepoint_args args = {0};
    struct group *group = NULL;
    int rc = read_args(engine, request, undo_table, COUNT(undo_table), &args, &group, err);
    if (rc != 0) {
        return rc;
    }
    const struct savepoint *undo = savepoint_of(group, SAVEPOINT_UNDO);
    if (!undo) {
        (void)zsp_err_set(err, ZSP_ENOT_FOUND, "%s: there is no seek that could be undone",
                          group->object);
        zsp_err_detail(err, group->object, NULL, NULL);
        return ZSP_ENOT_FOUND;
    }
    return restore_begin(engine, request, group, undo, args.dry_run.value != 0, err);
}
