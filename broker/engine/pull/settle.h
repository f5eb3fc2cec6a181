/* SPDX-License-Identifier: MPL-2.0
 *
 * SETTLE: outcomes over runs of offsets. All of a request is one durable step:
 *   - each run is looked at piece by piece, as the messages stand now; what the lease owns is
 *     applied, for everything else the reply says why not
 *         done     finished already, or this very outcome was applied before
 *         lost     the lease does not own it (any more)
 *         unknown  never handed out, or no such topic
 *   - the reply leaves when the record is synced; also when all was done before by a request
 *     whose record is still on its way: a record of its own follows that one. `extend` and `started` alone are not waited for
 *   - when the journal refuses, nothing has happened
 * A PULL may bring outcomes along (settle_guest): they are applied as it arrives, in the same way,
 * and its reply tells of them once they are durable.
 */
#ifndef ZSP_ENGINE_SETTLE_H
#define ZSP_ENGINE_SETTLE_H

#include "broker/engine/group/group.h"

struct settle;

/* What outcomes came to. */
struct settle_sum {
    uint64_t applied; /* messages */
    uint64_t dead;    /* of these */
};

/* What is told of outcomes. */
struct settle_told {
    uint64_t applied;            /* messages */
    uint32_t not_applied_count;  /* */
    struct zsp_buf *not_applied; /* encoded items; NULL = none. Holds a reference */
};

/* Outcomes that came with another request, embedded in it. Zero-initialise but for settled_fn. */
struct settle_guest {
    /* They are durable, or `error` (code not 0) came in between. Called once, and only when
     * `settle` is not NULL after settle_outcomes(). */
    void (*settled_fn)(struct engine *engine, struct settle_guest *self,
                       const struct zsp_err *error);
    struct settle *settle; /* its record is on its way; NULL = nothing to wait for */
    struct settle_told told;
};

/* Bytes that `not_applied` of a guest may have: half of a header, the rest is the host's. */
#define SETTLE_GUEST_BYTES (ZSP_HEADER_MAX / 2)

void settle_init(struct groups *self);
void settle_fini(struct groups *self);

/* What SETTLE is given, and a COMMIT for its outcomes. */
struct settle_args {
    struct zsp_slice group;
    const msgpack_object *runs;
};
/* Errors: those of wire_args() */
int settle_args_read(const msgpack_object *map, struct settle_args *ret, struct zsp_err *err);

/* Can all these runs be read? Errors: those of wire_srun_decode(); ZSP_EBAD_VALUE */
int settle_check(const msgpack_object *runs, struct zsp_err *err);
/* Apply checked outcomes on behalf of the request `to`, as SETTLE does.
 * Errors: definite, nothing has happened. ZSP_ETOO_LARGE (not_applied), ZSP_ENO_SPACE, ZSP_ENOMEM */
int settle_outcomes(struct engine *engine, const struct reply_to *to, struct group *group,
                    const msgpack_object *runs, struct settle_guest *guest, struct zsp_err *err);
/* Apply outcomes in the open step, all of them: the leases own every message, or it is refused (the
 * step is the caller's to undo). No `extend` and no `started`.
 * Errors: ZSP_ENOT_LEASED, ZSP_ENOMEM */
int settle_in_step(struct engine *engine, struct group *group, const struct wire_srun *runs,
                   uint32_t count, struct settle_sum *ret, struct zsp_err *err);
/* Write {applied, not_applied}. */
void settle_write_told(struct zsp_writer *out, const struct settle_told *told);
/* The request goes: its outcomes take their way without it. */
void settle_leave(struct settle_guest *guest);

#endif
