/* SPDX-License-Identifier: MPL-2.0
 *
 * A PUBLISH that brings many batches, each for a topic and partition of its own.
 *
 * Each is a publish as any other, with its own fate; only the answer is one for all. A row of it is
 * written when the fate of its batch is known. What is known at the end of a pump, but is not all,
 * leaves as a PART, so no batch waits for a slower one; the last rows come with the OK.
 */
#ifndef ZSP_ENGINE_PUBLISH_MANY_H
#define ZSP_ENGINE_PUBLISH_MANY_H

#include <sys/queue.h>

#include "broker/engine/reply.h"
#include "broker/engine/verb.h"
#include "broker/store/store.h"

struct publish_many {
    LIST_ENTRY(publish_many) link; /* all of the engine */
    struct reply_to to;
    enum store_level level;
    int64_t timestamp_ms;
    uint32_t left;             /* batches whose fate is not known */
    struct zsp_writer rows;    /* known, not told yet, back to back */
    uint32_t row_count;        /* */
    size_t row_pos;            /* where the last one begins */
    uint32_t row_index;        /* its batch */
    bool is_due;               /* in the engine's list of those with rows to tell */
    struct publish_many *next; /* there */
};

/* The verb, when the request has `batches`. Errors: as a verb_fn */
int publish_many_begin(struct engine *engine, const struct request *request, struct zsp_err *err);
/* The length of `batches` in arguments of a PUBLISH; 0 = there is none. */
uint32_t publish_many_count(const msgpack_object *args);

/* Write the row of a batch whose fate is known; then end it. `self` may be gone after that. */
struct zsp_writer *publish_many_row(struct publish_many *self, uint32_t index);
void publish_many_row_end(struct engine *engine, struct publish_many *self);
/* Both for a batch that was refused. */
void publish_many_refuse(struct engine *engine, struct publish_many *self, uint32_t index,
                         const struct zsp_err *error);

/* The end of a pump: what is known leaves. */
void publish_many_tell(struct engine *engine);
void publish_many_free_all(struct engine *engine);

#endif
