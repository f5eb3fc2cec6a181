/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/pull/settle.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "broker/engine/dead/dead.h"
#include "broker/engine/ledger/ledger_ordered.h"
#include "broker/engine/order/lanes.h"
#include "broker/engine/pull/settle_wait.h"
#include "broker/engine/state.h"
#include "broker/engine/verb.h"
#include "common/assert.h"

/* Bytes of a reply's header that are kept free for what is not in not_applied. */
#define HEADER_SPARE 1024u
/* A stretch that is looked at is as much work as so many bytes, see engine_work_bytes(). */
#define LOOK_BYTES 512u

enum verdict { APPLIED, DONE, LOST, UNKNOWN };

/* The request being worked on. */
struct settling {
    struct engine *engine;
    struct groups *groups;
    struct group *group;
    const struct reply_to *to;
    struct settle_guest *guest; /* NULL = SETTLE itself */
    bool is_strict;             /* what cannot be applied refuses the whole */
    const struct wire_srun *srun;
    struct lease *lease;    /* of srun; NULL = not live */
    struct zsp_buf *reason; /* of srun; NULL = none */
    uint32_t base_reasons;  /* the last set that the reason was put on, */
    uint32_t made_reasons;  /* and the result; holds a reference */
    uint32_t looks;         /* at stretches, by all runs; bounded */
    uint64_t applied;
    bool waits;   /* an outcome that must be synced first */
    bool repeats; /* something was done before */
    bool extends; /* a deadline moved */
    uint32_t not_applied_count;
    enum verdict last; /* of the stretch noted last */
    uint64_t last_first, last_end;
    uint64_t dead;
};

/* --- What was not applied --------------------------------------------------------------------- */

static void flush_not_applied(struct settling *self)
{
    static const char *const words[] = {"applied", "done", "lost", "unknown"};
    struct zsp_writer *out = &self->groups->not_applied;
    if (self->last == APPLIED) {
        return;
    }
    wire_write_array(out, 5);
    wire_write_str(out, self->srun->topic);
    wire_write_uint(out, self->srun->partition);
    wire_write_uint(out, self->last_first);
    wire_write_uint(out, self->last_end - self->last_first);
    wire_write_text(out, words[self->last]);
    self->not_applied_count++;
    self->last = APPLIED;
}

/* The whole is refused for one stretch; tells which. */
static int refuse_stretch(const struct settling *self, enum verdict verdict, uint64_t first,
                          struct zsp_err *err)
{
    static const char *const why[] = {"", "it is settled already", "the lease does not own it",
                                      "it was never handed out, or there is no such topic"};
    const struct wire_srun *const srun = self->srun;
    char object[ZSP_NAME_MAX + 48];
    (void)snprintf(object, sizeof object, "%.*s/%" PRIu32 "/%" PRIu64, (int)srun->topic.len,
                   (const char *)srun->topic.data, srun->partition, first);
    zsp_err_set(err, ZSP_ENOT_LEASED, "%s: %s", object, why[verdict]);
    zsp_err_detail(err, object, NULL, NULL);
    return ZSP_ENOT_LEASED;
}

/* Note a stretch of the run; adjoining ones of one kind become one. */
static int note(struct settling *self, enum verdict verdict, uint64_t first, uint64_t end,
                struct zsp_err *err)
{
    if (verdict == APPLIED) {
        self->applied += end - first;
        flush_not_applied(self);
        return 0;
    }
    if (self->is_strict) {
        return refuse_stretch(self, verdict, first, err);
    }
    self->repeats = self->repeats || verdict == DONE;
    if (self->last == verdict && self->last_end == first) {
        self->last_end = end;
        return 0;
    }
    flush_not_applied(self);
    self->last = verdict;
    self->last_first = first;
    self->last_end = end;
    const size_t room = self->guest ? SETTLE_GUEST_BYTES : ZSP_HEADER_MAX - HEADER_SPARE;
    if (self->groups->not_applied.len > room) {
        return zsp_err_set_about(err, ZSP_ETOO_LARGE, "runs",
                                 "the answer would not fit a header: settle fewer runs at a time");
    }
    return self->groups->not_applied.failed ? ZSP_ENOMEM : 0;
}

/* --- Outcomes ----------------------------------------------------------------------------------- */

static enum run_outcome remembered(enum wire_outcome outcome)
{
    switch (outcome) {
    case WIRE_RETRY:
        return RUN_RETRIED;
    case WIRE_RELEASE:
        return RUN_RELEASED;
    case WIRE_REJECT:
        return RUN_REJECTED;
    case WIRE_ACK:
    case WIRE_EXTEND:
    case WIRE_STARTED:
        break;
    }
    return RUN_NO_OUTCOME;
}

/* Put the request's reason on top of the run's; runs with equal ones keep equal ones. */
static int add_reason(struct settling *self, struct run *run)
{
    struct reasons *reasons = &self->groups->reasons;
    if (!self->reason) {
        return 0;
    }
    if (self->made_reasons == 0 || self->base_reasons != run->reasons) {
        uint32_t made = 0;
        int rc = reasons_push(reasons, run->reasons, self->reason, &made);
        if (rc < 0) {
            return rc;
        }
        reasons_drop(reasons, self->made_reasons);
        reasons_drop(reasons, self->base_reasons);
        reasons_hold(reasons, run->reasons); /* its number must stay taken */
        self->base_reasons = run->reasons;
        self->made_reasons = made;
    }
    run->reasons = self->made_reasons;
    return 0;
}

/* A stretch waits as long as it is told, or by the group's backoff: with a jitter one draw for all
 * of it, so that it stays one run. */
static void retry(const struct settling *self, struct run *run)
{
    const struct engine *engine = self->engine;
    const struct engine_options *options = &engine->options;
    const struct group_settings *settings = group_settings_of(self->group);
    if (self->srun->has_delay) {
        outcome_retry(settings, self->srun->delay_ms, engine->clock.broker_ms, run);
        return;
    }
    const uint64_t drawn =
        settings->backoff_jitter > 0 ? options->random_fn(options->random_arg) : 0;
    outcome_retry_later(settings, drawn, engine->clock.broker_ms, run);
}

/* The outcome, on a stretch that the lease owns. */
static int apply(struct settling *self, struct ledger *ledger, const struct run_span *span)
{
    struct step *step = &self->groups->step;
    const struct group_settings *settings = group_settings_of(self->group);
    const struct wire_srun *srun = self->srun;
    struct run run = span->run;
    int rc = 0;
    run.lease = srun->lease; /* another one, when it is settled through a later lease */
    switch (srun->outcome) {
    case WIRE_ACK:
        run = (struct run){.state = RUN_NONE};
        break;
    case WIRE_RETRY:
        retry(self, &run);
        rc = add_reason(self, &run);
        break;
    case WIRE_RELEASE:
        outcome_release(&run);
        break;
    case WIRE_REJECT:
        outcome_reject(settings, &run);
        rc = add_reason(self, &run);
        break;
    case WIRE_STARTED:
        run.started = 1;
        return step_mark(step, ledger, span->first, span->end, &run);
    case WIRE_EXTEND:
        return 0; /* one deadline for the whole lease, see extend() */
    }
    self->waits = true;
    if (run.state == RUN_DEAD) {
        dead_note(self->engine, ledger, &run);
        self->dead += span->end - span->first;
    }
    if (ledger_lanes(ledger) && run.state != RUN_NONE &&
        (run.state != RUN_DEAD || run.limit != 0)) {
        lanes_note_back(ledger, span->first, span->end);
    }
    return rc < 0 ? rc : step_set(step, ledger, span->first, span->end, &run);
}

/* Ordered groups: what is out of a partition is out to one member, so who has messages of it proves
 * the right to all that lie before them. */
static bool reaches(struct settling *self, const struct ledger *ledger, uint64_t offset)
{
    const struct lease *lease = self->lease;
    const enum wire_outcome outcome = self->srun->outcome;
    if (self->group->mode != GROUP_ORDERED || !lease || lease->ending != LEASE_LIVES ||
        outcome == WIRE_EXTEND || outcome == WIRE_STARTED) {
        return false;
    }
    for (size_t i = 0; i < lease->span_count; i++) {
        const struct lease_span *part = &lease->spans[i];
        struct run_span span = {.end = part->first > offset ? part->first : offset};
        self->looks++;
        while (part->ledger == ledger &&
               runmap_next(&ledger->runs, span.end, RUN_CLASS_LEASED, &span) &&
               span.first < part->end) {
            if (span.run.lease == lease->number) {
                return true;
            }
        }
    }
    return false;
}

/* It is out, and must come back: only what brings it back is still taken. */
static bool comes_too_late(const struct settling *self, const struct ledger *ledger,
                           uint64_t offset)
{
    const struct group *group = self->group;
    if (self->srun->outcome == WIRE_EXTEND && self->lease && self->lease->ending != LEASE_LIVES) {
        return true; /* it is over, only not written down yet */
    }
    switch (self->srun->outcome) {
    case WIRE_ACK:
    case WIRE_EXTEND:
    case WIRE_STARTED:
        if (ledger_lanes(ledger)) {
            return lanes_is_recalled(ledger, offset, &(uint64_t){offset + 1});
        }
        return group->mode == GROUP_ORDERED &&
               ordered_is_recalled(ledger, group_holds_dead(group), offset);
    case WIRE_RETRY:
    case WIRE_RELEASE:
    case WIRE_REJECT:
        break;
    }
    return false;
}

/* How one stretch of equal messages stands to the lease. */
static enum verdict judge(struct settling *self, const struct ledger *ledger,
                          const struct run_span *span)
{
    const struct wire_srun *srun = self->srun;
    if (span->run.state == RUN_LEASED &&
        (span->run.lease == srun->lease || reaches(self, ledger, span->end))) {
        return comes_too_late(self, ledger, span->first) ? LOST : APPLIED;
    }
    if (span->run.state == RUN_DONE) {
        return DONE;
    }
    const enum run_outcome outcome = remembered(srun->outcome);
    const bool repeats = outcome != RUN_NO_OUTCOME && span->run.last_lease == srun->lease &&
                         span->run.last_outcome == outcome;
    return repeats ? DONE : LOST;
}

/* A stretch without a run: done, or not handed out (since the last seek). */
static enum verdict judge_gap(const struct ledger *ledger, uint64_t end)
{
    if (end <= ledger->high) {
        return DONE;
    }
    return end <= ledger->water ? LOST : UNKNOWN;
}

/* Cut a gap where its meaning changes. */
static uint64_t gap_end(const struct ledger *ledger, uint64_t first, uint64_t end)
{
    if (first < ledger->high && end > ledger->high) {
        return ledger->high;
    }
    if (first < ledger->water && end > ledger->water) {
        return ledger->water;
    }
    return end;
}

/* One more stretch. Runs may lie over each other, so what they name is no bound. */
static int look(struct settling *self, struct zsp_err *err)
{
    if (self->looks++ < ZSP_SETTLE_LOOKS_MAX) {
        return 0;
    }
    return zsp_err_set_about(err, ZSP_ETOO_LARGE, "runs",
                             "they reach over too many stretches: settle fewer runs at a time");
}

static int settle_ledger(struct settling *self, struct ledger *ledger, struct zsp_err *err)
{
    uint64_t pos = self->srun->first;
    const uint64_t end = pos + self->srun->count;
    while (pos < end) {
        struct run_span span;
        const bool found = runmap_next(&ledger->runs, pos, RUN_CLASS_ANY, &span);
        enum verdict verdict = UNKNOWN;
        uint64_t next = 0;
        int rc = look(self, err);
        if (rc < 0) {
            return rc;
        }
        if (found && span.first <= pos) {
            next = span.end < end ? span.end : end;
            span.first = pos;
            span.end = next;
            if (ledger_lanes(ledger)) {
                (void)lanes_is_recalled(ledger, pos, &next);
                span.end = next;
            }
            verdict = judge(self, ledger, &span);
            rc = verdict == APPLIED ? apply(self, ledger, &span) : 0;
        } else {
            next = gap_end(ledger, pos, found && span.first < end ? span.first : end);
            verdict = judge_gap(ledger, next);
        }
        if (rc == 0) {
            rc = note(self, verdict, pos, next, err);
        }
        if (rc < 0) {
            return rc;
        }
        pos = next;
    }
    return 0;
}

/* `extend`: the lease has one deadline, which only ever moves forwards. */
static int extend(struct settling *self, uint64_t applied_before)
{
    if (self->srun->outcome != WIRE_EXTEND || self->applied == applied_before) {
        return 0;
    }
    const int64_t deadline_ms = self->engine->clock.broker_ms + (int64_t)self->srun->delay_ms;
    if (deadline_ms <= self->lease->deadline_ms) {
        return 0;
    }
    int rc = step_lease(&self->groups->step, self->lease);
    if (rc == 0) {
        self->lease->deadline_ms = deadline_ms;
        self->extends = true;
    }
    return rc;
}

/* The session says what it takes in hand: from now on silence means "not begun". */
static void uses_started(struct settling *self, uint64_t applied_before)
{
    if (self->srun->outcome != WIRE_STARTED || self->applied == applied_before) {
        return;
    }
    self->lease->uses_started = true;
    struct member *member =
        members_find(&self->group->members, &self->groups->members, self->lease->session);
    if (member) {
        member->uses_started = true;
    }
}

static int settle_run(struct settling *self, struct zsp_err *err)
{
    const struct wire_srun *srun = self->srun;
    struct ledger *ledger = group_ledger(self->group, srun->topic, srun->partition);
    const uint64_t applied_before = self->applied;
    int rc = 0;
    self->lease = lease_find(&self->groups->leases, srun->lease);
    if (!ledger) {
        rc = note(self, UNKNOWN, srun->first, srun->first + srun->count, err);
    } else {
        rc = settle_ledger(self, ledger, err);
    }
    if (rc == 0) {
        rc = extend(self, applied_before);
    }
    uses_started(self, applied_before);
    flush_not_applied(self); /* it names this run's topic */
    return rc;
}

/* --- The record ----------------------------------------------------------------------------------- */

/* The step is kept: whoever asked is told now, or when it is synced. */
static void kept(struct settling *self, struct settle *settle, struct settle_told *told)
{
    struct settle_guest *const guest = self->guest;
    self->engine->stats.settled_messages += self->waits ? self->applied : 0;
    self->engine->stats.dead_messages += self->dead;
    if (guest) {
        guest->settle = settle;
        guest->told = *told;
        *told = (struct settle_told){0};
    }
    if (settle) {
        settle_wait_begin(self->engine, settle, guest, told);
    } else if (!guest) {
        settle_answer(self->engine, self->to, told);
    }
}

/* May something that was done before still be on its way to the disk? */
static bool may_be_unsynced(const struct groups *groups)
{
    return settle_wait_any(groups) || !LIST_EMPTY(&groups->seeks) ||
           !LIST_EMPTY(&groups->restores) || !LIST_EMPTY(&groups->engine->transaction_list);
}

/* Everything is in the open step: write it. */
static int finish(struct settling *self, struct zsp_err *err)
{
    struct groups *groups = self->groups;
    const struct zsp_slice bytes = zsp_writer_slice(&groups->not_applied);
    const bool follows = !self->waits && self->repeats && may_be_unsynced(groups);
    const bool is_answered_later = self->waits || follows;
    struct settle_told told = {.applied = self->applied,
                               .not_applied_count = self->not_applied_count,
                               .not_applied = bytes.len > 0 ? zsp_buf_copy(bytes) : NULL};
    struct settle *settle = NULL;
    bool has_memory = told.not_applied || bytes.len == 0;
    if (has_memory && is_answered_later) {
        settle = settle_wait_new(groups, self->to, self->guest != NULL);
        has_memory = settle != NULL;
    }
    if (has_memory && follows) { /* a record behind those that did it */
        has_memory = state_step_time(self->engine, &groups->step) == 0;
    }
    int rc = 0;
    if (has_memory) {
        const enum store_level level = is_answered_later ? STORE_SYNCED_LEVEL : STORE_WRITTEN;
        rc = step_put(&groups->step, self->engine, level, settle ? settle_wait_op(settle) : NULL,
                      err);
    } else {
        step_undo(&groups->step);
        rc = zsp_err_set(err, ZSP_ENOMEM, "settle: out of memory");
    }
    if (rc == 0) {
        kept(self, settle, &told);
    } else {
        settle_wait_drop(groups, settle);
    }
    zsp_buf_put(&told.not_applied);
    return rc;
}

/* --- The request ------------------------------------------------------------------------------------ */

int settle_args_read(const msgpack_object *map, struct settle_args *ret, struct zsp_err *err)
{
    static const struct wire_arg table[] = {
        {"group", WIRE_NAME, offsetof(struct settle_args, group), true, 0, 0},
        {"runs", WIRE_ARRAY, offsetof(struct settle_args, runs), true, 1, ZSP_RUNS_MAX},
    };
    return wire_args(map, table, sizeof table / sizeof table[0], ret, err);
}

static int read_srun(const msgpack_object *object, struct wire_srun *ret, struct zsp_err *err)
{
    const int rc = wire_srun_decode(object, ret, err);
    if (rc == 0 && ret->count > UINT64_MAX - ret->first) {
        return zsp_err_set_about(err, ZSP_EBAD_VALUE, "runs", "a run ends beyond the last offset");
    }
    return rc;
}

int settle_check(const msgpack_object *runs, struct zsp_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < runs->via.array.size && rc == 0; i++) {
        struct wire_srun srun = {0};
        rc = read_srun(&runs->via.array.ptr[i], &srun, err);
    }
    return rc;
}

static int settle_one(struct settling *self, const struct wire_srun *srun, struct zsp_err *err)
{
    struct reasons *reasons = &self->groups->reasons;
    const uint32_t looks_before = self->looks;
    int rc = 0;
    self->srun = srun;
    if (srun->reason.data) {
        self->reason = zsp_buf_copy(reason_cut(srun->reason));
        rc = self->reason ? 0 : zsp_err_set(err, ZSP_ENOMEM, "settle: out of memory");
    }
    if (rc == 0) {
        rc = settle_run(self, err);
    }
    self->engine->unpack.walked_bytes += (uint64_t)(self->looks - looks_before) * LOOK_BYTES;
    reasons_drop(reasons, self->made_reasons);
    reasons_drop(reasons, self->base_reasons);
    self->made_reasons = self->base_reasons = 0;
    zsp_buf_put(&self->reason);
    self->srun = NULL;
    return rc;
}

/* Deadlines that moved move their timers, once the step is kept. */
static void rearm_leases(struct groups *groups, const msgpack_object *runs)
{
    for (uint32_t i = 0; i < runs->via.array.size; i++) {
        struct wire_srun srun = {0};
        if (wire_srun_decode(&runs->via.array.ptr[i], &srun, NULL) < 0 ||
            srun.outcome != WIRE_EXTEND) {
            continue;
        }
        struct lease *lease = lease_find(&groups->leases, srun.lease);
        if (lease) {
            group_lease_rearm(groups, lease);
        }
    }
}

static int settle_runs(struct settling *self, const msgpack_object *runs, struct zsp_err *err)
{
    struct groups *groups = self->groups;
    int rc = 0;
    zsp_writer_reset(&groups->not_applied);
    step_begin(&groups->step);
    for (uint32_t i = 0; i < runs->via.array.size && rc == 0; i++) {
        struct wire_srun srun = {0};
        rc = read_srun(&runs->via.array.ptr[i], &srun, err);
        rc = rc == 0 ? settle_one(self, &srun, err) : rc;
    }
    if (rc < 0 || groups->not_applied.failed) {
        step_undo(&groups->step);
        return rc < 0 && err->code != 0 ? rc
                                        : zsp_err_set(err, ZSP_ENOMEM, "settle: out of memory");
    }
    rc = finish(self, err);
    if (rc == 0 && self->extends) {
        rearm_leases(groups, runs);
    }
    return rc;
}

int settle_outcomes(struct engine *engine, const struct reply_to *to, struct group *group,
                    const msgpack_object *runs, struct settle_guest *guest, struct zsp_err *err)
{
    struct settling self = {
        .engine = engine, .groups = engine->groups, .group = group, .to = to, .guest = guest};
    return settle_runs(&self, runs, err);
}

int settle_in_step(struct engine *engine, struct group *group, const struct wire_srun *runs,
                   uint32_t count, struct settle_sum *ret, struct zsp_err *err)
{
    struct settling self = {
        .engine = engine, .groups = engine->groups, .group = group, .is_strict = true};
    int rc = 0;
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        rc = settle_one(&self, &runs[i], err);
    }
    if (rc < 0 && err->code == 0) {
        rc = zsp_err_set(err, rc, "settle: %s", zsp_strerror(rc));
    }
    *ret = (struct settle_sum){self.applied, self.dead};
    return rc;
}

int verb_settle(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct settle_args args = {0};
    int rc = settle_args_read(request->args, &args, err);
    if (rc < 0) {
        return rc;
    }
    struct settling self = {.engine = engine, .groups = engine->groups, .to = &request->to};
    rc = group_require(engine, args.group, &self.group, err);
    return rc < 0 ? rc : settle_runs(&self, args.runs, err);
}
