/* SPDX-License-Identifier: MPL-2.0
 *
 * GROUP.PAUSE and GROUP.RESUME. While a group is paused nothing is handed out; what is out may be
 * settled as ever, and its leases and retries run on.
 */
#include "broker/engine/group/group.h"
#include "broker/engine/verb.h"

struct pause_args {
    struct zsp_slice group;
};

static const struct wire_arg pause_table[] = {
    {"group", WIRE_NAME, offsetof(struct pause_args, group), true, 0, 0},
};

static int put_image(struct engine *engine, const struct group *group, struct group_call *call,
                     struct zsp_err *err)
{
    struct groups *self = engine->groups;
    step_begin(&self->step);
    const int rc = group_step_image(self, group);
    if (rc < 0) {
        step_undo(&self->step);
        return zsp_err_set(err, rc, "%s: out of memory", group->object);
    }
    return step_put(&self->step, engine, STORE_SYNCED_LEVEL, &call->op, err);
}

/* Also when it is so already: the answer says that this is durable. */
static int set_paused(struct engine *engine, const struct request *request, bool paused,
                      struct zsp_err *err)
{
    struct pause_args args = {0};
    struct group *group = NULL;
    int rc = wire_args(request->args, pause_table, sizeof pause_table / sizeof pause_table[0],
                       &args, err);
    if (rc == 0) {
        rc = group_require(engine, args.group, &group, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct group_call *call = group_call_new(engine, request, err);
    if (!call) {
        return ZSP_ENOMEM;
    }
    const bool before = group->paused;
    group->paused_ms = before ? group->paused_ms : engine->clock.broker_ms;
    group->paused = paused;
    rc = put_image(engine, group, call, err);
    if (rc < 0) {
        group->paused = before;
        pool_put(&engine->groups->calls, call);
        return rc;
    }
    reply_may_apply(engine, &request->to);
    group_wake(engine->groups, group);
    return 0;
}

int verb_group_pause(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    return set_paused(engine, request, true, err);
}

int verb_group_resume(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    return set_paused(engine, request, false, err);
}
