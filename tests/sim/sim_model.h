/* SPDX-License-Identifier: MPL-2.0
 *
 * The checker: a plain model of what the broker has promised so far, kept from
 * what enters the broker and what leaves it, in exactly that order. It knows
 * nothing of how the broker works. The first broken promise is kept in `failure`.
 *
 *   logs       an offset whose message was seen, or confirmed synced, keeps it for ever; a
 *              message has one address; what was confirmed is there at the end; what was refused
 *              is not; one client's messages keep their order
 *   groups     see sim_model_group.c; GROUP.TRACE: sim_model_trace.c
 *   sessions   see sim_model_session.c
 *   pauses     see sim_model_pause.c
 *   savepoints see sim_model_savepoint.c
 *   producers  sequences are neither lost nor invented; old epochs are fenced
 */
#ifndef ZSP_SIM_MODEL_H
#define ZSP_SIM_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/compiler.h"
#include "common/limits.h"
#include "tests/sim/sim_reach.h"
#include "tests/sim/sim_request.h"

#define SIM_PRODUCERS    3u
#define SIM_CLIENTS_MAX  25
#define SIM_TENANTS      10u /* keys, and none */
#define SIM_MESSAGES_MAX 1000000u

/* Settings of the groups that are created by hand; the others have the defaults. */
#define SIM_LEASE_MS     4000
#define SIM_PULL_BYTES   100000u /* of a pull that has room for all that it may get */
#define SIM_TURN_MS      1       /* a reply leaves at most so long after it was written */
#define SIM_MAX_FAILURES 3       /* of the first */
#define SIM_BACKOFF_MS   300
#define SIM_PATIENCE     1000 /* max_failures of the group that keeps an order: only rejects kill */

/* What is known of a message. */
struct message_fact {
    uint32_t client; /* who sent it */
    uint8_t topic;
    uint8_t parts_then;    /* so many partitions the topic had surely */
    int32_t partition;     /* asked for; < 0 = the broker routes */
    uint32_t tries_out;    /* requests with it that are in the broker, unanswered */
    bool entered;          /* some request with it reached the broker */
    bool maybe;            /* a request with it was not answered, or with maybe */
    bool must_exist;       /* confirmed synced */
    bool must_until_power; /* confirmed written */
    bool is_placed;        /* its address is known; */
    bool is_sure;          /* and for ever */
    uint32_t at_partition;
    uint64_t at_offset;
    int64_t timestamp_ms; /* 0 = not known */
    struct sim_order order;
    uint32_t crashes_then, power_cuts_then; /* before it was made */
    uint64_t synced_step;                   /* when it was confirmed synced, 0 = it was not */
    int64_t synced_ms;                      /* uptime then */
    bool found;                             /* in the last look at everything */
};

/* An offset. */
struct log_slot {
    uint32_t message; /* 1 + number, 0 = not known */
    bool is_stale;    /* it was only written, and the power went */
};

struct log_model {
    struct log_slot *slots;
    size_t capacity;
    uint64_t mark; /* the highest synced end that was told */
};

/* A message in a group. */
struct group_slot {
    uint32_t grants;       /* replies that held it, since the last seek */
    uint32_t grants_ever;  /* the same, whatever seeks there were */
    uint32_t uncounted;    /* of them, those that `deliveries` may not know */
    uint32_t failures_min; /* confirmed */
    bool acked;            /* confirmed */
    bool maybe_done;       /* an ack or reject of it has reached the broker */
    bool dead;             /* surely */
    bool skipped;          /* by a seek */
    bool optional;         /* need not be delivered (again) */
    bool doomed;           /* it may be dead since before a seek */
    bool delivered;
    bool delivered_in_seek; /* while a seek was under way */
    uint64_t lease;         /* under which it went out last, 0 = none known; */
    uint64_t session;       /* to this session, 0 = to none */
    bool lease_sure;        /* nothing has happened that could have ended it */
    int64_t lease_end_ms;   /* it lives until then at least, uptime */
    int64_t lease_base_ms;  /* the same without extensions, which a crash may forget */
    uint64_t grant_step;
    int64_t not_before_ms;              /* uptime; a retry is not due before */
    const struct sim_request *settling; /* the last SETTLE that named it under its lease */
    bool was_sure;                      /* the lease, when that SETTLE came */
    bool came_back;                     /* surely: retried or released, and not out since */
};

struct ledger_model {
    struct group_slot *slots;
    size_t capacity;
    uint64_t low;             /* all below are surely done or skipped */
    uint64_t high;            /* all below were seen to be possibly done; for speed only */
    uint32_t optional_before; /* messages up to this number may have been skipped */
};

/* What is known of a savepoint: a byte of flags for each offset of each ledger. */
struct saved_model {
    bool exists; /* surely */
    bool known;  /* what it holds */
    uint8_t *flags[SIM_TOPICS * SIM_PARTS_MAX];
    size_t counts[SIM_TOPICS * SIM_PARTS_MAX];
};

struct group_model {
    bool exists;             /* surely */
    uint64_t seeks;          /* begun and ended, counted both */
    size_t moved_count;      /* messages that there were when it was moved last */
    uint32_t seeks_out;      /* under way */
    uint32_t unseen_grants;  /* pulls that may have been granted without a reply; */
    int64_t unseen_until_ms; /* their leases are over by then, uptime */
    uint64_t pulls;          /* that entered */
    uint32_t pulls_out;      /* of them, those that nothing was heard of */
    uint64_t no_turns;       /* weighted: messages since the less urgent that waited had a turn, */
    unsigned no_turns_of;    /* all of this priority */
    bool paused;             /* surely */
    bool maybe_paused;
    uint64_t pause_step;  /* when the last PAUSE came, */
    uint64_t resume_step; /* and the last RESUME */
    struct saved_model saved;
    struct ledger_model ledgers[SIM_TOPICS][SIM_PARTS_MAX];
};

/* One sequence of a producer. */
struct sequence_model {
    uint64_t entered;   /* the highest that reached the broker */
    uint64_t synced;    /* the highest confirmed synced; */
    uint64_t written;   /* or written */
    uint32_t *messages; /* of sequence i + 1 */
    size_t capacity;
};

struct producer_model {
    uint64_t epoch;      /* the highest that was answered */
    uint64_t epoch_step; /* when */
    struct sequence_model sequences[SIM_TOPICS][SIM_PARTS_MAX];
};

/* In a row, since a tenant has a message that waits: */
struct fair_wait {
    uint32_t others[SIM_TENANTS]; /* messages of each other one that came */
    uint64_t out_of_turn;         /* of these, at most */
    bool any_cut;                 /* replies were cut by their limit of bytes */
};

struct model {
    bool failed;
    char failure[400];
    uint64_t step;       /* of the history */
    int64_t wall_ms;     /* now, */
    int64_t wall_max_ms; /* and at most ever */
    uint64_t wall_step;  /* when it was set back last */
    bool any_expires;    /* some messages do */
    bool shares_fairly;  /* group 0 does, by key or by producer: */
    bool fair_by_key;
    uint32_t producer_of[SIM_CLIENTS_MAX]; /* of each client, 0 = without a name */
    uint64_t fair_pull_step;               /* when the last pull came that was looked at */
    uint64_t fair_back; /* so many messages may have been put back and not taken since */
    struct fair_wait fair_waits[SIM_PARTS_MAX][SIM_TENANTS][ZSP_PRIORITY_MAX + 1];
    bool filters;       /* groups that are made by hand have one */
    bool shelf_filters; /* the one that nobody pulls for has */
    bool
        expiry_is_tight; /* the broker has room for few times to live, and leaves the rest to pulls */
    bool is_weighted;    /* group 0 gives turns to the less urgent */
    int64_t uptime_ms;   /* how long the broker ran, all lives together */
    uint32_t crashes, power_cuts;
    struct reach reach;
    int64_t slow_ms;      /* until then, of uptime, reads may take long */
    int64_t stall_end_ms; /* of the last stall, uptime; 0 = there was none */
    int64_t quiet_ms; /* since then, of uptime, nothing has happened to disk, clock and broker */
    uint64_t durable_step; /* grants up to this step are durable */
    struct message_fact *messages;
    size_t message_count, message_capacity;
    struct log_model logs[SIM_TOPICS][SIM_PARTS_MAX];
    struct group_model groups[SIM_GROUPS];
    struct producer_model producers[SIM_PRODUCERS];
    bool topic_exists[SIM_TOPICS];                       /* surely */
    uint32_t parts_sure[SIM_TOPICS];                     /* it has got so many; */
    uint32_t parts_asked[SIM_TOPICS];                    /* and may have so many; 0 = the first */
    uint64_t confirmed, delivered, acked, deaths, swept; /* figures for people */
};

/* Is the group created with settings of its own? How often may a message fail in it? */
bool model_is_made_by_hand(uint32_t group);
uint32_t model_max_failures(uint32_t group);
/* Partitions of a topic: when it is made; the most that it ever gets; those that it surely has. */
uint32_t model_first_partitions(uint32_t topic);
uint32_t model_partition_count(uint32_t topic);
uint32_t model_sure_partitions(const struct model *self, uint32_t topic);
bool model_group_has_topic(uint32_t group, uint32_t topic);
/* Does the PULL ask for messages of it? */
bool model_takes_topic(const struct sim_request *pull, uint32_t topic);

void model_fini(struct model *self);
/* Keep the first failure. Returns false. */
bool model_fail(struct model *self, const char *format, ...) ZSP_PRINTF(2, 3);

/* A message is handed out; `moved_count`: messages that there were when its group was moved last. */
void model_reach(struct model *self, enum reach_mode mode, const struct sim_run *run,
                 uint32_t message, size_t moved_count);

/* The time of what happens now. */
void model_wall(struct model *self, int64_t wall_ms);

/* `count` new messages, numbered from the returned one on. */
uint32_t model_new_messages(struct model *self, uint32_t count, uint32_t client, uint32_t topic,
                            int32_t partition);

/* A request reaches the broker; its answer leaves (decoded); or none ever will. */
void model_enter(struct model *self, struct sim_request *request);
void model_answer(struct model *self, struct sim_request *request);
void model_cut(struct model *self, struct sim_request *request);

/* The broker dies; comes back; or did not run for a while. */
void model_crash(struct model *self, bool power_loss);
void model_grace(struct model *self, int64_t stall_ms);
/* The connection of an unanswered PULL is gone: it may be granted all the same. */
void model_pull_gone(struct model *self, const struct sim_request *pull);
/* The session was silent for too long: its leases may be over. */
void model_silent(struct model *self, uint64_t session);
/* The host told the broker that this PULL's reply was not delivered. */
void model_undelivered(struct model *self, const struct sim_request *pull);

/* --- Ends ---------------------------------------------------------------------------- */

/* Everything was read once more: is all there that must be, and nothing else? */
void model_final_begin(struct model *self);
void model_final_logs(struct model *self);
/* A group was drained: has each message reached it? */
void model_final_group(struct model *self, uint32_t group);
/* How one of its messages is told to stand. */
void model_final_trace(struct model *self, const struct sim_request *trace);

/* --- Between the model's files --------------------------------------------------------- */

struct log_slot *model_log_slot(struct model *self, uint32_t topic, uint32_t partition,
                                uint64_t offset);
/* A message is at an address; `sure` = for ever. */
bool model_place(struct model *self, uint32_t message, uint32_t topic, uint32_t partition,
                 uint64_t offset, bool sure, int64_t timestamp_ms);
void model_mark(struct model *self, uint32_t topic, uint32_t partition, uint64_t end);

struct group_slot *model_group_slot(struct model *self, uint32_t group, uint32_t topic,
                                    uint32_t partition, uint64_t offset);
/* Does the message surely stand under the lease that it went out with last? */
bool model_lease_lives(const struct model *self, const struct group_slot *slot);

/* Was a seek under way at some time since the request came? */
bool model_in_seek(const struct model *self, const struct sim_request *request);
/* Acked or dead, as far as one can tell from outside? */
bool model_may_be_over(const struct model *self, const struct group_slot *slot, uint32_t group);
/* A move to anywhere may have been: nothing is certain of this ledger any more. */
void model_forget_ledger(struct model *self, uint32_t group, struct sim_part place);
void model_save_enter(struct model *self, struct sim_request *request);
void model_save_answer(struct model *self, struct sim_request *request);
void model_restore_answer(struct model *self, struct sim_request *request);
void model_restore_cut(struct model *self, const struct sim_request *request);
void saved_free(struct saved_model *self);

void model_pause_enter(struct model *self, const struct sim_request *request);
void model_pause_answer(struct model *self, const struct sim_request *request);
bool model_judge_pause(struct model *self, const struct sim_request *pull);

/* Order, of a group that keeps one (sim_model_order.c): a message is handed out. */
bool model_order_deliver(struct model *self, const struct sim_request *request,
                         const struct sim_run *run, uint64_t offset);
/* A message came back by this request: so did what was out behind it when the request came. */
void model_order_recall(struct model *self, const struct sim_request *request,
                        const struct sim_srun *srun, uint64_t offset);
/* What is out at or behind the offset, which may come back, may come back with it. */
void model_order_doubt(struct model *self, uint32_t group, uint32_t topic, uint32_t partition,
                       uint64_t offset);
bool model_has_order(uint32_t group);

bool model_judge_repeat(struct model *self, const struct sim_request *request);
void model_bye_enter(struct model *self, struct sim_request *request);
void model_bye_answer(struct model *self, struct sim_request *request);
void model_cancel_answer(struct model *self, const struct sim_request *request);

/* --- sim_model_urgent.c --- */
void model_urgent_enter(struct model *self, struct sim_request *pull);
/* May this message be in the reply, as far as priority and times go? */
bool model_judge_urgent(struct model *self, const struct sim_request *pull,
                        const struct sim_run *run, uint64_t offset);
/* The reply was taken in: was nothing more urgent left behind? */
bool model_judge_order(struct model *self, const struct sim_request *pull);
/* Is what GROUP.INFO counts as expired possible? */
bool model_judge_expired(struct model *self, const struct sim_request *info,
                         const struct sim_part *part);
/* Had the tenants of a group that shares fairly their turns? */
bool model_judge_fair(struct model *self, const struct sim_request *pull);
void model_fair_forget(struct model *self);
/* Perhaps its time is over. */
bool model_may_be_expired(const struct model *self, uint32_t message);
/* Or its filter does not want it. */
bool model_may_be_left_out(const struct model *self, uint32_t group, uint32_t message);
/* Its grants are not known any more. */
void model_urgent_crash(struct model *self);

void model_group_enter(struct model *self, struct sim_request *request);
void model_pull_answer(struct model *self, struct sim_request *request);
void model_settle_answer(struct model *self, struct sim_request *request);
void model_seek_answer(struct model *self, struct sim_request *request);
void model_seek_cut(struct model *self, const struct sim_request *request);
void model_group_info_answer(struct model *self, const struct sim_request *request);
void model_trace_enter(struct model *self, struct sim_request *trace);
void model_trace_answer(struct model *self, const struct sim_request *trace);
void model_groups_crash(struct model *self, bool power_loss);

void model_publish_enter(struct model *self, const struct sim_request *request);
void model_publish_answer(struct model *self, const struct sim_request *request);
void model_publish_cut(struct model *self, const struct sim_request *request);
void model_open_answer(struct model *self, const struct sim_request *request);
void model_producers_crash(struct model *self, bool power_loss);

#endif
