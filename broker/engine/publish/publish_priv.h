/* SPDX-License-Identifier: MPL-2.0
 *
 * What publish_verb.c and publish.c share.
 */
#ifndef ZSP_ENGINE_PUBLISH_PRIV_H
#define ZSP_ENGINE_PUBLISH_PRIV_H

#include "broker/engine/publish/publish.h"

struct producer;

/* What is said of one batch. */
struct publish_args {
    struct body_args body;
    struct zsp_slice level, producer;
    struct wire_uint epoch, seq;
};

/* Errors: ZSP_EBAD_VALUE */
int publish_read_level(struct zsp_slice text, enum store_level *ret, struct zsp_err *err);

/* Whose batch it is, and what else is told of a whole request. */
struct publish_origin {
    struct reply_to to;
    struct publish_many *many; /* NULL = it is a request of its own */
    uint32_t row;              /* */
    enum store_level level;
    struct producer *producer; /* NULL = not sequenced */
};

/* Take a batch; `frame` is borrowed. 0 = its answer comes later or was given.
 * Errors: definite, nothing has happened */
int publish_take(struct engine *engine, const struct publish_origin *origin,
                 const struct publish_args *args, struct zsp_buf *frame, struct zsp_err *err);

/* Answer it: every part has reached its level; it was refused. It is still the caller's. */
void publish_confirm(struct engine *engine, struct publish *self);
void publish_refuse(struct engine *engine, struct publish *self, const struct zsp_err *error);

/* An empty publish in the engine's list. NULL: out of memory. */
struct publish *publish_new(struct engine *engine);
/* Out of the list, freed. Parts that are in queues stay there. */
void publish_free(struct engine *engine, struct publish *self);

/* Route, cut and append to a LIVE topic. 0 = the answer comes later or was given.
 * Errors: definite, nothing was appended; the publish is still the caller's. */
int publish_begin(struct engine *engine, struct publish *self, struct topic *topic,
                  struct zsp_err *err);

/* A part of it, with so many records. NULL: out of memory. */
struct publish_part *publish_part_new(struct engine *engine, struct publish *self,
                                      struct partition *partition, uint32_t count);
/* All records go to one partition: the frame is appended as it is. Errors: definite */
int publish_whole(struct engine *engine, struct publish *self, struct partition *partition,
                  struct zsp_err *err);

/* --- for dedup.c, which decides what of a part is given to the store --- */

/* Compare the sequence of the part's `count` records with its producer's log, which is opened.
 * *ret_is_old: it is a repetition. Errors: definite */
int publish_check_sequence(struct engine *engine, struct publish_part *part, uint32_t count,
                           bool *ret_is_old, struct zsp_err *err);
/* The only part repeats a sequence: it is confirmed with its original. */
void publish_echo(struct engine *engine, struct publish *self);
/* Give a part to the store; `frame` is borrowed. Errors: definite */
int publish_append(struct engine *engine, struct publish_part *part, struct zsp_buf *frame,
                   enum zsp_codec codec, struct zsp_err *err);
/* It was given, and stands for `count` sequences. */
void publish_given(struct engine *engine, struct publish_part *part, uint32_t count);
/* The sequenced part has nothing for the store: its sequences go on, durably, and it is confirmed. */
void publish_skip(struct engine *engine, struct publish_part *part);
/* The part, in no queue, has reached its level; it will not be applied. */
void publish_part_settled(struct engine *engine, struct publish_part *part);
void publish_part_failed(struct engine *engine, struct publish_part *part,
                         const struct zsp_err *error);

#endif
