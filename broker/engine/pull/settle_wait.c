/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/pull/settle_wait.h"

#include "common/assert.h"

struct settle {
    struct engine_op op; /* first: its address is the tag */
    struct reply_to to;
    struct settle_told told; /* of no guest */
    STAILQ_ENTRY(settle) link;
    bool is_guest;              /* came with another request, which answers; */
    struct settle_guest *guest; /* NULL = that is gone */
};

void settle_init(struct groups *self)
{
    pool_init(&self->settle_pool, sizeof(struct settle));
    STAILQ_INIT(&self->settles);
}

void settle_fini(struct groups *self)
{
    struct settle *settle;
    STAILQ_FOREACH (settle, &self->settles, link) {
        zsp_buf_put(&settle->told.not_applied);
    }
    STAILQ_INIT(&self->settles);
    pool_fini(&self->settle_pool);
}

/* --- The answer ---------------------------------------------------------------------------------- */

void settle_write_told(struct zsp_writer *out, const struct settle_told *told)
{
    wire_write_map(out, 2);
    wire_write_text_uint(out, "applied", told->applied);
    wire_write_text(out, "not_applied");
    wire_write_array(out, told->not_applied_count);
    zsp_write_bytes(out, zsp_buf_slice(told->not_applied));
}

void settle_answer(struct engine *engine, const struct reply_to *to, const struct settle_told *told)
{
    settle_write_told(reply_begin(engine, to), told);
    reply_end(engine);
}

/* --- The wait ------------------------------------------------------------------------------------ */

void settle_wait_drop(struct groups *groups, struct settle *self)
{
    if (self) {
        zsp_buf_put(&self->told.not_applied);
        pool_put(&groups->settle_pool, self);
    }
}

/* Records become durable in order: it is the first in line. */
static void synced(struct engine *engine, struct engine_op *op,
                   const struct store_completion *completion)
{
    struct groups *const groups = engine->groups;
    struct settle *const self = STAILQ_FIRST(&groups->settles);
    struct settle_guest *const guest = self->guest;
    zsp_assert(&self->op == op);
    STAILQ_REMOVE_HEAD(&groups->settles, link);
    if (guest) {
        guest->settle = NULL;
        guest->settled_fn(engine, guest, &completion->error);
    } else if (!self->is_guest && completion->error.code != 0) {
        reply_error(engine, &self->to, &completion->error);
    } else if (!self->is_guest) {
        settle_answer(engine, &self->to, &self->told);
    }
    settle_wait_drop(groups, self);
}

struct settle *settle_wait_new(struct groups *groups, const struct reply_to *to, bool is_guest)
{
    struct settle *const self = pool_get(&groups->settle_pool);
    if (self) {
        self->op.done_fn = synced;
        self->to = *to;
        self->is_guest = is_guest;
    }
    return self;
}

struct engine_op *settle_wait_op(struct settle *self)
{
    return &self->op;
}

void settle_wait_begin(struct engine *engine, struct settle *self, struct settle_guest *guest,
                       struct settle_told *told)
{
    self->guest = guest;
    if (!guest) {
        self->told = *told;
        *told = (struct settle_told){0};
    }
    reply_may_apply(engine, &self->to);
    STAILQ_INSERT_TAIL(&engine->groups->settles, self, link);
}

bool settle_wait_any(const struct groups *groups)
{
    return !STAILQ_EMPTY(&groups->settles);
}

void settle_leave(struct settle_guest *guest)
{
    if (guest->settle) {
        guest->settle->guest = NULL;
        guest->settle = NULL;
    }
    zsp_buf_put(&guest->told.not_applied);
}
