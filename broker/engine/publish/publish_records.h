/* SPDX-License-Identifier: MPL-2.0
 *
 * Records for one topic, checked, with what the client says of them: what a PUBLISH and each publish of
 * a COMMIT have in common.
 */
#ifndef ZSP_ENGINE_PUBLISH_RECORDS_H
#define ZSP_ENGINE_PUBLISH_RECORDS_H

#include "broker/engine/publish/publish_check.h"
#include "broker/store/store.h"
#include "common/codec.h"

struct engine;
struct stretch;
struct topic;

/* Zero-initialise. */
struct publish_records {
    struct zsp_buf *frame; /* holds a reference; may be given back once it is routed */
    enum zsp_codec codec;  /* of the frame; NONE: it is the records */
    uint32_t raw_bytes;    /* compressed: of the records */
    uint32_t count;
    struct publish_place place;
    int64_t not_before_ms, expires_at_ms; /* wall, 0 = none */
    uint8_t priority;
    uint32_t stretch_count;
    struct stretch *stretches; /* routed to several partitions: the body in order; else NULL */
};

/* Fill it from a body and its arguments. Errors: those of publish_check_times and
 * publish_check_body (nothing to be freed) */
int publish_records_read(struct engine *engine, const struct body_args *args, struct zsp_buf *frame,
                         struct publish_records *ret, struct zsp_err *err);
void publish_records_fini(struct publish_records *self);

/* Are they not to be taken in their turn (agenda.h)? */
bool publish_records_are_urgent(const struct publish_records *self);
/* The marks that their topic must have (topic.h). */
unsigned publish_records_marks(const struct publish_records *self);
/* Bytes of the records. */
size_t publish_records_len(const struct publish_records *self);
/* Has every one the key that a compacted topic wants? Errors: those of publish_check_keys */
int publish_records_check_keys(struct engine *engine, const struct publish_records *self,
                               const struct topic *topic, struct zsp_err *err);
/* Which partition each record belongs to is in engine->route then, and *ret_body holds the records. A
 * compressed body is unpacked for that, once more if it has waited for its topic: what waits is small.
 * Errors: those of route_body and unpack_received */
int publish_records_route(struct engine *engine, const struct publish_records *self,
                          struct topic *topic, struct zsp_slice *ret_body, struct zsp_err *err);
/* Keep the stretches of engine->route. Errors: ZSP_ENOMEM */
int publish_records_keep_route(const struct engine *engine, struct publish_records *self);
/* `count` of them, which are in `frame`, for the store; `codec` is that of the frame. */
struct store_batch publish_records_batch(const struct publish_records *self, struct zsp_buf *frame,
                                         enum zsp_codec codec, uint32_t count);

#endif
