/* SPDX-License-Identifier: MPL-2.0
 *
 * SAVEPOINT.RESTORE and SAVEPOINT.UNDO: a group goes back to what it had done when a savepoint was
 * made, or before its last seek. One durable step for all partitions; leases are lost. What the
 * group had done becomes its undo in the same step, so that an undo can be undone.
 */
#include <stdlib.h>
#include <sys/queue.h>

#include "broker/engine/dead/letters.h"
#include "broker/engine/group/mark_watch.h"
#include "broker/engine/ledger/ledger_compare.h"
#include "broker/engine/replay/savepoint.h"
#include "broker/engine/verb.h"

/* Bytes of a header that one row may take beside the topic's name, and what else is in it. */
#define ROW_BYTES   80u
#define REPLY_BYTES 4096u

/* One partition. */
struct restored {
    struct ledger *ledger;
    struct ledger made; /* as it will be */
    uint64_t from, gone;
    struct ledger_difference difference;
};

struct restore {
    struct group *group;
    struct restored *parts;
    struct ledger **ledgers; /* of the parts */
    size_t part_count, part_capacity;
    struct zsp_writer missing; /* names of topics that are not there any more */
    uint32_t missing_count;
    bool without_undo; /* the record has no room for one */
    struct savepoint_change undo;
};

/* The answer, written before the step, told when it is durable. */
struct restore_call {
    struct engine_op op; /* first: its address is the tag */
    struct reply_to to;
    LIST_ENTRY(restore_call) link;
    struct zsp_writer answer;
};

static void fini(struct restore *self)
{
    for (size_t i = 0; i < self->part_count; i++) {
        ledger_fini(&self->parts[i].made);
    }
    free(self->parts);
    free(self->ledgers);
    zsp_writer_fini(&self->missing);
}

static void destroy_call(struct restore_call *call)
{
    LIST_REMOVE(call, link);
    zsp_writer_fini(&call->answer);
    free(call);
}

void restore_fini(struct groups *groups)
{
    while (!LIST_EMPTY(&groups->restores)) {
        destroy_call(LIST_FIRST(&groups->restores));
    }
}

static void tell(struct engine *engine, const struct reply_to *to, const struct zsp_writer *answer)
{
    struct zsp_writer *out = reply_begin(engine, to);
    zsp_write_bytes(out, zsp_writer_slice(answer));
    reply_end(engine);
}

static void is_durable(struct engine *engine, struct engine_op *op,
                       const struct store_completion *completion)
{
    struct restore_call *call = (struct restore_call *)op;
    if (completion->error.code != 0) {
        reply_error(engine, &call->to, &completion->error);
    } else {
        tell(engine, &call->to, &call->answer);
    }
    destroy_call(call);
}

/* --- What is to be ----------------------------------------------------------------------------- */

static int note_missing(struct restore *self, const struct saved_ledger *saved)
{
    /* The ledgers of a topic follow each other. */
    const struct zsp_writer *names = &self->missing;
    const size_t len = saved->topic.len + 2;
    const struct zsp_slice last = {names->len >= len ? names->data + names->len - len + 2 : NULL,
                                   names->len >= len ? saved->topic.len : 0};
    if (self->missing_count > 0 && zsp_slice_equal(last, saved->topic)) {
        return 0;
    }
    zsp_write_short(&self->missing, saved->topic);
    self->missing_count++;
    return self->missing.failed ? ZSP_ENOMEM : 0;
}

/* The ledger that was saved, NULL = its topic went, or the group does not have it any more. */
static struct ledger *ledger_of(const struct group *group, const struct saved_ledger *saved)
{
    const struct binding *binding = name_index_find(&group->bindings, saved->topic);
    if (!binding || !binding->topic || binding->topic->id != saved->topic_id ||
        saved->partition >= binding->topic->partition_count) {
        return NULL;
    }
    return binding->ledgers[saved->partition];
}

static int grow(struct restore *self)
{
    if (self->part_count < self->part_capacity) {
        return 0;
    }
    const size_t capacity = self->part_capacity > 0 ? 2 * self->part_capacity : 4;
    struct restored *parts = realloc(self->parts, capacity * sizeof *parts);
    self->parts = parts ? parts : self->parts;
    struct ledger **ledgers = realloc(self->ledgers, capacity * sizeof(struct ledger *));
    self->ledgers = ledgers ? ledgers : self->ledgers;
    if (!parts || !ledgers) {
        return ZSP_ENOMEM;
    }
    self->part_capacity = capacity;
    return 0;
}

/* Below the start nothing is brought back: what is dead or redriven on islands stays as it is. */
static int keep_islands(const struct ledger *ledger, uint64_t start, struct ledger *made)
{
    struct run_span span = {0};
    int rc = 0;
    while (rc == 0 && runmap_next(&ledger->runs, span.end, RUN_CLASS_ANY, &span) &&
           span.first < start) {
        struct run run = span.run;
        if (run.state == RUN_LEASED || run.state == RUN_RESERVED || run.state == RUN_PARKED) {
            run.state = RUN_READY; /* its lease is lost */
            run.lease = 0;
            run.started = 0;
            run.due_ms = 0;
        }
        rc = runmap_set(&made->runs, span.first, span.end < start ? span.end : start, &run);
    }
    return rc == 0 ? ledger_recount(made) : rc;
}

static int add_part(struct groups *groups, struct restore *self, const struct savepoint *savepoint,
                    const struct saved_ledger *saved, struct zsp_err *err)
{
    struct ledger *ledger = ledger_of(self->group, saved);
    int rc = ledger ? grow(self) : note_missing(self, saved);
    if (rc < 0) {
        return zsp_err_set(err, rc, "savepoint: out of memory");
    }
    if (!ledger) {
        return 0;
    }
    const uint64_t start = ledger->partition->start_offset;
    struct restored *part = &self->parts[self->part_count];
    *part = (struct restored){.ledger = ledger, .from = ledger_committed(ledger)};
    self->ledgers[self->part_count++] = ledger;
    rc = savepoint_load(groups, savepoint, saved, start, &part->made, &part->gone, err);
    if (rc == 0 && (letters_restored(&part->made, ledger) < 0 ||
                    keep_islands(ledger, start, &part->made) < 0)) {
        rc = zsp_err_set(err, ZSP_ENOMEM, "savepoint: out of memory");
    }
    if (rc == 0) {
        part->difference = ledger_compare(ledger, &part->made, start);
    }
    return rc;
}

/* Partitions that the topic got since `last`, which is the last one of it that was saved, was saved:
 * nothing of them was done then. */
static int add_later_parts(struct groups *groups, struct restore *self,
                           const struct savepoint *savepoint, const struct saved_ledger *last,
                           struct zsp_err *err)
{
    const struct ledger *const ledger = ledger_of(self->group, last);
    const uint32_t count = ledger ? ledger->binding->topic->partition_count : 0;
    int rc = 0;
    for (uint32_t i = last->partition + 1; i < count && rc == 0; i++) {
        const struct saved_ledger none = {
            .topic_id = last->topic_id, .topic = last->topic, .partition = i};
        rc = add_part(groups, self, savepoint, &none, err);
    }
    return rc;
}

static int gather(struct groups *groups, struct restore *self, const struct savepoint *savepoint,
                  struct zsp_err *err)
{
    struct zsp_reader in = savepoint_ledgers(savepoint);
    /* An undo holds what was changed, which may be some partitions of a topic. */
    const bool has_all = savepoint_number(savepoint) != SAVEPOINT_UNDO;
    struct saved_ledger saved;
    struct saved_ledger last = {0};
    int rc = 0;
    mark_watch_refresh(groups, self->group);
    while (rc == 0 && savepoint_next_ledger(&in, &saved)) {
        if (has_all && last.topic_id != 0 && last.topic_id != saved.topic_id) {
            rc = add_later_parts(groups, self, savepoint, &last, err);
        }
        rc = rc == 0 ? add_part(groups, self, savepoint, &saved, err) : rc;
        last = saved;
    }
    if (rc == 0 && has_all && last.topic_id != 0) {
        rc = add_later_parts(groups, self, savepoint, &last, err);
    }
    if (rc == 0 && in.failed) {
        rc = zsp_err_set(err, ZSP_ECORRUPT, "%s: a savepoint cannot be read", self->group->object);
    }
    return rc;
}

/* --- The answer ---------------------------------------------------------------------------------- */

static void write_row(struct zsp_writer *out, const struct restored *part)
{
    wire_write_array(out, 7);
    wire_write_str(out, part->ledger->partition->topic->name);
    wire_write_uint(out, ledger_partition_index(part->ledger));
    wire_write_uint(out, part->from);
    wire_write_uint(out, ledger_committed(&part->made));
    wire_write_uint(out, part->difference.redelivered);
    wire_write_uint(out, part->difference.skipped);
    wire_write_uint(out, part->gone);
}

/* How many rows fit a header. */
static size_t rows_that_fit(const struct restore *self)
{
    size_t bytes = REPLY_BYTES + self->missing.len + 4 * (size_t)self->missing_count;
    size_t count = 0;
    while (count < self->part_count) {
        bytes += self->parts[count].ledger->partition->topic->name.len + ROW_BYTES;
        if (bytes > ZSP_HEADER_MAX) {
            break;
        }
        count++;
    }
    return count;
}

static void write_answer(struct zsp_writer *out, const struct restore *self, bool tells_undo)
{
    const size_t rows = rows_that_fit(self);
    struct restored sum = {0};
    for (size_t i = 0; i < self->part_count; i++) {
        sum.difference.redelivered += self->parts[i].difference.redelivered;
        sum.difference.skipped += self->parts[i].difference.skipped;
        sum.gone += self->parts[i].gone;
    }
    wire_write_map(out, 5u + (tells_undo ? 1u : 0u) + (rows < self->part_count ? 1u : 0u));
    if (tells_undo) {
        wire_write_text_bool(out, "undo", self->undo.value != NULL);
    }
    wire_write_text_uint(out, "redelivered", sum.difference.redelivered);
    wire_write_text_uint(out, "skipped", sum.difference.skipped);
    wire_write_text_uint(out, "gone", sum.gone);
    wire_write_text(out, "missing");
    wire_write_array(out, self->missing_count);
    struct zsp_reader names = zsp_reader_init(zsp_writer_slice(&self->missing));
    for (uint32_t i = 0; i < self->missing_count; i++) {
        wire_write_str(out, zsp_read_short(&names));
    }
    wire_write_text(out, "partitions");
    wire_write_array(out, (uint32_t)rows);
    for (size_t i = 0; i < rows; i++) {
        write_row(out, &self->parts[i]);
    }
    if (rows < self->part_count) {
        wire_write_text_bool(out, "more", true);
    }
}

/* --- The step -------------------------------------------------------------------------------------- */

static int build(struct groups *groups, struct restore *self)
{
    int rc = group_step_image(groups, self->group);
    for (size_t i = 0; i < self->part_count && rc == 0; i++) {
        rc = step_replace(&groups->step, self->ledgers[i], &self->parts[i].made);
    }
    rc = rc == 0 ? step_lose_leases(&groups->step, group_first_lease(self->group)) : rc;
    return rc == 0 ? savepoint_step(groups, &self->undo) : rc;
}

static int put(struct engine *engine, struct restore *self, struct engine_op *op,
               struct zsp_err *err)
{
    struct groups *groups = engine->groups;
    self->group->epoch++;
    step_begin(&groups->step);
    int rc = build(groups, self);
    if (rc < 0) {
        step_undo(&groups->step);
        (void)zsp_err_set(err, rc, "%s: %s", self->group->object, zsp_strerror(rc));
    } else {
        rc = step_put(&groups->step, engine, STORE_SYNCED_LEVEL, op, err);
    }
    if (rc < 0) {
        self->group->epoch--;
    }
    savepoint_end(groups, &self->undo, rc == 0);
    for (size_t i = 0; i < self->part_count && rc == 0; i++) {
        group_ledger_moved(groups, self->ledgers[i]);
    }
    return rc;
}

static int go(struct engine *engine, const struct request *request, struct restore *self,
              struct zsp_err *err)
{
    struct groups *groups = engine->groups;
    const int undo_rc = self->without_undo
                            ? savepoint_begin_no_undo(groups, self->group, &self->undo, err)
                            : savepoint_begin_undo(groups, self->group, self->ledgers,
                                                   self->part_count, &self->undo, err);
    struct restore_call *call = undo_rc == 0 ? calloc(1, sizeof *call) : NULL;
    if (!call) {
        savepoint_end(groups, &self->undo, false);
        return undo_rc < 0 ? undo_rc : zsp_err_set(err, ZSP_ENOMEM, "savepoint: out of memory");
    }
    call->op.done_fn = is_durable;
    call->to = request->to;
    LIST_INSERT_HEAD(&groups->restores, call, link);
    write_answer(&call->answer, self, true);
    int rc = call->answer.failed ? zsp_err_set(err, ZSP_ENOMEM, "savepoint: out of memory") : 0;
    if (rc == 0) {
        rc = put(engine, self, &call->op, err);
    }
    if (rc < 0) {
        savepoint_end(groups, &self->undo, false);
        destroy_call(call);
        return rc;
    }
    reply_may_apply(engine, &request->to);
    return 0;
}

static int tell_only(struct engine *engine, const struct request *request,
                     const struct restore *self, struct zsp_err *err)
{
    struct zsp_writer answer = {0};
    write_answer(&answer, self, false);
    const int rc = answer.failed ? zsp_err_set(err, ZSP_ENOMEM, "savepoint: out of memory") : 0;
    if (rc == 0) {
        tell(engine, &request->to, &answer);
    }
    zsp_writer_fini(&answer);
    return rc;
}

static int try_restore(struct engine *engine, const struct request *request, struct restore *self,
                       const struct savepoint *savepoint, bool dry_run, struct zsp_err *err)
{
    int rc = gather(engine->groups, self, savepoint, err);
    if (rc == 0) {
        rc = dry_run ? tell_only(engine, request, self, err) : go(engine, request, self, err);
    }
    fini(self);
    return rc;
}

int restore_begin(struct engine *engine, const struct request *request, struct group *group,
                  const struct savepoint *savepoint, bool dry_run, struct zsp_err *err)
{
    struct restore self = {.group = group};
    int rc = try_restore(engine, request, &self, savepoint, dry_run, err);
    if (rc == ZSP_ETOO_LARGE) {
        self = (struct restore){.group = group, .without_undo = true};
        rc = try_restore(engine, request, &self, savepoint, dry_run, err);
    }
    return rc;
}
