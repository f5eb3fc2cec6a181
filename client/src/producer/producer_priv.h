/* SPDX-License-Identifier: MPL-2.0
 *
 * The inside of a producer, shared by its files:
 *   producer_api.c      the public functions: a message in, its fate out
 *   producer_batch.c    batches: encoded messages on their way to one partition
 *   producer_route.c    topics and routes: which partition, in which batch
 *   producer_pack.c     compressing a batch, outside of the lock
 *   producer_publish.c  what the answers mean, opening the name
 *   producer_send.c     what is sent when, alone or with others
 *   producer_bundle.c   batches that travel in one request
 *   producer_report.c   the fate of tickets: history, reports, flush
 *
 * The name at the broker:
 *
 *     CLOSED --OPEN sent--> OPENING --answered--> OPEN
 *        ^                     |                    |
 *        +------lost, refused--+      FENCED <------+ a newer instance has the name
 *        +--nothing in flight any more, and: resync, or a new instance of the broker--+
 *   CLOSED  -> OPENING  producer_pump   nothing is in flight
 *   OPENING -> OPEN     open_done       each route knows the last sequence the broker has; batches
 *                                       above it lose their sequence, those below keep it
 *   OPEN    -> CLOSED   producer_pump   after `resync` was asked for
 *
 * A batch has a sequence from the first time it is sent, so that it is known again. The sequence is
 * taken back only in open_done: a new epoch then keeps what may still be on its way from being
 * taken for something else.
 *
 * All of it is used with the link locked.
 */
#ifndef ZSP_CLIENT_PRODUCER_PRIV_H
#define ZSP_CLIENT_PRODUCER_PRIV_H

#include <sys/queue.h>

#include "client/src/base/terms.h"
#include "client/src/client_priv.h"
#include "common/codec.h"
#include "common/limits.h"
#include "common/record.h"
#include "common/table.h"
#include "common/wire.h"

#define ZSP_TOPICS_OUT_MAX 4096u  /* topics of one producer */
#define ZSP_HISTORY_RUNS   16384u /* as zspool.h tells */
#define ZSP_REPORTS_MAX    65536u /* untaken; then zspool_send() waits for the host */
#define ZSP_WRITTEN_RUNS   4096u  /* confirmed as written and watched for a loss */

struct zsp_bundle;
struct zsp_route;
struct zsp_topic_out;

struct zsp_ticket_run {
    uint64_t first, count;
};

/* Messages to one partition, encoded. The bytes are shared with libzmq, so the
 * memory goes with the last reference to `buf`. */
struct zsp_batch {
    struct zsp_buf buf; /* first member; data and len are set when it is sent */
    struct zsp_writer bytes;
    struct zsp_ticket_run *runs; /* of its records, in order */
    size_t run_count, run_capacity;
    uint32_t count;         /* records */
    struct zsp_terms terms; /* of all of them */
    bool routed;            /* by the library: PUBLISH tells the number of partitions */
    int64_t born_ms;        /* when its first message was given */

    struct zspool_producer *producer;
    struct zsp_route *route;
    TAILQ_ENTRY(zsp_batch) link;     /* in the route */
    TAILQ_ENTRY(zsp_batch) all_link; /* all of the producer */

    struct zsp_request request; /* when it travels alone */
    struct zsp_writer args;     /* */
    bool is_bundled;            /* in flight: in a bundle */
    bool has_new_seq;           /* in flight: it got its sequence when it departed */
    bool closed;                /* it takes no more records, for it is compressed; */
    bool pack_done;             /* that was tried; */
    struct zsp_buf *packed;     /* the result; NULL = it does not shrink, or was not tried */
    uint64_t seq;               /* of the first record; 0 = none yet */
    bool in_flight;             /* sent, not answered */
    bool uncertain;             /* sent, and the answer was lost: it may be in the log */
    bool applied;               /* the broker told that its sequence is in the log */
    const msgpack_object *at;   /* in confirm(): where its records are, told by rows; else NULL */
    bool reported;              /* given up: its fate was told, only the answer is awaited */
    struct zsp_err *doom; /* refused for good: reported once it is sure that it is not in the log */
};

TAILQ_HEAD(zsp_batch_list, zsp_batch);

/* One partition of a topic, as far as this producer writes to it. */
struct zsp_route {
    struct zsp_topic_out *topic;
    uint32_t partition;
    struct zsp_batch_list batches; /* unresolved, oldest first: in order of sequence */
    uint32_t in_flight;
    size_t usual_bytes, usual_runs; /* of the last batch sent: the next one gets room for as much */
    uint64_t next_seq;              /* for the next batch that has none */
    uint64_t confirmed_seq;         /* the highest confirmed */
    uint64_t broker_seq;            /* in open_done: what the broker told */
    bool holding;          /* a batch failed: send nothing before those behind it are back */
    int64_t hold_until_ms; /* and not before */
    uint32_t tries;        /* since the last confirm, for the pause */
    bool active;           /* in the producer's list of routes with something to send, or of those
                            * that wait for a bundle */
    TAILQ_ENTRY(zsp_route) active_link;
};

TAILQ_HEAD(zsp_route_list, zsp_route);

enum zsp_topic_out_state {
    TOPIC_UNKNOWN, /* how many partitions? messages without one gather in `unrouted` */
    TOPIC_ASKING,  /* TOPIC.INFO is on its way, or TOPIC.CREATE */
    TOPIC_GUESSED, /* there is no topic: one batch is sent to partition 0 of 1, to have it made */
    TOPIC_KNOWN
};

struct zsp_topic_out {
    struct zspool_producer *producer;
    char name[ZSP_NAME_MAX + 1];
    size_t name_len;
    enum zsp_topic_out_state state;
    uint32_t partitions; /* KNOWN, GUESSED */
    struct zsp_route **routes;
    uint32_t route_count;      /* size of `routes`; NULL where nothing was sent to */
    struct zsp_route unrouted; /* never sent as it is */
    uint32_t keyless_partition;
    bool reroute;            /* its batches go back to `unrouted` at the next open_done */
    bool make;               /* the guess was wrong: it is made before it is asked about */
    struct zsp_request info; /* TOPIC.INFO, TOPIC.CREATE */
    struct zsp_writer info_args;
    int64_t ask_at_ms;
    struct zsp_topic_out *next; /* all topics */
    bool asks;                  /* in the producer's list of topics to ask about */
    struct zsp_topic_out *asks_next;
};

enum zsp_name_state { NAME_CLOSED, NAME_OPENING, NAME_OPEN, NAME_FENCED };

/* What became of a run of tickets, for zspool_wait(). */
struct zsp_fate {
    zspool_report_t report;
    struct zsp_err *err; /* NULL when kept */
};

struct zsp_fates { /* a ring */
    struct zsp_fate *items;
    size_t count, next, capacity;
};

struct zsp_written { /* confirmed as written: gone after a power cut? */
    struct zsp_route *route;
    uint64_t last_seq;
    zspool_report_t report;
};

struct zspool_producer {
    struct zspool_client *client;
    struct zsp_port port;
    struct zsp_ready ready;
    zspool_producer_options_t options; /* defaults filled in; name unset */
    char name[ZSP_NAME_MAX + 1];
    bool ephemeral;

    enum zsp_name_state state;
    uint32_t epoch;
    uint8_t instance[16]; /* of the broker that was told the name */
    bool resync;
    uint32_t fruitless_resyncs; /* since the last confirm or growth of a topic */
    int64_t open_at_ms;         /* not before, after a refusal */
    struct zsp_request open;
    struct zsp_writer open_args;

    struct zsp_table topics; /* struct zsp_topic_out, by name */
    struct zsp_topic_out *topic_first;
    struct zsp_topic_out *topic_last_used;
    struct zsp_topic_out *asks_first;
    struct zsp_route_list active;
    struct zsp_batch_list all;       /* oldest first */
    uint32_t in_flight;              /* batches; */
    uint32_t requests;               /* that they are in */
    LIST_HEAD(, zsp_bundle) bundles; /* in flight, */
    uint32_t bundle_count;           /* so many */
    struct zsp_route_list waiting;   /* for one of them to be answered */
    struct zsp_bundle *gathered;     /* only in zsp_producer_send(): the next one */
    size_t bytes;                    /* encoded, unresolved */
    bool want_room;      /* zspool_send() said ZSP_EAGAIN, and the host has not heard of room yet */
    size_t wanted_bytes; /* for a message of about so many */
    struct zsp_writer scratch; /* headers of the message being encoded */
    struct zsp_packer *packer; /* NULL = batches go plain */
    struct zsp_batch *packing; /* closed: to be compressed, or being so, on the link's thread */

    uint64_t last_ticket;
    struct zsp_fates kept, failed;
    zspool_report_t *reports; /* a ring of what the host has not taken */
    size_t report_first, report_count, report_capacity;
    struct zsp_written *written;
    size_t written_next, written_count;
    struct zsp_err first_failure; /* since the last flush; code 0 = none */
    struct zsp_err fenced;
};

/* --- producer_batch.c --- */

/* An empty one, born now, with room for about so much. NULL when out of memory. */
struct zsp_batch *zsp_batch_new(struct zspool_producer *producer, size_t bytes, size_t runs);
/* Take it out of its producer's list and give the producer's reference up. */
void zsp_batch_drop(struct zsp_batch *self);
/* Note that the record just encoded has this ticket. Errors: ZSP_ENOMEM */
int zsp_batch_add_ticket(struct zsp_batch *self, uint64_t ticket);
bool zsp_batch_has_ticket(const struct zsp_batch *self, uint64_t ticket, uint64_t *ret_index);

/* --- producer_route.c --- */

/* Errors: ZSP_EBAD_NAME, ZSP_ELIMIT_REACHED, ZSP_ENOMEM */
int zsp_topic_out_get(struct zspool_producer *producer, struct zsp_slice name,
                      struct zsp_topic_out **ret, struct zsp_err *err);
/* NULL when out of memory. `partition` is below ZSP_PARTITIONS_MAX. */
struct zsp_route *zsp_route_get(struct zsp_topic_out *topic, uint32_t partition);
/* What decides about the batch of a record. */
struct zsp_addressed {
    int32_t partition;    /* -1 = route it */
    struct zsp_slice key; /* data NULL = none: routed by the id, if it has one */
    struct zsp_slice id;
    size_t bytes; /* about */
    struct zsp_terms terms;
};
/* The batch that a record goes into; a new one if there is none of the same terms with room.
 * NULL when out of memory. */
struct zsp_batch *zsp_topic_out_batch(struct zsp_topic_out *topic,
                                      const struct zsp_addressed *record);
/* Take a batch out of its route; it stays in the producer's list. */
void zsp_route_take(struct zsp_batch *batch);
/* Put it at the end of a route. */
void zsp_route_append(struct zsp_route *route, struct zsp_batch *batch);
/* Spread what gathered in `unrouted` over the partitions, now that they are known.
 * Errors: ZSP_ENOMEM (what is left stays in `unrouted`) */
int zsp_topic_out_spread(struct zsp_topic_out *topic);
/* Put all routed batches that have no sequence back into `unrouted`, and ask anew. */
void zsp_topic_out_gather(struct zsp_topic_out *topic);
/* The topic's partitions have to be asked for. */
void zsp_topic_out_ask(struct zsp_topic_out *topic);
/* The route has something to send. */
void zsp_route_activate(struct zsp_route *route);
void zsp_topic_out_free(struct zsp_topic_out *self);

/* --- producer_publish.c --- */

void zsp_producer_pump(struct zsp_port *port, int64_t now_ms);
/* In the pump: have it called at this time. */
void zsp_producer_wake_at(struct zspool_producer *self, int64_t at_ms);
/* What a confirm tells. */
struct zsp_confirmed {
    zspool_level_t level;
    int64_t timestamp_ms;
    const msgpack_object *at; /* the rows; NULL = not told */
};
/* All but `at`. */
struct zsp_confirmed zsp_confirmed_read(const struct zspool_producer *self,
                                        const msgpack_object *map);
/* A batch in flight was answered; `confirmed` if the code is 0. */
void zsp_batch_answered(struct zsp_batch *batch, const struct zsp_answer *answer,
                        const struct zsp_confirmed *confirmed);

/* --- producer_send.c --- */

/* The name is open: send what may go. */
void zsp_producer_send(struct zspool_producer *self, int64_t now_ms);
/* Would the pump send something now? Then it has to be kicked. */
bool zsp_producer_can_send(const struct zspool_producer *self, const struct zsp_batch *batch);

/* In zsp_producer_send(): the batch gets its sequence and counts as in flight; back again. What was
 * taken last goes back first. */
void zsp_batch_depart(struct zsp_batch *self);
void zsp_batch_return(struct zsp_batch *self);
/* Arguments that few batches have: a codec, terms. How many; add them. */
uint32_t zsp_batch_extra_args(struct zsp_batch *self);
void zsp_batch_write_extra_args(struct zsp_batch *self, struct zsp_writer *out);
/* Send it in a request of its own; it has departed. Errors: ZSP_EAGAIN */
int zsp_batch_send_alone(struct zsp_batch *self, int64_t now_ms);

/* --- producer_bundle.c --- */

/* May it travel with others? */
bool zsp_bundle_takes(const struct zsp_batch *batch);
/* Are as many bundles in flight as may be? Then it waits with its route, and its batch grows. */
bool zsp_bundle_must_wait(struct zsp_batch *batch);
void zsp_route_await_bundle(struct zsp_route *route);
/* Let it depart with the bundle that is gathered, which is sent before when it is full.
 * Errors: ZSP_EAGAIN  no credit, no memory, or the connection went */
int zsp_bundle_add(struct zsp_batch *batch, int64_t now_ms);
/* Send what is gathered, if anything is. Errors: ZSP_EAGAIN (its batches are back) */
int zsp_bundle_send(struct zspool_producer *self, int64_t now_ms);
/* The producer goes: nothing in flight is answered any more. */
void zsp_bundles_forget(struct zspool_producer *self);

/* --- producer_pack.c --- */

/* Is the batch as small as it gets? If not, it is closed, and the pump is called again when it is
 * compressed: one at a time. */
bool zsp_batch_ready(struct zsp_batch *self);
/* The body to send: compressed, where that was worth it and the broker knows it. */
struct zsp_buf *zsp_batch_body(struct zsp_batch *self);

/* --- producer_report.c --- */

/* The fate of a whole batch is known: report it and drop it. `told` gives all but tickets, count
 * and offsets of single runs; err NULL = kept. */
void zsp_batch_resolve(struct zsp_batch *batch, const zspool_report_t *told,
                       const struct zsp_err *err);
/* The batch is given up, but its answer is still to come: report, keep it. */
void zsp_batch_report(struct zsp_batch *batch, const zspool_report_t *told,
                      const struct zsp_err *err);
/* Batches confirmed as written whose route's broker_seq is below them now are lost: report. */
void zsp_producer_report_losses(struct zspool_producer *self);
/* Room or reports may have changed: tell who waits. */
void zsp_producer_update_ready(struct zspool_producer *self);
bool zsp_producer_has_room(const struct zspool_producer *self, size_t bytes);
/* Is the producer ready because there is room again for what was refused? */
bool zsp_producer_room_is_told(const struct zspool_producer *self);
void zsp_producer_free_reports(struct zspool_producer *self);

#endif
