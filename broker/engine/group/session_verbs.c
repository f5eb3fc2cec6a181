/* SPDX-License-Identifier: MPL-2.0
 *
 * BYE and CANCEL: what a session says of itself.
 *
 * A BYE that keeps ends the session and nothing else. Any other hands all leases of its session
 * back. Each takes as many steps as its runs need (lease_end.c); the answer leaves when the last
 * one's record is synced, as that of a `release` does. When the journal has no room the leases go on ending by themselves, later, and the BYE
 * is answered with the error and `maybe`.
 *
 *      verb_bye ---leases end---> ENDING ---all records synced---> answered
 *                                   |
 *                                   +---a record refused---> answered; freed when its leases are over
 */
#include "broker/engine/group/group.h"
#include "broker/engine/group/group_hooks.h"
#include "broker/engine/verb.h"
#include "common/assert.h"

struct bye {
    struct engine_op op; /* first: its address is the tag */
    struct reply_to to;
    uint64_t released;     /* messages */
    uint32_t lease_count;  /* that are not over yet */
    uint32_t record_count; /* not synced yet */
    bool is_answered;
};

void bye_init(struct groups *self)
{
    pool_init(&self->bye_pool, sizeof(struct bye));
}

/* Answer if nothing is waited for any more, and free it once nothing refers to it. */
static void bye_move(struct engine *engine, struct bye *self)
{
    if (self->lease_count > 0 || self->record_count > 0) {
        return;
    }
    if (!self->is_answered) {
        struct zsp_writer *out = reply_begin(engine, &self->to);
        wire_write_map(out, 1);
        wire_write_text_uint(out, "released", self->released);
        reply_end(engine);
    }
    pool_put(&engine->groups->bye_pool, self);
}

static void fail(struct engine *engine, struct bye *self, const struct zsp_err *error)
{
    if (!self->is_answered) {
        struct zsp_err told = *error;
        told.maybe = true;
        reply_error(engine, &self->to, &told);
        self->is_answered = true;
    }
}

static void synced(struct engine *engine, struct engine_op *op,
                   const struct store_completion *completion)
{
    struct bye *self = (struct bye *)op;
    zsp_assert(self->record_count > 0);
    self->record_count--;
    if (completion->error.code != 0) {
        fail(engine, self, &completion->error);
    }
    bye_move(engine, self);
}

struct engine_op *bye_record(struct bye *self, uint64_t released)
{
    self->record_count++;
    self->released += released;
    return &self->op;
}

void bye_record_refused(struct engine *engine, struct bye *self, uint64_t released,
                        const struct zsp_err *error)
{
    zsp_assert(self->record_count > 0);
    self->record_count--;
    self->released -= released;
    fail(engine, self, error);
}

void bye_lease_over(struct engine *engine, struct bye *self)
{
    zsp_assert(self->lease_count > 0);
    self->lease_count--;
    bye_move(engine, self);
}

/* A lease that its session has in hand, as far as we know. */
static bool is_in_hand(const struct lease *lease)
{
    return lease->ending == LEASE_LIVES && !lease->is_granting;
}

static void return_leases(struct engine *engine, struct bye *self, const struct session_note *note)
{
    struct lease *lease, *next = NULL;
    TAILQ_FOREACH (lease, &note->leases, session_link) {
        if (is_in_hand(lease)) {
            lease->bye = self;
            self->lease_count++;
        }
    }
    for (lease = TAILQ_FIRST(&note->leases); lease; lease = next) {
        next = TAILQ_NEXT(lease, session_link); /* the note goes with the last one */
        if (is_in_hand(lease)) {
            group_lease_end(engine->groups, lease, LEASE_RETURNED);
        }
    }
}

static int require_session(const struct request *request, const char *verb, struct zsp_err *err)
{
    if (request->to.session == 0) {
        return zsp_err_set_about(err, ZSP_EHELLO_REQUIRED, verb,
                                 "%s is about a session: its id is above 0", verb);
    }
    return 0;
}

struct bye_args {
    struct wire_uint keep;
};

static const struct wire_arg bye_table[] = {
    {"keep", WIRE_BOOL, offsetof(struct bye_args, keep), false, 0, 0},
};

int verb_bye(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    const uint64_t session = request->to.session;
    struct bye_args args = {0};
    int rc =
        wire_args(request->args, bye_table, sizeof bye_table / sizeof bye_table[0], &args, err);
    if (rc == 0) {
        rc = require_session(request, "BYE", err);
    }
    if (rc < 0) {
        return rc;
    }
    struct bye *self = pool_get(&engine->groups->bye_pool);
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "BYE: out of memory");
    }
    self->op.done_fn = synced;
    self->to = request->to;
    parked_cancel_session(engine, session);
    const struct session_note *note = group_leave_all(engine->groups, session);
    session_names_forget(&engine->groups->names, session);
    self->lease_count = 1; /* this function */
    if (note && args.keep.value == 0) {
        reply_may_apply(engine, &self->to);
        return_leases(engine, self, note);
    }
    bye_lease_over(engine, self);
    return 0;
}

struct cancel_args {
    struct wire_uint request;
};

static const struct wire_arg cancel_table[] = {
    {"request", WIRE_UINT, offsetof(struct cancel_args, request), true, 1, UINT64_MAX},
};

int verb_cancel(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct cancel_args args = {0};
    int rc = wire_args(request->args, cancel_table, sizeof cancel_table / sizeof cancel_table[0],
                       &args, err);
    if (rc == 0) {
        rc = require_session(request, "CANCEL", err);
    }
    if (rc < 0) {
        return rc;
    }
    struct parked *parked = parked_find(engine, request->to.session, args.request.value);
    if (parked) {
        parked_cancel(engine, parked);
    }
    struct zsp_writer *out = reply_begin(engine, &request->to);
    wire_write_map(out, 1);
    wire_write_text_bool(out, "cancelled", parked != NULL);
    reply_end(engine);
    return 0;
}

void group_session_name(struct engine *engine, uint64_t session, struct zsp_slice name)
{
    session_names_set(&engine->groups->names, session, name);
}
