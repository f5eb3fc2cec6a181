/* SPDX-License-Identifier: MPL-2.0
 *
 * A stored batch on its way into replies: its records are taken off in pieces, from the
 * front. A compressed batch goes to a client that accepts it as one frame, without being
 * looked into, when all of it is wanted and fits. Else it is unpacked, and a piece of it is
 * sent
 *   - compressed still, to a client that accepts it, when it is at least half of the bytes
 *     unpacked and the frame is no larger than it is: the frame with `skip`
 *   - plain otherwise
 * so a client is never made to unpack a batch over and over for a few records each, and a body
 * has never more bytes than its records, which is what the limits count.
 */
#ifndef ZSP_ENGINE_BATCH_WALK_H
#define ZSP_ENGINE_BATCH_WALK_H

#include "broker/engine/batch/batch_slice.h"
#include "broker/engine/engine.h"
#include "broker/engine/unpack.h"
#include "common/record.h"

/* For whom. */
struct batch_reader {
    struct unpack *unpack;
    const struct partition *partition;
    bool accepts_zstd;
    /* Something is in the reply, and nothing will come behind the range asked for: a compressed batch
     * that would have to be unpacked for a part of it may be left for the next reply. */
    bool may_leave;
};

struct batch_walk {
    const struct store_batch *batch; /* as it is stored; NULL = none */
    struct store_batch left;         /* what is not taken; plain once it was unpacked */
    struct zsp_buf *raw;             /* unpacked; holds a reference */
};

struct batch_piece {
    struct batch_slice slice; /* count, len: of the records that are meant */
    struct engine_part part;  /* what is sent; lent until the walk's end */
    uint32_t raw_bytes;       /* compressed: the frame's size unpacked; 0 = plain */
    uint32_t skip;            /* its first records that are not meant */
};

/* `batch` is borrowed until batch_walk_end(). */
void batch_walk_begin(struct batch_walk *self, const struct store_batch *batch);
void batch_walk_end(struct batch_walk *self);

/* Which records are wanted: called for each of a checked body, in order. */
struct batch_chooser {
    bool (*wants_fn)(const void *arg, const struct zsp_record *record);
    const void *arg;
};
/* Look at the records of `range`, which begins inside the batch, one by one; a compressed batch is
 * unpacked for it. *ret_wanted: is the first wanted? *ret_end: up to here the others are like it. What is not
 * wanted is passed over.
 *
 * Errors: those of batch_walk_take()
 */
int batch_walk_choose(struct batch_walk *self, const struct batch_reader *reader,
                      struct store_range range, const struct batch_chooser *chooser,
                      bool *ret_wanted, uint64_t *ret_end, struct zsp_err *err);

/* Take what is wanted and fits off the front, as batch_slice() does: what lies before `range` is
 * passed over.
 *
 * Errors: ZSP_ECORRUPT  the stored bytes are not what the header tells
 *         ZSP_ENOMEM
 */
int batch_walk_take(struct batch_walk *self, const struct batch_reader *reader,
                    struct store_range range, const struct batch_limits *limits,
                    struct batch_piece *ret, struct zsp_err *err);

#endif
