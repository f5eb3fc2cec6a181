/* SPDX-License-Identifier: MPL-2.0
 *
 * COMMIT, once it is read: commits of one producer are decided in the order of their sequences,
 * one after the other, and answered when they are durable.
 *
 *   WAITING ---> AT_WORK ---> DECIDED ---> over
 *      |            |
 *      +--refused---+---> over, and with it all behind it
 *   -> WAITING           commit_call_start  the one before it is not decided yet, or
 *                                           ZSP_COMMIT_WINDOW before it are not over
 *   WAITING -> AT_WORK   work               a transaction is started
 *   AT_WORK -> DECIDED   is_decided         its record is put: the next one may begin
 *   DECIDED -> over      is_over            durable
 *
 * A COMMIT that repeats one of these waits with it, and is answered like it.
 */
#ifndef ZSP_ENGINE_COMMIT_CALL_H
#define ZSP_ENGINE_COMMIT_CALL_H

#include "broker/engine/commit/commit_log.h"
#include "broker/engine/commit/transaction.h"
#include "broker/engine/reply.h"

struct producer;
struct publish;

/* Whoever repeats it. */
struct commit_echo {
    struct commit_echo *next;
    struct reply_to to;
};

struct commit_call {
    struct transaction transaction; /* first */
    struct commit_call *next;       /* of its producer, in order */
    LIST_ENTRY(commit_call) link;
    struct reply_to to;
    struct commit_echo *echoes;
    uint64_t producer_id;
    uint64_t epoch;
    uint64_t sequence;
    bool is_at_work; /* or DECIDED */
    bool is_decided;
    /* outcomes for a group; run_count 0 = none */
    char group[ZSP_NAME_MAX + 1];
    struct wire_srun *runs;
    uint32_t run_count;
    char *texts;        /* that the runs point to */
    uint64_t run_bytes; /* of both, counted in engine->commit_run_bytes */
    uint64_t applied;
    uint64_t dead;
    struct commit_answer answer; /* AT_WORK: to be remembered */
    /* PUBLISHes of its session to its topics, that came after it: they go on when its place in the
     * log is taken, or it is refused. */
    struct publish *behind_first, *behind_last;
};

/* A call that is not started, for `publish_count` bodies. NULL: out of memory. */
struct commit_call *commit_call_new(struct engine *engine, uint32_t publish_count);
/* One that was never started. */
void commit_call_free(struct engine *engine, struct commit_call *self);
/* Copy outcomes into it. Errors: those of wire_srun_decode(), ZSP_EBAD_VALUE, ZSP_ENOMEM,
 * ZSP_ELIMIT_REACHED (all commits at work have too many) */
int commit_call_take_runs(struct engine *engine, struct commit_call *self,
                          const msgpack_object *runs, struct zsp_err *err);

/* What its sequence says: 0 = it is new, and may be started; 1 = it was answered, or will be with the
 * one that it repeats.
 * Errors: ZSP_ESEQUENCE_GAP, ZSP_ENOMEM */
int commit_call_check(struct engine *engine, struct producer *producer, uint64_t sequence,
                      const struct reply_to *to, struct zsp_err *err);
/* Take it in; the answer comes later or was given. Errors: ZSP_ENOMEM, it is still the caller's */
int commit_call_start(struct engine *engine, struct producer *producer, struct commit_call *self,
                      struct zsp_err *err);

/* The last COMMIT of the request's session that publishes to the topic and has no place in the log
 * yet; NULL = none: what comes now may go on. */
struct commit_call *commit_call_before(const struct engine *engine, const struct reply_to *to,
                                       struct zsp_slice topic);
/* The publish goes on when the call is queued, or over. */
void commit_call_follow(struct commit_call *self, struct publish *publish);

/* Free all calls, at the end. */
void commit_call_free_all(struct engine *engine);

#endif
