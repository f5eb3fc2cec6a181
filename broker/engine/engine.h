/* SPDX-License-Identifier: MPL-2.0
 *
 * The engine: what the broker means. Topics, groups, leases, producers, parked
 * pulls, administration. A pure state machine: every input comes in through a
 * call with the time of the event, every output leaves as an effect or as a
 * call on the store. No sockets, files, clocks, threads or randomness of its
 * own; the same inputs give the same outputs, byte for byte.
 *
 * The host owns connections, sessions and credit, and drives:
 *     engine_request(), engine_session_end(), engine_undelivered() ...  per event
 *     engine_pump()        after each batch of events and of finished jobs: takes
 *                          the store's completions, serves parked pulls and
 *                          timers, then flushes the store
 *     engine_next_effect() until there is none
 *     engine_deadline_ms() when engine_pump() wants to be called at the latest
 */
#ifndef ZSP_ENGINE_ENGINE_H
#define ZSP_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/store/store.h"
#include "common/buf.h"
#include "common/diag.h"
#include "common/wire.h"

struct engine;

/* Is there room for a reply's body? */
enum engine_room {
    ENGINE_ROOM,       /* so much is reserved for it */
    ENGINE_ROOM_LATER, /* not yet: other replies that are being put together stand in the way */
    ENGINE_NO_ROOM     /* the client must read first */
};

/* A figure for STATS. */
struct engine_figure {
    const char *name; /* static */
    uint64_t value;
};
#define ENGINE_FIGURES_MAX 32u

struct engine_options {
    struct store *store;              /* lent; not yet started */
    const struct zsp_diag *diag;      /* lent; NULL = silent */
    uint64_t (*random_fn)(void *arg); /* lease numbers, hash seeds */
    void *random_arg;
    bool auto_create_topics;     /* a first publish creates its topic */
    bool auto_create_groups;     /* a first pull creates its group */
    uint32_t default_partitions; /* of a topic created by a publish, 1..ZSP_PARTITIONS_MAX */
    uint32_t part_bytes; /* of records in a PART, about; 0 = ZSP_PART_BYTES; simulation uses less */
    uint32_t pump_work_bytes; /* of engine_work_bytes(), about, in one pump; 0 = some 20 ms of work;
                               * simulation uses less */
    uint32_t seal_bytes; /* of a topic that is compacted: a segment is sealed for it at so many; 0 =
                          * ZSP_COMPACTION_SEAL_BYTES; simulation uses less */
    uint32_t retention_ms; /* between two rounds of retention; 0 = ZSP_RETENTION_MS; simulation uses
                            * less */
    uint32_t join_partitions;  /* looked at in one turn for a group over a pattern; 0 =
                               * ZSP_JOIN_PARTITIONS; simulation uses less */
    uint32_t expiry_runs_max;  /* times to live that are known; 0 = EXPIRY_RUNS_MAX, */
    uint32_t expiry_apart_max; /* and stretches apart; 0 = EXPIRY_APART_MAX; simulation uses less */
    /* Runs of leases that end which are judged in a millisecond, about. 0 = ZSP_LEASE_END_WORK;
     * simulation uses less. */
    uint32_t lease_end_work;
    uint32_t topics_max, groups_max; /* 0 = no limit; beyond: ZSP_ELIMIT_REACHED */
    uint32_t partitions_max;         /* the same, of all topics together */
    /* Asked before messages are read for a request: may its reply's body have so many bytes? A
     * first message that is larger may come all the same. What is reserved replaces what was
     * (0 = nothing); it ends with the reply's effect, or when the host abandons the request.
     * After LATER the engine asks again when effects have been taken. NULL = always. */
    enum engine_room (*room_fn)(void *arg, uint64_t ticket, uint32_t bytes);
    void *room_arg;
    /* Figures of the host that STATS tells beside the engine's; at most `max`. NULL = none. */
    size_t (*figures_fn)(void *arg, struct engine_figure *ret, size_t max);
    void *figures_arg;
};

/* A new engine that has done nothing yet. NULL: out of memory, or an option out
 * of range. */
struct engine *engine_new(const struct engine_options *options, struct zsp_err *err);
void engine_destroy(struct engine **self_p);

/* Start the store, replay durable state, open every partition. After it the
 * engine takes events. Errors: those of the store; ZSP_ECORRUPT when an entry
 * makes no sense (named). */
int engine_start(struct engine *self, struct instant now, struct zsp_err *err);

/* One request. All but `args` and `bodies` are plain values; `args` is borrowed for the
 * call, of each body the engine takes its own reference. Exactly one
 * EFFECT_REPLY with `ticket` that has no `more` follows, now or later; before it come
 * those with `more`, for requests that ask for parts. */
struct engine_request {
    uint64_t ticket;  /* the host's name for the request, unique among unanswered ones */
    uint64_t session; /* 0 = sessionless; else the same for all requests of a session */
    uint64_t id;      /* the request id, echoed in the reply header */
    struct zsp_slice verb;
    const msgpack_object *args;
    struct zsp_buf *const *bodies;
    size_t body_count;
};
void engine_request(struct engine *self, struct instant now, const struct engine_request *request);

/* How many batches does a request bring that brings many? Each takes up to ZSP_BATCH_BYTES beside its
 * own bytes until it is answered: the host counts them as the client's. */
uint32_t engine_request_batches(struct zsp_slice verb, const msgpack_object *args);

/* Does the engine have this verb? (The host answers HELLO and PING itself.) */
bool engine_has_verb(struct zsp_slice verb);

/* What the session is called, for people; data NULL = not told. A HELLO tells. */
void engine_session_name(struct engine *self, uint64_t session, struct zsp_slice name);

/* Why a session ends that did not say BYE. */
enum engine_session_end {
    ENGINE_SESSION_OVER,  /* its leases stay; they end by time */
    ENGINE_SESSION_SILENT /* it had promised to be heard: its leases are lost, now */
};
/* The session's parked pulls end unanswered, its reservations are undone. (A session whose
 * connection is gone has not ended: its requests are abandoned one by one, and a PULL sent again
 * under the same id is answered with the lease that it got, see docs/PROTOCOL.md, 7.) */
void engine_session_end(struct engine *self, struct instant now, uint64_t session,
                        enum engine_session_end why);

/* The reply of a pull could not be delivered: its lease ends early, uncounted. */
void engine_undelivered(struct engine *self, struct instant now, uint64_t lease);

/* A parked request whose client has gone: dropped without a reply. */
void engine_abandon(struct engine *self, struct instant now, uint64_t ticket);

/* No new work from now on: parked pulls are answered empty (shutting_down), new
 * requests refused; what is in flight completes. */
void engine_drain(struct engine *self, struct instant now);
/* Is anything unanswered or not durable yet? */
bool engine_busy(const struct engine *self);
/* Does anybody wait for what is not synced yet: a PUBLISH for its confirm, a parked request for
 * messages? */
bool engine_awaits_sync(const struct engine *self);

void engine_pump(struct engine *self, struct instant now);
int64_t engine_deadline_ms(const struct engine *self);

/* A stretch of bytes of a reply's body. */
struct engine_part {
    struct zsp_buf *buf; /* holds a reference */
    size_t pos, len;
    bool is_whole; /* a body frame of its own, nothing else in it */
};

enum engine_effect_kind {
    EFFECT_REPLY,    /* answer a request */
    EFFECT_FAIL_STOP /* the storage failed: answer what is there, then end; comes once */
};

struct engine_effect {
    enum engine_effect_kind kind;
    uint64_t ticket;        /* REPLY */
    uint64_t lease;         /* REPLY of a pull that granted one, for engine_undelivered(); else 0 */
    struct zsp_buf *header; /* REPLY: the encoded header; holds a reference */
    struct engine_part
        *parts; /* REPLY: the body, in order; valid until the next call on the engine */
    size_t part_count;
    bool more; /* REPLY: a PART: the request is still unanswered, another reply follows */
    struct zsp_err error; /* FAIL_STOP: why */
};

/* The next effect in order; false when there is none. The host owns the effect
 * and gives its references back with engine_effect_release(). */
bool engine_next_effect(struct engine *self, struct engine_effect *ret);
void engine_effect_release(struct engine_effect *self);

/* Bytes of compressed batches that were unpacked so far. */
uint64_t engine_unpacked_bytes(const struct engine *self);

/* The same, and bytes of stored records that were looked at one by one to cut slices: costly work,
 * for hosts that share out a turn. */
uint64_t engine_work_bytes(const struct engine *self);

/* Bytes that what is out, waiting, dead or not in its turn takes now: most of what a peak takes. */
size_t engine_run_bytes(const struct engine *self);

/* Figures for STATS and for people; see docs/PROTOCOL.md, STATS. */
struct engine_stats {
    uint64_t published_messages, published_bytes, duplicate_messages;
    uint64_t stored_bytes; /* of published_bytes, as they are stored: less when compressed */
    uint64_t delivered_messages, settled_messages, redelivered_messages, dead_messages;
    uint64_t expired_messages; /* left out, once for each group */
    uint64_t topic_count, group_count, partition_count, lease_count, parked_count, producer_count;
};
void engine_stats(const struct engine *self, struct engine_stats *ret);

#endif
