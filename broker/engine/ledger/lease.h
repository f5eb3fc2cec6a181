/* SPDX-License-Identifier: MPL-2.0
 *
 * Leases: the proof that a message was handed out to someone. One number covers
 * all runs of one pull's reply; it is random, nonzero, below 2^53 (exact in a
 * double) and unique among live leases, and holds over reconnects, restarts and
 * other connections. A lease lives until nothing under it is out any more.
 *
 *      lease_add ---> LIVE ---last message settled---> gone       (step.c)
 *                      |
 *                      +---time over, given back---> ENDING ---all runs judged---> gone
 *                                                                 (lease_end.c)
 *
 * Durable: 'l' group u64, lease u64 -> version u8 = 1, flags u8 (1 = its session sends
 * `started`), granted u32, deadline u64 (broker time). Which messages are under it stands in the
 * blocks of the ledgers; session and request live in memory only, as sessions do.
 */
#ifndef ZSP_ENGINE_LEASE_H
#define ZSP_ENGINE_LEASE_H

#include <sys/queue.h>

#include "broker/engine/base/timers.h"
#include "broker/engine/ledger/ledger.h"
#include "common/table.h"

#define LEASE_KEY 'l'

/* A stretch that was granted. Only its messages that are LEASED under the lease still are. */
struct lease_span {
    struct ledger *ledger; /* NULL = void meanwhile */
    uint64_t first, end;
};

/* Why a lease ends before all of it is settled. */
enum lease_end {
    LEASE_LIVES,
    LEASE_EXPIRED,     /* time over: the poison rule judges */
    LEASE_UNDELIVERED, /* the reply never left: as if not handed out */
    LEASE_RETURNED     /* its session said BYE */
};

struct bye;
struct session_note;

struct lease {
    uint64_t number;
    uint8_t number_key[8];
    uint8_t request_key[24]; /* group, session, request id */
    struct group *group;
    uint64_t group_id;
    uint64_t session, request_id; /* 0 = sessionless */
    uint32_t granted;             /* messages at the grant */
    uint64_t outstanding;         /* messages still LEASED under it */
    int64_t deadline_ms;          /* broker time, */
    int64_t granted_ms;           /* likewise; not durable: a start guesses */
    bool uses_started;            /* its session sends `started`: only marked messages are blamed */
    bool is_granting;             /* its record is not written yet, or its pull not ready */
    bool is_awaited;              /* while granting: its PULL was sent again */
    bool is_told;                 /* a reply has left with it */
    uint32_t step_slot;           /* 1 + index in the open step, 0 = not in it */

    struct lease_span *spans;
    size_t span_count, span_capacity;

    enum lease_end ending;
    bool any_started;  /* while EXPIRED: at least one message was marked */
    size_t end_span;   /* ENDING: where the judging goes on */
    uint64_t end_from; /* */
    struct bye *bye;   /* waits for its end; NULL = none */

    struct timer timer;
    struct lease *next, *prev;       /* of the group, in order of grant */
    struct session_note *note;       /* of its session; NULL = sessionless */
    TAILQ_ENTRY(lease) session_link; /* of the note */
};

struct lease_table {
    struct zsp_table by_number, by_request;
    uint64_t (*random_fn)(void *arg);
    void *random_arg;
    struct lease *free_first; /* linked through next; keep their spans' memory */
    size_t free_count;        /* bounded: a peak of leases is given back */
    size_t count;
};

void lease_table_init(struct lease_table *self, uint64_t (*random_fn)(void *arg), void *random_arg);
/* All leases must be removed. */
void lease_table_fini(struct lease_table *self);

/* A number that no live lease has. */
uint64_t lease_draw(struct lease_table *self);
/* A new lease without spans, in no group's list; the number is not live.
 * `session` 0 = it cannot be found by request. NULL: out of memory. */
struct lease *lease_add(struct lease_table *self, uint64_t number, uint64_t group_id,
                        uint64_t session, uint64_t request_id);
/* A resent request does not find it any more: it ends. */
void lease_hide(struct lease_table *self, struct lease *lease);
/* Forget it. Its timer is not armed, no list holds it. */
void lease_remove(struct lease_table *self, struct lease *lease);
/* NULL = not live. */
struct lease *lease_find(const struct lease_table *self, uint64_t number);
struct lease *lease_find_request(const struct lease_table *self, uint64_t group_id,
                                 uint64_t session, uint64_t request_id);

/* Room for `count` more spans. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int lease_reserve(struct lease *self, size_t count);
/* Put a stretch under the lease; adjoining ones become one. Room is reserved. */
void lease_cover(struct lease *self, struct ledger *ledger, uint64_t first, uint64_t end);
/* The next stretch of the ledger that is out under it: what lies between it and the last one, which was of
 * the same ledger, is under it as well, as far as it is out. */
void lease_cover_on(struct lease *self, uint64_t first, uint64_t end);
/* How many messages of [first, end) of the ledger are out under it; `runs` are the ledger's. They are looked
 * at only when it covers others, too. */
uint64_t lease_out_in(const struct lease *self, const struct ledger *ledger,
                      const struct runmap *runs, uint64_t first, uint64_t end);
/* No message of this ledger is under the lease any more. */
void lease_forget_ledger(struct lease *self, const struct ledger *ledger);

/* The key; `key` has room for GROUP_KEY_ROOM. */
struct zsp_slice lease_key(uint64_t group_id, uint64_t number, uint8_t *key);
void lease_write(struct zsp_writer *out, const struct lease *self);
/* Errors: ZSP_ECORRUPT */
int lease_read(struct lease *self, struct zsp_slice value, struct zsp_err *err);

#endif
