/* SPDX-License-Identifier: MPL-2.0
 *
 * DEAD.LIST, DEAD.REDRIVE and DEAD.DROP. A list only looks. The other two are one durable step of
 * bounded size for each request; who has chosen more goes on with the next request where the answer
 * tells.
 */
#include "broker/engine/dead/dead_verbs.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "broker/engine/dead/dead_answers.h"
#include "broker/engine/dead/redrive.h"
#include "common/assert.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* Runs and partitions that one request looks at. */
#define LOOKS_MAX 16384u
/* Rows of a list when nothing is told. */
#define LIST_DEFAULT 100u
/* Bytes of a reply's header that a list leaves free: its last row, and what is not rows. */
#define HEADER_SPARE 4096u
_Static_assert(ZSP_REASONS_KEPT *(ZSP_REASON_MAX + 3u) + ZSP_NAME_MAX + 64u < HEADER_SPARE / 2,
               "a row and the rest fit");
/* What one step changes at most: then its record is within the bounds of step.h. */
#define STEP_RUNS_MAX     2000u
#define STEP_MESSAGES_MAX (UINT64_C(1024) * ZSP_STATE_BLOCK)

/* --- DEAD.LIST ------------------------------------------------------------------------------- */

static const struct wire_arg list_table[] = {
    DEAD_FILTER_ARGS,
    {"limit", WIRE_UINT, DEAD_ARG(limit), false, 1, ZSP_LIST_MAX},
};

static void write_item(struct zsp_writer *out, const struct ledger *ledger,
                       const struct run_span *span)
{
    const struct reasons *const reasons = ledger->runs.slab->reasons;
    const uint32_t count = reasons_count(reasons, span->run.reasons);
    wire_write_array(out, 8);
    wire_write_str(out, ledger->binding->followers->name);
    wire_write_uint(out, ledger_partition_index(ledger));
    wire_write_uint(out, span->first);
    wire_write_uint(out, span->end - span->first);
    wire_write_uint(out, (uint64_t)span->run.due_ms);
    wire_write_uint(out, span->run.deliveries);
    wire_write_uint(out, span->run.failures);
    wire_write_array(out, count);
    for (uint32_t i = 0; i < count; i++) {
        wire_write_str(out, reasons_text(reasons, span->run.reasons, i));
    }
}

/* Write rows, alike neighbours as one; the walk stands behind them. Returns how many. */
static uint32_t write_items(struct zsp_writer *out, struct dead_walk *walk, uint64_t limit)
{
    struct ledger *ledger = NULL, *row_ledger = NULL;
    struct run_span span, row = {0};
    uint32_t count = 0;
    while (dead_walk_next(walk, &ledger, &span)) {
        zsp_assert(ledger);
        if (row_ledger == ledger && row.end == span.first &&
            dead_are_alike(ledger->runs.slab->reasons, &row.run, &span.run)) {
            row.end = span.end;
            continue;
        }
        if (row_ledger) {
            write_item(out, row_ledger, &row);
            row_ledger = NULL;
            count++;
        }
        if (count == limit || out->len > ZSP_HEADER_MAX - HEADER_SPARE) {
            dead_walk_cut(walk, ledger, span.first);
            break;
        }
        row_ledger = ledger;
        row = span;
    }
    if (row_ledger) {
        write_item(out, row_ledger, &row);
        count++;
    }
    return count;
}

/* All that is dead in the group. */
static uint64_t count_dead(const struct group *group)
{
    uint64_t count = 0;
    for (size_t i = 0; i < group->bindings.count; i++) {
        const struct binding *const binding = group->bindings.slots[i].value;
        for (uint32_t k = 0; binding->topic && k < binding->topic->partition_count; k++) {
            count += ledger_dead(binding->ledgers[k]);
        }
    }
    return count;
}

int verb_dead_list(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct dead_args args = {0};
    struct dead_filter filter = {0};
    struct dead_place place = {0};
    struct group *group = NULL;
    int rc = wire_args(request->args, list_table, COUNT(list_table), &args, err);
    if (rc == 0) {
        rc = dead_read_filter(engine, &args, &group, &filter, err);
    }
    if (rc == 0 && args.from) {
        rc = dead_read_place(&args, &place, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct dead_walk walk;
    dead_walk_begin(&walk, group, &filter, args.from ? &place : NULL);
    walk.looks = LOOKS_MAX;
    struct zsp_writer *const rows = &engine->scratch;
    zsp_writer_reset(rows);
    const uint32_t count =
        write_items(rows, &walk, args.limit.set ? args.limit.value : LIST_DEFAULT);
    if (rows->failed) {
        return zsp_err_set(err, ZSP_ENOMEM, "dead: out of memory");
    }
    struct zsp_writer *const out = reply_begin(engine, &request->to);
    wire_write_map(out, walk.is_over ? 3 : 4);
    wire_write_text(out, "items");
    wire_write_array(out, count);
    zsp_write_bytes(out, zsp_writer_slice(rows));
    wire_write_text_uint(out, "dead", count_dead(group));
    wire_write_text_bool(out, "more", !walk.is_over);
    if (!walk.is_over) {
        dead_walk_place(&walk, &place);
        dead_write_next(out, &place);
    }
    reply_end(engine);
    return 0;
}

/* --- Changes ----------------------------------------------------------------------------------- */

/* A request whose record is on its way. */
struct dead_call {
    struct engine_op op; /* first: its address is the tag */
    struct reply_to to;
    LIST_ENTRY(dead_call) link;
    struct dead_answer answer;
    const struct dead_call *first; /* it is this one, sent again; NULL = it is no repetition */
};

/* What is being put into one step. */
struct changing {
    struct groups *groups;
    enum dead_fate fate;
    bool dry_run;
    uint64_t messages;
    uint32_t runs;
};

static void free_call(struct dead_call *call)
{
    LIST_REMOVE(call, link);
    free(call);
}

void dead_fini(struct groups *self)
{
    while (!LIST_EMPTY(&self->dead_calls)) {
        free_call(LIST_FIRST(&self->dead_calls));
    }
    dead_answers_fini(self);
}

static struct dead_call *new_call(struct groups *self, const struct reply_to *to)
{
    struct dead_call *const call = calloc(1, sizeof *call);
    if (call) {
        call->to = *to;
        LIST_INSERT_HEAD(&self->dead_calls, call, link);
    }
    return call;
}

static void tell(struct engine *engine, const struct reply_to *to, const struct dead_answer *answer)
{
    struct zsp_writer *const out = reply_begin(engine, to);
    wire_write_map(out, answer->more ? 3 : 2);
    wire_write_text_uint(out, "messages", answer->messages);
    wire_write_text_bool(out, "more", answer->more);
    if (answer->more) {
        dead_write_next(out, &answer->place);
    }
    reply_end(engine);
}

/* For the first time. */
static void answer(struct engine *engine, const struct reply_to *to,
                   const struct dead_answer *answer)
{
    dead_answers_keep(engine->groups, to, answer);
    tell(engine, to, answer);
}

static void is_durable(struct engine *engine, struct engine_op *op,
                       const struct store_completion *completion)
{
    struct dead_call *const call = (struct dead_call *)op;
    struct dead_call *next = NULL;
    if (completion->error.code != 0) {
        reply_error(engine, &call->to, &completion->error);
    } else {
        answer(engine, &call->to, &call->answer);
    }
    for (struct dead_call *other = LIST_FIRST(&engine->groups->dead_calls); other; other = next) {
        next = LIST_NEXT(other, link);
        if (other->first != call) {
            continue;
        }
        if (completion->error.code != 0) {
            reply_error(engine, &other->to, &completion->error);
        } else {
            tell(engine, &other->to, &call->answer);
        }
        free_call(other);
    }
    free_call(call);
}

/* Was it sent before, by the same session? Then it has the answer of that, or will. */
static bool repeats(struct engine *engine, const struct request *request)
{
    struct groups *const groups = engine->groups;
    const struct dead_answer *const known = dead_answers_find(groups, &request->to);
    const struct dead_call *call, *first = NULL;
    if (known) {
        tell(engine, &request->to, known);
        return true;
    }
    LIST_FOREACH (call, &groups->dead_calls, link) {
        if (!call->first && call->to.session != 0 && call->to.session == request->to.session &&
            call->to.id == request->to.id) {
            first = call;
        }
    }
    struct dead_call *const again = first ? new_call(groups, &request->to) : NULL;
    if (again) {
        again->first = first;
        reply_may_apply(engine, &again->to);
    }
    return again != NULL;
}

static int change(void *arg, struct ledger *ledger, const struct run_span *span)
{
    struct changing *const self = arg;
    self->messages += span->end - span->first;
    self->runs++;
    return self->dry_run ? 0 : dead_change(self->groups, ledger, span, self->fate);
}

/* Change what the walk finds, as much as a step takes. */
static int change_found(struct changing *self, struct dead_walk *walk)
{
    struct ledger *ledger = NULL;
    struct run_span span;
    int rc = 0;
    while (rc == 0 && self->runs < STEP_RUNS_MAX && self->messages < STEP_MESSAGES_MAX &&
           dead_walk_next(walk, &ledger, &span)) {
        const uint64_t room = STEP_MESSAGES_MAX - self->messages;
        if (span.end - span.first > room) {
            span.end = span.first + room;
            dead_walk_cut(walk, ledger, span.end);
        }
        rc = change(self, ledger, &span);
    }
    return rc;
}

/* Everything is in the open step: write it, or take it back. */
static int put(struct engine *engine, struct dead_call *call, int rc, struct zsp_err *err)
{
    struct step *const step = &engine->groups->step;
    if (rc < 0) {
        step_undo(step);
        return err->code != 0 ? rc : zsp_err_set(err, rc, "dead: %s", zsp_strerror(rc));
    }
    const bool is_durable_change = step_is_durable(step);
    call->op.done_fn = is_durable;
    rc = step_put(step, engine, STORE_SYNCED_LEVEL, &call->op, err);
    if (rc == 0 && is_durable_change) {
        reply_may_apply(engine, &call->to);
    } else if (rc == 0) {
        answer(engine, &call->to, &call->answer);
        free_call(call);
    }
    return rc;
}

static int change_chosen(const struct dead_args *args, struct group *group,
                         const struct dead_filter *filter, struct changing *self,
                         struct dead_call *call, struct zsp_err *err)
{
    struct dead_walk walk;
    if (args->runs) {
        return dead_read_runs(group, args, change, self, err);
    }
    int rc = args->from ? dead_read_place(args, &call->answer.place, err) : 0;
    if (rc < 0) {
        return rc;
    }
    dead_walk_begin(&walk, group, filter, args->from ? &call->answer.place : NULL);
    walk.looks = LOOKS_MAX;
    rc = change_found(self, &walk);
    call->answer.more = !walk.is_over;
    if (call->answer.more) {
        dead_walk_place(&walk, &call->answer.place);
    }
    return rc;
}

/* Either runs, or something to choose by, or all of them. */
static int check_choice(const struct dead_args *args, struct zsp_err *err)
{
    const bool has_filter =
        args->topic.data || args->reason.data || args->older_than_ms.set || args->newer_than_ms.set;
    if (args->runs && (has_filter || args->all.value || args->from)) {
        (void)zsp_err_set(err, ZSP_EBAD_VALUE, "runs: not together with another choice");
        zsp_err_detail(err, "runs", "runs alone", NULL);
        return ZSP_EBAD_VALUE;
    }
    if (!args->runs && !has_filter && !args->all.value) {
        (void)zsp_err_set(err, ZSP_EBAD_VALUE, "all: nothing is chosen, and not all either");
        zsp_err_detail(err, "all", "runs, a topic, a reason, an age, or all", NULL);
        return ZSP_EBAD_VALUE;
    }
    return 0;
}

/* Begin what goes on by itself; it is answered at once. */
static int begin_redrive(struct engine *engine, const struct request *request,
                         const struct dead_args *args, enum dead_fate fate, struct zsp_err *err)
{
    struct dead_filter filter = {0};
    struct dead_place place = {0};
    struct group *group = NULL;
    int rc = check_choice(args, err);
    if (rc == 0 && args->runs) {
        rc = zsp_err_set(err, ZSP_EBAD_VALUE, "rate: not for runs that are named");
        zsp_err_detail(err, "rate", "a choice by topic, reason or age, or all", NULL);
    }
    if (rc == 0) {
        rc = dead_read_filter(engine, args, &group, &filter, err);
    }
    if (rc == 0 && args->from) {
        rc = dead_read_place(args, &place, err);
    }
    if (rc == 0) {
        rc = redrive_begin(engine->groups, group, &filter, args->from ? &place : NULL, fate,
                           args->rate.value, err);
    }
    if (rc == 0) {
        const struct dead_answer begun = {0};
        answer(engine, &request->to, &begun);
    }
    return rc;
}

static int stop_redrive(struct engine *engine, const struct request *request,
                        const struct dead_args *args, struct zsp_err *err)
{
    struct group *group = NULL;
    const int rc = group_require(engine, args->group, &group, err);
    struct redrive *const redrive = rc == 0 ? redrive_find(engine->groups, group) : NULL;
    if (rc == 0 && !redrive) {
        (void)zsp_err_set(err, ZSP_ENOT_FOUND, "%s: no redrive is under way", group->object);
        zsp_err_detail(err, group->object, NULL, NULL);
        return ZSP_ENOT_FOUND;
    }
    if (rc == 0) {
        const struct dead_answer stopped = {.messages = redrive_messages(redrive)};
        redrive_stop(engine->groups, redrive);
        answer(engine, &request->to, &stopped);
    }
    return rc;
}

static int change_dead(struct engine *engine, const struct request *request,
                       const struct dead_args *args, enum dead_fate fate, struct zsp_err *err)
{
    struct groups *const groups = engine->groups;
    struct dead_filter filter = {0};
    struct group *group = NULL;
    int rc = check_choice(args, err);
    if (rc == 0) {
        rc = dead_read_filter(engine, args, &group, &filter, err);
    }
    struct dead_call *const call = rc == 0 ? new_call(groups, &request->to) : NULL;
    if (!call) {
        return rc < 0 ? rc : zsp_err_set(err, ZSP_ENOMEM, "dead: out of memory");
    }
    struct changing changing = {
        .groups = groups, .fate = fate, .dry_run = args->dry_run.value != 0};
    step_begin(&groups->step);
    rc = change_chosen(args, group, &filter, &changing, call, err);
    call->answer.messages = changing.messages;
    rc = put(engine, call, rc, err);
    if (rc < 0) {
        free_call(call);
    }
    return rc;
}

static const struct wire_arg redrive_table[] = {
    DEAD_FILTER_ARGS,
    {"runs", WIRE_ARRAY, DEAD_ARG(runs), false, 1, ZSP_RUNS_MAX},
    {"all", WIRE_BOOL, DEAD_ARG(all), false, 0, 0},
    {"dry_run", WIRE_BOOL, DEAD_ARG(dry_run), false, 0, 0},
    {"keep_counts", WIRE_BOOL, DEAD_ARG(keep_counts), false, 0, 0},
    {"rate", WIRE_UINT, DEAD_ARG(rate), false, 1, REDRIVE_RATE_MAX},
    {"stop", WIRE_BOOL, DEAD_ARG(stop), false, 0, 0},
};

int verb_dead_redrive(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct dead_args args = {0};
    const int rc = wire_args(request->args, redrive_table, COUNT(redrive_table), &args, err);
    const enum dead_fate fate = args.keep_counts.value ? DEAD_REDRIVEN_COUNTED : DEAD_REDRIVEN;
    if (rc < 0 || repeats(engine, request)) {
        return rc;
    }
    if (args.stop.value) {
        return stop_redrive(engine, request, &args, err);
    }
    return args.rate.set && !args.dry_run.value ? begin_redrive(engine, request, &args, fate, err)
                                                : change_dead(engine, request, &args, fate, err);
}

static const struct wire_arg drop_table[] = {
    DEAD_FILTER_ARGS,
    {"runs", WIRE_ARRAY, DEAD_ARG(runs), false, 1, ZSP_RUNS_MAX},
    {"all", WIRE_BOOL, DEAD_ARG(all), false, 0, 0},
    {"dry_run", WIRE_BOOL, DEAD_ARG(dry_run), false, 0, 0},
};

int verb_dead_drop(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct dead_args args = {0};
    const int rc = wire_args(request->args, drop_table, COUNT(drop_table), &args, err);
    return rc < 0 || repeats(engine, request)
               ? rc
               : change_dead(engine, request, &args, DEAD_DROPPED, err);
}
