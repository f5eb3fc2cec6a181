/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/commit/commit_call.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/engine/publish/producer.h"
#include "broker/engine/publish/publish.h"
#include "broker/engine/pull/settle.h"
#include "broker/engine/state.h"
#include "common/assert.h"

static int apply(struct engine *engine, struct transaction *transaction, struct step *step,
                 struct zsp_err *err);
static void is_decided(struct engine *engine, struct transaction *transaction);
static void is_over(struct engine *engine, struct transaction *transaction,
                    const struct zsp_err *error);

static const struct transaction_hooks hooks = {apply, is_decided, is_over};

/* --- the object ---------------------------------------------------------------------- */

struct commit_call *commit_call_new(struct engine *engine, uint32_t publish_count)
{
    struct commit_call *const self = calloc(1, sizeof *self);
    if (!self || transaction_init(&self->transaction, engine, &hooks, publish_count)) {
        free(self);
        return NULL;
    }
    LIST_INSERT_HEAD(&engine->commit_call_list, self, link);
    return self;
}

static void free_memory(struct commit_call *self)
{
    while (self->echoes) {
        struct commit_echo *const echo = self->echoes;
        self->echoes = echo->next;
        free(echo);
    }
    zsp_buf_put(&self->answer.rows);
    free(self->runs);
    free(self->texts);
    free(self);
}

void commit_call_free(struct engine *engine, struct commit_call *self)
{
    transaction_fini(&self->transaction);
    LIST_REMOVE(self, link);
    engine->commit_run_bytes -= self->run_bytes;
    free_memory(self);
}

void commit_call_free_all(struct engine *engine)
{
    while (!LIST_EMPTY(&engine->commit_call_list)) {
        struct commit_call *const self = LIST_FIRST(&engine->commit_call_list);
        LIST_REMOVE(self, link);
        free_memory(self);
    }
}

static int out_of_memory(struct zsp_err *err)
{
    return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
}

static struct zsp_slice keep_text(char **place, struct zsp_slice text)
{
    char *const at = *place;
    if (!text.data) {
        return text;
    }
    memcpy(at, text.data, text.len);
    *place += text.len;
    return (struct zsp_slice){(const uint8_t *)at, text.len};
}

/* They take more memory here than in the request, which may hold no body, and wait. */
static int count_runs(struct engine *engine, struct commit_call *self, uint64_t bytes,
                      struct zsp_err *err)
{
    if (bytes > ZSP_COMMIT_RUNS_BYTES - engine->commit_run_bytes) {
        return zsp_err_set_about(
            err, ZSP_ELIMIT_REACHED, "commit",
            "the outcomes of all commits at work have %u bytes, no more are taken",
            ZSP_COMMIT_RUNS_BYTES);
    }
    self->run_bytes += bytes;
    engine->commit_run_bytes += bytes;
    return 0;
}

int commit_call_take_runs(struct engine *engine, struct commit_call *self,
                          const msgpack_object *runs, struct zsp_err *err)
{
    const uint32_t count = runs->via.array.size;
    if (count_runs(engine, self, count * sizeof *self->runs, err) < 0) {
        return ZSP_ELIMIT_REACHED;
    }
    self->runs = calloc(count, sizeof *self->runs);
    if (!self->runs) {
        return out_of_memory(err);
    }
    size_t bytes = 1;
    int rc = settle_check(runs, err);
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        struct wire_srun *const run = &self->runs[i];
        rc = wire_srun_decode(&runs->via.array.ptr[i], run, err);
        if (rc == 0 && (run->outcome == WIRE_EXTEND || run->outcome == WIRE_STARTED)) {
            rc = zsp_err_set(err, ZSP_EBAD_VALUE,
                             "a commit settles: ack, retry, release, reject; "
                             "not \"%s\"",
                             wire_outcome_name(run->outcome));
            zsp_err_detail(err, "settle", "ack | retry | release | reject", NULL);
        }
        bytes += run->topic.len + run->reason.len;
    }
    if (rc == 0) {
        rc = count_runs(engine, self, bytes, err);
    }
    if (rc != 0) {
        return rc;
    }
    self->texts = malloc(bytes);
    if (!self->texts) {
        return out_of_memory(err);
    }
    char *place = self->texts;
    for (uint32_t i = 0; i < count; i++) {
        self->runs[i].topic = keep_text(&place, self->runs[i].topic);
        self->runs[i].reason = keep_text(&place, self->runs[i].reason);
    }
    self->run_count = count;
    return 0;
}

/* --- publishes behind it ------------------------------------------------------------------- */

struct commit_call *commit_call_before(const struct engine *engine, const struct reply_to *to,
                                       struct zsp_slice topic)
{
    struct commit_call *self = NULL;
    if (to->session == 0) {
        return NULL;
    }
    LIST_FOREACH (self, &engine->commit_call_list, link) { /* the last one that came is the first */
        if (self->to.session != to->session || self->is_decided || self->transaction.atomic) {
            continue;
        }
        for (uint32_t i = 0; i < self->transaction.publish_count; i++) {
            if (zsp_slice_equal_str(topic, self->transaction.publishes[i].topic)) {
                return self;
            }
        }
    }
    return NULL;
}

void commit_call_follow(struct commit_call *self, struct publish *publish)
{
    publish->behind_next = NULL;
    *(self->behind_last ? &self->behind_last->behind_next : &self->behind_first) = publish;
    self->behind_last = publish;
}

static void let_go_on(struct engine *engine, struct commit_call *self)
{
    while (self->behind_first) {
        struct publish *const publish = self->behind_first;
        self->behind_first = publish->behind_next;
        publish_go_on(engine, publish);
    }
    self->behind_last = NULL;
}

/* --- answers ---------------------------------------------------------------------------- */

static void answer(struct engine *engine, const struct reply_to *to,
                   const struct commit_answer *told, bool is_duplicate)
{
    struct zsp_writer *const out = reply_begin(engine, to);
    wire_write_map(out, told ? 4 : 2);
    wire_write_text(out, "at");
    if (told) {
        zsp_write_bytes(out, (struct zsp_slice){told->rows->data, told->rows->len});
        wire_write_text_uint(out, "applied", told->applied);
        wire_write_text(out, "timestamp_ms");
        wire_write_int(out, told->timestamp_ms);
    } else {
        wire_write_nil(out);
    }
    wire_write_text_bool(out, "duplicate", is_duplicate);
    reply_end(engine);
}

static void refuse(struct engine *engine, struct commit_call *self, const struct zsp_err *error)
{
    reply_error(engine, &self->to, error);
    for (struct commit_echo *echo = self->echoes; echo; echo = echo->next) {
        reply_error(engine, &echo->to, error);
    }
}

/* --- sequences ---------------------------------------------------------------------------- */

static uint64_t last_given(const struct commit_log *log)
{
    if (!log) {
        return 0;
    }
    return log->call_last ? log->call_last->sequence : log->put_last;
}

static int add_echo(struct engine *engine, struct commit_log *log, uint64_t sequence,
                    const struct reply_to *to, struct zsp_err *err)
{
    struct commit_call *call = log->call_first;
    while (call->sequence != sequence) {
        call = call->next;
    }
    struct commit_echo *const echo = calloc(1, sizeof *echo);
    if (!echo) {
        return out_of_memory(err);
    }
    echo->to = *to;
    echo->next = call->echoes;
    call->echoes = echo;
    if (call->is_decided) {
        reply_may_apply(engine, to);
    }
    return 1;
}

int commit_call_check(struct engine *engine, struct producer *producer, uint64_t sequence,
                      const struct reply_to *to, struct zsp_err *err)
{
    struct commit_log *const log = commit_log_find(engine, producer->id);
    const uint64_t last = last_given(log);
    if (sequence == last + 1) {
        return 0;
    }
    if (sequence > last) {
        char wanted[24];
        char got[24];
        (void)snprintf(wanted, sizeof wanted, "%" PRIu64, last + 1);
        (void)snprintf(got, sizeof got, "%" PRIu64, sequence);
        zsp_err_set(err, ZSP_ESEQUENCE_GAP, "%s: its last commit was %" PRIu64 ", this one is %s",
                    producer->object, last, got);
        zsp_err_detail(err, producer->object, wanted, got);
        return ZSP_ESEQUENCE_GAP;
    }
    producer_touch(engine, producer);
    if (log->call_first && sequence >= log->call_first->sequence) {
        return add_echo(engine, log, sequence, to, err);
    }
    answer(engine, to, commit_log_answer(log, sequence), true);
    return 1;
}

/* --- work ---------------------------------------------------------------------------------- */

/* The call is first or last of those of its producer that are not over. */
static void leave(struct engine *engine, struct commit_call *self)
{
    struct commit_log *const log = commit_log_find(engine, self->producer_id);
    struct commit_call *before = NULL;
    for (struct commit_call *at = log->call_first; at != self; at = at->next) {
        before = at;
    }
    *(before ? &before->next : &log->call_first) = self->next;
    if (log->call_last == self) {
        log->call_last = before;
    }
}

static void end(struct engine *engine, struct commit_call *self)
{
    struct producer *const producer = producer_by_id(engine, self->producer_id);
    leave(engine, self);
    let_go_on(engine, self);
    commit_call_free(engine, self);
    producer_batch_ends(engine, producer);
}

/* It is refused, and so are those behind it: their sequences do not follow any more. */
static void fail(struct engine *engine, struct commit_call *self, const struct zsp_err *error)
{
    struct zsp_err told = *error;
    while (self) {
        struct commit_call *const next = self->next;
        refuse(engine, self, &told);
        end(engine, self);
        if (next && told.code != ZSP_ESEQUENCE_GAP) {
            zsp_err_set_about(&told, ZSP_ESEQUENCE_GAP, "commit",
                              "the commit before it was refused: %.200s", error->msg);
        }
        self = next;
    }
}

static int require_producer(const struct engine *engine, const struct commit_call *self,
                            struct zsp_err *err)
{
    struct producer *producer = producer_by_id(engine, self->producer_id);
    return producer_check(engine, producer->name, self->epoch, &producer, err);
}

/* Begin with the first one that is not decided. It waits while as many before it are not answered
 * as answers are remembered: it would have the first one forgotten before it is told. */
static void work(struct engine *engine, uint64_t producer_id)
{
    const struct commit_log *const log = commit_log_find(engine, producer_id);
    struct commit_call *self = log->call_first;
    uint32_t unanswered = 0;
    while (self && self->is_decided) {
        self = self->next;
        unanswered++;
    }
    if (!self || self->is_at_work || unanswered == ZSP_COMMIT_WINDOW) {
        return;
    }
    struct zsp_err refusal = {0};
    self->is_at_work = true;
    int rc = require_producer(engine, self, &refusal);
    if (rc == 0) {
        rc = transaction_start(engine, &self->transaction, &refusal);
    }
    if (rc != 0) {
        fail(engine, self, &refusal);
    }
}

int commit_call_start(struct engine *engine, struct producer *producer, struct commit_call *self,
                      struct zsp_err *err)
{
    struct commit_log *const log = commit_log_open(engine, producer->id);
    if (!log) {
        return out_of_memory(err);
    }
    self->producer_id = producer->id;
    *(log->call_last ? &log->call_last->next : &log->call_first) = self;
    log->call_last = self;
    producer_touch(engine, producer);
    producer_batch_begins(producer);
    work(engine, producer->id);
    return 0;
}

/* Outcomes of the group that the call names. */
static int settle(struct engine *engine, struct commit_call *self, struct zsp_err *err)
{
    struct group *group = NULL;
    const int rc = group_require(engine, zsp_slice_str(self->group), &group, err);
    if (rc != 0) {
        return rc;
    }
    struct settle_sum sum = {0};
    const int settled = settle_in_step(engine, group, self->runs, self->run_count, &sum, err);
    self->applied = sum.applied;
    self->dead = sum.dead;
    return settled;
}

/* What is to be remembered: where its messages are. */
static int make_answer(struct engine *engine, struct commit_call *self, struct zsp_err *err)
{
    struct zsp_writer *const rows = &engine->scratch;
    zsp_writer_reset(rows);
    transaction_write_rows(rows, &self->transaction);
    self->answer.sequence = self->sequence;
    self->answer.timestamp_ms = self->transaction.timestamp_ms;
    self->answer.applied = self->applied;
    self->answer.rows = rows->failed ? NULL : zsp_buf_copy(zsp_writer_slice(rows));
    return self->answer.rows ? 0 : out_of_memory(err);
}

static int apply(struct engine *engine, struct transaction *transaction, struct step *step,
                 struct zsp_err *err)
{
    struct commit_call *const self = (struct commit_call *)transaction;
    struct commit_log *const log = commit_log_find(engine, self->producer_id);
    const struct state_key key = state_key_object('K', self->producer_id);
    struct store_entry entry = {.key = state_key_slice(&key)};
    int rc = require_producer(engine, self, err);
    if (rc == 0 && self->run_count > 0) {
        rc = settle(engine, self, err);
    }
    if (rc == 0) {
        rc = make_answer(engine, self, err);
    }
    if (rc != 0) {
        return rc;
    }
    zsp_assert(self->sequence == log->put_last + 1);
    rc = commit_log_entry(log, &self->answer, &engine->scratch, &entry);
    if (rc == 0) {
        rc = step_entry(step, &entry);
    }
    return rc == 0 ? 0 : out_of_memory(err);
}

static void is_decided(struct engine *engine, struct transaction *transaction)
{
    struct commit_call *const self = (struct commit_call *)transaction;
    self->is_decided = true;
    let_go_on(engine, self); /* before the next commit is queued */
    commit_log_put(engine, commit_log_find(engine, self->producer_id), &self->answer);
    self->answer.rows = NULL; /* the log has it */
    engine->stats.settled_messages += self->applied;
    engine->stats.dead_messages += self->dead;
    reply_may_apply(engine, &self->to);
    for (struct commit_echo *echo = self->echoes; echo; echo = echo->next) {
        reply_may_apply(engine, &echo->to);
    }
    work(engine, self->producer_id);
}

static void is_over(struct engine *engine, struct transaction *transaction,
                    const struct zsp_err *error)
{
    struct commit_call *const self = (struct commit_call *)transaction;
    if (error) {
        fail(engine, self, error);
        return;
    }
    struct commit_log *const log = commit_log_find(engine, self->producer_id);
    log->done_last = self->sequence;
    const struct commit_answer *const told = commit_log_answer(log, self->sequence);
    answer(engine, &self->to, told, false);
    for (struct commit_echo *echo = self->echoes; echo; echo = echo->next) {
        answer(engine, &echo->to, told, true);
    }
    const uint64_t producer_id = self->producer_id;
    const bool is_last = !self->next;
    end(engine, self);
    if (!is_last) {
        work(engine, producer_id);
    }
}
