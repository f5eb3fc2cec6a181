/* SPDX-License-Identifier: MPL-2.0
 *
 * What the files of mem_store share among themselves.
 */
#ifndef ZSP_TESTS_MEM_STORE_PRIV_H
#define ZSP_TESTS_MEM_STORE_PRIV_H

#include "tests/support/mem_store.h"

/* One stored or queued batch. */
struct mem_batch {
    struct store_batch batch; /* holds a reference on its frame */
    uint64_t tag;
    struct store_atomic *atomic; /* a marker, no batch; else NULL */
};

/* One partition's log; lives as long as its topic, over restarts. */
struct mem_log {
    uint64_t topic_id;
    uint32_t partition;
    bool durable; /* its creation was completed */
    struct mem_batch *batches;
    size_t batch_count; /* [0, batch_count) written; */
    size_t queued;      /* then this many queued appends */
    size_t capacity;
    struct mem_batch *islands; /* what retention left of what is below the start: whole batches */
    size_t island_count, island_capacity;
    uint64_t start_offset;
    uint64_t synced_offset;
    uint64_t end_offset;
    uint64_t batches_trimmed; /* so that segment bounds stay where they are */
    struct store_range corrupt;
    int read_error;          /* of every read; 0 = none */
    bool is_placed;          /* an atomic append was put: nothing else is written */
    struct store_part *part; /* the open handle, NULL = not open */
};

struct store_part {
    struct mem_log *log; /* NULL = dropped */
    void *owner;
    bool has_ids;            /* index_ids */
    struct store_part *next; /* all handles ever given, freed at restart */
};

enum mem_call_kind { MEM_CALL_READ, MEM_CALL_FIND, MEM_CALL_IDS, MEM_CALL_TERMS, MEM_CALL_RETAIN };

/* A queued read, find_time or retain. */
struct mem_call {
    enum mem_call_kind kind;
    struct store_part *part;
    struct store_read read;
    struct store_retain retain;
    struct store_range *kept; /* RETAIN: what retain.kept points to; freed when it ran */
    uint64_t *prints;         /* IDS; freed when it ran */
    uint32_t print_count;
    int64_t time_ms; /* FIND; IDS: since */
    uint64_t tag;
};

/* A queued topic_create or topic_drop. */
struct mem_topic_call {
    bool drop;
    uint64_t topic_id;
    uint32_t partition_count;
    uint64_t tag;
};

struct mem_store {
    struct store base;
    struct store_hooks hooks; /* of start(), for part_open() */
    bool started;
    bool ready;
    bool failed;
    bool refuses;
    unsigned held; /* enum mem_store_work */
    uint32_t segment_batches;

    bool fail_append, fail_sync;
    int fail_append_code, fail_state_code;
    bool fail_append_maybe;

    struct mem_log **logs;
    size_t log_count, log_capacity;
    struct store_part *parts;

    struct mem_store_record **records;
    size_t record_count, record_capacity;
    int64_t broker_ms;

    struct store_atomic *atomics; /* not put yet, in order */
    struct mem_call *calls;
    size_t call_count, call_capacity;
    struct mem_topic_call *topic_calls;
    size_t topic_call_count, topic_call_capacity;

    struct store_completion *completions;
    size_t completion_first, completion_count, completion_capacity;
    struct store_stats stats;
};

/* Room for `count` items of `size` bytes in *items; ends the test when there is no memory. */
void *mem_grow(void *items, size_t *capacity, size_t count, size_t size);
void *mem_alloc(size_t size);

/* A new completion at the end of the queue, all zero but its kind; fill it at once. */
struct store_completion *mem_complete(struct mem_store *self, enum store_completion_kind kind);
/* Give it the error of a fail-stop. */
void mem_complete_failed(struct store_completion *completion);

struct mem_log *mem_log_find(const struct mem_store *self, uint64_t topic_id, uint32_t partition);
struct store_part *mem_part_new(struct mem_store *self, struct mem_log *log, void *owner);

/* mem_store_log.c */
int mem_append(struct store *base, struct store_part *part, const struct store_batch *batch,
               uint64_t tag, struct zsp_err *err);
int mem_read(struct store *base, const struct store_read *read, struct zsp_err *err);
int mem_find_time(struct store *base, struct store_part *part, int64_t time_ms, uint64_t tag,
                  struct zsp_err *err);
void mem_index_ids(struct store *base, struct store_part *part, bool is_wanted);
int mem_find_ids(struct store *base, const struct store_find_ids *find, struct zsp_err *err);
int mem_read_terms(struct store *base, const struct store_read_terms *read, struct zsp_err *err);
uint64_t mem_retain_reach(const struct store *base, const struct store_part *part,
                          const struct store_retain *retain);
int mem_retain(struct store *base, struct store_part *part, const struct store_retain *retain,
               struct zsp_err *err);
void mem_part_info(const struct store *base, const struct store_part *part,
                   struct store_part_info *ret);
uint64_t mem_place(const struct store *base, const struct store_part *part, uint64_t offset);
void mem_logs_write(struct mem_store *self);
void mem_logs_sync(struct mem_store *self);
void mem_calls_run(struct mem_store *self);
/* Forget the calls that have not run. */
void mem_calls_drop(struct mem_store *self);
/* Queued appends of a log complete with this error. */
void mem_log_fail_queued(struct mem_store *self, struct mem_log *log, int code, bool maybe);
/* Drop all batches from `end_offset` on. */
void mem_log_cut(struct mem_log *log, uint64_t end_offset);
void mem_log_destroy(struct mem_log *log);

/* mem_store_atomic.c */
int mem_atomic_begin(struct store *base, const struct store_append *appends, size_t count,
                     uint64_t tag, struct store_atomic **ret, struct zsp_err *err);
const uint64_t *mem_atomic_offsets(const struct store_atomic *self);
int mem_atomic_put(struct store *base, struct store_atomic *self, const struct store_entry *entries,
                   size_t count, struct zsp_err *err);
void mem_atomic_cancel(struct store *base, struct store_atomic *self);
/* Those whose logs stand still are told so. */
void mem_atomics_step(struct mem_store *store);
/* A queue with a marker fails, which is out of it already. */
void mem_atomic_log_fails(struct mem_store *store, struct store_atomic *self, int code);
/* The record is synced (or kept, when nobody is told): its batches go to their logs. */
void mem_atomic_apply(struct mem_store *store, struct mem_store_record *record, bool tells);
/* The record goes, and its batches with it. */
void mem_atomic_forget(struct mem_store *store, struct mem_store_record *record);
/* Forget all that are not put. */
void mem_atomics_restart(struct mem_store *store);

/* mem_store_state.c */
int mem_state_put(struct store *base, const struct store_entry *entries, size_t count,
                  enum store_level level, uint64_t tag, struct zsp_err *err);
int mem_state_replay(struct mem_store *self, const struct store_hooks *hooks, struct zsp_err *err);
void mem_state_write(struct mem_store *self);
void mem_state_sync(struct mem_store *self);
void mem_state_fail(struct mem_store *self);
void mem_state_restart(struct mem_store *self, enum mem_store_keep keep);
void mem_state_fini(struct mem_store *self);

#endif
