/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool_commit_*: messages and outcomes as one.
 *
 *    EMPTY ---> FILLING ---> SENT ---> EMPTY
 *    EMPTY -> FILLING    zspool_commit_send, zspool_commit_settle
 *    FILLING -> SENT     zspool_commit_run   it has a sequence and does not change any more
 *    SENT -> EMPTY       zspool_commit_run   answered: done, or refused as a whole
 *    SENT -> SENT        zspool_commit_run   no answer yet: the next call asks again
 *    SENT -> FILLING     zspool_commit_run   refused, which may pass, and sent but once
 *
 * The name is opened with the first commit, and again when the broker has forgotten it. A
 * commit that may have been applied is never given another sequence.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/src/base/backoff.h"
#include "client/src/base/message_out.h"
#include "client/src/base/terms.h"
#include "client/src/client_call.h"
#include "client/src/consumer/consumer_priv.h"
#include "client/src/result.h"

#define PAUSE_MS     200 /* after a refusal that may pass; doubling, to */
#define PAUSE_MAX_MS 5000

/* Messages of the same terms for one topic, or one partition of it. */
struct commit_body {
    char topic[ZSP_NAME_MAX + 1];
    int32_t partition;
    struct zsp_terms terms; /* of all of them */
    uint32_t count;
    struct zsp_writer records;
};

struct zspool_commit {
    struct zspool_client *client;
    struct zsp_backoff backoff;       /* between attempts that are refused */
    struct zspool_consumer *consumer; /* NULL = it only publishes */
    char name[ZSP_NAME_MAX + 1];
    bool ephemeral;
    bool is_open;
    uint64_t epoch;
    uint64_t last_seq; /* of the last commit that was answered */
    bool is_sent;      /* what is in it may have been applied */
    struct commit_body bodies[ZSP_COMMIT_PUBLISHES_MAX];
    size_t body_count;
    size_t bytes;
    struct zsp_outcomes outcomes;
    struct zsp_held **held; /* of these, in hand until it is done */
    size_t held_count, held_capacity;
    struct zsp_writer scratch;
};

static bool usable(const struct zspool_commit *self)
{
    return self && zsp_client_usable(self->client);
}

/* --- Life ------------------------------------------------------------------------------ */

static int make_name(struct zspool_commit *self, const char *given, struct zsp_err *err)
{
    uint64_t random[2];
    self->ephemeral = !given;
    if (given) {
        const int rc = zsp_name_check_text("producer", given, err);
        if (rc == 0) {
            (void)snprintf(self->name, sizeof self->name, "%s", given);
        }
        return rc;
    }
    if (zsp_random(random, sizeof random) != 0) {
        return zsp_err_set(err, ZSP_EIO, "the system has no random numbers");
    }
    (void)snprintf(self->name, sizeof self->name, "c-%016" PRIx64 "%016" PRIx64, random[0],
                   random[1]);
    return 0;
}

zspool_commit_t *zspool_commit_new(zspool_client_t *client, zspool_consumer_t *consumer,
                                   const zspool_commit_options_t *options, zspool_error_t *err)
{
    struct zsp_err report = {0};
    zspool_commit_options_t own = {0};
    if (!zsp_client_usable(client) || (consumer && consumer->client != client)) {
        (void)zsp_refuse(err, "no client, one made before fork(), or a consumer of another one");
        return NULL;
    }
    struct zspool_commit *self = calloc(1, sizeof *self);
    int rc = ZSP_ENOMEM;
    if (self) {
        rc = zsp_options_read(&own, sizeof own, options, "zspool_commit_options_t", &report);
    } else {
        (void)zsp_err_set(&report, rc, "no memory for a commit");
    }
    if (rc == 0) {
        rc = make_name(self, own.name, &report);
    }
    if (rc != 0) {
        free(self);
        (void)zsp_err_export(&report, err);
        return NULL;
    }
    self->client = client;
    self->consumer = consumer;
    self->backoff = (struct zsp_backoff){
        .first_ms = PAUSE_MS, .max_ms = PAUSE_MAX_MS, .random = (uint64_t)zsp_now_ms() | 1};
    zsp_client_join(client, NULL);
    return self;
}

/* Its messages are settled, or the host's again. */
static void let_go(struct zspool_commit *self, bool settled)
{
    if (self->held_count == 0) {
        return;
    }
    zsp_link_lock(self->client->link);
    for (size_t i = 0; i < self->held_count; i++) {
        struct zsp_held *held = self->held[i];
        held->in_commit = false;
        if (settled) {
            zsp_consumer_give_back(self->consumer, held, held->in_commit_as);
            zsp_consumer_unhold(self->consumer, held);
        }
    }
    if (settled) {
        zsp_link_kick(self->client->link, &self->consumer->port);
    }
    zsp_link_unlock(self->client->link);
    self->held_count = 0;
}

static void empty(struct zspool_commit *self, bool settled)
{
    let_go(self, settled);
    zsp_outcomes_reset(&self->outcomes);
    for (size_t i = 0; i < self->body_count; i++) {
        zsp_writer_fini(&self->bodies[i].records);
    }
    self->body_count = 0;
    self->bytes = 0;
    self->is_sent = false;
}

void zspool_commit_destroy(zspool_commit_t **self_p)
{
    if (!self_p || !*self_p) {
        return;
    }
    struct zspool_commit *self = *self_p;
    *self_p = NULL;
    if (!usable(self)) {
        return; /* a child of fork() */
    }
    empty(self, false);
    zsp_link_lock(self->client->link);
    self->client->objects--;
    zsp_link_unlock(self->client->link);
    zsp_outcomes_fini(&self->outcomes);
    zsp_writer_fini(&self->scratch);
    free(self->held);
    free(self);
}

/* --- Filling ------------------------------------------------------------------------------ */

static int check_open(const struct zspool_commit *self, struct zsp_err *err)
{
    if (self->is_sent) {
        return zsp_err_set_about(err, ZSP_EINVAL, "commit",
                                 "the commit was sent, and its answer is not known: run it again");
    }
    return 0;
}

static struct commit_body *body_for(struct zspool_commit *self, const zspool_out_t *message,
                                    struct zsp_err *err)
{
    const struct zsp_terms terms = zsp_terms_of(message);
    for (size_t i = 0; i < self->body_count; i++) {
        struct commit_body *body = &self->bodies[i];
        if (body->partition == message->partition && strcmp(body->topic, message->topic) == 0 &&
            zsp_terms_equal(&body->terms, &terms)) {
            return body;
        }
    }
    if (self->body_count == ZSP_COMMIT_PUBLISHES_MAX) {
        zsp_err_set(err, ZSP_ETOO_LARGE,
                    "more than %u topics, partitions, priorities and times in one commit",
                    ZSP_COMMIT_PUBLISHES_MAX);
        return NULL;
    }
    struct commit_body *body = &self->bodies[self->body_count++];
    *body = (struct commit_body){.partition = message->partition, .terms = terms};
    (void)snprintf(body->topic, sizeof body->topic, "%s", message->topic);
    return body;
}

static int add_message(struct zspool_commit *self, const zspool_out_t *message, struct zsp_err *err)
{
    const size_t about = zsp_message_bytes(message);
    if (about > ZSP_COMMIT_BYTES_MAX || self->bytes > ZSP_COMMIT_BYTES_MAX - about) {
        return zsp_err_set(err, ZSP_ETOO_LARGE, "more than %u bytes of messages in one commit",
                           ZSP_COMMIT_BYTES_MAX);
    }
    struct commit_body *body = body_for(self, message, err);
    if (!body) {
        return err->code;
    }
    const size_t before = body->records.len;
    zsp_message_write(&body->records, message, &self->scratch);
    const bool has_memory = !body->records.failed && !self->scratch.failed;
    const size_t bytes = has_memory ? body->records.len - before : 0;
    int rc = 0;
    if (!has_memory) {
        rc = zsp_err_set(err, ZSP_ENOMEM, "no memory for a message");
    } else if (bytes > ZSP_RECORD_MAX) {
        rc = zsp_err_set(err, ZSP_ETOO_LARGE, "topic %s: a message of %zu bytes, want up to %u",
                         message->topic, bytes, ZSP_RECORD_MAX);
    }
    if (rc != 0) {
        body->records.len = before;
        body->records.failed = self->scratch.failed = false;
        self->body_count -= body->count == 0 ? 1u : 0u; /* it is the last one then */
        if (body->count == 0) {
            zsp_writer_fini(&body->records);
        }
        return rc;
    }
    body->count++;
    self->bytes += bytes;
    return 0;
}

int zspool_commit_send(zspool_commit_t *self, const zspool_out_t *message, zspool_error_t *err)
{
    if (!usable(self) || !message) {
        return zsp_refuse(err, "no message, no commit, or one made before fork()");
    }
    struct zsp_err report = {0};
    zspool_out_t copy;
    int rc = zsp_options_read(&copy, sizeof copy, message, "zspool_out_t", &report);
    if (rc == 0) {
        rc = zsp_message_check(&copy, &report);
    }
    if (rc == 0) {
        rc = zsp_name_check_text("topic", copy.topic, &report);
    }
    if (rc == 0) {
        rc = check_open(self, &report);
    }
    if (rc == 0) {
        rc = add_message(self, &copy, &report);
    }
    return rc == 0 ? 0 : zsp_err_export(&report, err);
}

static bool reserve_held(struct zspool_commit *self)
{
    if (self->held_count < self->held_capacity) {
        return true;
    }
    const size_t capacity = self->held_capacity > 0 ? 2 * self->held_capacity : 16;
    struct zsp_held **held = realloc(self->held, capacity * sizeof(struct zsp_held *));
    if (held) {
        self->held = held;
        self->held_capacity = capacity;
    }
    return held != NULL;
}

static int add_outcome(struct zspool_commit *self, const zspool_message_t *message,
                       struct zsp_outcome_run *run, struct zsp_err *err)
{
    struct zsp_held *held = zsp_consumer_held(self->consumer, message);
    if (!held || held->in_commit) {
        return zsp_err_set_about(err, ZSP_EINVAL, "message",
                                 "the message is not in hand, or in a commit already");
    }
    run->topic = held->view.topic;
    run->partition = held->view.partition;
    run->first = held->view.offset;
    run->count = 1;
    run->lease = held->view.lease;
    if (!reserve_held(self) || zsp_outcomes_add(&self->outcomes, run) != 0) {
        return zsp_err_set(err, ZSP_ENOMEM, "no memory for an outcome");
    }
    held->in_commit = true;
    held->in_commit_as = run->outcome;
    self->held[self->held_count++] = held;
    return 0;
}

int zspool_commit_settle(zspool_commit_t *self, const zspool_message_t *message,
                         zspool_outcome_t outcome, const zspool_settle_arg_t *arg,
                         zspool_error_t *err)
{
    if (!usable(self) || !message || !self->consumer) {
        return zsp_refuse(err,
                          "no message, no commit, one without a consumer, or made before fork()");
    }
    struct zsp_err report = {0};
    struct zsp_outcome_run run = {0};
    int rc = zsp_outcome_read(outcome, arg, &run, &report);
    if (rc == 0 && outcome == ZSPOOL_EXTEND) {
        rc = zsp_err_set_about(&report, ZSP_EINVAL, "outcome",
                               "a commit does not extend: use zspool_settle()");
    }
    if (rc == 0) {
        rc = check_open(self, &report);
    }
    if (rc == 0) {
        zsp_link_lock(self->client->link);
        rc = add_outcome(self, message, &run, &report);
        zsp_link_unlock(self->client->link);
    }
    return rc == 0 ? 0 : zsp_err_export(&report, err);
}

void zspool_commit_clear(zspool_commit_t *self)
{
    if (usable(self) && !self->is_sent) {
        empty(self, false);
    }
}

/* --- Running --------------------------------------------------------------------------------- */

static int read_open(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    (void)err;
    struct zspool_commit *self = arg;
    self->epoch = zsp_reply_uint(answer->map, "epoch", 0);
    self->last_seq = zsp_reply_uint(answer->map, "commit", 0);
    self->is_open = true;
    return 0;
}

static int open_name(struct zspool_commit *self, int64_t deadline_ms, struct zsp_err *err)
{
    struct zsp_writer args = {0};
    wire_write_map(&args, self->ephemeral ? 2 : 1);
    wire_write_text_str(&args, "producer", zsp_slice_str(self->name));
    if (self->ephemeral) {
        wire_write_text_bool(&args, "ephemeral", true);
    }
    const struct zsp_call_spec spec = {.verb = "PRODUCER.OPEN",
                                       .args = &args,
                                       .repeatable = true,
                                       .read_fn = read_open,
                                       .arg = self};
    const int rc = zsp_call(self->client, &spec, zsp_left_ms(deadline_ms), err);
    zsp_writer_fini(&args);
    return rc;
}

static void write_args(const struct zspool_commit *self, int64_t clock_ahead_ms,
                       struct zsp_writer *out)
{
    const bool settles = self->outcomes.count > 0;
    wire_write_map(out, 3u + (self->body_count > 0 ? 1u : 0u) + (settles ? 1u : 0u));
    wire_write_text_str(out, "producer", zsp_slice_str(self->name));
    wire_write_text_uint(out, "epoch", self->epoch);
    wire_write_text_uint(out, "seq", self->last_seq + 1);
    if (self->body_count > 0) {
        wire_write_text(out, "publish");
        wire_write_array(out, (uint32_t)self->body_count);
    }
    for (size_t i = 0; i < self->body_count; i++) {
        const struct commit_body *body = &self->bodies[i];
        wire_write_map(out, (body->partition >= 0 ? 3u : 2u) + zsp_terms_args(&body->terms));
        wire_write_text_str(out, "topic", zsp_slice_str(body->topic));
        wire_write_text_uint(out, "count", body->count);
        if (body->partition >= 0) {
            wire_write_text_uint(out, "partition", (uint64_t)body->partition);
        }
        zsp_terms_write(out, &body->terms, clock_ahead_ms);
    }
    if (settles) {
        wire_write_text(out, "settle");
        zsp_outcomes_write(&self->outcomes, self->consumer->group, out);
    }
}

static int read_result(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    (void)err;
    zspool_commit_result_t *ret = arg;
    ret->applied = zsp_reply_uint(answer->map, "applied", 0);
    ret->timestamp_ms = (int64_t)zsp_reply_uint(answer->map, "timestamp_ms", 0);
    ret->duplicate = zsp_reply_bool(answer->map, "duplicate");
    return 0;
}

/* `ret_sent`: how often. */
static int send_commit(struct zspool_commit *self, int64_t deadline_ms, zspool_commit_result_t *ret,
                       /* NOLINTNEXTLINE(readability-non-const-parameter): zsp_call() writes it */
                       unsigned *ret_sent, struct zsp_err *err)
{
    struct zsp_buf *bodies[ZSP_COMMIT_PUBLISHES_MAX] = {NULL};
    struct zsp_writer args = {0};
    int rc = 0;
    for (size_t i = 0; i < self->body_count && rc == 0; i++) {
        bodies[i] = zsp_buf_copy(zsp_writer_slice(&self->bodies[i].records));
        rc = bodies[i] ? 0 : zsp_err_set(err, ZSP_ENOMEM, "no memory for a commit");
    }
    zsp_link_lock(self->client->link);
    const int64_t clock_ahead_ms = zsp_link_clock_ahead_ms(self->client->link);
    zsp_link_unlock(self->client->link);
    write_args(self, clock_ahead_ms, &args);
    if (rc == 0) {
        const struct zsp_call_spec spec = {.verb = "COMMIT",
                                           .args = &args,
                                           .bodies = bodies,
                                           .body_count = self->body_count,
                                           .repeatable = true,
                                           .read_fn = read_result,
                                           .arg = ret,
                                           .ret_sent = ret_sent};
        rc = zsp_call(self->client, &spec, zsp_left_ms(deadline_ms), err);
    }
    zsp_writer_fini(&args);
    for (size_t i = 0; i < self->body_count; i++) {
        zsp_buf_put(&bodies[i]);
    }
    return rc;
}

/* A broker's answer that may be another one later, without a change. */
static bool is_refused_for_now(int code)
{
    return code > ZSP_EINVAL && zsp_err_retriable(code);
}

/* No answer, or one that says nothing of what was sent before: only the same commit again tells. */
static bool is_open_question(int code, const struct zsp_err *err)
{
    return err->maybe || code == ZSP_ETIMEOUT || code == ZSP_EINTERRUPTED || code == ZSP_ECLOSED ||
           zsp_err_retriable(code);
}

/* Is it the name that the broker does not know? */
static bool is_forgotten(int code, const struct zsp_err *err)
{
    return code == ZSP_ENOT_FOUND && strncmp(err->object, "producer ", 9) == 0;
}

static int attempt(struct zspool_commit *self, int64_t deadline_ms, zspool_commit_result_t *ret,
                   struct zsp_err *err)
{
    for (;;) {
        unsigned sent = 0;
        int rc = self->is_open ? 0 : open_name(self, deadline_ms, err);
        if (rc != 0) {
            err->maybe = self->is_sent; /* by this call nothing of it */
            return rc;
        }
        rc = send_commit(self, deadline_ms, ret, &sent, err);
        if (rc == 0) {
            self->last_seq++;
            empty(self, true);
            return 0;
        }
        /* What one sending is answered says nothing of those before it. */
        const bool was_sent = self->is_sent || sent > 1;
        const bool is_untold = sent == 0 && self->is_sent; /* no broker takes us any more */
        if (is_untold || is_open_question(rc, err)) {
            self->is_sent = was_sent || (sent > 0 && (err->maybe || !is_refused_for_now(rc)));
            err->maybe = self->is_sent;
            return rc;
        }
        self->is_open = self->is_open && rc != ZSP_ENOT_FOUND && rc != ZSP_EFENCED_PRODUCER &&
                        rc != ZSP_ESEQUENCE_GAP;
        if (is_forgotten(rc, err) && !was_sent) {
            *err = (struct zsp_err){0};
            continue; /* unused for long: it begins anew */
        }
        /* Another one has the name, or what the broker knew of it is gone: whether it came through is
         * not to be learnt. */
        err->maybe = was_sent && (is_forgotten(rc, err) || rc == ZSP_EFENCED_PRODUCER ||
                                  rc == ZSP_ESEQUENCE_GAP);
        empty(self, false);
        return rc;
    }
}

/* False = the time is over, or `err` tells why not. */
static bool pause(struct zspool_commit *self, uint64_t round, int64_t deadline_ms,
                  struct zsp_err *err)
{
    const int64_t until_ms = zsp_now_ms() + zsp_backoff_ms(&self->backoff, round);
    const int64_t end_ms = until_ms < deadline_ms ? until_ms : deadline_ms;
    struct zsp_err waited = {0};
    int rc = 0;
    zsp_link_lock(self->client->link);
    while (rc == 0) {
        rc = zsp_link_wait(self->client->link, end_ms, &waited);
    }
    zsp_link_unlock(self->client->link);
    if (rc != ZSP_ETIMEOUT) {
        waited.maybe = self->is_sent;
        *err = waited;
        return false;
    }
    return until_ms < deadline_ms;
}

static int run(struct zspool_commit *self, int64_t deadline_ms, zspool_commit_result_t *ret,
               struct zsp_err *err)
{
    for (uint64_t round = 0;; round++) {
        const int rc = attempt(self, deadline_ms, ret, err);
        if (!is_refused_for_now(rc) || !pause(self, round, deadline_ms, err)) {
            return rc == 0 ? 0 : err->code;
        }
        *err = (struct zsp_err){0};
    }
}

int zspool_commit_run(zspool_commit_t *self, int timeout_ms, zspool_commit_result_t *ret_result,
                      zspool_error_t *err)
{
    if (!usable(self) || (self->body_count == 0 && self->outcomes.count == 0)) {
        return zsp_refuse(err, "nothing to commit, no commit, or one made before fork()");
    }
    struct zsp_err report = {0};
    zspool_commit_result_t result = {.size = sizeof result};
    int rc = run(self, zsp_deadline_ms(timeout_ms), &result, &report);
    if (rc == 0 && ret_result) {
        rc = zsp_options_write(ret_result, &result, sizeof result, "zspool_commit_result_t",
                               &report);
    }
    return rc == 0 ? 0 : zsp_err_export(&report, err);
}
