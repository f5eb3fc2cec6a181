/* SPDX-License-Identifier: MPL-2.0
 *
 * Requests that wait for their answer, and the answers.
 *
 * Every request gets a slot until it is answered or abandoned. Whoever works on
 * it keeps a copy of its `struct reply_to` and answers through it once; an
 * answer to a request that is gone meanwhile (abandoned, or answered by the
 * fail-stop) is dropped in silence, so nobody has to ask first.
 *
 * An OK reply is built in place, one at a time:
 *     struct zsp_writer *out = reply_begin(engine, &to);
 *     wire_write_map(out, 2); ...                    exactly one map
 *     reply_body(engine, frame, pos, len); ...       any number of stretches
 *     reply_end(engine);
 * Before it there may be PARTs, each with a map and a body of its own. Nothing else of the engine
 * may reply between begin and end. Memory that runs
 * out in here stops the broker (engine_fail): an answer must not get lost.
 */
#ifndef ZSP_ENGINE_REPLY_H
#define ZSP_ENGINE_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/engine/engine.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/wire.h"

struct parked;

/* Whom to answer. A plain value; copy it. */
struct reply_to {
    uint64_t ticket;  /* the host's name for the request */
    uint64_t session; /* 0 = sessionless */
    uint64_t id;      /* of the request, echoed in the reply */
    uint32_t slot;    /* in the engine's table of unanswered requests */
};

/* Is the request still unanswered? */
bool reply_wanted(const struct engine *engine, const struct reply_to *to);
/* From now on something of this request may reach the disk: if the storage
 * fails it is answered with `maybe`. */
void reply_may_apply(struct engine *engine, const struct reply_to *to);

/* May the reply's body have `bytes` bytes? Asked before they are read; see room_fn of
 * engine_options. 0 gives back what was reserved. */
enum engine_room reply_room(struct engine *engine, const struct reply_to *to, uint64_t bytes);
/* Refuse a request for which there is no room; `maybe` = something of it was applied. */
void reply_no_room(struct engine *engine, const struct reply_to *to, bool maybe);

/* Begin an OK reply; returns where its map goes (lent until reply_end). */
struct zsp_writer *reply_begin(struct engine *engine, const struct reply_to *to);
/* The same for a PART: the request stays unanswered. */
struct zsp_writer *reply_begin_part(struct engine *engine, const struct reply_to *to);
/* A stretch of the body; takes its own reference. Stretches that follow each other in one
 * buffer become one, unless they are `is_whole`. */
void reply_body(struct engine *engine, const struct engine_part *part);
/* The reply grants this lease, see engine_undelivered(). */
void reply_lease(struct engine *engine, uint64_t lease);
void reply_end(struct engine *engine);

/* An OK reply with an empty map. */
void reply_ok(struct engine *engine, const struct reply_to *to);
/* An ERR reply. Codes local to the process become `internal`. */
void reply_error(struct engine *engine, const struct reply_to *to, const struct zsp_err *err);

/* How many runs of topics with names of up to `name_len` bytes surely fit a reply header;
 * at most ZSP_RUNS_MAX. */
uint32_t reply_runs_max(size_t name_len);

#endif
