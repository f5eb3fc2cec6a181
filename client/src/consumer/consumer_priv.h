/* SPDX-License-Identifier: MPL-2.0
 *
 * The inside of a consumer, shared by its files:
 *   consumer.c         the public functions (settle_at.c: the one that needs no consumer; commit_api.c:
 *                      outcomes that go with messages)
 *   consumer_pull.c    PULL: parcels in, what of them is lost
 *   consumer_settle.c  SETTLE: outcomes out; marks and extensions
 *   consumer_recall.c  groups with an order: what a message that comes back takes along
 *
 * Three requests at most are under way, each with one at a time: a PULL, a SETTLE of outcomes (what
 * is settled meanwhile gathers for the next one), and a SETTLE that only touches
 * (started, extend), whose result nobody waits for except a suspect's. Outcomes that are ready when
 * a PULL is due go aboard of it and save a request; whatever happens to that, they are sent again by
 * a SETTLE unless its answer tells of them.
 *
 * A suspect is a message that was handed out before: it may be what crashed its
 * last worker. It is marked started before the application sees it, so that a
 * crash at once is counted against it alone.
 *
 * A consumer that is destroyed while its PULL is out lives on unseen until the
 * reply comes, to hand back what it brings. All of it is used with the link locked.
 */
#ifndef ZSP_CLIENT_CONSUMER_PRIV_H
#define ZSP_CLIENT_CONSUMER_PRIV_H

#include "client/src/base/halt.h"
#include "client/src/base/interned.h"
#include "client/src/client_priv.h"
#include "client/src/consumer/outcomes.h"
#include "client/src/link/wire_out.h"
#include "client/src/parcel.h"
#include "common/limits.h"

#define ZSP_HELD_SLABS     24u   /* then 1.5 billion messages are in hand */
#define ZSP_HELD_SLAB_SIZE 64u   /* messages in the first */
#define ZSP_LOST_MAX       4096u /* losses kept for the host, as zspool.h tells */

/* A message in hand. Pooled in a few slabs that are kept until the consumer goes, so that a pointer
 * that is none of ours, or stale, is found out. */
struct zsp_held {
    zspool_message_t view;     /* first member: what the host holds */
    struct zsp_parcel *parcel; /* NULL = in the pool */
    int64_t taken_ms;
    bool marked;                    /* started was sent */
    bool in_commit;                 /* to be settled by a commit, and by nobody else; */
    enum wire_outcome in_commit_as; /* with this outcome */
    bool lost_told;                 /* the host was told */
    TAILQ_ENTRY(zsp_held) link;     /* in hand */
    SLIST_ENTRY(zsp_held) pool_link;
};

/* What a group keeps in order. */
enum zsp_order { ZSP_ORDER_NONE, ZSP_ORDER_PARTITION, ZSP_ORDER_KEY };

enum zsp_suspect { SUSPECT_NONE, SUSPECT_WANTED, SUSPECT_SENT, SUSPECT_MARKED };

struct zspool_consumer {
    struct zspool_client *client;
    struct zsp_port port;
    struct zsp_ready ready;
    zspool_consumer_options_t options; /* defaults filled in; strings unset */
    char group[ZSP_NAME_MAX + 1];
    char mode[ZSP_MODE_LEN_MAX + 1];
    char **topics;
    size_t topic_count;
    struct zsp_parcel_owner parcels;
    bool closing;  /* the host destroys it: nothing new is pulled */
    bool orphan;   /* the host has left: the link's thread frees it */
    bool unwanted; /* the host is not to be woken for messages, see zspool_consumer_want() */
    bool stopped;  /* zspool_consumer_stop(): nothing new is pulled, what is in hand goes on */

    /* Pulling. */
    struct zsp_request pull;
    struct zsp_writer pull_args;
    bool pull_out;
    enum zsp_order order;
    struct zsp_recalled *recalled_late; /* of what the PULL that is out brings; NULL = nothing */
    bool pull_is_late;                  /* all of that is to be handed back */
    int64_t pull_sent_ms;
    int64_t pull_at_ms;             /* not before */
    bool finished;                  /* the group is a replay, and there is nothing left of it */
    bool drained;                   /* end_when_empty, and an empty answer came */
    bool pull_held;                 /* messages were here or in hand when the PULL went out */
    bool kept_back;                 /* an empty answer came, and these may keep others back */
    bool end_told;                  /* the host knows of the end: no reason to wake it again */
    struct zsp_halt halt;           /* by an error of a PULL */
    struct zsp_parcel_list waiting; /* with messages not taken, oldest first */
    struct zsp_parcel_list emptied; /* all taken, some in hand */
    uint64_t waiting_messages;
    size_t waiting_bytes;
    uint64_t taken; /* in all */

    /* In hand. */
    TAILQ_HEAD(, zsp_held) held; /* oldest first */
    uint64_t held_count;
    SLIST_HEAD(, zsp_held) pool;
    struct zsp_held *slabs[ZSP_HELD_SLABS]; /* each twice as large as the one before */
    size_t slab_count;
    enum zsp_suspect suspect; /* of the next message */
    uint8_t instance[16]; /* of the broker that was told the marks: it keeps them in memory only */
    int64_t look_at_ms;   /* marks, leases: the next look; INT64_MAX = nothing in hand or here */

    /* Settling. */
    struct zsp_outcomes outcomes;      /* not sent */
    struct zsp_outcomes outcomes_sent; /* by the request under way, or to be sent again */
    struct zsp_request settle;
    struct zsp_writer settle_args;
    bool settle_out;    /* under way: by `settle`, or; */
    bool settle_aboard; /* aboard the PULL that is out */
    bool starved;       /* the host waits for the PULL that is out */
    uint32_t alone;     /* so many PULLs go without outcomes, see zsp_consumer_board() */
    int64_t settle_at_ms;
    uint64_t settled_count, answered_count; /* outcomes given, and answered */
    uint64_t sent_count;                    /* given, when the request was made */
    struct zsp_err settle_error;            /* since the last flush; code 0 = none */

    /* Touching. */
    struct zsp_outcomes touches;
    struct zsp_request touch;
    struct zsp_writer touch_args;
    bool touch_out;
    int64_t touch_sent_ms;

    zspool_lost_t *lost; /* a ring */
    size_t lost_first, lost_count;
};

/* --- consumer.c --- */

/* An outcome and its argument as the host gave them; `ret->reason` is borrowed from `given`.
 * Errors: ZSP_EINVAL, ZSP_EBAD_VALUE */
int zsp_outcome_read(zspool_outcome_t outcome, const zspool_settle_arg_t *given,
                     struct zsp_outcome_run *ret, struct zsp_err *err);

/* The message as we made it; NULL if it is none in hand. */
struct zsp_held *zsp_consumer_held(const struct zspool_consumer *self,
                                   const zspool_message_t *message);

/* --- consumer_pull.c --- */

void zsp_consumer_pump(struct zsp_port *port, int64_t now_ms);
/* Drop what waits here and whose lease has ended. */
void zsp_consumer_drop_expired(struct zspool_consumer *self, int64_t now_ms);
/* Take a parcel that has no message left to take, or that is lost, out of the queue; it lives on
 * while messages of it are in hand. */
void zsp_consumer_retire(struct zspool_consumer *self, struct zsp_parcel *parcel);
/* A message was settled: it is in hand no more. */
void zsp_consumer_unhold(struct zspool_consumer *self, struct zsp_held *held);
/* Is the next message one that must be marked first? */
bool zsp_consumer_head_is_suspect(const struct zspool_consumer *self);
/* Free a closed consumer for good. */
void zsp_consumer_free(struct zspool_consumer *self);
void zsp_consumer_update_ready(struct zspool_consumer *self);
/* Will zspool_next() never return a message again? */
bool zsp_consumer_at_end(const struct zspool_consumer *self);

/* --- consumer_recall.c --- */

/* A message in hand gets this outcome, in a moment it will not be in hand any more: what must not be
 * seen before it comes again is handed back when its turn comes. */
void zsp_consumer_give_back(struct zspool_consumer *self, const struct zsp_held *held,
                            enum wire_outcome outcome);
/* Hand back what comes next in the parcel and must not be seen; perhaps nothing is left then. */
void zsp_consumer_pass_over(struct zspool_consumer *self, struct zsp_parcel *parcel);
/* Does it lie behind a message that was given back? */
bool zsp_consumer_is_doubtful(const struct zspool_consumer *self, const struct zsp_held *held);

/* --- consumer_settle.c --- */

/* The broker is another one than the marks were sent to, perhaps: then they are due again. */
void zsp_consumer_check_instance(struct zspool_consumer *self, int64_t now_ms);
/* Note what is due by now: marks, extensions, ends of leases. */
void zsp_consumer_look(struct zspool_consumer *self, int64_t now_ms);
/* Look at this time at the latest. */
void zsp_consumer_look_at(struct zspool_consumer *self, int64_t at_ms);
/* Send marks and extensions. */
void zsp_consumer_pump_touch(struct zspool_consumer *self, int64_t now_ms);
/* Send outcomes. */
void zsp_consumer_pump_outcomes(struct zspool_consumer *self, int64_t now_ms);
/* Have all outcomes there are go with a PULL. False = they go by themselves: also for a while after
 * the host waited for one that had some and was slow, since its reply waits for their sync. */
bool zsp_consumer_board(struct zspool_consumer *self, int64_t now_ms);
/* That PULL is answered, or could not be sent (NULL). */
void zsp_consumer_unboard(struct zspool_consumer *self, const struct zsp_answer *answer);
/* Queue the release of all that waits here. */
void zsp_consumer_release_waiting(struct zspool_consumer *self);
/* Tell the host of a loss. */
void zsp_consumer_add_lost(struct zspool_consumer *self, const zspool_lost_t *lost);
bool zsp_consumer_settling(const struct zspool_consumer *self);

#endif
