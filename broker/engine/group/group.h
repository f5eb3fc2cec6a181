/* SPDX-License-Identifier: MPL-2.0
 *
 * Groups: a name, settings, the topics it consumes, and what its members wait
 * for. What the files of the group side share: group.c (life, driving), group_ledger.c (ledgers, sums),
 * binding.c (which topics), group_state.c (durable form), group_join.c (topics come in),
 * group_verbs.c (administration), pull*.c, settle.c, seek.c, lease_end.c.
 *
 *      create ---> CREATING ---synced---> LIVE ---delete---> gone
 *                     |
 *                     +---refused---> gone
 *
 * A binding ties the group to a topic *name*; while there is a topic of that
 * name, it has one ledger for each partition. A re-created topic is another one:
 * its ledgers begin at the earliest offset.
 *
 * Durable: 'g' group u64 -> version u8 = 5, mode u8 (enum group_mode), flags u8 (1 paused, 2 replay), epoch u64,
 * start kind u8 and value u64, the settings (group_settings_encode, setting_texts_encode), name (short
 * text), topic count u16 and the names and patterns (short texts), the rules (setting_texts_encode_rules);
 * with start kind ID, the id (short text); with the flag, what it replays (side_replay_encode).
 * Version 4 had no rules, version 3 no texts among the settings, version 2 no patterns, version 1 no flags and the first five settings as u64 each, without
 * their number. The ledgers: ledger_codec.h. Leases: lease.h.
 */
#ifndef ZSP_ENGINE_GROUP_H
#define ZSP_ENGINE_GROUP_H

#include <sys/queue.h>

#include "broker/engine/base/name_index.h"
#include "broker/engine/engine_priv.h"
#include "broker/engine/group/group_mode.h"
#include "broker/engine/group/group_rules.h"
#include "broker/engine/group/group_work.h"
#include "broker/engine/group/members.h"
#include "broker/engine/group/outcome.h"
#include "broker/engine/group/session_note.h"
#include "broker/engine/ledger/lease.h"
#include "broker/engine/ledger/ledger.h"
#include "broker/engine/ledger/step.h"
#include "broker/engine/session_names.h"
#include "broker/engine/topic/topic.h"
#include "common/wire.h"

struct bye;
struct dead_answers;
struct dead_call;
struct dead_read;
struct fair_read;
struct group_patterns;
struct join;
struct lanes;
struct letter_call;
struct pull;
struct ready_set;
struct redrive;
struct request;
struct restore_call;
struct savepoint;
struct seek;
struct settle;
struct side_call;
struct side_end;
struct side_replay;

#define GROUP_KEY 'g'

enum group_state { GROUP_CREATING, GROUP_LIVE };

/* The bindings to one topic name, whether there is such a topic or not. */
struct followers {
    struct binding *first, *last; /* in the order in which they were made; at least one */
    struct zsp_slice name;        /* into name_bytes */
    char name_bytes[];            /* ends with a NUL */
};

/* A topic of a group, there or not. */
struct binding {
    struct group *group;
    struct followers *followers; /* it is one of these, of its topic's name */
    struct binding *prev, *next; /* of them */
    uint64_t bind_stamp;         /* of the pull that counted it last */
    struct topic *topic;         /* NULL = no such topic now */
    struct ledger **ledgers;     /* one for each partition; NULL without a topic */
    struct ledger *only;         /* what `ledgers` is when there is one partition */
    struct binding_work *work;   /* NULL = nothing is to be done, group_work.h */
    uint32_t waiting;            /* parked pulls that named it; binding_wait() */
    uint32_t ready_place;        /* 1 + its place in the group's ready_set, 0 = not in it */
    bool is_found;               /* by a pattern; it goes with its topic */
    bool joined;                 /* durable: may be pulled from */
};

/* An administrative request that waits for its record. */
struct group_call {
    struct engine_op op; /* first: its address is the tag */
    struct reply_to to;
    struct group_call *next; /* of those that wait for somebody else's creation */
};

/* In an order without holes: there are many, and most are idle. */
struct group {
    uint64_t id;
    uint64_t epoch;                  /* raised by every seek */
    int64_t pulled_ms;               /* broker time of the last PULL; 0 = none since the start */
    int64_t paused_ms;               /* of the PAUSE; 0 = it was before the start */
    uint64_t start_value;            /* of start_kind */
    struct group_rules *rules;       /* NULL = all settings are at their defaults, group_rules.h */
    struct name_index bindings;      /* struct binding */
    struct group_patterns *patterns; /* NULL = it never had any; pattern.h */
    struct side_replay *side;        /* NULL = it is no replay; side_replay.h */
    struct zsp_buf *start_id;        /* with start_kind ID */

    struct ready_set *ready_set; /* NULL = it has few topics; ready_set.h */
    struct group_work *work;     /* NULL = nothing is to be done, group_work.h */
    struct ledger_list stale;    /* ledgers that do not know of the mark, mark_watch.h */
    struct lanes *lanes_wanted;  /* ledgers whose keys are to be read, of keyed groups, */
    uint32_t lanes_reading;      /* and those of which they are being read */
    uint32_t attached;           /* bindings with a topic */
    struct members members;
    struct savepoint *savepoint_first; /* by number; the first may be the undo */
    struct group_call *creates;        /* CREATING: others that want to create it */
    struct group *dirty_next;
    uint32_t next_binding; /* where a pull of all topics begins */
    int32_t owed;          /* messages by priority since the less urgent had a turn, pull_take.h */
    uint8_t turn;          /* the priority that had it */
    enum wire_position_kind start_kind : 8; /* where new topics begin */
    enum group_state state : 8;
    enum group_mode mode : 8;
    bool paused;     /* nothing is handed out */
    bool wants_room; /* a parked pull waits for room, see reply_room() */
    bool dirty;      /* in groups->dirty: its parked pulls are to be looked at */
    uint8_t name_len;
    char object[]; /* "group <name>", for errors */
};

_Static_assert(ZSP_NAME_MAX <= UINT8_MAX, "group.name_len");
_Static_assert(ZSP_PARTITIONS_MAX <= UINT16_MAX, "binding_work.blocked, stalled, busy");

/* Leases that end in one millisecond, see lease_end.c. */
struct lease_ends {
    int64_t at_ms; /* broker time */
    uint64_t work; /* runs, about */
};

/* The group side's state: engine->groups. */
struct groups {
    struct engine *engine;
    struct reasons reasons;
    struct run_slab slab;
    struct lease_table leases;
    struct session_notes notes;
    struct session_names names;
    struct step step;
    struct zsp_table ledgers;                /* all, by key */
    struct ledger *loose_first, *loose_last; /* replayed, their partition is not known yet */
    struct zsp_table members;                /* of all groups, see members.h */
    struct zsp_table by_id;                  /* groups */
    struct pool fair_lanes, fair_entries;    /* struct fair_lane, struct fair_entry */
    LIST_HEAD(, fair_read) fair_reads;       /* all that are under way */
    struct zsp_table followers;              /* by the topic's name; see binding.c */
    struct name_index patterns;              /* struct pattern_text, of all groups */
    struct group *dirty_first, *dirty_last;
    uint64_t bind_stamp;             /* of the pull that was bound last */
    struct pull_list free_pulls;     /* keep their memory */
    uint32_t free_pull_count;        /* bounded: a peak of waiting pulls is given back */
    struct pull_arrays *free_arrays; /* see pull_arrays.h */
    uint32_t free_arrays_count;
    struct pull_list lost_pulls;   /* at work when their group went */
    STAILQ_HEAD(, settle) settles; /* waiting for their sync, in order; settle_wait.h */
    struct pool settle_pool;
    struct pool bye_pool;               /* struct bye */
    struct lease_ends ends_now;         /* this millisecond, */
    struct lease_ends ends_later;       /* and the last that leases wait for */
    LIST_HEAD(, join) joins;            /* all that are under way */
    LIST_HEAD(, seek) seeks;            /* all that are under way */
    LIST_HEAD(, restore_call) restores; /* likewise */
    LIST_HEAD(, dead_call) dead_calls;  /* likewise, see dead_verbs.c */
    struct dead_answers *dead_answers;  /* NULL = none yet, see dead_answers.h */
    LIST_HEAD(, dead_read) dead_reads;  /* likewise, see dead_read.c */
    LIST_HEAD(, trace) traces;          /* likewise, see trace.c */
    LIST_HEAD(, redrive) redrives;      /* likewise, see redrive.h */
    LIST_HEAD(, letter_call) letters;   /* likewise, see letters.h */
    struct zsp_table redrive_groups;    /* of these, by the id of their group */
    struct zsp_table letter_groups;     /* likewise */
    uint64_t letters_looked;            /* ledgers that were asked what they owe, ever */
    LIST_HEAD(, side_call) side_calls;  /* likewise, see side_replay_verb.c */
    LIST_HEAD(, side_end) side_ends;    /* likewise, see side_replay.c */
    struct zsp_table savepoints;        /* of all groups, by key; savepoint.h */
    struct savepoint *loose_savepoints; /* replayed, their group is not known yet */
    size_t savepoint_bytes;             /* of all values */
    struct pool calls;                  /* struct group_call */
    struct lease *start_leases;         /* replayed, not in a group yet; linked through next */
    struct zsp_buf *lost_reason;        /* why a message of a lost lease failed */
    uint32_t expired_reasons;           /* of messages that expired and had none */
    struct zsp_writer not_applied;      /* of the SETTLE being worked on */
    struct ledger_order *recalls;       /* ledgers with something to be recalled, see recall.h */
    struct timer recall_retry;
    struct lanes *lanes_reading; /* all that are being read, also those nobody waits for any more */
    size_t lanes_bytes;          /* what those of all ledgers take, about */
    struct lanes *lanes_recalls; /* of which something is to be recalled */
};

#define GROUP_OBJECT "group " /* what `object` begins with */

static inline struct zsp_slice group_name(const struct group *self)
{
    return (struct zsp_slice){(const uint8_t *)self->object + sizeof GROUP_OBJECT - 1,
                              self->name_len};
}

/* What is to be done in it; to look at. */
static inline const struct group_work *group_work_of(const struct group *self)
{
    return self->work ? self->work : &group_work_none;
}

static inline const struct binding_work *binding_work_of(const struct binding *self)
{
    return self->work ? self->work : &binding_work_none;
}

/* Its ledgers with something ready, from the next to be served on; NULL = there is none. */
static inline struct ledger_told *binding_ring(const struct binding *self)
{
    return binding_work_of(self)->ring;
}

/* Pulls that wait, in order of arrival, and those that are reading or granting. */
static inline struct pull *group_first_parked(const struct group *self)
{
    return TAILQ_FIRST(&group_work_of(self)->parked);
}

static inline struct pull *group_first_working(const struct group *self)
{
    return TAILQ_FIRST(&group_work_of(self)->working);
}

static inline bool group_is_awaited(const struct group *self)
{
    return group_work_of(self)->parked_count > 0;
}

/* Leases that live, in order of grant; linked through next. */
static inline struct lease *group_first_lease(const struct group *self)
{
    return group_work_of(self)->lease_first;
}

/* Messages that are out, or that a pull is reading. */
static inline uint64_t group_out(const struct group *self)
{
    return group_work_of(self)->leased + group_work_of(self)->reserved;
}

static inline const struct group_settings *group_settings_of(const struct group *self)
{
    return self->rules ? &self->rules->settings : &group_settings_default;
}

/* NULL = it takes all. */
static inline struct group_filter *group_filter_of(const struct group *self)
{
    return self->rules ? self->rules->filter : NULL;
}

/* NULL = nothing is shared fairly. */
static inline struct group_fair *group_fair_of(const struct group *self)
{
    return self->rules ? self->rules->fair : NULL;
}

/* Do dead messages keep back what its order puts behind them? */
static inline bool group_holds_dead(const struct group *self)
{
    return group_settings_of(self)->on_dead == ON_DEAD_HOLD;
}

/* The LIVE group of that name. Errors: ZSP_ENOT_FOUND */
int group_require(const struct engine *engine, struct zsp_slice name, struct group **ret,
                  struct zsp_err *err);

/* Checks of arguments. Errors: ZSP_EUNSUPPORTED, ZSP_EBAD_VALUE, ZSP_EMODE_MISMATCH */
/* `name` (may be absent: shared) as a mode. */
int group_read_mode(struct zsp_slice name, enum group_mode *ret, struct zsp_err *err);
/* The same against what the group has; absent fits any. */
int group_check_mode(const struct group *group, struct zsp_slice name, struct zsp_err *err);
int group_check_position(const struct wire_position *start, struct zsp_err *err);
/* `start` (may be absent) against what the group has. */
int group_check_start(const struct group *group, const struct wire_position *start,
                      struct zsp_err *err);
/* Where topics begin that come into it; an id is lent by the group. */
struct wire_position group_position(const struct group *group);

/* The binding to a topic that is there; `topic` without data: its only one.
 * Errors: ZSP_EBAD_VALUE, ZSP_ENOT_FOUND (also of `partition`, when it is set) */
int group_find_binding(const struct group *group, struct zsp_slice topic,
                       const struct wire_uint *partition, struct binding **ret,
                       struct zsp_err *err);

/* What a new group is to be. */
struct group_plan {
    struct zsp_slice name; /* legal */
    enum group_mode mode;
    struct wire_position start;
    struct group_settings settings;
};
/* A group with a new id, CREATING, in the catalogue; nothing durable.
 * Errors: ZSP_EEXISTS, ZSP_ELIMIT_REACHED, ZSP_ENOMEM */
int group_new(struct engine *engine, const struct group_plan *plan, struct group **ret,
              struct zsp_err *err);
/* A group that is zero but for id and name, and is found by both. NULL = out of memory. */
struct group *group_make(struct engine *engine, uint64_t id, struct zsp_slice name);
/* An id as a key of tables; lends it. */
static inline struct zsp_slice group_id_key(const uint64_t *id)
{
    return (struct zsp_slice){(const uint8_t *)id, sizeof *id};
}
/* In any state; NULL = none. */
struct group *group_by_id(const struct groups *self, uint64_t id);
/* Forget a group, its ledgers and leases; its pulls have ended. */
void group_destroy(struct engine *engine, struct group *group);

/* --- ledgers --- */
/* The ledger, made when it is not there. NULL = out of memory. */
struct ledger *group_ledger_open(struct groups *self, uint64_t group_id, uint64_t topic_id,
                                 uint32_t partition_index);
/* The same, NULL = there is none. */
struct ledger *group_ledger_find(const struct groups *self, uint64_t group_id, uint64_t topic_id,
                                 uint32_t partition_index);
/* From the loose ones to those of its partition. */
void group_ledger_place(struct groups *self, struct ledger *ledger, struct partition *partition);
/* Forget a ledger and void what refers to it; durably nothing changes. */
void group_ledger_drop(struct groups *self, struct ledger *ledger);
/* A name without a topic yet. Errors: ZSP_ENOMEM */
int binding_new(struct groups *self, struct group *group, struct zsp_slice name,
                struct binding **ret);
/* The topic is there: give the binding its ledgers. Errors: ZSP_ENOMEM (nothing changed) */
int binding_attach(struct groups *self, struct binding *binding, struct topic *topic);
/* So many parked pulls more name it; unsigned: UINT32_MAX is one fewer. */
void binding_wait(struct binding *binding, uint32_t change);
/* Take a binding out of its group and free it, with its ledgers. */
void binding_destroy(struct groups *self, struct binding *binding);
/* The ledger for (topic, partition), NULL = the group has none. */
struct ledger *group_ledger(const struct group *group, struct zsp_slice topic, uint64_t partition);
/* Bring sums, ring and timer up to date after any change of a ledger. Memory that runs out for
 * that stops the broker. */
void group_ledger_changed(struct groups *self, struct ledger *ledger);
/* What lies below the partition's start is gone for good, but for islands (dead_keep.h): counts as
 * done. True = some of it was still wanted. ledger_trim.c */
bool group_ledger_trim(struct groups *self, struct ledger *ledger);
/* The same for a ledger that was replayed: none of its messages counts for a lease yet. */
void group_ledger_trim_replayed(struct groups *self, struct ledger *ledger,
                                const struct partition *partition);
/* Of [from, to), as far as it is below the partition's start: what nobody keeps any more is gone. */
void group_ledger_forget_old(struct groups *self, struct ledger *ledger, uint64_t from,
                             uint64_t to);
/* One that is attached to its partition, new or replayed, where the log begins now. */
void group_ledger_begin(struct groups *self, struct ledger *ledger);
/* What is out of [first, end) is under its lease no more. The cost is that of the group's leases. */
void group_leave_leases(struct groups *self, const struct ledger *ledger, uint64_t first,
                        uint64_t end);
/* The message at `first` is damaged: nothing from there on is handed out. Memory that runs out stops
 * the broker. */
void group_ledger_block(struct groups *self, struct ledger *ledger, uint64_t first);

/* Parked pulls of the group are to be looked at in this turn. */
void group_wake(struct groups *self, struct group *group);
/* Memory ran out where nothing can be taken back. */
void group_out_of_memory(struct groups *self);

/* --- leases (lease_end.c) --- */
/* Arm the timer of a lease of the group and put it into the group's list and its session's. The group
 * has work already. */
void group_lease_live(struct groups *self, struct group *group, struct lease *lease);
/* After its deadline moved. */
void group_lease_rearm(struct groups *self, struct lease *lease);
/* End it before all is settled; takes several turns when it has very many runs. */
void group_lease_end(struct groups *self, struct lease *lease, enum lease_end why);
/* Nothing is under it any more: forget it. */
void group_lease_over(struct groups *self, struct lease *lease);

/* Forget that the session is a member of any group. What is left of its note, NULL = nothing. */
struct session_note *group_leave_all(struct groups *self, uint64_t session);

/* --- a BYE that waits for leases to end (session_verbs.c) --- */
void bye_init(struct groups *self);
/* A record that hands `released` messages back is put: who hears when it is synced. */
struct engine_op *bye_record(struct bye *self, uint64_t released);
/* It was refused. */
void bye_record_refused(struct engine *engine, struct bye *self, uint64_t released,
                        const struct zsp_err *error);
/* One of its leases is over. */
void bye_lease_over(struct engine *engine, struct bye *self);

/* --- durable form (group_state.c) --- */
/* Note the group's image (gone: its end) in the open step. Errors: ZSP_ENOMEM */
int group_step_image(struct groups *self, const struct group *group);
/* Put `gone` for everything of the group; `op` hears when that is synced.
 * Errors: those of state_put, nothing was put then */
int group_put_gone(struct engine *engine, const struct group *group, struct engine_op *op,
                   struct zsp_err *err);
/* Put `gone` for what a ledger has in the journal. */
void group_ledger_put_gone(struct engine *engine, const struct ledger *ledger);

/* Free what a start that failed left behind (group_start.c). */
void group_state_fini(struct groups *self);

/* --- administration (group_verbs.c) --- */
/* One that answers with an empty map once its record is durable. NULL = out of memory, told. */
struct group_call *group_call_new(struct engine *engine, const struct request *request,
                                  struct zsp_err *err);
/* The creation is over: who wanted to create it as well hears that it exists, or the error. */
void group_created(struct engine *engine, struct group *group, const struct zsp_err *error);

/* --- joining (group_join.c) --- */
/* Make topics part of a group; a CREATING group comes LIVE with it. `topics` is an array of
 * legal names; those it has already are skipped. `to` (may be NULL) is answered with an empty
 * map, or the error. Otherwise pulls that wait for the join end with its error.
 * Errors: ZSP_ENOMEM, ZSP_ELIMIT_REACHED, ZSP_EOUT_OF_RANGE and those of state_put; nothing has
 *         happened then, a CREATING group is still there */
int group_join(struct engine *engine, struct group *group, const struct zsp_slice *topics,
               size_t topic_count, const struct reply_to *to, struct join **ret_join,
               struct zsp_err *err);
/* The group is going: forget joins under way. */
void group_join_forget(struct groups *self, const struct group *group);
void group_joins_fini(struct groups *self);

/* --- pulls (pull.c) --- */
void pull_serve(struct engine *engine, struct group *group);
/* All pulls that wait end with this error; those at work will. */
void pull_end_all(struct engine *engine, struct group *group, const struct zsp_err *error);
/* Pulls that wait for this join end with the error. */
void pull_join_failed(struct engine *engine, struct group *group, const struct join *join,
                      const struct zsp_err *error);
/* What pulls at work have reserved in this ledger is void. */
void pull_forget_ledger(struct group *group, const struct ledger *ledger);
/* A binding of the group goes that pulls may have: they look at their names again. */
void pull_forget_topics(struct group *group);
/* Pulls of no session that wait now. */
uint64_t pull_count_sessionless(const struct group *group);
void pull_fini(struct groups *self);

/* --- seeks (seek.c) --- */
void seek_fini(struct groups *self);
/* After a step that moved the ledger: what was reserved of it is void, damage is met again. */
void group_ledger_moved(struct groups *self, struct ledger *ledger);

/* --- traces (trace.c) --- */
void traces_fini(struct groups *self);

/* --- restores (restore.c) --- */
/* Errors: ZSP_ENOMEM, ZSP_ECORRUPT, ZSP_ETOO_LARGE and those of state_put; nothing has happened */
int restore_begin(struct engine *engine, const struct request *request, struct group *group,
                  const struct savepoint *savepoint, bool dry_run, struct zsp_err *err);
void restore_fini(struct groups *groups);

#endif
