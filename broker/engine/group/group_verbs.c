/* SPDX-License-Identifier: MPL-2.0
 *
 * GROUP.CREATE, SET and DELETE.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/engine/dead/letters.h"
#include "broker/engine/group/group.h"
#include "broker/engine/group/group_rules.h"
#include "broker/engine/order/lanes.h"
#include "broker/engine/topic/expiry.h"
#include "broker/engine/verb.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* --- Arguments -------------------------------------------------------------------------------- */

int group_require(const struct engine *engine, struct zsp_slice name, struct group **ret,
                  struct zsp_err *err)
{
    struct group *group = name_index_find(&engine->catalog.groups, name);
    if (group && group->state == GROUP_LIVE) {
        *ret = group;
        return 0;
    }
    char object[ZSP_NAME_MAX + 8];
    (void)snprintf(object, sizeof object, "group %.*s", (int)name.len, (const char *)name.data);
    (void)zsp_err_set(err, ZSP_ENOT_FOUND, "%s does not exist", object);
    zsp_err_detail(err, object, NULL, NULL);
    return ZSP_ENOT_FOUND;
}

int group_read_mode(struct zsp_slice name, enum group_mode *ret, struct zsp_err *err)
{
    *ret = GROUP_SHARED;
    if (!name.data || group_mode_find(name, ret)) {
        return 0;
    }
    char got[64];
    (void)snprintf(got, sizeof got, "%.*s", (int)name.len, (const char *)name.data);
    (void)zsp_err_set(err, ZSP_EBAD_VALUE, "mode must be shared, ordered or keyed, not %s", got);
    zsp_err_detail(err, "mode", "shared, ordered or keyed", got);
    return ZSP_EBAD_VALUE;
}

int group_check_mode(const struct group *group, struct zsp_slice name, struct zsp_err *err)
{
    enum group_mode mode = GROUP_SHARED;
    const int rc = group_read_mode(name, &mode, err);
    if (rc < 0 || !name.data || mode == group->mode) {
        return rc;
    }
    (void)zsp_err_set(err, ZSP_EMODE_MISMATCH, "%s exists with the mode %s", group->object,
                      group_mode_name(group->mode));
    zsp_err_detail(err, group->object, group_mode_name(group->mode), group_mode_name(mode));
    return ZSP_EMODE_MISMATCH;
}

int group_check_position(const struct wire_position *start, struct zsp_err *err)
{
    if (start->kind == WIRE_POSITION_ID && start->id.len > ZSP_START_ID_MAX) {
        (void)zsp_err_set(err, ZSP_EBAD_VALUE, "start: an id of %zu bytes, at most %u",
                          start->id.len, ZSP_START_ID_MAX);
        zsp_err_detail(err, "start", NULL, NULL);
        return ZSP_EBAD_VALUE;
    }
    return 0;
}

struct wire_position group_position(const struct group *group)
{
    const bool is_set = group->start_kind != WIRE_POSITION_NONE;
    struct wire_position ret = {
        .kind = is_set ? group->start_kind : WIRE_POSITION_EARLIEST,
        .value = group->start_value,
    };
    if (group->start_id) {
        ret.id = (struct zsp_slice){group->start_id->data, group->start_id->len};
    }
    return ret;
}

#define POSITION_TEXT_SIZE 32

/* A position for people. */
static const char *position_text(const struct wire_position *position, char *to)
{
    static const char *const names[] = {
        [WIRE_POSITION_NONE] = "none",     [WIRE_POSITION_EARLIEST] = "earliest",
        [WIRE_POSITION_LATEST] = "latest", [WIRE_POSITION_OFFSET] = "offset",
        [WIRE_POSITION_LAST] = "last",     [WIRE_POSITION_TIME] = "time",
        [WIRE_POSITION_AGO] = "ago",       [WIRE_POSITION_ID] = "an id",
    };
    const bool has_value =
        position->kind >= WIRE_POSITION_OFFSET && position->kind <= WIRE_POSITION_AGO;
    const int len = snprintf(to, POSITION_TEXT_SIZE, "%s", names[position->kind]);
    if (has_value) {
        (void)snprintf(to + len, POSITION_TEXT_SIZE - (size_t)len, " %" PRIu64, position->value);
    }
    return to;
}

int group_check_start(const struct group *group, const struct wire_position *start,
                      struct zsp_err *err)
{
    const struct wire_position had = group_position(group);
    const int rc = group_check_position(start, err);
    const bool is_same = start->kind == had.kind && start->value == had.value &&
                         (!group->start_id || zsp_slice_equal(start->id, had.id));
    if (rc < 0 || start->kind == WIRE_POSITION_NONE || is_same) {
        return rc;
    }
    char wanted[POSITION_TEXT_SIZE];
    char got[POSITION_TEXT_SIZE];
    (void)zsp_err_set(err, ZSP_EMODE_MISMATCH, "%s exists with the start %s, not %s", group->object,
                      position_text(&had, wanted), position_text(start, got));
    zsp_err_detail(err, group->object, wanted, got);
    return ZSP_EMODE_MISMATCH;
}

struct group_args {
    struct zsp_slice group, mode;
    const msgpack_object *topics, *settings;
    struct wire_position start;
    struct wire_uint dry_run;
};
#define PLACE(field) offsetof(struct group_args, field)

/* --- Waiting for a record ---------------------------------------------------------------------- */

static void is_durable(struct engine *engine, struct engine_op *op,
                       const struct store_completion *completion)
{
    struct group_call *call = (struct group_call *)op;
    if (completion->error.code != 0) {
        reply_error(engine, &call->to, &completion->error);
    } else {
        reply_ok(engine, &call->to);
    }
    pool_put(&engine->groups->calls, call);
}

struct group_call *group_call_new(struct engine *engine, const struct request *request,
                                  struct zsp_err *err)
{
    struct group_call *call = pool_get(&engine->groups->calls);
    if (!call) {
        (void)zsp_err_set(err, ZSP_ENOMEM, "group: out of memory");
        return NULL;
    }
    call->op.done_fn = is_durable;
    call->to = request->to;
    return call;
}

/* --- GROUP.CREATE ------------------------------------------------------------------------------ */

static const struct wire_arg create_table[] = {
    {"group", WIRE_NAME, PLACE(group), true, 0, 0},
    {"topics", WIRE_PATTERNS, PLACE(topics), true, 0, ZSP_GROUP_TOPICS_MAX},
    {"mode", WIRE_STR, PLACE(mode), false, 0, 0},
    {"start", WIRE_POSITION, PLACE(start), false, 0, 0},
    {"settings", WIRE_MAP, PLACE(settings), false, 0, 0},
};

/* The names as slices, borrowed from the request; NULL = out of memory. */
static struct zsp_slice *names_of(const msgpack_object *topics)
{
    const uint32_t count = topics->via.array.size;
    struct zsp_slice *names = calloc((size_t)count + 1, sizeof *names);
    for (uint32_t i = 0; names && i < count; i++) {
        const msgpack_object_str *name = &topics->via.array.ptr[i].via.str;
        names[i] = (struct zsp_slice){(const uint8_t *)name->ptr, name->size};
    }
    return names;
}

static int create(struct engine *engine, const struct request *request,
                  const struct group_args *args, const struct group_plan *plan, struct zsp_err *err)
{
    struct group *group = NULL;
    struct zsp_slice *names = names_of(args->topics);
    if (!names) {
        return zsp_err_set(err, ZSP_ENOMEM, "group: out of memory");
    }
    int rc = group_new(engine, plan, &group, err);
    if (rc == 0) {
        rc =
            group_join(engine, group, names, args->topics->via.array.size, &request->to, NULL, err);
        if (rc < 0) {
            group_destroy(engine, group);
        }
    }
    free(names);
    return rc;
}

void group_created(struct engine *engine, struct group *group, const struct zsp_err *error)
{
    struct zsp_err exists;
    (void)zsp_err_set(&exists, ZSP_EEXISTS, "%s exists already", group->object);
    zsp_err_detail(&exists, group->object, NULL, NULL);
    while (group->creates) {
        struct group_call *call = group->creates;
        group->creates = call->next;
        reply_error(engine, &call->to, error ? error : &exists);
        pool_put(&engine->groups->calls, call);
    }
}

/* Whether the group exists is known when its creation is durable. */
static int wait_for_creation(struct engine *engine, const struct request *request,
                             struct group *group, struct zsp_err *err)
{
    struct group_call *call = group_call_new(engine, request, err);
    if (!call) {
        return ZSP_ENOMEM;
    }
    call->next = group->creates;
    group->creates = call;
    return 0;
}

int verb_group_create(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct group_args args = {0};
    int rc = wire_args(request->args, create_table, COUNT(create_table), &args, err);
    struct group_plan plan = {
        .name = args.group, .start = args.start, .settings = group_settings_default};
    if (rc == 0) {
        rc = group_read_mode(args.mode, &plan.mode, err);
    }
    if (rc == 0) {
        rc = group_check_position(&args.start, err);
    }
    if (rc == 0 && args.settings) {
        rc = group_settings_apply(args.settings, &plan.settings, err);
    }
    if (rc == 0) {
        rc = group_settings_fit(&plan.settings, plan.mode, err);
    }
    struct group *known = name_index_find(&engine->catalog.groups, args.group);
    if (rc == 0 && known && known->state == GROUP_CREATING) {
        rc = wait_for_creation(engine, request, known, err);
    } else if (rc == 0) {
        rc = create(engine, request, &args, &plan, err);
    }
    setting_texts_drop(&plan.settings.texts);
    return rc;
}

/* --- GROUP.SET, GROUP.DELETE ---------------------------------------------------------------------- */

static const struct wire_arg set_table[] = {
    {"group", WIRE_NAME, PLACE(group), true, 0, 0},
    {"settings", WIRE_MAP, PLACE(settings), false, 0, 0},
};

/* What is ready may hang on the settings. */
static void look_at_ledgers(struct groups *self, const struct group *group, bool anew)
{
    for (size_t i = 0; i < group->bindings.count; i++) {
        const struct binding *binding = group->bindings.slots[i].value;
        for (uint32_t k = 0; binding->topic && k < binding->topic->partition_count; k++) {
            if (anew) {
                lanes_drop(binding->ledgers[k]);
            }
            expiry_moved(self->engine,
                         binding->ledgers[k]); /* what took a look may take none now */
            group_ledger_changed(self, binding->ledgers[k]);
        }
    }
}

/* What dies in the dead letter topic itself has nowhere to go. */
static int check_loop(const struct group *group, const struct group_settings *settings,
                      struct zsp_err *err)
{
    const struct zsp_slice topic = setting_text(&settings->texts, TEXT_DEAD_LETTER_TOPIC);
    if (topic.data && name_index_find(&group->bindings, topic)) {
        return setting_texts_refuse_loop(group->object, &settings->texts, err);
    }
    return 0;
}

static int set(struct engine *engine, struct group *group, const struct group_settings *settings,
               struct group_call *call, struct zsp_err *err)
{
    struct groups *self = engine->groups;
    const bool anew = group_settings_of(group)->on_dead != settings->on_dead;
    struct group_rules *rules = NULL;
    int rc = group_rules_make(group, settings, &rules, err);
    if (rc < 0) {
        return rc;
    }
    group_rules_swap(group, &rules);
    step_begin(&self->step);
    rc = group_step_image(self, group);
    if (rc < 0) {
        step_undo(&self->step);
        (void)zsp_err_set(err, rc, "%s: out of memory", group->object);
    } else {
        rc = step_put(&self->step, engine, STORE_SYNCED_LEVEL, &call->op, err);
    }
    if (rc < 0) {
        group_rules_swap(group, &rules);
    }
    group_rules_destroy(&rules);
    if (rc < 0) {
        return rc;
    }
    letters_kick(self, group);
    look_at_ledgers(self, group, anew);
    group_wake(self, group);
    return 0;
}

int verb_group_set(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct group_args args = {0};
    struct group *group = NULL;
    int rc = wire_args(request->args, set_table, COUNT(set_table), &args, err);
    if (rc == 0) {
        rc = group_require(engine, args.group, &group, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct group_settings settings = *group_settings_of(group);
    setting_texts_hold(&settings.texts);
    if (args.settings) {
        rc = group_settings_apply(args.settings, &settings, err);
    }
    if (rc == 0) {
        rc = group_settings_fit(&settings, group->mode, err);
    }
    if (rc == 0) {
        rc = check_loop(group, &settings, err);
    }
    struct group_call *call = rc == 0 ? group_call_new(engine, request, err) : NULL;
    if (!call) {
        setting_texts_drop(&settings.texts);
        return rc < 0 ? rc : ZSP_ENOMEM;
    }
    rc = set(engine, group, &settings, call, err);
    setting_texts_drop(&settings.texts);
    if (rc < 0) {
        pool_put(&engine->groups->calls, call);
        return rc;
    }
    reply_may_apply(engine, &request->to);
    return 0;
}

static const struct wire_arg delete_table[] = {
    {"group", WIRE_NAME, PLACE(group), true, 0, 0},
    {"dry_run", WIRE_BOOL, PLACE(dry_run), false, 0, 0},
};

int verb_group_delete(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct group_args args = {0};
    struct group *group = NULL;
    int rc = wire_args(request->args, delete_table, COUNT(delete_table), &args, err);
    if (rc == 0) {
        rc = group_require(engine, args.group, &group, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (args.dry_run.value) {
        reply_ok(engine, &request->to);
        return 0;
    }
    struct group_call *call = group_call_new(engine, request, err);
    if (!call) {
        return ZSP_ENOMEM;
    }
    rc = group_put_gone(engine, group, &call->op, err);
    if (rc < 0) {
        pool_put(&engine->groups->calls, call);
        return rc;
    }
    reply_may_apply(engine, &request->to);
    struct zsp_err gone;
    (void)zsp_err_set(&gone, ZSP_ENOT_FOUND, "%s was deleted", group->object);
    zsp_err_detail(&gone, group->object, NULL, NULL);
    pull_end_all(engine, group, &gone);
    group_destroy(engine, group);
    return 0;
}
