/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/dead/letters.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "broker/engine/batch/batch_walk.h"
#include "broker/engine/commit/transaction.h"
#include "common/assert.h"
#include "common/container.h"
#include "common/diag.h"

#define COPIES_MAX      256u    /* of one transaction */
#define COPY_BYTES_MAX  ZSP_MIB /* about; one message always goes */
#define FORGIVEN_MAX    2000u   /* runs of one step */
#define WAIT_FIRST_MS   1000
#define WAIT_LONGEST_MS 60000

/*      WAITING ---timer---> READING ---> SENDING ---> WAITING, or gone when nothing is owed */
enum letter_state { LETTER_WAITING, LETTER_READING, LETTER_SENDING };

struct letter_call {
    struct transaction transaction; /* SENDING; publishes NULL = not made */
    struct engine_op read;          /* READING */
    LIST_ENTRY(letter_call) link;
    struct groups *groups;
    uint64_t group_id;
    enum letter_state state;
    struct timer timer; /* WAITING */
    int64_t wait_ms;    /* before the next try, 0 = nothing went wrong */

    size_t next_binding;     /* where the last ledger was that owed something */
    uint32_t next_partition; /* */

    uint64_t topic_id; /* of the stretch at work */
    uint32_t partition;
    struct run_span span; /* as it was; holds a reference on its reasons */
    uint64_t end;         /* of what is copied of it */
    bool has_changed;     /* it was something else when it was decided */

    uint64_t copied, failed; /* messages; that cannot be copied at all */
    struct zsp_err error;    /* why it waits */
};

static void fired(struct engine *engine, struct timer *timer);

/* --- The object ------------------------------------------------------------------------------- */

struct letter_call *letters_find(const struct groups *self, const struct group *group)
{
    return zsp_table_find(&self->letter_groups, group_id_key(&group->id));
}

static void drop_span(struct letter_call *call)
{
    reasons_drop(&call->groups->reasons, call->span.run.reasons);
    call->span = (struct run_span){0};
}

static void end(struct letter_call *call)
{
    struct groups *const groups = call->groups;
    engine_cancel(groups->engine, TIMER_WAIT, &call->timer);
    transaction_fini(&call->transaction);
    drop_span(call);
    LIST_REMOVE(call, link);
    (void)zsp_table_remove(&groups->letter_groups, group_id_key(&call->group_id));
    free(call);
}

void letters_fini(struct groups *self)
{
    while (!LIST_EMPTY(&self->letters)) {
        end(LIST_FIRST(&self->letters));
    }
}

/* Where its copies go; without data when there are none. */
static struct zsp_slice topic_of(const struct group *group)
{
    return setting_text(&group_settings_of(group)->texts, TEXT_DEAD_LETTER_TOPIC);
}

bool letters_are_owed(const struct ledger *ledger)
{
    const struct zsp_slice topic = topic_of(ledger->group);
    return topic.data && !zsp_slice_equal(topic, ledger->binding->followers->name);
}

void letters_look(struct groups *self, const struct ledger *ledger)
{
    if ((runmap_classes(&ledger->runs) & RUN_CLASS_OWING) == 0 ||
        letters_find(self, ledger->group)) {
        return;
    }
    struct letter_call *const call = calloc(1, sizeof *call);
    if (!call) {
        group_out_of_memory(self);
        return;
    }
    call->groups = self;
    call->group_id = ledger->group->id;
    if (zsp_table_add(&self->letter_groups, group_id_key(&call->group_id), call) < 0) {
        free(call);
        group_out_of_memory(self);
        return;
    }
    LIST_INSERT_HEAD(&self->letters, call, link);
    call->timer.fire_fn = fired;
    engine_arm(self->engine, TIMER_WAIT, &call->timer, self->engine->clock.broker_ms);
}

void letters_write(struct zsp_writer *out, const struct letter_call *call)
{
    const bool waits = call->error.code != 0;
    wire_write_map(out, waits ? 3 : 2);
    wire_write_text_uint(out, "copied", call->copied);
    wire_write_text_uint(out, "failed", call->failed);
    if (waits) {
        wire_write_text(out, "error");
        wire_write_text(out, call->error.msg);
    }
}

static bool is_same_death(const struct run *one, const struct run *other)
{
    return one->due_ms == other->due_ms && one->deliveries == other->deliveries &&
           one->failures == other->failures;
}

/* Take the debt off what of an owing stretch is copied already. */
static int take_copied(struct ledger *then, const struct ledger *now, const struct run_span *owing)
{
    struct run_span dead = {.end = owing->first};
    struct run copied = owing->run;
    copied.started = 0;
    int rc = 0;
    while (rc == 0 && runmap_next(&now->runs, dead.end, RUN_CLASS_DEAD, &dead) &&
           dead.first < owing->end) {
        const uint64_t first = dead.first > owing->first ? dead.first : owing->first;
        const uint64_t end = dead.end < owing->end ? dead.end : owing->end;
        if (dead.run.started == 0 && is_same_death(&dead.run, &owing->run)) {
            rc = runmap_set(&then->runs, first, end, &copied);
        }
    }
    return rc;
}

int letters_restored(struct ledger *then, const struct ledger *now)
{
    struct run_span owing = {0};
    int rc = 0;
    while (rc == 0 && runmap_next(&then->runs, owing.end, RUN_CLASS_OWING, &owing)) {
        rc = take_copied(then, now, &owing);
    }
    return rc;
}

static void go_on(struct letter_call *call, int64_t wait_ms)
{
    struct engine *const engine = call->groups->engine;
    drop_span(call);
    call->state = LETTER_WAITING;
    engine_arm(engine, TIMER_WAIT, &call->timer, engine->clock.broker_ms + wait_ms);
}

void letters_kick(struct groups *self, const struct group *group)
{
    struct letter_call *const call = letters_find(self, group);
    if (call && call->state == LETTER_WAITING) {
        engine_arm(self->engine, TIMER_WAIT, &call->timer, self->engine->clock.broker_ms);
    }
}

/* It cannot be done now. */
static void try_later(struct letter_call *call, const struct zsp_err *error)
{
    call->error = *error;
    call->wait_ms = call->wait_ms == 0 ? WAIT_FIRST_MS : call->wait_ms * 2;
    call->wait_ms = call->wait_ms < WAIT_LONGEST_MS ? call->wait_ms : WAIT_LONGEST_MS;
    go_on(call, call->wait_ms);
}

/* --- The debt ---------------------------------------------------------------------------------- */

/* The ledger that the stretch is of, NULL = it is gone. */
static struct ledger *ledger_of(const struct letter_call *call)
{
    const struct group *const group = group_by_id(call->groups, call->group_id);
    const struct topic *const topic = topic_by_id(call->groups->engine, call->topic_id);
    return group && topic ? group_ledger(group, topic->name, call->partition) : NULL;
}

/* Take the debt off [first, end) of a run, in the open step. */
static int take_off(struct groups *self, struct ledger *ledger, const struct run_span *span)
{
    struct run run = span->run;
    run.started = 0;
    return step_set(&self->step, ledger, span->first, span->end, &run);
}

/* Put one step that takes the debt off up to FORGIVEN_MAX runs of the ledger that begin before `end`,
 * without a copy. */
static int forgive(struct groups *self, struct ledger *ledger, uint64_t end, uint64_t *ret_messages,
                   struct zsp_err *err)
{
    struct run_span span = {0};
    int rc = 0;
    *ret_messages = 0;
    step_begin(&self->step);
    for (uint32_t left = FORGIVEN_MAX;
         rc == 0 && left > 0 && runmap_next(&ledger->runs, 0, RUN_CLASS_OWING, &span) &&
         span.first < end;
         left--) {
        span.end = span.end < end ? span.end : end;
        *ret_messages += span.end - span.first;
        rc = take_off(self, ledger, &span);
    }
    if (rc < 0) {
        step_undo(&self->step);
        return zsp_err_set(err, rc, "dead letters: %s", zsp_strerror(rc));
    }
    return step_put(&self->step, self->engine, STORE_WRITTEN, NULL, err);
}

/* What is at work cannot be copied, up to `end`: it stays dead. */
static void give_up(struct letter_call *call, uint64_t end, const char *why)
{
    struct ledger *const ledger = ledger_of(call);
    struct engine *const engine = call->groups->engine;
    struct zsp_err error = {0};
    uint64_t messages = 0;
    if (ledger && forgive(call->groups, ledger, end, &messages, &error) < 0) {
        try_later(call, &error);
        return;
    }
    if (ledger) {
        zsp_diag(engine->diag, ZSP_WARNING, "%s: no dead letter of %s/%" PRIu32 "/%" PRIu64 ": %s",
                 ledger->group->object, ledger->partition->topic->object, call->partition,
                 call->span.first, why);
    }
    call->failed += messages;
    go_on(call, 0);
}

/* --- Sending ------------------------------------------------------------------------------------- */

static struct letter_call *call_of(struct transaction *transaction)
{
    return CONTAINER_OF(transaction, struct letter_call, transaction);
}

/* It must still be what was copied. */
static int apply(struct engine *engine, struct transaction *transaction, struct step *step,
                 struct zsp_err *err)
{
    struct letter_call *const call = call_of(transaction);
    struct ledger *const ledger = ledger_of(call);
    struct run_span now;
    (void)step;
    if (!ledger || !runmap_next(&ledger->runs, call->span.first, RUN_CLASS_OWING, &now) ||
        now.first > call->span.first || now.end < call->end ||
        !run_equal(&now.run, &call->span.run)) {
        call->has_changed = true;
        return zsp_err_set(err, ZSP_ENOT_FOUND, "a dead message is not what it was");
    }
    now.first = call->span.first;
    now.end = call->end;
    const int rc = take_off(engine->groups, ledger, &now);
    return rc == 0 ? 0 : zsp_err_set(err, rc, "dead letter: %s", zsp_strerror(rc));
}

static void is_decided(struct engine *engine, struct transaction *transaction)
{
    (void)engine;
    (void)transaction;
}

static void is_over(struct engine *engine, struct transaction *transaction,
                    const struct zsp_err *error)
{
    (void)engine;
    struct letter_call *const call = call_of(transaction);
    const uint64_t count = call->end - call->span.first;
    const struct zsp_err why = error ? *error : (struct zsp_err){0};
    transaction_fini(transaction);
    if (error && !call->has_changed) {
        try_later(call, &why);
        return;
    }
    if (!error) {
        call->copied += count;
        call->wait_ms = 0;
        call->error = (struct zsp_err){0};
    }
    go_on(call, 0);
}

static const struct transaction_hooks hooks = {apply, is_decided, is_over};

static void send_copies(struct letter_call *call, const struct group *group, struct zsp_buf *frame,
                        uint8_t priority)
{
    struct engine *const engine = call->groups->engine;
    const struct zsp_slice name = topic_of(group);
    struct zsp_err error = {0};
    if (transaction_init(&call->transaction, engine, &hooks, 1) < 0) {
        (void)zsp_err_set(&error, ZSP_ENOMEM, "dead letter: out of memory");
        try_later(call, &error);
        return;
    }
    struct transaction_publish *const publish = &call->transaction.publishes[0];
    memcpy(publish->topic, name.data, name.len);
    publish->records.frame = zsp_buf_get(frame);
    publish->records.count = (uint32_t)(call->end - call->span.first);
    publish->records.priority = priority;
    call->has_changed = false;
    call->state = LETTER_SENDING;
    if (transaction_start(engine, &call->transaction, &error) < 0) {
        transaction_fini(&call->transaction);
        try_later(call, &error);
    }
}

/* --- Reading --------------------------------------------------------------------------------------- */

/* Copy what is wanted of a batch. *ret = the body; NULL = nothing of it can be copied. */
static int make_copies(struct letter_call *call, const struct group *group,
                       const struct store_batch *batch, struct zsp_buf **ret, struct zsp_err *err)
{
    struct engine *const engine = call->groups->engine;
    const struct topic *const topic = topic_by_id(engine, call->topic_id);
    const struct store_range range = {call->span.first, call->span.end};
    const struct batch_limits limits = {COPIES_MAX, COPY_BYTES_MAX, true};
    const struct batch_reader reader = {.unpack = &engine->unpack,
                                        .partition = topic->partitions[call->partition]};
    const struct letter_origin origin = {topic->name, group_name(group), call->partition,
                                         &call->span.run, &call->groups->reasons};
    struct batch_walk walk;
    struct batch_piece piece = {0};
    struct zsp_writer body = {0};
    uint32_t count = 0;
    batch_walk_begin(&walk, batch);
    int rc = batch_walk_take(&walk, &reader, range, &limits, &piece, err);
    if (rc == 0 && piece.slice.count > 0 && piece.slice.first_offset == call->span.first) {
        const struct zsp_slice records = {piece.part.buf->data + piece.part.pos, piece.part.len};
        rc = letter_write(&body, &origin, records, piece.slice.first_offset, &count, err);
    }
    batch_walk_end(&walk);
    if (rc == 0 && count > 0) {
        call->end = call->span.first + count;
        *ret = zsp_buf_copy(zsp_writer_slice(&body));
        rc = *ret ? 0 : zsp_err_set(err, ZSP_ENOMEM, "dead letter: out of memory");
    }
    zsp_writer_fini(&body);
    return rc;
}

static void copy(struct letter_call *call, const struct group *group,
                 const struct store_batch *batch)
{
    struct zsp_buf *frame = NULL;
    struct zsp_err error = {0};
    const int rc = make_copies(call, group, batch, &frame, &error);
    if (rc == ZSP_ENOMEM) {
        try_later(call, &error);
    } else if (rc < 0) {
        give_up(call, call->span.first + 1, error.msg);
    } else if (!frame) {
        const uint64_t first = batch->first_offset;
        const bool is_behind = first > call->span.first;
        give_up(call, is_behind ? first : call->span.first + 1,
                is_behind ? "it is not in the log any more"
                          : "it is too large with its headers, or was copied too often");
    } else {
        send_copies(call, group, frame, batch->priority);
    }
    zsp_buf_put(&frame);
}

static void is_read(struct engine *engine, struct engine_op *op,
                    const struct store_completion *completion)
{
    struct letter_call *const call = CONTAINER_OF(op, struct letter_call, read);
    const struct group *const group = group_by_id(call->groups, call->group_id);
    (void)engine;
    if (!group || !ledger_of(call) || !topic_of(group).data) {
        go_on(call, 0); /* looks anew */
    } else if (completion->error.code == ZSP_ECORRUPT &&
               completion->covered.end_offset > call->span.first) {
        give_up(call, completion->covered.end_offset, completion->error.msg);
    } else if (completion->error.code != 0) {
        try_later(call, &completion->error);
    } else if (completion->batch_count > 0) {
        copy(call, group, &completion->batches[0]);
    } else if (completion->covered.end_offset > call->span.first) {
        give_up(call, completion->covered.end_offset, "it is not in the log any more");
    } else {
        struct zsp_err error;
        (void)zsp_err_set(&error, ZSP_EINTERNAL, "the store read nothing");
        try_later(call, &error);
    }
}

/* --- Work -------------------------------------------------------------------------------------------- */

/* Does a ledger of the binding owe something, from a partition on? */
static struct ledger *owing_of(struct letter_call *call, const struct binding *binding,
                               uint32_t from)
{
    for (uint32_t k = from; binding->topic && k < binding->topic->partition_count; k++) {
        call->groups->letters_looked++;
        if ((runmap_classes(&binding->ledgers[k]->runs) & RUN_CLASS_OWING) != 0) {
            call->next_partition = k;
            return binding->ledgers[k];
        }
    }
    return NULL;
}

/* Any ledger of the group that owes something, NULL = none does. Round, from where the last one was: bindings
 * may have come and gone since, it is only where to begin. */
static struct ledger *find_owing(struct letter_call *call, const struct group *group)
{
    const size_t count = group->bindings.count;
    for (size_t i = 0; count > 0 && i <= count; i++) {
        const size_t at = (call->next_binding + i) % count;
        const uint32_t from = i == 0 ? call->next_partition : 0;
        struct ledger *ledger = owing_of(call, group->bindings.slots[at].value, from);
        if (ledger) {
            call->next_binding = at;
            return ledger;
        }
    }
    return NULL;
}

static void read_first(struct letter_call *call, struct ledger *ledger)
{
    struct engine *const engine = call->groups->engine;
    struct zsp_err error = {0};
    const bool found = runmap_next(&ledger->runs, 0, RUN_CLASS_OWING, &call->span);
    zsp_assert(found);
    reasons_hold(&call->groups->reasons, call->span.run.reasons);
    call->topic_id = ledger_topic_id(ledger);
    call->partition = ledger_partition_index(ledger);
    call->end = call->span.first;
    call->state = LETTER_READING;
    call->read.done_fn = is_read;
    const struct store_read wanted = {
        .part = ledger->partition->part,
        .from_offset = call->span.first,
        .to_offset = call->span.end,
        .max_bytes = COPY_BYTES_MAX,
        .tag = engine_op_tag(&call->read),
    };
    if (engine->store->ops->read(engine->store, &wanted, &error) < 0) {
        try_later(call, &error);
    }
}

static void fired(struct engine *engine, struct timer *timer)
{
    struct letter_call *const call = CONTAINER_OF(timer, struct letter_call, timer);
    const struct group *const group = group_by_id(engine->groups, call->group_id);
    struct ledger *const ledger = group ? find_owing(call, group) : NULL;
    struct zsp_err error = {0};
    uint64_t messages = 0;
    if (!ledger) {
        end(call);
    } else if (letters_are_owed(ledger)) {
        read_first(call, ledger);
    } else if (forgive(engine->groups, ledger, UINT64_MAX, &messages, &error) < 0) {
        try_later(call, &error);
    } else {
        go_on(call, 0); /* the setting went: no copies any more */
    }
}
