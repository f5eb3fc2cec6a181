/* SPDX-License-Identifier: MPL-2.0
 *
 * Verbs: each is one small handler. engine.c holds the table that names them.
 */
#ifndef ZSP_ENGINE_VERB_H
#define ZSP_ENGINE_VERB_H

#include "broker/engine/reply.h"
#include "common/buf.h"
#include "common/wire.h"

struct engine;

/* A request as a handler sees it; borrowed for the call. The number of bodies
 * was checked against the verb. */
struct request {
    struct reply_to to;
    const msgpack_object *args; /* a map */
    struct zsp_buf *const *bodies;
    size_t body_count;
};

/* Handle a request. 0 = it was answered or will be, through reply_*(). A negative
 * code = refused with `err`, nothing has happened: the caller answers. */
typedef int verb_fn(struct engine *engine, const struct request *request, struct zsp_err *err);

/* topics */
verb_fn verb_publish;
verb_fn verb_read;
verb_fn verb_topic_create;
verb_fn verb_topic_set;
verb_fn verb_topic_info;
verb_fn verb_topic_list;
verb_fn verb_topic_delete;
verb_fn verb_topic_purge;
verb_fn verb_commit;
verb_fn verb_producer_open;
verb_fn verb_producer_info;
verb_fn verb_stats;

/* sessions */
verb_fn verb_bye;
verb_fn verb_cancel;

/* groups */
verb_fn verb_pull;
verb_fn verb_settle;
verb_fn verb_seek;
verb_fn verb_dead_list;
verb_fn verb_dead_read;
verb_fn verb_dead_redrive;
verb_fn verb_dead_drop;
verb_fn verb_group_create;
verb_fn verb_group_set;
verb_fn verb_group_info;
verb_fn verb_group_list;
verb_fn verb_group_trace;
verb_fn verb_group_replay;
verb_fn verb_group_delete;
verb_fn verb_group_pause;
verb_fn verb_group_resume;
verb_fn verb_savepoint_save;
verb_fn verb_savepoint_list;
verb_fn verb_savepoint_drop;
verb_fn verb_savepoint_restore;
verb_fn verb_savepoint_undo;

#endif
