/* SPDX-License-Identifier: MPL-2.0
 *
 * A parcel: what one reply to PULL or READ brought: runs of offsets and the
 * frames that hold their records, end to end. It is taken out message by message;
 * the bytes stay where libzmq put them, or are unpacked when their batch's turn comes, and are
 * lent until the parcel goes.
 */
#ifndef ZSP_CLIENT_PARCEL_H
#define ZSP_CLIENT_PARCEL_H

#include <sys/queue.h>
#include <zspool.h>

#include "client/src/base/client_request.h"
#include "client/src/base/interned.h"
#include "client/src/recalled.h"
#include "common/codec.h"

struct zsp_parcel_run {
    const char *topic; /* interned */
    uint32_t partition;
    uint64_t first, count;
    uint64_t lease;
    int64_t timestamp_ms, expires_at_ms, not_before_ms;
    uint32_t deliveries, failures;
    uint8_t priority;
    uint32_t raw_bytes; /* compressed: of the whole frame, unpacked; 0 = plain */
    uint32_t skip;      /* its first records that are not of this run */
};

struct zsp_joined; /* bytes of our own: a record that lay in several frames, a frame unpacked */

struct zsp_parcel {
    struct zsp_parcel_run *runs;
    size_t run_count;
    size_t run_index;  /* of the next message */
    uint64_t in_run;   /* messages of that run taken */
    bool run_begun;    /* that run's frame is unpacked, if it is to be */
    uint64_t left;     /* messages not taken */
    size_t bytes_left; /* of records not taken, unpacked */
    size_t bytes;      /* of all frames */
    zmq_msg_t *frames;
    size_t frame_count, frame_index; /* the next frame */
    struct zsp_slice rest;           /* of the current one */
    struct zsp_unpacker **unpacker;  /* the owner's; made when it is needed */
    struct zsp_joined *joined;
    int64_t lease_ms; /* what was left of the lease on arrival */

    TAILQ_ENTRY(zsp_parcel) link; /* of whoever has it */

    /* The consumer's. */
    int64_t lease_until_ms; /* monotonic, by our clock */
    uint64_t held;          /* messages taken and not settled */
    bool lost;
    struct zsp_recalled *recalled; /* what of it comes back; NULL = nothing */
    bool extending;                /* an extension of its lease is due or under way */
};

TAILQ_HEAD(zsp_parcel_list, zsp_parcel);

/* What whoever has parcels lends them, for as long as there are any. Zero-initialise but for
 * `topics`. */
struct zsp_parcel_owner {
    struct zsp_interned topics;
    struct zsp_unpacker *unpacker; /* made when it is needed */
};
void zsp_parcel_owner_fini(struct zsp_parcel_owner *self);

/* Take the reply's runs and frames (moved out of `answer`). *ret = NULL when it holds no message.
 * Errors: ZSP_EBAD_RECORD  runs and records do not fit together
 *         ZSP_ENOMEM */
int zsp_parcel_new(const struct zsp_answer *answer, struct zsp_parcel_owner *owner,
                   struct zsp_parcel **ret, struct zsp_err *err);
void zsp_parcel_destroy(struct zsp_parcel **self_p);
/* All of the list, which is empty then. */
void zsp_parcels_destroy(struct zsp_parcel_list *list);

/* Take the next message; its bytes live as long as the parcel. Returns 0, or 1 when there is none.
 * Errors: ZSP_EBAD_RECORD (then nothing more can be taken), ZSP_ENOMEM; zsp_parcel_offset() stays */
int zsp_parcel_take(struct zsp_parcel *self, zspool_message_t *ret, struct zsp_err *err);
/* What zsp_parcel_take() would give, without taking it: likewise. */
int zsp_parcel_peek(struct zsp_parcel *self, zspool_message_t *ret, struct zsp_err *err);
/* The run of the next message; there must be one. */
const struct zsp_parcel_run *zsp_parcel_run(const struct zsp_parcel *self);
/* How many messages of that run are left, the next one included. */
uint64_t zsp_parcel_left_in_run(const struct zsp_parcel *self);
/* The offset of the next message. */
uint64_t zsp_parcel_offset(const struct zsp_parcel *self);

#endif
