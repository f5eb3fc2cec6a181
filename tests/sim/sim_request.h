/* SPDX-License-Identifier: MPL-2.0
 *
 * Requests of the simulated clients: what was asked, as encoded bytes and as
 * plain values that client and checker look at; and the answer, decoded.
 *
 *   FLYING ---reaches the broker---> ENTERED ---its reply leaves---> ANSWERED
 *      |                                | \---its pull's client goes---> GONE
 *      +---connection lost---> CUT <----+---the broker dies
 */
#ifndef ZSP_SIM_REQUEST_H
#define ZSP_SIM_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/engine/engine.h"
#include "common/buf.h"
#include "common/wire.h"

#define SIM_TOPICS    3u
#define SIM_PARTS_MAX 5u
#define SIM_GROUPS    5u
#define SIM_ORDERED   3u /* the group of mode ordered, */
#define SIM_KEYED     4u /* and the one of mode keyed */
/* A topic, and a group, that come and go: sim_scratch.c */
#define SIM_SCRATCH       3u
#define SIM_SCRATCH_GROUP SIM_GROUPS
#define SIM_SOURCE        4u /* topics of sim_relay.c, and its group */
#define SIM_LEFT          5u
#define SIM_RIGHT         6u
#define SIM_RELAY         (SIM_GROUPS + 1)
#define SIM_SICK          7u /* topics of sim_ward.c, and its group */
#define SIM_GRAVE         8u
#define SIM_WARD          (SIM_GROUPS + 2)
#define SIM_REPEAT        9u               /* topic of sim_repeat.c */
#define SIM_PRICES        10u              /* topic of sim_market.c, */
#define SIM_BUYERS        (SIM_GROUPS + 3) /* and the first of its groups: shared, ordered, keyed */
#define SIM_BUYERS_COUNT  3u
#define SIM_SIDE          (SIM_BUYERS + SIM_BUYERS_COUNT) /* group of sim_side.c */
#define SIM_CLINIC        11u /* topics of sim_clinic.c, and its group */
#define SIM_MORGUE        12u
#define SIM_CLINIC_GROUP  (SIM_SIDE + 1)
#define SIM_TIDE          13u /* topic of sim_tide.c, and its groups */
#define SIM_TIDES         (SIM_CLINIC_GROUP + 1)
#define SIM_TIDES_COUNT   2u
#define SIM_SHELF         (SIM_TIDES + SIM_TIDES_COUNT) /* group of sim_shelf.c */
#define SIM_TOPICS_ALL    14u
#define SIM_SETTINGS_MAX  6u

struct client;

/* When and before what a message is to be handed out. */
struct sim_order {
    uint8_t priority;
    int64_t not_before_ms, expires_at_ms; /* wall, 0 = none */
};
struct saved_model;

enum sim_verb {
    SIM_PUBLISH,
    SIM_OPEN,
    SIM_PULL,
    SIM_SETTLE,
    SIM_READ,
    SIM_SEEK,
    SIM_TOPIC_CREATE,
    SIM_TOPIC_GROW, /* TOPIC.SET of partitions */
    SIM_TOPIC_INFO,
    SIM_GROUP_CREATE,
    SIM_GROUP_INFO,
    SIM_GROUP_TRACE,
    SIM_GROUP_REPLAY,
    SIM_TOPIC_DELETE,
    SIM_TOPIC_PURGE,
    SIM_GROUP_DELETE,
    SIM_GROUP_SET,
    SIM_GROUP_PAUSE,
    SIM_GROUP_RESUME,
    SIM_SAVEPOINT_SAVE,
    SIM_SAVEPOINT_RESTORE,
    SIM_SAVEPOINT_UNDO,
    SIM_COMMIT,
    SIM_STATS,
    SIM_BYE,
    SIM_CANCEL,
    SIM_DEAD_LIST,
    SIM_DEAD_REDRIVE,
    SIM_DEAD_DROP
};

/* A setting of a topic: a text, or NULL and a number. */
struct sim_setting {
    const char *name, *text;
    uint64_t number;
};

enum request_state {
    REQUEST_FLYING,
    REQUEST_ENTERED,
    REQUEST_ANSWERED,
    REQUEST_GONE, /* its client is; an answer may still come */
    REQUEST_CUT
};

/* One message of a topic. */
struct sim_place {
    uint32_t partition;
    uint64_t offset;
};

/* A stretch to be settled. */
struct sim_srun {
    uint32_t topic, partition;
    uint64_t first, count, lease;
    enum wire_outcome outcome;
    bool has_delay;
    uint64_t delay_ms;
};

/* A stretch that was delivered or read; the messages are numbers in request->messages. */
struct sim_run {
    uint32_t topic, partition;
    uint64_t first, count, lease;
    int64_t timestamp_ms;
    uint32_t deliveries, failures;
    uint8_t priority;
    size_t first_message; /* index into reply.messages */
};

/* One entry of a publish's `at`. */
struct sim_at {
    uint32_t index, count, partition;
    bool has_first;
    uint64_t first;
    bool duplicate;
};

/* One entry of not_applied. */
struct sim_not_applied {
    uint32_t topic, partition;
    uint64_t first, count;
    char why[8]; /* done, lost, unknown */
};

/* A partition of a group or a topic, or a sequence, or a seek's. */
struct sim_part {
    uint32_t topic, partition;
    uint64_t values
        [9]; /* GROUP.INFO: committed end ready leased waiting dead lost expired compacted; TOPIC.INFO: start
                         * end bytes; OPEN: seq; SEEK: from to redelivered skipped; RESTORE, UNDO:
                         * likewise, and gone */
};

/* The answer; filled as the verb asks. */
struct sim_reply {
    bool is_error;
    int code; /* ZSP_E..., when it is an error */
    bool maybe;
    char text[128];
    struct sim_run *runs;
    size_t run_count;
    uint32_t *messages; /* of all runs, in order */
    size_t message_count;
    size_t body_bytes, first_record_bytes; /* of records */
    struct sim_at *at;
    size_t at_count;
    struct sim_not_applied *not_applied;
    size_t not_applied_count;
    struct sim_part *parts;
    size_t part_count;
    bool is_synced; /* PUBLISH: the level told */
    int64_t timestamp_ms;
    uint64_t lease, lease_ms, epoch, next, start, end, applied, released;
    uint64_t partitions;  /* READ */
    bool redrives;        /* GROUP.INFO: one with a rate is under way, */
    uint64_t redriven;    /* and has redriven so many */
    uint64_t commit_last; /* OPEN; COMMIT tells the first offset in the first topic in `next` */
    bool cancelled;
    char reason[16];
    char status[12];               /* GROUP.TRACE, */
    uint32_t deliveries, failures; /* */
};

struct sim_request {
    uint64_t ticket;
    struct client *client;
    uint32_t client_life; /* of the client when it asked; an older one's answers are ignored */
    enum sim_verb verb;
    uint64_t session, id;
    struct zsp_buf *header, *body; /* body may be NULL */
    struct zsp_buf *second_body;   /* COMMIT */
    enum request_state state;
    bool is_lost;          /* the client was told, or will be, that no answer came */
    uint64_t sent_step;    /* when its client sent it, */
    uint64_t entered_step; /* and when it entered */
    int64_t entered_ms;    /* of the broker's uptime */
    int64_t entered_wall_ms;

    uint32_t topic;    /* of the simulator's topics */
    int32_t partition; /* < 0 = not told */
    uint32_t group;
    /* PUBLISH */
    bool is_synced; /* the level asked for */
    bool is_packed; /* the body is compressed */
    uint32_t first_message, message_count;
    struct sim_order order;
    uint32_t producer; /* 1 + index, 0 = anonymous */
    uint64_t epoch, sequence;
    bool rows_told[2]; /* of one that travels as one of many, see sim_many.h */
    /* COMMIT: messages that go to both topics; PUBLISH: those that do not have numbers in a row */
    uint32_t *numbers;
    size_t number_count;
    /* PULL, READ */
    uint32_t only;       /* PULL: 1 + the one topic of its group that it takes; 0 = all */
    uint64_t look_ahead; /* GROUP.CREATE; 0 = the default */
    uint64_t max_messages, max_bytes, wait_ms, from;
    bool accepts_zstd, wants_parts;
    bool from_earliest;       /* READ: instead of `from` */
    uint64_t dedup_window_ms; /* TOPIC.CREATE: 0 = none */
    bool is_by_id;            /* READ: from the id of this message; */
    bool was_unsure;          /* of which nothing was certain when it was asked for */
    uint32_t id_message;
    struct sim_setting
        settings[SIM_SETTINGS_MAX]; /* TOPIC.CREATE: these, instead of the next ones */
    size_t setting_count;
    bool spares_dead;         /* GROUP.CREATE: retention leaves dead messages for a while, */
    uint64_t dead_bytes;      /* and of these no more than that; 0 = any */
    uint64_t retention_bytes; /* TOPIC.CREATE: 0 = none */
    bool until_consumed, drops_oldest; /* and the limit is max_topic_bytes */
    uint32_t parts_wanted;             /* TOPIC_GROW: so many, */
    bool force;                        /* */
    uint32_t parts_then;               /* TOPIC_GROW, TOPIC.INFO, READ: so many were sure */
    uint32_t parts_known;              /* READ: it is to be told of more; 0 = it is not */
    bool order_may_be_young;           /* TOPIC_GROW: no group surely kept one when it came */
    uint64_t compact_ratio;            /* cleanup is compact; 0 = it is not */
    uint64_t mark_then;                /* READ: the mark that was known when it entered */
    /* SETTLE, and outcomes that a PULL brings along */
    struct sim_srun *sruns;
    size_t srun_count;
    uint64_t seeks_then; /* SETTLE, PULL, GROUP.INFO: seeks of the group begun or ended by then */
    uint64_t lows[SIM_TOPICS][SIM_PARTS_MAX]; /* GROUP.INFO: what was surely done by then */
    /* SEEK, REPLAY */
    struct wire_position position, until;
    const char *fair_by;       /* GROUP.CREATE: NULL = nobody */
    bool has_filter;           /* GROUP.CREATE: MESSAGE_FILTER */
    bool is_weighted;          /* GROUP.CREATE: priority = weighted */
    bool dry_run;              /* and of SAVEPOINT.RESTORE and UNDO */
    struct saved_model *saved; /* SAVEPOINT.SAVE: what the checker knew */

    /* sim_clinic.c: who writes the arguments, NULL = sim_request.c; DEAD.REDRIVE; SEEK */
    void (*write_args_fn)(struct zsp_writer *out, const struct sim_request *self);
    uint64_t rate;
    bool keeps_counts, stops, with_dead;
    struct sim_place *touched; /* messages that it is about */
    size_t touched_count;

    /* PULL: the one that this is once more, under its id; NULL = none */
    const struct sim_request *repeats;
    bool session_is_over; /* its session has said BYE meanwhile */
    /* GROUP.TRACE of offset `from`: what the checker knew when it came */
    const char *wanted_status;
    uint64_t wanted_lease;
    /* BYE: how many messages the session had under leases, surely and perhaps (UINT64_MAX: any) */
    uint64_t released_min, released_max;
    /* CANCEL */
    const struct sim_request *cancels;

    /* PULL: how many of its group had entered with it, and were unanswered but it */
    uint64_t pulls_then;
    bool was_alone;
    /* PULL: since when, and how often, GROUP.INFO told of ready messages while it waited */
    int64_t ready_since_ms;
    uint32_t ready_count;

    struct sim_reply reply;
};

void request_destroy(struct sim_request **self_p);

/* Fill request->header (and ->body for PUBLISH) from the plain values. */
void request_encode(struct sim_request *self);
/* Why an answer is not what the protocol says. */
struct sim_complaint {
    char text[200];
};

/* Decode the answer. False: `complaint` tells what is wrong with it. */
bool request_decode(struct sim_request *self, const struct engine_effect *effect,
                    struct sim_complaint *complaint);

/* Names of topics and groups. */
const char *sim_topic_name(uint32_t topic);
const char *sim_group_name(uint32_t group);
const char *sim_verb_name(enum sim_verb verb);

#endif
